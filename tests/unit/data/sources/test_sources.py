"""Every source is described, pinned to a commit, and writes the folder that configs read."""

import csv
import inspect
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mtl.data.sources import camvid
from mtl.data.sources.fetch import fetch, sources
from mtl.data.sources.source import Files, Source
from tests.unit.data.sources.conftest import Mirror, tar

SOURCES = sources()


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_source_is_described_and_pinned(source: Source) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]*", source.name)
    assert inspect.getdoc(type(source))
    assert source.licence
    assert source.cite
    assert source.counts
    assert source.files
    for part in source.files:
        assert re.fullmatch(r"[0-9a-f]{40}", part.commit)
        assert re.fullmatch(r"[0-9a-f]{64}", part.sha256)
        assert part.repository.count("/") == 1
        assert not part.path.startswith("/")
        assert ".." not in part.to.split("/")
        assert bool(part.suffixes) == (part.number > 1)


def test_the_sets_of_our_configs_are_there() -> None:
    assert {"bccd", "playing_cards", "atis", "snips", "fsdd"} <= set(SOURCES)
    assert {"camvid", "coco128", "donkeycar_tub", "heart_disease", "nemo_mini", "xsid"} <= set(SOURCES)


def serve(source: Source, mirror: Mirror, content: dict[str, dict[str, bytes]]) -> None:
    """Put the files of a source on the mirror: for each `to` of a part, the files of that part by name."""
    archives: dict[tuple[str, str], dict[str, bytes]] = {}
    folders = {(part.repository, part.commit) for part in source.files if part.suffixes and not part.names}
    for part in source.files:
        key = (part.repository, part.commit)
        for name, data in content[part.to].items():
            path = f"{part.path}/{name}" if part.suffixes else part.path
            if part.names:
                mirror.files[f"/{part.repository}/{part.commit}/{path}"] = data
            elif key in folders:
                archives.setdefault(key, {})[path] = data
            else:
                mirror.files[f"/{part.repository}/{part.commit}/{path}"] = data
    for (repository, commit), files in archives.items():
        mirror.put_repository(repository, commit, files)


