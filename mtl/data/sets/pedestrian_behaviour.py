"""`PedestrianBehaviour`: what a pedestrian and the car will do, from the pedestrian's track (JAAD, without pictures).

Source: Rasouli, Kotseruba, Tsotsos, "Are They Going to Cross?", ICCV workshops 2017; windows and targets are tables
made from its annotations: `windows.csv`, `tracks.csv.gz`, `vehicle.csv`, `traffic.csv` and `videos.csv`.
Shapes: T frames, C numbers of a frame.
"""

import csv
import gzip
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from mtl.batch import Sample
from mtl.data.csv_rows import Row, Rows, read_csv
from mtl.data.module import JointDataModule
from mtl.data.table.splits import refuse_divided_groups, split_by_column
from mtl.task import Inputs, InputSpec, Task

STATES = ("will_cross", "crossing", "walking", "looking")
ACTIONS = ("decelerating", "accelerating", "stopped")  # of the car, 1 s later
_CAR = ("stopped", "moving_slow", "moving_fast", "decelerating", "accelerating")
_TRAFFIC = ("ped_crossing", "ped_sign", "stop_sign")
_BOX = ("x", "y", "width", "height", "step_x", "step_y", "back_x", "back_y", "growth", "occlusion_25", "occlusion_75")
_WINDOW_COLUMNS = ("pedestrian", "video", "split", "last_frame", *STATES, "ego_action_1s", "dx_1s", "dy_1s")
_TRACK_COLUMNS = ("pedestrian", "frame", "x1", "y1", "x2", "y2", "occlusion")


