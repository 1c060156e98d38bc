"""Features that all picture folders share, tested with `VOCFolder`."""

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from mtl.data.class_counts import classes_by_reading, group_of_each
from mtl.data.folder.voc_folder import VOCFolder


def module(root: Path, **options: Any) -> VOCFolder:
    return VOCFolder(str(root), options.pop("box_classes", ["cat", "dog"]), **{"image_size": (30, 40), **options})


def with_labels(root: Path, write: Any, **cells: str) -> dict[str, Any]:
    rows = [{"image": f"p{i}", "animal": cells.get(f"p{i}", "cat"), "n": i} for i in range(6)]
    write.csv(root / "labels.csv", rows)
    tasks = {"animal": {"classes": ["cat", "dog"]}, "n": {"kind": "regression"}}
    return {"labels_csv": "labels.csv", "image_tasks": tasks}


def test_tasks_are_declared_without_the_disk() -> None:
    tasks = VOCFolder.declare_tasks(
        root="nowhere", box_classes=["a", "b"], image_tasks={"kind_of": {"classes": ["x"]}, "n": {"kind": "regression"}}
    )
    assert [(task.name, task.kind, task.num_classes) for task in tasks.values()] == [
        ("boxes", "detection", 2),
        ("kind_of", "classification", 1),
        ("n", "regression", 0),
    ]


def test_labels_come_from_the_csv_and_missing_ones_are_left_out(voc_root: Path, write: Any) -> None:
    data = module(voc_root, **with_labels(voc_root, write, p1="dog", p2="NONE"))
    data.setup("fit")
    batch = next(iter(data.val_dataloader()))
    assert batch["n"].tolist() == [4.0]
    assert [data.train_set[i].get("animal") for i in range(3)] == [0, 1, None]
    assert data.data_report.images("no_animal") == ["p2"]


def test_a_picture_without_a_row_is_not_labelled(voc_root: Path, write: Any) -> None:
    options = with_labels(voc_root, write)
    write.csv(voc_root / "labels.csv", [{"image": "p0.png", "animal": "dog", "n": 1}])
    data = module(voc_root, **options)
    data.setup("fit")
    assert data.train_set[0]["animal"] == 1
    assert "animal" not in data.train_set[1]
    assert data.data_report.images("no_row") == ["p1", "p2", "p3", "p4", "p5"]


def test_a_column_says_whose_boxes_are_annotated(voc_root: Path, write: Any) -> None:
    write.csv(voc_root / "labels.csv", [{"image": f"p{i}", "has_boxes": int(i != 1)} for i in range(6)])
    data = module(voc_root, labels_csv="labels.csv", annotated_column="has_boxes")
    data.setup("fit")
    assert "boxes" in data.train_set[0]
    assert "boxes" not in data.train_set[1]


def test_a_wrong_label_is_an_error_that_names_file_and_picture(voc_root: Path, write: Any) -> None:
    with pytest.raises(ValueError, match="labels.csv, picture 'p3': .*'cow'"):
        module(voc_root, **with_labels(voc_root, write, p3="cow")).setup("fit")


def test_labels_without_a_csv_are_an_error() -> None:
    with pytest.raises(ValueError, match="need `labels_csv`"):
        VOCFolder("x", ["cat"], image_tasks={"animal": {"classes": ["cat"]}})  # type: ignore[dict-item]