def read(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def same(mine: Path, theirs: Path, *names: str) -> bool:
    return all((mine / name).read_bytes() == (theirs / name).read_bytes() for name in names)


SPLITS = ("splits/train.txt", "splits/val.txt", "splits/test.txt")


def test_bccd_from_a_mirror_is_what_our_numbers_were_measured_on(
    mirror: Mirror, shared_data: Path, tmp_path: Path
) -> None:
    ours = shared_data / "bccd"
    splits = read(ours / "splits")
    splits["trainval.txt"] = b"".join(sorted((splits["train.txt"] + splits["val.txt"]).splitlines(True)))
    content = {
        "images": read(ours / "images"),
        "annotations": read(ours / "annotations"),
        "splits": splits,
        "LICENSE.txt": {"": (ours / "LICENSE.BCCD_Dataset.txt").read_bytes()},
        "labels.csv": {"": (ours / "raw/labels.csv").read_bytes()},
    }
    source = SOURCES["bccd"]
    serve(source, mirror, content)
    assert fetch(source, tmp_path / "bccd", mirror.address)
    assert same(tmp_path / "bccd", ours, "image_labels.csv", *SPLITS)
    assert read(tmp_path / "bccd/images") == content["images"]
    assert read(tmp_path / "bccd/annotations") == content["annotations"]


def test_bccd_with_one_box_moved_is_refused(mirror: Mirror, shared_data: Path, tmp_path: Path) -> None:
    ours = shared_data / "bccd"
    annotations = read(ours / "annotations")
    annotations["BloodImage_00001.xml"] = annotations["BloodImage_00001.xml"].replace(b"<xmin>", b"<xmin>1", 1)
    serve(
        SOURCES["bccd"],
        mirror,
        {
            "images": read(ours / "images"),
            "annotations": annotations,
            "splits": {},
            "LICENSE.txt": {},
            "labels.csv": {},
        },
    )
    with pytest.raises(ValueError, match="BCCD/Annotations of .*found 364 files with SHA-256"):
        fetch(SOURCES["bccd"], tmp_path / "bccd", mirror.address)


def test_playing_cards_from_a_mirror_have_our_splits_and_labels(
    mirror: Mirror, shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, source = shared_data / "playing_cards", SOURCES["playing_cards"]
    test = set((ours / "splits/test.txt").read_text().split())
    content: dict[str, dict[str, bytes]] = {"LICENSE.txt": {"": (ours / "LICENSE.txt").read_bytes()}}
    for to, folder in (("{}", "images"), ("boxes/{}", "annotations")):
        for split in ("train", "test"):
            files = dict(read(ours / folder).items())
            content[to.format(split)] = {
                n: d for n, d in files.items() if (n.split(".")[0] in test) == (split == "test")
            }
    serve(source, mirror, content)

    def checked(part: Files, folder: Path) -> None:
        if part.suffixes != (".JPG", ".jpg"):  # ours were encoded again, so the source's digest is of other bytes
            check(part, folder)

    check = Files.check
    monkeypatch.setattr(Files, "check", checked)
    assert fetch(source, tmp_path / "cards", mirror.address)
    assert same(tmp_path / "cards", ours, *SPLITS)
    mine, theirs = ((f / "image_labels.csv").read_text().splitlines() for f in (tmp_path / "cards", ours))
    assert mine[0] == theirs[0]
    assert sorted(mine) == sorted(theirs)
    assert read(tmp_path / "cards/annotations") == read(ours / "annotations")


@pytest.mark.parametrize("name", ["atis", "snips"])
def test_sentences_from_a_mirror_are_unchanged(mirror: Mirror, shared_data: Path, tmp_path: Path, name: str) -> None:
    source = SOURCES[name]
    paths = [part.to for part in source.files]
    serve(source, mirror, {path: {"": (shared_data / name / path).read_bytes()} for path in paths})
    assert fetch(source, tmp_path / name, mirror.address)
    assert same(tmp_path / name, shared_data / name, *paths)


def test_spoken_digits_from_a_mirror_have_our_splits_and_labels(
    mirror: Mirror, shared_data: Path, tmp_path: Path
) -> None:
    ours = shared_data / "fsdd"
    serve(SOURCES["fsdd"], mirror, {"recordings": read(ours / "recordings")})
    assert fetch(SOURCES["fsdd"], tmp_path / "fsdd", mirror.address)
    assert same(tmp_path / "fsdd", ours, "recordings.csv", *SPLITS)


def test_heart_disease_from_a_mirror_has_our_splits_and_columns(
    mirror: Mirror, shared_data: Path, tmp_path: Path
) -> None:
    ours, source = shared_data / "heart_disease", SOURCES["heart_disease"]
    serve(source, mirror, {part.to: {"": (ours / part.to).read_bytes()} for part in source.files})
    assert fetch(source, tmp_path / "heart", mirror.address)
    assert same(tmp_path / "heart", ours, "heart_disease.csv", *SPLITS)


def test_requests_in_14_languages_are_fetched_one_by_one_and_have_our_splits(
    mirror: Mirror, shared_data: Path, tmp_path: Path
) -> None:
    ours, source = shared_data / "xsid", SOURCES["xsid"]
    files = {file.name: file.read_bytes() for file in ours.glob("*.conll")}
    serve(source, mirror, {"conll": files, "LICENSE": {"": (ours / "LICENSE").read_bytes()}})
    assert fetch(source, tmp_path / "xsid", mirror.address)
    assert same(tmp_path / "xsid", ours, *files, *SPLITS)
    assert not any("/tar.gz/" in path for path, _ in mirror.asked)


def test_frames_of_a_drive_have_our_splits_and_labels(shared_data: Path, tmp_path: Path) -> None:
    ours, source, raw = shared_data / "donkeycar_tub", SOURCES["donkeycar_tub"], tmp_path / "raw"
    with (ours / "image_labels.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    records = [
        {"_index": i, "user/angle": float(row["angle"]), "user/throttle": float(row["throttle"])}
        for i, row in enumerate(rows)
    ]
    tub = {f"tub/images/{i}_cam_image_array_.jpg": b"" for i in range(len(rows))}
    tub["tub/catalog_0.catalog"] = "\n".join(map(json.dumps, reversed(records))).encode()
    raw.mkdir()
    (raw / "tub.tar.gz").write_bytes(tar({**tub, "tub/._catalog_0.catalog": b"left out"}))
    (raw / "LICENSE.txt").write_text("MIT")
    (tmp_path / "tub").mkdir()
    source.write(raw, tmp_path / "tub")
    assert same(tmp_path / "tub", ours, "image_labels.csv", *SPLITS)
    assert source.count(tmp_path / "tub") == source.counts


def test_emotional_speech_has_our_splits_and_table(shared_data: Path, tmp_path: Path) -> None:
    ours, source, raw = shared_data / "nemo_mini", SOURCES["nemo_mini"], tmp_path / "raw"
    part = source.files[0]
    part_of_ours = replace(part, to="recordings")
    part_of_ours.check(ours)
    (raw / "recordings").mkdir(parents=True)
    for file in (ours / "recordings").iterdir():
        (raw / "recordings" / file.name).symlink_to(file)
    with (ours / "recordings.csv").open(encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table))
    columns = ("file_id", "emotion", "raw_text", "normalized_text", "speaker_id", "gender", "age")
    named = ({**row, "file_id": f"{row['recording']}.wav", "raw_text": row["text"], "speaker_id": ""} for row in rows)
    lines = ["\t".join(columns), *("\t".join(row[column] for column in columns) for row in named)]
    (raw / "data.tsv").write_text("\n".join(lines), "utf-8")
    (raw / "LICENSE").write_text("")
    (tmp_path / "nemo").mkdir()
    source.write(raw, tmp_path / "nemo")
    assert same(tmp_path / "nemo", ours, *SPLITS)
    mine, theirs = ((f / "recordings.csv").read_text("utf-8").splitlines() for f in (tmp_path / "nemo", ours))
    assert mine == theirs


def test_coco128_has_our_boxes_and_labels(shared_data: Path, tmp_path: Path) -> None:
    ours, source, raw = shared_data / "coco128", SOURCES["coco128"], tmp_path / "raw"
    for part in source.files:
        (raw / part.to).parent.mkdir(parents=True, exist_ok=True)
        (raw / part.to).symlink_to(ours / part.path)
        part.check(raw)
    (tmp_path / "coco128").mkdir()
    source.write(raw, tmp_path / "coco128")
    files = ("instances_train2017.json", "instances_val2017.json", "image_labels.csv")
    assert same(tmp_path / "coco128", ours, *files, *SPLITS)
    assert source.count(tmp_path / "coco128") == source.counts


def test_boxes_of_camvid_surround_regions_that_are_large_enough() -> None:
    mask_HW = np.zeros((40, 40), bool)
    mask_HW[0:5, 0:10] = True  # 50 pixels
    mask_HW[5:10, 10:20] = True  # touches it at a corner
    mask_HW[30:37, 30:37] = True  # 49 pixels
    assert camvid._regions(mask_HW) == [([0, 0, 20, 10], 100)]


def test_boxes_of_camvid_are_ours(shared_data: Path) -> None:
    ours = shared_data / "camvid"
    boxes = json.loads((ours / "boxes_val.json").read_text("utf-8"))
    picture = boxes["images"][0]
    with Image.open(ours / f"labels/{Path(picture['file_name']).stem}.png") as opened:
        labels_HW = np.array(opened)
    mine = [(of, box, area) for of in (6, 8, 9, 10) for box, area in camvid._regions(labels_HW == of)]
    theirs = [
        (box["category_id"], box["bbox"], box["area"])
        for box in boxes["annotations"]
        if box["image_id"] == picture["id"]
    ]
    assert mine == theirs


def test_files_of_other_folders_and_endings_are_not_taken() -> None:
    part = replace(SOURCES["bccd"].files[1])
    assert part.takes("BCCD/Annotations/a.xml") == "annotations/a.xml"
    assert part.takes("BCCD/Annotations/deep/a.xml") is None
    assert part.takes("BCCD/Annotations/a.txt") is None
    assert part.takes("x/BCCD/Annotations/a.xml") is None