class PedestrianBehaviour(JointDataModule):
    """Tasks: will_cross, crossing, walking, looking, ego_action (classification); dx, dy (regression). Input: `track`.

    `ego_action` is the car's action one second later, `dx` and `dy` how far the centre of the box moves by then, as
    shares of the picture. Each frame has the box, its step from the frame before, and its place and size relative to
    the last frame; whether it is hidden; and the car's action at that time. Slow and fast driving are too rare to be
    classes of the action and are not labelled. Videos are in one split each, so that no pedestrian is in two.

    Args:
        root: folder of the tables.
        frames: frames of a window that end at its last one; fewer where the track begins later. 30 are a second.
        traffic: also give the crossings, signs and stop signs of each frame.
        batch_size: windows per training step and process.
        eval_batch_size: windows per validation and test step.
        num_workers: loader processes; the windows are in memory, so 0 is best.
        seed: seed of the order of training windows.
    """

    def __init__(
        self,
        root: str | Path,
        frames: int = 16,
        traffic: bool = True,
        batch_size: int = 64,
        eval_batch_size: int | None = 512,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(self.declare_tasks(), batch_size, eval_batch_size, num_workers, seed)
        if frames < 1:
            raise ValueError(f"frames={frames} must be at least 1.")
        self.root, self.frames, self.traffic = Path(root), frames, traffic
        self.inputs = self.declare_inputs(traffic)
        self.all_sets: dict[str, SeriesSet] = {}

    @classmethod
    def declare_tasks(cls, **_: Any) -> dict[str, Task]:
        tasks = {name: Task(name, "classification", class_names=("no", "yes")) for name in STATES}
        tasks["ego_action"] = Task("ego_action", "classification", class_names=ACTIONS)
        return tasks | {name: Task(name, "regression") for name in ("dx", "dy")}

    @classmethod
    def declare_inputs(cls, traffic: bool = True, **_: Any) -> Inputs:
        names = (*_BOX, *_CAR, *(_TRAFFIC if traffic else ()))
        return {"track": InputSpec("track", "series", names=names)}

    @classmethod
    def example_args(cls, folder: Path) -> dict[str, Any]:
        windows, tracks = [",".join(_WINDOW_COLUMNS)], [",".join(_TRACK_COLUMNS)]
        for index in range(12):
            name, split = f"p{index}", ("train", "val", "test")[max(0, index - 9)]
            windows.append(f"{name},v{index},{split},9,{index % 2},1,0,{index % 2},{ACTIONS[index % 3]},0.1,0.{index}")
            tracks += [f"{name},{frame},{frame},0,{frame + 9},{30 + index},0" for frame in range(4, 10)]
        videos = [f"v{index},100,50" for index in range(12)]
        cars = [f"v{index},0,9,{_CAR[index % 5]}" for index in range(12)]
        signs = [f"v{index},0,9,1,0,0" for index in range(12)]
        for file, lines in {
            "windows": windows,
            "videos": ["video,width,height", *videos],
            "vehicle": ["video,first_frame,last_frame,action", *cars],
            "traffic": [f"video,first_frame,last_frame,{','.join(_TRAFFIC)}", *signs],
        }.items():
            (folder / f"{file}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (folder / "tracks.csv.gz").write_bytes(gzip.compress("\n".join(tracks).encode()))
        return {"root": str(folder)}

    def setup(self, stage: str) -> None:
        self.all_sets = self.all_sets or self._read()
        for split in ("train", "val") if stage == "fit" else ("val",) if stage == "validate" else ("test",):
            if split not in self.all_sets:
                raise ValueError(f"windows.csv in {str(self.root)!r} has no row of split {split!r}.")
            setattr(self, f"{split}_set", self.all_sets[split])

    def _read(self) -> "dict[str, SeriesSet]":
        windows = read_csv(self.root / "windows.csv", _WINDOW_COLUMNS)
        refuse_divided_groups(windows, "video", split_by_column(windows, "split"))
        size = {
            row["video"]: (float(row["width"]), float(row["height"]))
            for row in read_csv(self.root / "videos.csv", ("video", "width", "height")).rows
        }
        tracks = _read_tracks(self.root / "tracks.csv.gz")
        scenes = {"vehicle": self._runs("vehicle", ("action",))}
        if self.traffic:
            scenes["traffic"] = self._runs("traffic", _TRAFFIC)
        found: dict[str, SeriesSet] = defaultdict(SeriesSet)
        for row, line in zip(windows.rows, windows.lines, strict=True):
            if not row["split"].strip():
                continue
            last = int(row["last_frame"])
            boxes = tracks.get(row["pedestrian"], {})
            frames = [f for f in range(last - self.frames + 1, last + 1) if f in boxes]
            if last not in boxes or row["video"] not in size:
                raise ValueError(
                    f"{windows.source!r}, line {line}: pedestrian {row['pedestrian']!r} has no box in frame {last}, or "
                    f"video {row['video']!r} is not in videos.csv. The tables do not belong together; copy them again."
                )
            # a track with a gap begins behind it
            gap = next((k for k in range(len(frames) - 1, 0, -1) if frames[k] - frames[k - 1] > 1), 0)
            steps = frames[gap:]
            values = np.concatenate(
                [
                    _boxes([boxes[f] for f in steps], *size[row["video"]]),
                    _car([scenes["vehicle"].get((row["video"], f), ("",))[0] for f in steps]),
                    *([_flags([scenes["traffic"].get((row["video"], f), ()) for f in steps])] if self.traffic else []),
                ],
                1,
            )
            found[row["split"].strip()].add(values, _targets(row))
        return dict(found)

    def _runs(self, name: str, columns: tuple[str, ...]) -> dict[tuple[str, int], tuple[str, ...]]:
        """The cells of every frame of a table of runs of frames."""
        rows: Rows = read_csv(self.root / f"{name}.csv", ("video", "first_frame", "last_frame", *columns))
        return {
            (row["video"], frame): tuple(row[column] for column in columns)
            for row in rows.rows
            for frame in range(int(row["first_frame"]), int(row["last_frame"]) + 1)
        }


class SeriesSet(Dataset[Sample]):
    """Windows with their targets, kept in memory."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []

    def add(self, values_TC: NDArray[np.float32], targets: Sample) -> None:
        """One more window.

        Args:
            values_TC: its numbers.
            targets: what is known of it, by task.
        """
        self.samples.append({"track": torch.from_numpy(values_TC), **targets, "sample_id": len(self.samples)})

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        return dict(self.samples[index])


def _read_tracks(path: Path) -> dict[str, dict[int, list[float]]]:
    """Box and occlusion of every frame of each pedestrian."""
    if not path.is_file():
        raise ValueError(f"{str(path)!r} is not there. Set data.init_args.root to the folder of the tables.")
    tracks: dict[str, dict[int, list[float]]] = defaultdict(dict)
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if lacking := [column for column in _TRACK_COLUMNS if column not in row]:
                raise ValueError(f"{str(path)!r} has no column {lacking[0]!r}; it has {', '.join(row)}.")
            tracks[row["pedestrian"]][int(row["frame"])] = [float(row[column]) for column in _TRACK_COLUMNS[2:]]
    return tracks


def _boxes(rows: list[list[float]], width: float, height: float) -> NDArray[np.float32]:
    x1_T, y1_T, x2_T, y2_T, hidden_T = np.array(rows, np.float32).T
    x_T, y_T, high_T = (x1_T + x2_T) / 2 / width, (y1_T + y2_T) / 2 / height, (y2_T - y1_T) / height
    # motion is far smaller than position: as columns of their own, steps are standardised by their own size
    size_T = np.log(np.maximum(high_T, 1e-4))
    return np.stack(
        [
            x_T,
            y_T,
            (x2_T - x1_T) / width,
            high_T,
            np.diff(x_T, prepend=np.nan),
            np.diff(y_T, prepend=np.nan),
            x_T - x_T[-1],
            y_T - y_T[-1],
            size_T - size_T[-1],
            hidden_T == 1,
            hidden_T == 2,
        ],
        1,
    ).astype(np.float32)


def _car(actions: list[str]) -> NDArray[np.float32]:
    return np.array([[action == known for known in _CAR] for action in actions], np.float32)


def _flags(cells: list[tuple[str, ...]]) -> NDArray[np.float32]:
    return np.array([[frame[i : i + 1] == ("1",) for i in range(len(_TRAFFIC))] for frame in cells], np.float32)


def _targets(row: Row) -> Sample:
    targets: Sample = {name: torch.tensor(int(row[name])) for name in STATES if row[name]}
    if row["ego_action_1s"] in ACTIONS:
        targets["ego_action"] = torch.tensor(ACTIONS.index(row["ego_action_1s"]))
    return targets | {name: torch.tensor(float(row[f"{name}_1s"])) for name in ("dx", "dy") if row[f"{name}_1s"]}
