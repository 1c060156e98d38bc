"""Windows by hand: boxes as shares, a gap cuts the track, what is not labelled is left out; the counts of real data."""

import gzip
from pathlib import Path
from typing import Any

import pytest
import torch

from mtl.data.sets.pedestrian_behaviour import PedestrianBehaviour
from tests.contract.kit.places import BESIDE


def ready(folder: Path, **more: Any) -> PedestrianBehaviour:
    arguments = PedestrianBehaviour.example_args(folder)
    data = PedestrianBehaviour(**{**arguments, **more})
    data.setup("fit")
    return data


def test_a_window_by_hand(tmp_path: Path) -> None:
    sample = ready(tmp_path).train_set[1]
    assert sample["track"].shape == (6, 19)
    names = PedestrianBehaviour.declare_inputs()["track"].names
    first = dict(zip(names, sample["track"][0].tolist(), strict=True))
    # frame 4: x 4 to 13 of 100, y 0 to 31 of 50
    assert [first[name] for name in ("x", "y", "width", "height")] == pytest.approx([0.085, 0.31, 0.09, 0.62])
    assert torch.isnan(sample["track"][0, names.index("step_x")])
    assert sample["track"][1, names.index("step_x")] == pytest.approx(0.01)
    assert first["back_x"] == pytest.approx(-0.05, abs=1e-6)
    assert first["growth"] == 0.0
    assert first["moving_slow"] == 1
    assert first["ped_crossing"] == 1
    assert sum(first[name] for name in ("stopped", "moving_fast", "decelerating", "accelerating", "ped_sign")) == 0
    assert sample["will_cross"] == 1
    assert float(sample["dy"]) == pytest.approx(0.1)


def test_a_gap_cuts_the_track_and_an_empty_cell_is_not_labelled(tmp_path: Path) -> None:
    data = ready(tmp_path)
    tracks = gzip.decompress((tmp_path / "tracks.csv.gz").read_bytes()).decode()
    (tmp_path / "tracks.csv.gz").write_bytes(gzip.compress(tracks.replace("p0,7,7,0,16,30,0\n", "").encode()))
    windows = (tmp_path / "windows.csv").read_text().replace("p0,v0,train,9,0,", "p0,v0,train,9,,")
    (tmp_path / "windows.csv").write_text(windows.replace("decelerating", "moving_slow"))
    other = PedestrianBehaviour(data.root)
    other.setup("fit")
    assert len(other.train_set[0]["track"]) == 2
    assert "will_cross" not in other.train_set[0]
    assert "ego_action" not in other.train_set[0]
    assert len(ready(tmp_path, frames=1).train_set[1]["track"]) == 1


def test_a_video_in_two_splits_and_an_unknown_split_are_refused(tmp_path: Path) -> None:
    data = ready(tmp_path)
    windows = (tmp_path / "windows.csv").read_text()
    for old, new, message in (
        (
            "p10,v10,val",
            "p10,v0,val",
            r"group .v0. .* in split .train. \(line 2\) and in .val. \(line",
        ),
        ("p10,v10,val", "p10,v10,Val", "line 12: column 'split' .* has 'Val'; expected train, val, test"),
    ):
        (tmp_path / "windows.csv").write_text(windows.replace(old, new))
        with pytest.raises(ValueError, match=message):
            PedestrianBehaviour(data.root).setup("fit")


def test_tables_that_do_not_belong_together_are_refused_by_line(tmp_path: Path) -> None:
    data = ready(tmp_path)
    (tmp_path / "tracks.csv.gz").write_bytes(gzip.compress(b"pedestrian,frame,x1,y1,x2,y2,occlusion\n"))
    with pytest.raises(ValueError, match=r"windows.csv', line 2: pedestrian 'p0' has no box in frame 9"):
        PedestrianBehaviour(data.root).setup("fit")
    (tmp_path / "tracks.csv.gz").unlink()
    with pytest.raises(ValueError, match="is not there"):
        PedestrianBehaviour(data.root).setup("fit")


@pytest.mark.nightly
def test_the_real_tables_have_the_counts_of_their_description() -> None:
    if not (BESIDE / "jaad_behaviour").is_dir():
        pytest.skip("its data, jaad_behaviour, is not here")
    data = PedestrianBehaviour(BESIDE / "jaad_behaviour")
    data.setup("fit")
    data.setup("test")
    assert [len(getattr(data, f"{split}_set")) for split in ("train", "val", "test")] == [4176, 666, 3529]
    crossing = torch.tensor([int(data.test_set[i]["crossing"]) for i in range(3529)])
    assert int(crossing.sum()) == 2024
    actions = [int(data.test_set[i]["ego_action"]) for i in range(3529) if "ego_action" in data.test_set[i]]
    assert torch.bincount(torch.tensor(actions)).tolist() == [1516, 1097, 564]
