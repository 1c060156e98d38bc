"""Pictures of every form through a model that finds a bright square exactly."""

import csv
import errno
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from mtl.backbones.image.residual_fpn import ResidualFPN
from mtl.evaluation.predictions.predict_folder import predict_folder
from mtl.heads.detection.centernet import CenterNetHead
from mtl.heads.whole.classification import ClassificationHead
from mtl.model import MultiTaskModel
from mtl.task import Task

TASKS = {
    "boxes": Task("boxes", "detection", class_names=("cat", "dog")),
    "scene": Task("scene", "classification", class_names=("dark", "bright")),
}


class Found(MultiTaskModel):
    """Finds the bright square exactly and says whether the picture is bright, whatever its weights."""

    def predict(self, image: Tensor) -> dict[str, dict[str, Tensor]]:
        boxes, bright = [], []
        for picture in image.float().mean(1):
            y, x = (picture > 200).nonzero().T
            boxes.append([x.min(), y.min(), x.max() + 1, y.max() + 1] if len(x) else [0, 0, 0, 0])
            bright.append(int(picture.mean() > 128))
        box = torch.tensor(boxes, dtype=torch.float32)[:, None]
        low = torch.tensor([[[1.0, 1, 5, 5]]]).expand_as(box)
        scores = torch.tensor([[0.75, 0.125]]).expand(len(box), 2)
        labels = torch.tensor([[1, 0]]).expand(len(box), 2)
        return {
            "boxes": {"boxes": torch.cat((box, low), 1), "scores": scores, "labels": labels},
            "scene": {"labels": torch.tensor(bright), "scores": torch.full((len(box),), 0.625)},
        }  # fmt: skip


def model(kind: type[MultiTaskModel] = Found) -> MultiTaskModel:
    backbone = ResidualFPN(width=4, pyramid_width=8)
    heads = {
        "boxes": CenterNetHead(TASKS["boxes"], backbone.spec),
        "scene": ClassificationHead(TASKS["scene"], backbone.spec),
    }
    return kind(backbone, heads)


