"""`new` on what annotation services, competitions and hubs hand out: labels, splits, groups are those of the files."""

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from mtl.config.schema import find_class
from mtl.data.folder.module import FolderDataModule
from mtl.data.folder.splits import SPLITS
from mtl.data.module import JointDataModule
from mtl.evaluation.data.data_check import check_data
from mtl.evaluation.data.new_config import NewConfig, new_config, write_new
from tests.contract.kit.folders import CLASSES, picture

NUMBER = 12


def table(root: Path, rows: Sequence[str], name: str = "labels.csv") -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text("\n".join(rows) + "\n", encoding="utf-8")


def pictures(root: Path, form: str = "{}.jpg", numbers: Sequence[int] = range(NUMBER)) -> None:
    for seed in numbers:
        picture(root / form.format(seed), seed)


def module(root: Path, found: NewConfig) -> FolderDataModule:
    cls = find_class(found.recognised.class_path, JointDataModule)
    assert cls is not None
    data = cls(root=str(root), **found.recognised.init_args)
    assert isinstance(data, FolderDataModule)
    return data


def labels(root: Path, found: NewConfig, task: str) -> dict[str, str]:
    """The class of each picture by its name."""
    data = module(root, found)
    names = data.names()
    records = [data.record(name) for name in names]
    assert data.csv_labels is not None
    data.csv_labels.read(names, data.data_report)
    data.csv_labels.add_to(records, "train", data.data_report)
    known = {record.name: record.labels[task] for record in records if task in record.labels}
    return {name: data.tasks[task].class_name(int(label)) for name, label in known.items()}


def test_numbers_of_rows_are_no_pictures_where_a_column_holds_files(tmp_path: Path) -> None:
    pictures(tmp_path)
    turned = [*range(5, NUMBER), *range(5)]  # row 0 is about picture 5
    table(tmp_path, [",file,label", *(f"{row},{seed}.jpg,{CLASSES[seed % 2]}" for row, seed in enumerate(turned))])
    found = new_config(tmp_path)
    assert labels(tmp_path, found, "label") == {str(seed): CLASSES[seed % 2] for seed in range(NUMBER)}


def test_sides_of_boxes_are_no_pictures_where_a_column_holds_files(tmp_path: Path) -> None:
    pictures(tmp_path, "train/00{}.png")
    pictures(tmp_path, "meta/{}.png", range(100, 103))
    rows = [f"101,102,9,9,{CLASSES[seed % 2]},train/00{seed}.png" for seed in range(NUMBER) for _ in range(2)]
    table(tmp_path, ["x1,y1,w,h,label,path", *rows])
    found = new_config(tmp_path)
    assert found.recognised.init_args.get("image_column", "path") == "path"
    assert len(module(tmp_path, found).names()) == NUMBER


