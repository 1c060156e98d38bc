"""`new`: a folder as strangers lay it out becomes a config that is read back, splits and boxes included."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from torch import Tensor

from mtl.cli.main import main
from mtl.config.merge import read_config
from mtl.data.folder.module import FolderDataModule
from mtl.evaluation.build import build_data
from mtl.evaluation.data.new_config import new_config, write_new
from tests.contract.kit import folders
from tests.contract.kit.folders import (
    BOXES,
    CLASSES,
    HEIGHT,
    LAYOUTS,
    WIDTH,
    Layout,
    seed_of,
    table_of_labels,
    voc_in_one_folder,
)

ROOT = Path(__file__).resolve().parents[3]
SHARED = ROOT.parent / "shared/data"
every_layout = pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path("my data")


def written(root: Path, **options: object) -> FolderDataModule:
    to = Path("configs/mine.yaml")
    write_new(new_config(root, **options), to, root)  # type: ignore[arg-type]
    data = build_data(read_config([to]))
    assert isinstance(data, FolderDataModule)
    data.image_size = (HEIGHT, WIDTH)
    data.setup("fit")
    data.setup("test")
    return data


@every_layout
def test_a_folder_is_recognised_and_read_with_its_classes_boxes_and_splits(layout: Layout, folder: Path) -> None:
    layout(folder)
    data = written(folder)
    assert type(data).__name__ == LAYOUTS[layout]
    sizes = {split: len(getattr(data, f"{split}_set")) for split in ("train", "val", "test")}
    assert sizes["train"] >= sizes["val"] >= 1
    assert sizes["test"] >= 1
    if "boxes" in data.tasks:
        assert data.tasks["boxes"].class_names == CLASSES
        for split in sizes:
            samples = getattr(data, f"{split}_set")
            for index in range(len(samples)):
                seed = seed_of(samples.name(index))
                (label,) = samples[index]["box_labels"].tolist()
                assert label == seed % 2, samples.name(index)
                box = samples[index]["boxes"].as_subclass(Tensor)[0]
                torch.testing.assert_close(box, torch.tensor(BOXES[label]).float(), atol=1e-3, rtol=0)
    if "mask" in data.tasks:
        assert data.tasks["mask"].num_classes == 2
        for split in sizes:
            samples = getattr(data, f"{split}_set")
            for index in range(len(samples)):
                mask = samples[index]["mask"].as_subclass(Tensor)
                true = torch.from_numpy(folders.values_of(seed_of(samples.name(index)))).long()
                known = mask >= 0
                assert known.float().mean() > 0.9
                assert torch.equal(mask[known], true[known])
    labelled = {name: count.labelled for name, count in data.count_labels("train", data.tasks).items()}
    assert min(labelled.values()) >= sizes["train"] // 2, labelled
    assert not [finding for finding in data.data_report if finding.action == "skipped"]


@pytest.mark.nightly
@every_layout
def test_what_is_written_trains_at_once(layout: Layout, folder: Path) -> None:
    layout(folder)
    assert main(["new", str(folder), "--to", "configs/mine.yaml"]) == 0
    short = ["--trainer.max_steps", "2", "--tracking.wandb", "off", "--trainer.check_val_every_n_epoch", "1"]
    assert main(["fit", "--config", "configs/mine.yaml", "--name", "first", *short]) == 0
    assert (folder.parent / "runs/mine/first/results.json").is_file()


def test_the_main_job_trains_at_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders.voc_with_a_table(folder)
    assert main(["new", str(folder), "--to", "configs/mine.yaml"]) == 0
    assert "task light (classification): day, night" in capsys.readouterr().out
    short = ["--trainer.max_steps", "1", "--tracking.wandb", "off", "--trainer.check_val_every_n_epoch", "1"]
    assert main(["fit", "--config", "configs/mine.yaml", "--name", "first", *short]) == 0
    recorded = yaml.safe_load(Path("runs/mine/first/config.yaml").read_text())["data"]["init_args"]
    assert recorded["box_classes"] == list(CLASSES)


def test_columns_of_0_and_1_are_one_task(folder: Path) -> None:
    folders.tables_as_roboflow(folder)
    data = written(folder)
    assert {name: task.class_names for name, task in data.tasks.items()} == {"classes": ("cat", "dog", "any")}
    seed = seed_of(data.test_set.name(0))
    assert data.test_set[0]["classes"].tolist() == [1 - seed % 2, seed % 2, seed % 3 == 0]


def test_a_table_without_a_header_is_an_error_unless_there_is_more(folder: Path) -> None:
    voc_in_one_folder(folder)
    (folder / "labels.csv").write_text("\n".join(f"IMG_{seed}.jpg,{'ab'[seed % 2]}" for seed in range(12)))
    assert any("labels.csv has no header: its first line names" in note for note in new_config(folder).notes)
    for file in folder.glob("*.xml"):
        file.unlink()
    with pytest.raises(ValueError, match="labels.csv has no header"):
        new_config(folder)


def test_a_table_that_only_names_splits_defines_them(folder: Path) -> None:
    voc_in_one_folder(folder)
    rows = [f"IMG_{seed},{('train', 'val', 'test')[seed % 3]}" for seed in range(12)]
    (folder / "parts.csv").write_text("\n".join(["image,split", *rows]) + "\n")
    found = new_config(folder)
    assert found.splits["val"] == ["IMG_1", "IMG_10", "IMG_4", "IMG_7"]
    assert "labels_csv" not in found.recognised.init_args
    for file in folder.glob("*.xml"):
        file.unlink()
    with pytest.raises(ValueError, match="no annotation that is known here"):
        new_config(folder)


@pytest.mark.parametrize("layout", [folders.yolo_as_ultralytics, folders.boxes_as_open_images])
def test_a_file_that_is_no_picture_does_not_stop_shares_from_becoming_pixels(layout: Layout, folder: Path) -> None:
    layout(folder)
    first = min(folder.rglob("*1.jpg"))
    first.write_bytes(b"no picture")
    found = new_config(folder)
    assert found.recognised.init_args["on_bad_image"] == "skip"
    data = written(folder)
    assert [Path(name).name for name in data.data_report.images("bad_image")] == [first.stem]


def test_annotations_without_a_picture_are_counted(folder: Path) -> None:
    for layout, name in ((voc_in_one_folder, "IMG_1"), (folders.coco_in_one_file, "000000000001")):
        root = folder / layout.__name__
        layout(root)
        next(root.rglob(f"{name}.jpg")).unlink()
        notes = new_config(root).notes
        assert any(f"annotations of 1 pictures are left out, as no file fits: {name}" in note for note in notes), notes


def test_of_tables_that_disagree_the_largest_counts_and_a_form_of_answers_never(folder: Path) -> None:
    table_of_labels(folder)
    (folder / "a_few.csv").write_text("file,species\np0.jpg,dog\np1.jpg,dog\n")
    (folder / "Sample_Submission.csv").write_text("file,color\np0.jpg,red\np1.jpg,red\np2.jpg,blue\np3.jpg,blue\n")
    found = new_config(folder)
    assert found.recognised.init_args["labels_csv"] == "labels.csv"
    assert {"species", "color"} & found.recognised.tasks.keys() == {"species"}
    for name in ("a_few.csv names pictures as well; it is not used", "Sample_Submission.csv is taken for a form"):
        assert any(name in note for note in found.notes)


def packed(root: Path) -> None:
    folders.picture(root / "a.jpg", 0)
    (root / "task_1.ZIP").write_bytes(b"PK")


def cvat_of_a_video(root: Path) -> None:
    folders.picture(root / "a.jpg", 0)
    (root / "a.xml").write_text('<annotations><track id="0" label="cat"></track></annotations>')


def splits_of_folders_in_folders_of_classes(root: Path) -> None:
    for name in ("Train/cat/red/a", "Train/cat/grey/b", "Test/dog/red/c", "Test/dog/grey/d"):
        folders.picture(root / f"{name}.jpg", 0)


def test_splits_of_several_folders_are_joined(folder: Path) -> None:
    folders.voc_of_two_years(folder)
    assert new_config(folder).counts == {"train": 10, "val": 2, "test": 2}


def test_deep_pixels_get_a_range(folder: Path) -> None:
    voc_in_one_folder(folder)
    for seed in range(12):
        pixels = np.asarray(Image.open(folder / f"IMG_{seed}.jpg").convert("L")).astype(np.uint16) * 16
        Image.fromarray(pixels).save(folder / f"IMG_{seed}.png")
        (folder / f"IMG_{seed}.jpg").unlink()
    assert written(folder).checks.pixel_range == (0, 4095)


def yolo_in_folders_of_other_names(root: Path) -> None:
    folders.picture(root / "pics/a.jpg", 0)
    folders.text(root / "annos/a.txt", 0)


def one_class(root: Path) -> None:
    folders.picture(root / "cat/a.jpg", 0)


def folders_in_folders_of_classes(root: Path) -> None:
    for name in ("cat/monday/a", "cat/friday/b", "dog/monday/c", "dog/friday/d"):
        folders.picture(root / f"{name}.jpg", 0)


@pytest.mark.parametrize(
    ("layout", "hint"),
    [
        (yolo_in_folders_of_other_names, "annos/a.txt looks like YOLO.*called labels beside.*called images"),
        (one_class, "One folder of a class, 'cat'"),
        (packed, "task_1.ZIP is an archive: unpack it"),
        (cvat_of_a_video, "holds tracks of a video. Export it as CVAT for images"),
        (splits_of_folders_in_folders_of_classes, "If 'cat' and 'dog' are classes.* cat/a.jpg"),
        (folders_in_folders_of_classes, "If 'cat' and 'dog' are classes.* cat/a.jpg"),
    ],
)
def test_what_is_nearly_known_is_answered_with_what_to_do(folder: Path, layout: Layout, hint: str) -> None:
    layout(folder)
    with pytest.raises(ValueError, match=f"no annotation that is known here.*{hint}"):
        new_config(folder)


def test_groups_of_a_table_are_not_divided(folder: Path) -> None:
    table_of_labels(folder)
    found = new_config(folder)
    where = {name: split for split, names in found.splits.items() for name in names}
    for seed in range(0, 12, 2):
        assert where[f"p{seed}"] == where[f"p{seed + 1}"]
    assert any("6 groups" in note for note in found.notes)


def test_names_that_share_a_match_stay_together(folder: Path) -> None:
    voc_in_one_folder(folder)
    found = new_config(folder, group=r"IMG_(\d)$|IMG_(1)")
    where = {name: split for split, names in found.splits.items() for name in names}
    assert where["IMG_10"] == where["IMG_11"]
    with pytest.raises(ValueError, match="matches no picture name"):
        new_config(folder, group="scene")
    with pytest.raises(ValueError, match="no regular expression"):
        new_config(folder, group="(")


def test_copies_stay_in_one_split(folder: Path) -> None:
    voc_in_one_folder(folder)
    for number in range(4):
        (folder / f"copy_{number}.jpg").write_bytes((folder / "IMG_0.jpg").read_bytes())
        (folder / f"copy_{number}.xml").write_bytes((folder / "IMG_0.xml").read_bytes())
    found = new_config(folder)
    where = {name: split for split, names in found.splits.items() for name in names}
    assert len({where[name] for name in where if name.startswith("copy") or name == "IMG_0"}) == 1


def test_a_config_that_is_there_is_not_overwritten(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    voc_in_one_folder(folder)
    Path("mine.yaml").write_text("mine")
    assert main(["new", str(folder), "--to", "mine.yaml"]) == 2
    assert "is there already" in capsys.readouterr().err
    assert Path("mine.yaml").read_text() == "mine"


@pytest.mark.parametrize("held", [("notes.md",), ()])
def test_a_folder_without_pictures_says_what_it_holds(held: tuple[str, ...], folder: Path) -> None:
    folder.mkdir()
    for name in held:
        (folder / name).write_text("x")
    with pytest.raises(ValueError, match=r"holds no picture.*but " + (r"1 x \*.md" if held else "nothing")):
        new_config(folder)


def test_pictures_alone_name_the_known_formats(folder: Path) -> None:
    folders.picture(folder / "a.jpg", 0)
    with pytest.raises(ValueError, match="no annotation that is known here: VOC or CVAT XML.*'a.jpg'"):
        new_config(folder)


@pytest.mark.skipif(not (SHARED / "bccd").is_dir(), reason="needs ../shared/data")
@pytest.mark.parametrize(
    ("name", "tasks", "counts"),
    [
        ("bccd", {"boxes": "detection", "wbc_class": "classification"}, [205, 87, 72]),
        ("playing_cards", {"boxes": "detection", "card_class": "classification"}, [241, 55, 67]),
        ("coco128", {"boxes": "detection", "largest_box_supercategory": "classification"}, [128, 64, 64]),
    ],
)
def test_sets_of_others_are_recognised_with_their_own_splits(
    name: str, tasks: dict[str, str], counts: list[int], tmp_path: Path
) -> None:
    root = Path(os.path.relpath(SHARED / name))
    found = new_config(root)
    assert found.recognised.tasks == tasks
    assert list(found.counts.values()) == counts
    assert not found.splits


def test_pictures_and_boxes_that_fit_would_refuse_do_not_stop_the_new_config(folder: Path) -> None:
    voc_in_one_folder(folder)
    whole = (folder / "IMG_3.jpg").read_bytes()
    (folder / "IMG_3.jpg").write_bytes(whole[: len(whole) // 2])
    box = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>70</xmax><ymax>40</ymax></bndbox>"
    (folder / "IMG_4.xml").write_text(f"<annotation><object><name>cat</name>{box}</object></annotation>")
    found = new_config(folder)
    assert [found.recognised.init_args[key] for key in ("on_bad_image", "on_bad_box")] == ["skip", "clip"]
    assert "1 of the files cannot be decoded" in " ".join(found.notes)
    assert "IMG_4" in " ".join(found.notes)
    data = written(folder)
    names = [s.name(i) for s in (data.train_set, data.val_set, data.test_set) for i in range(len(s))]
    assert "IMG_3" not in names
    assert "IMG_4" in names


def test_a_folder_without_faults_needs_no_ways_out(folder: Path) -> None:
    voc_in_one_folder(folder)
    assert not {"on_bad_image", "on_bad_box"} & new_config(folder).recognised.init_args.keys()