def save(path: Path, size: tuple[int, int], mode: str = "RGB", box: tuple[int, int, int, int] | None = None) -> None:
    """A dark picture (width, height) with a bright square x0, y0, x1, y1."""
    pixels = np.full((size[1], size[0]), 10, np.uint8)
    x0, y0, x1, y1 = box or (size[0] // 4, size[1] // 4, size[0] // 2, size[1] // 2)
    pixels[y0:y1, x0:x1] = 250
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    (image.convert("RGB").convert(mode) if mode != "L" else image).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "in"
    save(root / "wide.png", (256, 128), box=(64, 32, 128, 96))
    save(root / "grey.bmp", (64, 64), mode="L")
    save(root / "deep/rgba.webp", (128, 256), mode="RGBA")
    save(root / "cmyk.jpg", (128, 128), mode="CMYK")
    (root / "broken.jpg").write_bytes(b"\xff\xd8 no picture")
    (root / "notes.txt").write_text("not a picture")
    return root


def test_writes_coco_results_in_pixels_of_the_files(folder: Path, tmp_path: Path) -> None:
    summary = predict_folder(model(), folder, tmp_path / "out", image_size=64)
    assert {key: summary[key] for key in ("pictures", "boxes", "skipped")} == {"pictures": 4, "boxes": 4, "skipped": 1}
    document = json.loads((tmp_path / "out/predictions.json").read_text())
    assert [(image["file_name"], image["width"], image["height"]) for image in document["images"]] == [
        ("cmyk.jpg", 128, 128), ("deep/rgba.webp", 128, 256), ("grey.bmp", 64, 64), ("wide.png", 256, 128),
    ]  # fmt: skip
    assert document["categories"] == [
        {"id": 1, "name": "cat", "supercategory": "boxes"},
        {"id": 2, "name": "dog", "supercategory": "boxes"},
    ]
    wide = next(entry for entry in document["annotations"] if entry["image_id"] == 4)
    assert wide["bbox"] == pytest.approx([64, 32, 64, 64], abs=4)
    assert (wide["category_id"], wide["score"]) == (2, 0.75)
    assert wide["area"] == pytest.approx(wide["bbox"][2] * wide["bbox"][3], abs=0.1)


def test_the_json_is_read_by_the_coco_tools(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from faster_coco_eval import COCO

    predict_folder(model(), folder, tmp_path / "out", image_size=64)
    coco = COCO(str(tmp_path / "out/predictions.json"))
    assert len(coco.getAnnIds(catIds=[2])) == 4
    assert len(coco.getImgIds()) == 4


def test_the_csv_has_answers_and_counts_per_class(folder: Path, tmp_path: Path) -> None:
    predict_folder(model(), folder, tmp_path / "out", image_size=64, score_threshold=0.1)
    with (tmp_path / "out/predictions.csv").open(newline="") as file:
        rows = {row["file_name"]: row for row in csv.DictReader(file)}
    assert rows["grey.bmp"] == {
        "file_name": "grey.bmp", "scene": "dark", "scene_score": "0.625", "boxes/cat": "1", "boxes/dog": "1",
    }  # fmt: skip
    assert len(rows) == 4


def test_annotated_pictures_lie_beside(folder: Path, tmp_path: Path) -> None:
    predict_folder(model(), folder, tmp_path / "out", image_size=64)
    drawn = sorted(path.relative_to(tmp_path / "out/pictures").as_posix() for path in (tmp_path / "out").rglob("*.jpg"))
    assert drawn == ["cmyk.jpg.jpg", "deep/rgba.webp.jpg", "grey.bmp.jpg", "wide.png.jpg"]
    with Image.open(tmp_path / "out/pictures/wide.png.jpg") as image:
        assert image.width == 512


def test_undecodable_files_are_named(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    summary = predict_folder(model(), folder, tmp_path / "out", image_size=64)
    assert list(summary["skipped_files"]) == ["broken.jpg"]
    assert "skipped 1 files that cannot be read:\n  broken.jpg: " in capsys.readouterr().out
    skipped = json.loads((tmp_path / "out/predictions.json").read_text())["skipped"]
    assert [entry["file_name"] for entry in skipped] == ["broken.jpg"]


def test_a_sideways_photo_is_predicted_upright(tmp_path: Path) -> None:
    save(tmp_path / "in/a.png", (96, 64), box=(0, 0, 48, 32))
    with Image.open(tmp_path / "in/a.png") as image:
        exif = image.getexif()
        exif[0x0112] = 6  # shown turned a quarter to the right
        image.save(tmp_path / "in/a.jpg", exif=exif, quality=95)
    (tmp_path / "in/a.png").unlink()
    predict_folder(model(), tmp_path / "in", tmp_path / "out", image_size=96)
    document = json.loads((tmp_path / "out/predictions.json").read_text())
    assert (document["images"][0]["width"], document["images"][0]["height"]) == (64, 96)
    assert document["annotations"][0]["bbox"] == pytest.approx([32, 0, 32, 48], abs=2)


def test_stretching_maps_back_as_well(tmp_path: Path) -> None:
    save(tmp_path / "in/a.png", (256, 64), box=(64, 16, 128, 48))
    predict_folder(model(), tmp_path / "in", tmp_path / "out", image_size=(64, 64), fit="stretch")
    (entry,) = json.loads((tmp_path / "out/predictions.json").read_text())["annotations"]
    assert entry["bbox"] == pytest.approx([64, 16, 64, 32], abs=4)


def test_boxes_of_the_bars_are_left_out_and_others_end_at_the_edge(tmp_path: Path) -> None:
    save(tmp_path / "in/a.png", (256, 64))

    class Anywhere(Found):
        def predict(self, image: Tensor) -> dict[str, dict[str, Tensor]]:
            # the picture fills rows 24 to 40 of the canvas
            boxes = torch.tensor([[[0.0, 0, 64, 20], [0, 20, 32, 64]]])
            return {
                "boxes": {"boxes": boxes, "scores": torch.ones(1, 2), "labels": torch.zeros(1, 2, dtype=torch.long)}
            }

    predict_folder(model(Anywhere), tmp_path / "in", tmp_path / "out", image_size=64)
    (entry,) = json.loads((tmp_path / "out/predictions.json").read_text())["annotations"]
    assert entry["bbox"] == [0, 0, 128, 64]


def test_a_real_model_keeps_its_mode_and_batches_do_not_matter(folder: Path, tmp_path: Path) -> None:
    trained = model(MultiTaskModel).train()
    documents = []
    for batch_size in (1, 3):
        predict_folder(trained, folder, tmp_path / f"out{batch_size}", 64, score_threshold=0.0, batch_size=batch_size)
        documents.append(json.loads((tmp_path / f"out{batch_size}/predictions.json").read_text()))
    assert trained.training
    # the lowest peaks of flat pictures are rounding, which differs with the size of the batch
    best = [sorted((entry["score"] for entry in document["annotations"]), reverse=True)[:50] for document in documents]
    assert len(best[0]) == 50
    assert best[0] == pytest.approx(best[1], abs=1e-4)


def test_results_inside_the_folder_are_no_input_the_next_time(folder: Path) -> None:
    first = predict_folder(model(), folder, folder / "out", image_size=64)
    assert predict_folder(model(), folder, folder / "out", image_size=64) == first


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": None}, "image_size=None must be the height and width.*trained with"),
        ({"image_size": (64, 64, 3)}, "image_size="),
        ({"image_size": 64, "score_threshold": 2.0}, "score_threshold=2.0 must lie within 0..1"),
        ({"image_size": 64, "batch_size": 0}, r"^batch_size=0 must be at least 1 \(--batch_size\)\.$"),
        ({"image_size": 64, "pictures": -1}, r"^pictures=-1 must be at least 0 \(--pictures\)\.$"),
    ],
)
def test_rejects_settings(folder: Path, tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        predict_folder(model(), folder, tmp_path / "out", **options)


def test_rejects_a_missing_an_empty_and_a_broken_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no folder"):
        predict_folder(model(), tmp_path / "none", tmp_path / "out", 64)
    (tmp_path / "in").mkdir()
    with pytest.raises(ValueError, match="has no picture"):
        predict_folder(model(), tmp_path / "in", tmp_path / "out", 64)
    (tmp_path / "in/a.png").write_bytes(b"")
    with pytest.raises(ValueError, match="none of the 1 pictures.*could be decoded"):
        predict_folder(model(), tmp_path / "in", tmp_path / "out", 64)


def test_a_name_that_no_copy_or_table_can_have_is_skipped_and_told_in_one_printable_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = tmp_path / "images"
    for name in ("good.png", "a.png", "a.png.jpg/b.png", "l" * 251 + ".png", "\udcff.png", "\x1b]0;x.png"):
        save(images / name, (32, 32))
    found = predict_folder(model(), images, tmp_path / "out", 32)
    assert set(found["skipped_files"]) == {"\udcff.png"}
    # two copies want one name, as a file and as a folder; the first thread gets it
    assert set(found["not_drawn"]) - {"a.png", "a.png.jpg/b.png"} == {"l" * 251 + ".png"}
    assert len(found["not_drawn"]) == 2
    assert found["pictures"] == 5
    assert "\x1b" not in capsys.readouterr().out
    assert json.loads((tmp_path / "out" / "predictions.json").read_text())["skipped"]


class Dying(Found):
    """Fails at the second batch, as a GPU without memory does."""

    calls = 0

    def predict(self, image: Tensor) -> dict[str, dict[str, Tensor]]:
        self.calls += 1
        if self.calls == 3:
            raise RuntimeError("out of memory")
        return super().predict(image)


def test_a_run_that_dies_keeps_what_it_had(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="out of memory"):
        predict_folder(model(Dying), folder, tmp_path / "out", 64, batch_size=1)
    document = json.loads((tmp_path / "out/predictions.json").read_text())
    with (tmp_path / "out/predictions.csv").open(newline="") as file:
        rows = [row["file_name"] for row in csv.DictReader(file)]
    assert rows == [image["file_name"] for image in document["images"]] == ["cmyk.jpg", "deep/rgba.webp"]
    assert [entry["file_name"] for entry in document["skipped"]] == ["broken.jpg"]


def test_tables_are_whole_at_every_batch(folder: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int, int]] = []
    out = tmp_path / "out"

    class Looking(Found):
        def predict(self, image: Tensor) -> dict[str, dict[str, Tensor]]:
            if (out / "predictions.json").is_file():
                lines = [json.loads(line) for line in (out / "predictions.partial.jsonl").read_text().splitlines()]
                with (out / "predictions.csv").open(newline="") as file:
                    rows = len(list(csv.DictReader(file)))
                images = len(json.loads((out / "predictions.json").read_text())["images"])
                seen.append((images, rows, sum("image" in line for line in lines)))
            return super().predict(image)

    predict_folder(model(Looking), folder, out, 64, batch_size=1)
    assert seen == [(1, 1, 1), (2, 2, 2), (2, 3, 3)]  # the JSON is replaced when the pictures have doubled
    assert not (out / "predictions.partial.jsonl").exists()
    assert len(json.loads((out / "predictions.json").read_text())["images"]) == 4


def test_copies_of_an_earlier_call_go_and_files_of_others_stay(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    predict_folder(model(), folder, out, 64)
    (out / "pictures/mine.jpg").write_text("not ours")
    (folder / "wide.png").unlink()
    document = json.loads((out / "predictions.json").read_text())
    document["images"].append({"file_name": "../../mine"})  # a name that leads out
    (out / "predictions.json").write_text(json.dumps(document))
    (tmp_path / "mine.jpg").write_text("not ours")
    predict_folder(model(), folder, out, 64, pictures=1)
    left = sorted(path.relative_to(out / "pictures").as_posix() for path in (out / "pictures").rglob("*.jpg"))
    assert left == ["cmyk.jpg.jpg", "mine.jpg"]
    assert (tmp_path / "mine.jpg").is_file()


@pytest.mark.parametrize(("pictures", "number"), [(None, 4), (2, 2), (0, 0)])
def test_as_many_copies_as_wanted(folder: Path, tmp_path: Path, pictures: int | None, number: int) -> None:
    found = predict_folder(model(), folder, tmp_path / "out", 64, pictures=pictures)
    assert found["pictures"] == 4
    assert len(list((tmp_path / "out").rglob("*.jpg"))) == number


def test_a_copy_that_cannot_be_drawn_costs_no_result(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def annotate(*_: Any) -> None:
        raise ZeroDivisionError("no height")

    monkeypatch.setattr("mtl.evaluation.predictions.prediction_files.annotate", annotate)
    found = predict_folder(model(), folder, tmp_path / "out", 64)
    assert (found["pictures"], len(found["not_drawn"])) == (4, 4)
    assert "no height" in found["not_drawn"]["wide.png"]
    monkeypatch.setattr("mtl.evaluation.predictions.predict_folder.read_fitted", annotate)
    with pytest.raises(ValueError, match="none of the 5 pictures"):
        predict_folder(model(), folder, tmp_path / "out", 64)


def test_one_file_alone(folder: Path, tmp_path: Path) -> None:
    assert predict_folder(model(), folder / "wide.png", tmp_path / "out", 64)["pictures"] == 1
    document = json.loads((tmp_path / "out/predictions.json").read_text())
    assert [image["file_name"] for image in document["images"]] == ["wide.png"]


def test_a_subfolder_that_cannot_be_listed_costs_its_own_pictures(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir = os.scandir

    def refuse(path: Path) -> Any:
        if Path(path).name == "deep":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found = predict_folder(model(), folder, tmp_path / "out", 64, pictures=0)
    assert found["pictures"] == 3
    assert found["skipped_files"][(folder / "deep").as_posix()] == "the folder cannot be listed: Permission denied"


def test_files_that_vanish_or_break_while_others_are_predicted(folder: Path, tmp_path: Path) -> None:
    class Deleting(Found):
        def predict(self, image: Tensor) -> dict[str, dict[str, Tensor]]:
            (folder / "grey.bmp").unlink(missing_ok=True)
            (folder / "cmyk.jpg").write_bytes(b"")  # predicted already, its copy is not drawn yet
            return super().predict(image)

    found = predict_folder(model(Deleting), folder, tmp_path / "out", 64, batch_size=2)
    assert set(found["skipped_files"]) == {"broken.jpg", "grey.bmp"}
    assert set(found["not_drawn"]) == {"cmyk.jpg"}
    assert found["pictures"] == 3


def test_several_folders_and_pictures_are_named_below_the_folder_of_all(folder: Path, tmp_path: Path) -> None:
    save(tmp_path / "other/wide.png", (64, 64))
    found = predict_folder(model(), [folder / "wide.png", folder / "deep", tmp_path / "other"], tmp_path / "out", 64)
    assert found["pictures"] == 3
    names = [image["file_name"] for image in json.loads((tmp_path / "out/predictions.json").read_text())["images"]]
    assert names == ["in/wide.png", "in/deep/rgba.webp", "other/wide.png"]
    assert (tmp_path / "out/pictures/other/wide.png.jpg").is_file()


def test_pictures_of_one_folder_keep_their_names_and_count_once(folder: Path, tmp_path: Path) -> None:
    predict_folder(model(), [folder / "wide.png", folder / "grey.bmp", folder / "wide.png"], tmp_path / "out", 64)
    names = [image["file_name"] for image in json.loads((tmp_path / "out/predictions.json").read_text())["images"]]
    assert names == ["wide.png", "grey.bmp"]
