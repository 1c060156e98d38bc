"""`new` on what annotation services, competitions and hubs hand out: labels, splits and groups are those of the files."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from mtl.config.schema import find_class
from mtl.data.folder.module import FolderDataModule
from mtl.data.module import JointDataModule
from mtl.evaluation.data.new_config import NewConfig, new_config
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
    return {
        record.name: data.tasks[task].class_name(int(record.labels[task])) for record in records if task in record.labels
    }


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
    assert any("2 folders such as pictures_part_1 and pictures_part_2 differ only in a number" in x for x in found.notes)
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