def test_a_missing_folder_is_an_error_with_two_ways_out(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nowhere' does not exist.*Set data.init_args.root.*or put the data there"):
        module(tmp_path / "nowhere").setup("fit")
    with pytest.raises(ValueError, match="no folder of pictures"):
        module(tmp_path).setup("fit")
    (tmp_path / "images").mkdir()
    with pytest.raises(ValueError, match="no picture"):
        module(tmp_path).setup("fit")


def test_an_unknown_class_is_an_error_or_skipped(voc_root: Path) -> None:
    with pytest.raises(ValueError, match="'p0'.*'dog'.*box_classes: cat, dig. Did you mean 'dig'.*on_unknown_class"):
        module(voc_root, box_classes=["cat", "dig"]).setup("fit")
    data = module(voc_root, box_classes=["cat"], on_unknown_class="skip")
    data.setup("fit")
    assert data.train_set[0]["box_labels"].tolist() == [0]
    assert len(data.data_report.images("unknown_class")) == 6


def test_a_box_outside_its_picture_is_an_error_or_clipped_or_skipped(voc_root: Path, write: Any) -> None:
    write.voc(voc_root / "annotations/p1.xml", [("cat", 11, 11, 50, 20), ("dog", 1, 1, 5, 5)])
    with pytest.raises(ValueError, match="'p1' \\(40 x 30 px\\).*cat 10 10 50 20.*on_bad_box: clip.*or skip"):
        module(voc_root).setup("fit")
    data = module(voc_root, on_bad_box="clip")
    data.setup("fit")
    assert data.train_set[1]["boxes"].tolist()[0] == [10, 10, 40, 20]
    data = module(voc_root, on_bad_box="skip")
    data.setup("fit")
    assert data.train_set[1]["box_labels"].tolist() == [1]
    assert [finding.action for finding in data.data_report] == ["skipped"]


def test_an_undecodable_picture_is_found_before_training(voc_root: Path) -> None:
    (voc_root / "images/p4.png").write_bytes((voc_root / "images/p4.png").read_bytes()[:200])
    module(voc_root, verify_images=False).setup("fit")  # the header is whole
    with pytest.raises(ValueError, match="p4.png' cannot be decoded.*on_bad_image: skip"):
        module(voc_root).setup("fit")
    with pytest.raises(ValueError, match="p4.png' cannot be decoded"):
        module(voc_root, verify_images=False, cache=True).setup("fit")
    (voc_root / "images/p4.png").write_text("no picture")
    with pytest.raises(ValueError, match="p4.png' cannot be decoded"):
        module(voc_root).setup("fit")


def test_what_is_wrong_with_names_is_reported(voc_root: Path, write: Any) -> None:
    (voc_root / "images/p5.png").write_bytes((voc_root / "images/p0.png").read_bytes())
    write.splits(voc_root / "splits", train=["p0", "p1", "p1", "gone"], val=["p4", "p1"], test=["p5"])
    data = module(voc_root)
    data.setup("fit")
    found = {finding.kind: (finding.split, finding.image, finding.action) for finding in data.data_report}
    assert found == {
        "named_twice": ("train", "p1", "skipped"),
        "missing_image": ("train", "gone", "skipped"),
        "in_two_splits": ("val", "p1", "kept"),
        "in_no_split": ("", "p3", "skipped"),
        "duplicate_image": ("test", "p5", "kept"),
    }
    assert [data.train_set.name(i) for i in range(len(data.train_set))] == ["p0", "p1"]


def test_a_split_without_any_picture_is_an_error(voc_root: Path, write: Any) -> None:
    write.splits(voc_root / "splits", train=["P0.png"])
    with pytest.raises(ValueError, match="all 1 pictures of split 'train' are missing.*'P0.png'.*without extension"):
        module(voc_root).setup("fit")


def test_everything_is_checked_and_told_once(voc_root: Path, write: Any, caplog: pytest.LogCaptureFixture) -> None:
    write.voc(voc_root / "annotations/p5.xml", [("cat", 7, 7, 7, 7)])
    data = module(voc_root, report_csv=str(voc_root / "report.csv"))
    with caplog.at_level(logging.WARNING):
        data.setup("fit")
        data.setup("validate")
        data.setup("test")
    assert len(caplog.records) == 1
    assert len(data.data_report) == 1
    assert (voc_root / "report.csv").read_text().count("\n") == 2


def test_the_cache_gives_the_same_samples(voc_root: Path) -> None:
    plain, cached = module(voc_root, image_size=(16, 16)), module(voc_root, image_size=(16, 16), cache=True)
    plain.setup("fit")
    cached.setup("fit")
    for index in range(4):
        one, other = plain.train_set[index], cached.train_set[index]
        assert torch.equal(one["image"], other["image"])
        assert torch.equal(one["boxes"], other["boxes"])


def test_boxes_lie_on_the_same_pixels_after_the_letterbox(voc_root: Path) -> None:
    picture = Image.new("RGB", (40, 30))
    picture.paste((255, 0, 0), (10, 5, 40, 30))  # where p0's dog is
    picture.save(voc_root / "images/p0.png")
    data = module(voc_root, image_size=(64, 64))
    data.setup("fit")
    sample = data.train_set[0]
    x0, y0, x1, y1 = sample["boxes"][1].round().int().tolist()
    red = (sample["image"][0] > 180) & (sample["image"][1] < 60)
    inside = torch.zeros_like(red, dtype=torch.bool)
    inside[y0:y1, x0:x1] = True
    assert (red == inside).float().mean() > 0.98
    assert sample["orig_size"].tolist() == [30, 40]


def test_shares_replace_split_files_and_have_their_own_seed(voc_root: Path) -> None:
    one, other = (module(voc_root, fractions=[0.5, 0.5], seed=seed) for seed in (0, 1))
    one.setup("fit")
    other.setup("fit")
    assert one.train_set.annotations.names.tolist() == other.train_set.annotations.names.tolist()
    assert len(one.train_set) == 3


def test_declared_sizes_that_differ_are_reported(voc_root: Path, write: Any) -> None:
    write.voc(voc_root / "annotations/p0.xml", [("cat", 1, 1, 9, 9)], size=(80, 60))
    data = module(voc_root)
    data.setup("fit")
    assert [finding.detail for finding in data.data_report] == ["60x80 declared, the file is 30x40"]


@pytest.mark.parametrize("names", [["p0.png", "p1.PNG"], ["./p0", "images\\p1.png"], ["/data/images/p0.jpg", "p1.xml"]])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_splits_are_read_however_they_name_pictures(voc_root: Path, names: list[str], encoding: str) -> None:
    (voc_root / "splits/train.txt").write_bytes("\r\n".join(names).encode(encoding))
    data = module(voc_root)
    data.setup("fit")
    assert [data.train_set.name(i) for i in range(2)] == ["p0", "p1"]
    assert ["boxes" in data.train_set[i] for i in range(2)] == [True, True]
    assert not data.data_report.images("missing_image")


def test_one_name_in_two_forms_is_one_picture(voc_root: Path, write: Any) -> None:
    write.splits(voc_root / "splits", train=["p0", "p0.png", "p1"], val=["p1.png"], test=["p5"])
    data = module(voc_root)
    data.setup("fit")
    assert len(data.train_set) == 2
    assert data.data_report.images("named_twice") == ["p0"]
    assert data.data_report.images("in_two_splits") == ["p1"]


def test_splits_in_another_encoding_and_empty_ones_are_errors_that_name_the_file(voc_root: Path) -> None:
    (voc_root / "splits/val.txt").write_bytes("p4\nmüll\n".encode("cp1252"))
    with pytest.raises(ValueError, match="val.txt' is not valid UTF-8"):
        module(voc_root).setup("fit")
    (voc_root / "splits/val.txt").write_text("\n")
    with pytest.raises(ValueError, match="split 'val' is empty. Add picture names to val.txt"):
        module(voc_root).setup("fit")


def test_a_picture_over_the_limit_is_an_error_before_training(voc_root: Path) -> None:
    with pytest.raises(ValueError, match="p0.png' has 40 x 30 = 1,200 pixels; the limit is 1,000.*`max_pixels`"):
        module(voc_root, max_pixels=1_000).setup("fit")
    Image.new("1", (20_000, 10_000)).save(voc_root / "images/p1.png")
    with pytest.raises(ValueError, match="p1.png' has 20000 x 10000 = 200,000,000 pixels"):
        module(voc_root).setup("fit")
    data = module(voc_root, max_pixels=200_000_000)
    data.setup("fit")
    assert data.train_set.max_pixels == 200_000_000
    with pytest.raises(ValueError, match="max_pixels=0"):
        module(voc_root, max_pixels=0)


def sideways(root: Path, write: Any, size: tuple[int, int]) -> None:
    """A picture with a cat that fills a corner, turned by its EXIF orientation."""
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = Image.new("RGB", (40, 30))
    picture.paste((255, 0, 0), (0, 0, 10, 20))
    picture.save(root / "images/p0.png", exif=exif)
    write.voc(root / "annotations/p0.xml", [("cat", 1, 1, 10, 20)], size=size)


def test_boxes_on_the_stored_pixels_of_a_sideways_picture_are_refused_until_somebody_says_so(
    voc_root: Path, write: Any
) -> None:
    sideways(voc_root, write, size=(40, 30))
    with pytest.raises(
        ValueError, match="'p0' is stored sideways .40 x 30 px.*6 rotates it to 30 x 40.*boxes_on: stored .*upright"
    ):
        module(voc_root).setup("fit")
    data = module(voc_root, boxes_on="stored", image_size=(40, 30))
    data.setup("fit")
    sample = data.train_set[0]
    assert sample["boxes"].tolist() == [[10, 0, 30, 10]]
    assert (sample["image"][0, 0:10, 10:30] == 255).all()
    data = module(voc_root, boxes_on="upright", image_size=(40, 30))
    data.setup("fit")
    assert data.train_set[0]["boxes"].tolist() == [[0, 0, 10, 20]]


def test_boxes_of_a_sideways_picture_of_upright_size_are_taken_as_they_are(voc_root: Path, write: Any) -> None:
    sideways(voc_root, write, size=(30, 40))
    data = module(voc_root, image_size=(40, 30))
    data.setup("fit")
    assert data.train_set[0]["boxes"].tolist() == [[0, 0, 10, 20]]


@pytest.mark.parametrize("classes", [{0: "cat", 1: "dog"}, "cat dog"])
def test_classes_that_are_no_list_are_an_error_that_shows_the_list(classes: Any) -> None:
    with pytest.raises(ValueError, match="must be a list: .cat, dog."):
        VOCFolder("x", classes)


def test_ignored_boxes_count_for_no_class_of_a_balanced_order(voc_root: Path, write: Any) -> None:
    write.voc(voc_root / "annotations/p0.xml", [("cat", 1, 1, 10, 10), ("dog", 20, 6, 40, 30)], difficult=1)
    write.voc(voc_root / "annotations/p1.xml", [("dog", 20, 6, 40, 30)], difficult=1)
    data = module(voc_root, difficult="skip", balance={"boxes": 1})
    data.setup("fit")
    classes = data.training_classes(data.tasks["boxes"])
    assert classes == classes_by_reading(data.train_set, data.tasks["boxes"]) == [[0], [], [0, 1], [0, 1]]
    assert group_of_each(classes) == [0, -1, 1, 1]


def test_boxes_that_are_all_ignored_teach_nothing(voc_root: Path, write: Any) -> None:
    for i in range(6):
        write.voc(voc_root / f"annotations/p{i}.xml", [("dog", 20, 6, 40, 30)], difficult=1)
    data = module(voc_root, difficult="skip")
    data.setup("fit")
    assert data.count_labels("train", data.tasks)["boxes"].boxes == 0
