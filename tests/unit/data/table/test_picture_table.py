"""Pictures of one's own beside the rows of a CSV file, and what either of them may lack."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mtl.backbones.fusion.concat import ConcatFusion
from mtl.backbones.image.residual_fpn import ResidualFPN
from mtl.backbones.table.mlp import TableMLP
from mtl.data.augment.augment import Augment
from mtl.data.table.picture_table import PictureTable
from mtl.evaluation.data.data_check import check_data
from mtl.evaluation.predictions.predict_split import predict_split
from mtl.evaluation.predictions.predict_table import predict_table
from mtl.heads.whole.classification import ClassificationHead
from mtl.inputs.input import input_kind
from mtl.inputs.table import TableInput
from mtl.model import MultiTaskModel

ROWS = [
    "patient,file,age,sex,ill,weight,split",
    "p1,a.png,60,f,yes,70.5,train",
    "p1,sub/b,40,m,no,,train",
    "p2,c.png,,,yes,50,train",
    "p3,d.png,50,f,,80,val",
    "p4,e.png,20,m,no,60,test",
]
TASKS: dict[str, Any] = {"ill": {}, "weight": {"kind": "regression"}}


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "sub").mkdir()
    for number, name in enumerate(("a", "sub/b", "c", "d", "e")):
        Image.fromarray(np.full((20, 40, 3), 40 * number, np.uint8)).save(tmp_path / f"{name}.png")
    return written(tmp_path, "\n".join(ROWS))


def written(folder: Path, text: str) -> Path:
    (folder / "own.csv").write_text(text + "\n", encoding="utf-8")
    return folder / "own.csv"


def data(path: Path, **settings: Any) -> PictureTable:
    given: dict[str, Any] = {
        "column_tasks": TASKS, "picture": "file", "split_column": "split", "numeric": ["age"],
        "categorical": {"sex": ["f", "m"]}, "image_size": (16, 16),
    }  # fmt: skip
    module = PictureTable(str(path), **(given | settings))
    module.setup("fit")
    module.setup("test")
    return module


def trained(module: PictureTable) -> MultiTaskModel:
    torch.manual_seed(0)
    encoders: Any = {
        "image": lambda inputs: ResidualFPN(inputs, width=4, pyramid_width=8),
        "row": lambda inputs: TableMLP(inputs, widths=(8,)),
    }
    trunk = ConcatFusion(module.inputs, encoders)
    heads = {"ill": ClassificationHead(module.tasks["ill"], trunk.spec)}
    return MultiTaskModel(trunk, heads, {name: input_kind(spec)(spec) for name, spec in module.inputs.items()})


def test_samples_have_the_picture_the_row_and_the_labels_that_are_known(table: Path) -> None:
    module = data(table)
    assert list(module.inputs) == ["image", "row"]
    assert [len(getattr(module, f"{split}_set")) for split in ("train", "val", "test")] == [3, 1, 1]
    first, second, third = (module.train_set[index] for index in range(3))
    assert first["row"].tolist() == [60, 0, 1, 0, 0]
    assert torch.isnan(third["row"][0])
    assert third["row"][1:].tolist() == [1, 0, 0, 1]
    assert second["image"].shape == (3, 16, 16)
    assert second["image"][:, 8, 8].tolist() == [40, 40, 40]
    assert second["image"][:, 0, 0].tolist() == [114, 114, 114], "a letterbox"
    assert second["orig_size"].tolist() == [20, 40]
    assert module.tasks["ill"].class_names == ("no", "yes")
    assert ("weight" in second, float(first["weight"]), int(first["ill"])) == (False, 70.5, 1)
    assert "ill" not in module.val_set[0]
    counts = module.count_labels("train", module.tasks)
    assert {name: (count.labelled, count.of) for name, count in counts.items()} == {"ill": (3, 3), "weight": (2, 3)}
    assert module.training_classes(module.tasks["ill"]) == [[1], [0], [1]]
    assert len(list(module.training_values("row"))) == 3


def test_a_picture_and_a_row_may_be_absent_where_the_user_allows_it(table: Path) -> None:
    written(table.parent, table.read_text().replace("a.png", "").strip())
    with pytest.raises(
        ValueError, match=r"1 of 3 rows of split 'train' cannot be used: line 2: column 'file' is empty"
    ):
        data(table)
    module = data(table, optional=["image", "row"])
    assert [set(module.inputs) & set(module.train_set[i]) for i in range(3)] == [{"row"}, {"image", "row"}, {"image"}]
    assert [spec.optional for spec in module.inputs.values()] == [True, True]
    assert len(list(module.training_values("row"))) == 2
    assert len(list(module.training_values("image"))) == 2
    only_picture = data(table, optional=["image"])
    assert "row" in only_picture.train_set[2], "a row of missing cells"
    batch = next(iter(module.train_dataloader()))
    assert sorted(batch["present/image"].tolist()) == sorted(batch["present/row"].tolist()) == [False, True, True]


def test_a_row_with_neither_is_a_fault(table: Path) -> None:
    written(table.parent, table.read_text().replace("p2,c.png", "p2,").strip())
    with pytest.raises(ValueError, match="line 4: neither a picture nor a cell of the row is there"):
        data(table, optional=["image", "row"])
    assert len(data(table, optional=["image"]).train_set) == 3  # type: ignore[arg-type]
    plain = {"numeric": None, "categorical": None, "optional": ["image"]}
    with pytest.raises(ValueError, match="neither a picture nor"):
        data(table, **plain)


def test_bad_pictures_are_named_or_left_out(table: Path, caplog: Any) -> None:
    (table.parent / "a.png").write_bytes((table.parent / "a.png").read_bytes()[:60])
    (table.parent / "c.png").unlink()
    match = (
        r"2 of 3 rows of split 'train' cannot be used: line 2: picture .*a.png' cannot be decoded.*; line 4: there is"
    )
    with pytest.raises(ValueError, match=match):
        data(table)
    module = data(table, on_bad_image="skip")
    assert [module.train_set.name(i) for i in range(len(module.train_set))] == ["sub/b"]  # type: ignore[attr-defined,arg-type]
    assert "2 of 3 rows of split 'train' are left out" in caplog.text
    (table.parent / "e.png").unlink()
    with pytest.raises(ValueError, match="1 of 1 rows of split 'test' cannot be used"):
        data(table, on_bad_image="skip")


def test_patients_stay_in_one_split(table: Path) -> None:
    lines = [ROWS[0], *(f"p{i // 4},a.png,{i},f,yes,1," for i in range(40))]
    written(table.parent, "\n".join(lines))
    module = data(table, split_column=None, fractions=[0.6, 0.2, 0.2], group="patient")
    ages = {s: {int(v[0]) // 4 for v in getattr(module, f"{s}_set").values} for s in ("train", "val", "test")}
    assert sum(map(len, ages.values())) == len(set.union(*ages.values())) == 10


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"optional": ["picture"]}, "optional=.'picture'. names 'picture'; expected inputs among image, row"),
        ({"optional": ["row"], "numeric": None, "categorical": None}, "expected inputs among image. The input `row`"),
        ({"picture": "pic"}, "has no column 'pic'; it has patient, file"),
        ({"image_size": (0, 8)}, "image_size=.0, 8. must be the height and width"),
    ],
)
def test_wrong_settings_are_refused(table: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        data(table, **settings)


def test_a_fusion_learns_from_every_batch_with_absent_inputs(table: Path) -> None:
    written(table.parent, table.read_text().replace("a.png", "").strip())
    module = data(table, optional=["image", "row"])
    model = trained(module)
    prepare = model.inputs["row"]
    assert isinstance(prepare, TableInput)
    prepare.adapt(module.training_values("row"))
    batch = next(iter(module.train_dataloader()))
    loss = model.losses(model(batch), batch)["ill"]
    loss.backward()
    assert torch.isfinite(loss)
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    assert len(gradients) > 10
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_pictures_are_augmented_and_absent_ones_left_alone(table: Path) -> None:
    written(table.parent, table.read_text().replace("a.png", "").strip())
    module = data(table, optional=["image"], augment=Augment(flip_horizontal=0.5, zoom=(0.8, 1.2), brightness=0.5))
    batch = next(iter(module.train_dataloader()))
    batch = module.on_after_batch_transfer(batch, 0)
    assert batch["image"].flatten(1).amax(1).gt(0).tolist() == batch["present/image"].tolist()
    assert int(batch["present/image"].sum()) == 2


def test_check_counts_and_names_the_rows(table: Path) -> None:
    written(table.parent, table.read_text().replace("c.png", "").replace("e.png", "a").strip())
    found = check_data(data(table, optional=["image"]))
    assert found.counts["train"]["ill"].classes == {"yes": 2, "no": 1}
    texts = [finding.text for finding in found.findings if finding.kind == "near_duplicate"]
    assert any("train a.png and test a " in text for text in texts), "one picture in two splits"


def test_predictions_of_a_split_and_of_a_new_table(table: Path) -> None:
    module = data(table, optional=["image"])
    model, folder = trained(module), table.parent / "out"
    assert predict_split(model, module, "train", folder)["samples"] == 3
    rows = (folder / "predictions.csv").read_text().splitlines()
    assert [row.split(",")[1] for row in rows] == ["name", "a.png", "sub/b", "c.png"]
    new = table.parent / "new"
    new.mkdir()
    (new / "x.png").write_bytes((table.parent / "a.png").read_bytes())
    text = "file,age,sex\nx,60,f\n,1,m\ngone.png,1,m\na.png,60,f\na.png,old,f\nown.csv,1,f\n"
    (new / "new.csv").write_text(text)
    found = predict_table(model, module, new / "new.csv", folder / "new.csv", batch_size=2)
    lines = (folder / "new.csv").read_text().splitlines()
    assert (found["rows"], list(found["skipped_rows"])) == (3, [4, 6, 7])
    assert "no file" in found["skipped_rows"][4]
    assert found["skipped_rows"][7].endswith("PPM)")
    assert lines[1].split(",")[3:] == lines[4].split(",")[3:], (
        "one picture, beside the table and in the training's folder"
    )
    assert lines[2].split(",")[3] in ("yes", "no")