def test_folders_that_differ_in_a_number_are_no_classes_beside_a_table_of_classes(tmp_path: Path) -> None:
    for part in (1, 2):
        pictures(tmp_path, f"pictures_part_{part}/p{{}}.jpg", range(part, NUMBER, 2))
    rows = [f"L{seed // 3},p{seed},{CLASSES[seed % 2]}" for seed in range(1, NUMBER)]
    table(tmp_path, ["lesion_id,image_id,dx", *rows], "metadata.csv")
    found = new_config(tmp_path)
    assert found.recognised.tasks == {"dx": "classification"}
    said = "2 folders such as pictures_part_1 and pictures_part_2 differ only in a number"
    assert any(note.startswith(said) for note in found.notes)
    splits = {name: split for split, names in found.splits.items() for name in names}
    groups = {seed // 3: splits[f"pictures_part_{2 - seed % 2}/p{seed}"] for seed in range(1, NUMBER)}
    assert all(groups[seed // 3] == splits[f"pictures_part_{2 - seed % 2}/p{seed}"] for seed in range(1, NUMBER))
    (tmp_path / "metadata.csv").unlink()
    assert new_config(tmp_path).recognised.class_path == "ClassFolders"


@pytest.mark.parametrize("folder", ["class_{}", "c{}", "{}", "grade {}"])
def test_folders_of_numbered_classes_stay_classes(tmp_path: Path, folder: str) -> None:
    for part in (1, 2):
        pictures(tmp_path, f"{folder.format(part)}/p{{}}.jpg", range(part, NUMBER, 2))
    table(tmp_path, ["image,driver", *(f"p{seed}.jpg,{CLASSES[seed % 2]}" for seed in range(1, NUMBER))])
    assert new_config(tmp_path).recognised.class_path == "ClassFolders"


def test_tables_that_are_called_by_splits_define_them(tmp_path: Path) -> None:
    pictures(tmp_path, "images/{}.jpg")
    for split, numbers in {"train": range(8), "test": range(8, NUMBER)}.items():
        rows = [f"images/{seed}.jpg,{CLASSES[seed % 2]}" for seed in numbers]
        table(tmp_path, ["path,label", *rows], f"{split}.csv")
    found = new_config(tmp_path)
    assert found.splits["test"] == ["10", "11", "8", "9"]
    assert sorted(found.splits["train"] + found.splits["val"]) == [str(seed) for seed in range(8)]
    table(tmp_path, ["path,label", *(f"images/{seed}.jpg,{CLASSES[seed % 2]}" for seed in range(9))], "train.csv")
    assert sum(map(len, new_config(tmp_path).splits.values())) == NUMBER  # both list 8: neither defines a split


def test_pictures_of_a_competition_without_labels_are_in_no_split(tmp_path: Path) -> None:
    pictures(tmp_path, "train_images/{}.jpg")
    pictures(tmp_path, "test_images/{}.jpg", range(20, 24))
    table(tmp_path, ["id,label", *(f"{seed},{CLASSES[seed % 2]}" for seed in range(NUMBER))], "train.csv")
    found = new_config(tmp_path)
    used = [name for names in found.splits.values() for name in names]
    assert sorted(used) == sorted(f"train_images/{seed}" for seed in range(NUMBER))
    assert "4 pictures have no label and are left out; `predict` reads them: test_images/20, " in "".join(found.notes)
    assert "val and test are drawn from the training pictures." in found.notes


def test_a_picture_with_a_label_of_another_column_stays(tmp_path: Path) -> None:
    pictures(tmp_path, numbers=range(NUMBER + 1))
    rows = [f"{seed}.jpg,{CLASSES[seed % 2] if seed else ''},{seed / 7}" for seed in range(NUMBER)]
    table(tmp_path, ["file,label,age", *rows])
    found = new_config(tmp_path)
    assert list(found.recognised.open_tasks) == ["age"]
    assert sorted(name for names in found.splits.values() for name in names) == sorted(map(str, range(NUMBER)))


def test_a_split_without_an_object_is_no_split(tmp_path: Path) -> None:
    for split, numbers in {"train": range(8), "val": range(8, 10), "test": range(10, NUMBER)}.items():
        pictures(tmp_path, f"images/{split}/{{}}.jpg", numbers)
        for seed in numbers if split != "test" else ():
            table(tmp_path, [f"{seed % 2} 0.5 0.5 0.2 0.2"], f"labels/{split}/{seed}.txt")
    (tmp_path / "data.yaml").write_text("train: images/train\nval: images/val\ntest: images/test\nnames: [cat, dog]\n")
    found = new_config(tmp_path)
    assert found.splits["test"] == found.splits["val"] == ["val/8", "val/9"]
    assert "2 of 12 pictures are in no split, and are left out: test/10, test/11." in found.notes


def test_a_task_of_a_table_that_lists_none_of_the_training_pictures_is_left_out(tmp_path: Path) -> None:
    pictures(tmp_path, "train/00{}.png")
    pictures(tmp_path, "meta/{}.png", range(20, 24))
    table(tmp_path, ["path,x1,y1,x2,y2,kind", *(f"train/00{seed}.png,1,2,9,9,{seed % 2}" for seed in range(NUMBER))])
    table(tmp_path, ["path,colour", *(f"meta/{seed}.png,{CLASSES[seed % 2]}" for seed in range(20, 24))], "meta.csv")
    found = new_config(tmp_path)
    assert found.recognised.tasks == {"boxes": "detection"}
    assert "image_tasks" not in found.recognised.init_args or not found.recognised.init_args["image_tasks"]
    assert "task colour is left out: no picture in train or val has a label of it." in found.notes


@pytest.mark.parametrize(
    "cells",
    [
        lambda seed: (int(seed % 2 == 0), int(seed % 3 == 0), 0),  # a class without a picture
        lambda seed: (float(seed % 2 == 0), float(seed % 3 == 0), float(seed > 4)),
        lambda seed: (seed % 2 * 2 - 1, (seed % 3 > 0) * 2 - 1, (seed > 4) * 2 - 1),
    ],
)
def test_flags_may_be_numbers_of_several_forms(tmp_path: Path, cells: Callable[[int], Sequence[float]]) -> None:
    pictures(tmp_path)
    rows = [", ".join(map(str, (f"{seed}.jpg", *cells(seed)))) for seed in range(NUMBER)]
    table(tmp_path, ["filename, ant, bee, fly", *rows], "_classes.csv")
    found = new_config(tmp_path)
    assert found.recognised.tasks == {"classes": "multilabel"}
    data = module(tmp_path, found)
    assert data.csv_labels is not None
    data.csv_labels.read(data.names(), data.data_report)
    records = [data.record(str(seed)) for seed in range(NUMBER)]
    data.csv_labels.add_to(records, "train", data.data_report)
    assert [record.labels["classes"] for record in records] == [
        [float(cell > 0) for cell in cells(seed)] for seed in range(NUMBER)
    ]


def test_a_column_of_numbers_called_partition_holds_splits(tmp_path: Path) -> None:
    pictures(tmp_path)
    table(tmp_path, ["image_id,hat", *(f"{seed}.jpg,{CLASSES[seed % 2]}" for seed in range(NUMBER))])
    table(tmp_path, ["image_id,partition", *(f"{seed}.jpg,{seed % 3}" for seed in range(NUMBER))], "parts.csv")
    found = new_config(tmp_path)
    wanted = {split: sorted(str(seed) for seed in range(number, NUMBER, 3)) for number, split in enumerate(SPLITS)}
    assert {split: sorted(names) for split, names in found.splits.items()} == wanted


@pytest.mark.parametrize(
    ("rows", "note"),
    [
        (["who,file,dx", "one,p0.jpg,cat", "one,p1.jpg,dog", "two,p0.jpg,dog", "two,p1.jpg,cat"], "agree in nothing"),
        (["number,dx", "7001,cat", "7002,dog", "7003,dog", "7004,cat"], "its first row is '7001, cat', a picture is"),
    ],
)
def test_a_table_that_fits_no_picture_is_named(tmp_path: Path, rows: list[str], note: str) -> None:
    for seed in range(4):
        picture(tmp_path / ("one", "two")[seed // 2] / f"p{seed % 2}.jpg", seed)
    table(tmp_path, rows)
    found = new_config(tmp_path)
    assert found.recognised.class_path == "ClassFolders"
    assert any("labels.csv" in text and note in text and "not used" in text for text in found.notes)


def test_names_of_darknet_and_of_mask_numbers_are_read(tmp_path: Path) -> None:
    for split in ("train", "valid", "test"):
        for seed in range(4):
            picture(tmp_path / f"boxes/{split}/{split}{seed}.jpg", seed)
            table(tmp_path / "boxes", [f"{seed % 2} 0.5 0.5 0.2 0.2"], f"{split}/{split}{seed}.txt")
            picture(tmp_path / f"masks/{split}/{split}{seed}.jpg", seed)
            mask = np.full((48, 64), 7 * (seed % 2), np.uint8)
            Image.fromarray(mask).save(tmp_path / f"masks/{split}/{split}{seed}_mask.png")
        table(tmp_path / "boxes", CLASSES, f"{split}/_darknet.labels")
        table(tmp_path / "masks", ["Pixel Value, Class", "0, nothing", "3, tail", "7, paw"], f"{split}/_classes.csv")
    assert new_config(tmp_path / "boxes").recognised.class_path == "YOLOFolder"
    assert module(tmp_path / "boxes", new_config(tmp_path / "boxes")).box_classes == CLASSES
    spec = new_config(tmp_path / "masks").recognised.init_args["map_tasks"]["mask"]
    assert spec == {
        "folder": ".",
        "suffix": "_mask.png",
        "groups": {"nothing": [0], "tail": [3], "paw": [7]},
    }


@pytest.mark.parametrize(
    ("files", "hint"),
    [
        ({"boxes.json": ['{"p0.jpg": {"regions": []}}']}, "boxes.json is JSON of another kind: export .* COCO JSON"),
        (
            {"labelTxt/p0.txt": ["9.0 1.0 7.0 8.0 9.0 1.0 7.0 8.0 cat 0"]},
            "'9.0 1.0 .*' is not numbers: text of another",
        ),
        ({"boxes/p0.txt": ["684,8,273,116,1,3,0,0"]}, "has 8 numbers; .*: text of another kind"),
        ({"list.txt": ["p0.jpg 1,2,9,9,0", "p1.jpg"]}, "list.txt lists pictures: 'p0.jpg 1,2,9,9,0'. .* write a CSV"),
        (
            {"a.csv": ["image,EncodedPixels", "p0.jpg,1 3", "p1.jpg,"]},
            "'EncodedPixels' of a.csv holds masks as numbers",
        ),
        (
            {"a.csv": ["image,text", "p0.jpg,a b", "p1.jpg,c d"]},
            "a.csv names the pictures, but none of .* holds labels",
        ),
    ],
)
def test_a_refusal_names_files_of_other_tools(tmp_path: Path, files: dict[str, list[str]], hint: str) -> None:
    pictures(tmp_path / "images", "p{}.jpg")
    for name, lines in files.items():
        table(tmp_path, lines, name)
    with pytest.raises(ValueError, match=f"no annotation that is known here.*{hint}"):
        new_config(tmp_path)


def test_a_refusal_says_what_class_folders_lack(tmp_path: Path) -> None:
    for seed in range(2):
        picture(tmp_path / "few" / CLASSES[seed] / "a.jpg", seed)
        pictures(tmp_path / "names", f"{CLASSES[seed]}.{{}}.jpg", range(3))
    table(tmp_path / "names", ["id,label", "1,0", "2,0"], "sampleSubmission.csv")
    with pytest.raises(ValueError, match="2 pictures in 2 folders are too few: a class needs 2 on average"):
        new_config(tmp_path / "few")
    with pytest.raises(ValueError, match="names of pictures hold classes, such as 'cat' and 'dog', move .* cat/a.jpg"):
        new_config(tmp_path / "names")


def test_commands_of_a_config_with_blanks_can_be_pasted(tmp_path: Path) -> None:
    pictures(tmp_path / "my set")
    table(tmp_path / "my set", ["file,label", *(f"{seed}.jpg,{CLASSES[seed % 2]}" for seed in range(NUMBER))])
    to = tmp_path / "my set.yaml"
    write_new(new_config(tmp_path / "my set"), to, tmp_path / "my set")
    assert f"python -m mtl fit --config {shlex.quote(to.as_posix())}\n" in to.read_text(encoding="utf-8")


def test_splits_of_data_behind_a_link_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures(tmp_path / "disk/far/set")
    table(tmp_path / "disk/far/set", ["file,label", *(f"{seed}.jpg,{CLASSES[seed % 2]}" for seed in range(NUMBER))])
    (tmp_path / "work").mkdir()
    (tmp_path / "work/data").symlink_to(tmp_path / "disk/far")
    monkeypatch.chdir(tmp_path / "work")
    root = Path("data/set")
    write_new(new_config(root), Path("mine.yaml"), root)
    splits = yaml.safe_load(Path("mine.yaml").read_text(encoding="utf-8"))["data"]["init_args"]["splits"]
    assert (root / splits / "train.txt").is_file()


@pytest.mark.parametrize("place", ["meta", "ImageSets/Segmentation"])
def test_lists_of_splits_may_lie_in_any_folder(tmp_path: Path, place: str) -> None:
    for seed in range(NUMBER):
        picture(tmp_path / "images" / CLASSES[seed % 2] / f"{seed}.jpg", seed)
    for number, split in enumerate(SPLITS):
        table(tmp_path, [f"{CLASSES[seed % 2]}/{seed}" for seed in range(number, NUMBER, 3)], f"{place}/{split}.txt")
    found = new_config(tmp_path)
    assert (found.splits, found.counts) == ({}, dict.fromkeys(SPLITS, 4))
    assert found.recognised.init_args["splits"] == place


def test_a_class_that_is_spelled_in_two_ways_is_named(tmp_path: Path) -> None:
    pictures(tmp_path)
    spelled = ("Stop Sign", "stop_sign", "a", "A")
    table(tmp_path, ["file,label", *(f"{seed}.jpg,{spelled[seed % 4]}" for seed in range(NUMBER))])
    found = new_config(tmp_path)
    assert [note for note in found.notes if "spelled" in note] == [
        "task 'label': classes 'Stop Sign' and 'stop_sign' may be one, spelled in two ways."
    ]
    splits = {split: found.splits[split] for split in SPLITS}
    for split, names in splits.items():
        table(tmp_path, names, f"splits/{split}.txt")
    kinds = [finding.kind for finding in check_data(module(tmp_path, found)).findings]
    assert kinds.count("spelled_twice") == 1
