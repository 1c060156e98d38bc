"""Faults in data sets and in folders of pictures, for `faults.py`: what a stranger's files do to a run."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks.fault_cases import PICTURES, Outcome, case, find, make_pictures
from tests.benchmarks.fault_commands import Bench, Done


def data_set(bench: Bench, name: str, change: Callable[[Path], None], settings: str = "") -> Path:
    """A set of pictures with a fault, and a config that trains on it."""
    folder = bench.folder / name
    make_pictures(folder)
    change(folder)
    text = PICTURES.replace("root: pictures", f"root: {name}{settings}")
    (bench.folder / f"{name}.yaml").write_text(text)
    return folder


def fit(bench: Bench, name: str, *words: str) -> Done:
    return bench.start(["fit", "--config", f"{name}.yaml", "--experiment", "tiny", "--name", name, *words]).wait()


def refused(bench: Bench, name: str, done: Done, pattern: str) -> Outcome:
    """Whether a command ended before its first step, with an error of at most five lines."""
    said = find(done.text)
    lines = done.text[done.text.rfind("error:") :].strip().splitlines()
    began = (bench.run(name) / "metrics.csv").is_file()
    short = len(lines) <= 5 and "Traceback" not in done.text
    return Outcome(done, done.code == 2 and short and not began and re.search(pattern, done.text) is not None, said)


def cut(folder: Path, name: str = "7.png") -> None:
    path = folder / "images" / name
    path.write_bytes(path.read_bytes()[:200])


def labels(folder: Path, change: Callable[[dict[str, list[dict[str, object]]]], None]) -> None:
    content = json.loads((folder / "annotations.json").read_text())
    change(content)
    (folder / "annotations.json").write_text(json.dumps(content))


@case("picture cut off before the start", "error before step 1 names it")
def cut_picture(bench: Bench) -> Outcome:
    data_set(bench, "cut-picture", cut)
    return refused(bench, "cut-picture", fit(bench, "cut-picture"), r"7\.png")


@case("picture cut off, on_bad_image: skip", "named, training goes through the others")
def cut_picture_skipped(bench: Bench) -> Outcome:
    data_set(bench, "cut-skipped", cut, ", on_bad_image: skip")
    done = fit(bench, "cut-skipped")
    return Outcome(done, done.code == 0 and "7.png" in done.text, find(done.text, r"7\.png"))


@case("pipe among the pictures", "error before step 1, no waiting")
def pipe(bench: Bench) -> Outcome:
    def change(folder: Path) -> None:
        (folder / "images" / "7.png").unlink()
        os.mkfifo(folder / "images" / "7.png")

    data_set(bench, "pipe", change)
    return refused(bench, "pipe", fit(bench, "pipe"), r"7\.png")


@case("two pictures with one id", "error before step 1 names both")
def one_id(bench: Bench) -> Outcome:
    def twice(content: dict[str, list[dict[str, object]]]) -> None:
        content["images"][8]["id"] = 7

    data_set(bench, "one-id", lambda folder: labels(folder, twice))
    return refused(bench, "one-id", fit(bench, "one-id"), r"7\.png")


@case("boxes without a picture's id", "error before step 1 names the file")
def lost_boxes(bench: Bench) -> Outcome:
    def lose(content: dict[str, list[dict[str, object]]]) -> None:
        for box in content["annotations"]:
            box["image_id"] = f"picture {box['image_id']}"

    data_set(bench, "lost-boxes", lambda folder: labels(folder, lose))
    return refused(bench, "lost-boxes", fit(bench, "lost-boxes"), r"annotations\.json")


@case("broken pictures in a folder for predict", "results of the others, reasons for these")
def broken_for_predict(bench: Bench) -> Outcome:
    folder = data_set(bench, "predicted", lambda _: None)
    fit(bench, "predicted")
    cut(folder)
    (folder / "images" / "8.png").write_bytes(b"")
    (folder / "images" / "9.png").write_text("no picture")
    words = ["predict", "--run", "runs/tiny/predicted", "--images", str(folder / "images"), "--output", "found"]
    done = bench.start(words).wait()
    found = json.loads((bench.folder / "found" / "predictions.json").read_text())
    ok = done.code == 0 and len(found["images"]) == 57 and all(f"{n}.png" in done.text for n in (7, 8, 9))
    return Outcome(done, ok, find(done.text, "57 pictures"))
