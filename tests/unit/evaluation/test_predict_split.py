"""The samples of a run's own data through its model: any input kind, predictions beside labels, boxes of the file."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from mtl.backbones.image.seed_cnn import SeedCNN
from mtl.backbones.text.bilstm import BiLSTM
from mtl.data.module import JointDataModule
from mtl.data.sequence_set import SequenceSet
from mtl.evaluation.predictions.predict_split import predict_split
from mtl.heads.detection.centernet import CenterNetHead
from mtl.heads.whole.classification import ClassificationHead
from mtl.inputs.input import input_kind
from mtl.model import MultiTaskModel
from mtl.task import IMAGE, Inputs, InputSpec, Task

SCENE = Task("scene", "classification", class_names=("town", "wood"))
BOXES = Task("boxes", "detection", class_names=("cat", "dog"))


class Given(JointDataModule):
    """Samples as they are given."""

    from_config = False

    def __init__(self, samples: Any, inputs: Inputs = IMAGE) -> None:
        super().__init__({"scene": SCENE, "boxes": BOXES})
        self.inputs = inputs
        self.test_set: Any = samples

    @classmethod
    def declare_tasks(cls, **_: Any) -> dict[str, Task]:
        return {"scene": SCENE, "boxes": BOXES}

    def setup(self, stage: str) -> None:
        assert stage == "test"


def model_of(backbone: Any, inputs: Inputs) -> MultiTaskModel:
    heads = {"scene": ClassificationHead(SCENE, backbone.spec)}
    if level := backbone.spec.of("map"):
        heads["boxes"] = CenterNetHead(BOXES, backbone.spec, level=level[0])  # type: ignore[assignment]
    return MultiTaskModel(backbone, heads, {name: input_kind(spec)(spec) for name, spec in inputs.items()})


def rows_of(output: Path) -> list[dict[str, str]]:
    with (output / "predictions.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_labels_stand_beside_predictions_where_they_are_known(tmp_path: Path) -> None:
    torch.manual_seed(0)
    inputs = {"words": InputSpec("words", "tokens", names=("<padding>", "<unknown>", "fly", "to"))}
    words = [torch.tensor([2, 3]), torch.tensor([2]), torch.tensor([3, 3, 3])]
    samples = [{"words": words[0], "scene": 1}, {"words": words[1]}, {"words": words[2], "scene": 0}]
    model = model_of(BiLSTM(inputs, embedding=4, hidden=3), inputs).train()
    found = predict_split(model, Given(samples, inputs), "test", tmp_path, batch_size=2)
    assert found == {"samples": 3}
    assert model.training, "left as it was"
    rows = rows_of(tmp_path)
    assert [(row["sample"], row["scene_true"]) for row in rows] == [("0", "wood"), ("1", ""), ("2", "town")]
    assert {row["scene"] for row in rows} <= {"town", "wood"}
    alone = model.eval().predict({"words": words[2][None], "words_mask": torch.ones(1, 3, dtype=torch.bool)})
    assert float(rows[2]["scene_score"]) == pytest.approx(float(alone["scene"]["scores"][0]), abs=2e-5)


def test_a_sample_is_named_by_its_words(tmp_path: Path) -> None:
    inputs = {"words": InputSpec("words", "tokens", names=("<padding>", "<unknown>", "fly", "to"))}
    samples = SequenceSet([{"words": torch.tensor([2, 3])}, {"words": torch.tensor([2])}], [2, 1], ["fly to", "fly"])
    predict_split(model_of(BiLSTM(inputs, embedding=4, hidden=3), inputs), Given(samples, inputs), "test", tmp_path)
    assert [(row["sample"], row["name"]) for row in rows_of(tmp_path)] == [("0", "fly to"), ("1", "fly")]


def test_boxes_are_in_pixels_of_the_file(tmp_path: Path) -> None:
    torch.manual_seed(0)
    image = torch.randint(0, 256, (3, 32, 32), dtype=torch.uint8)
    plain = {"image": image, "boxes": torch.tensor([[2.0, 2, 9, 9]]), "box_labels": torch.tensor([1])}
    of_file = {"orig_size": torch.tensor([50, 100]), "to_original": torch.tensor([3.125, 3.125, 0.0, -25.0])}
    samples = [{**plain, **of_file, "scene": 0}]
    model = model_of(SeedCNN(dict(IMAGE)), IMAGE)
    predict_split(model, Given(samples), "test", tmp_path, score_threshold=0)
    (sample,) = json.loads((tmp_path / "predictions.json").read_text())["samples"]
    assert sample["boxes"], "a threshold of 0 keeps them"
    corners = torch.tensor([box["box"] for box in sample["boxes"]])
    assert (corners >= 0).all()
    assert (corners <= torch.tensor([100.0, 50, 100, 50])).all()
    assert "boxes" not in rows_of(tmp_path)[0]
    assert sum(int(rows_of(tmp_path)[0][f"boxes/{name}"]) for name in ("cat", "dog")) == len(corners)


def test_what_cannot_be_predicted_is_refused(tmp_path: Path) -> None:
    model = model_of(SeedCNN(dict(IMAGE)), IMAGE)
    with pytest.raises(ValueError, match=r"no test samples; the splits are train, val, test"):
        predict_split(model, Given([]), "test", tmp_path)
    words = {"words": InputSpec("words", "tokens", names=("<padding>", "<unknown>"))}
    with pytest.raises(ValueError, match="this model takes the inputs image; Given gives words"):
        predict_split(model, Given([], words), "test", tmp_path)
    with pytest.raises(ValueError, match=r"0\.\.1"):
        predict_split(model, Given([]), "test", tmp_path, score_threshold=2)
    assert not list(tmp_path.iterdir())
