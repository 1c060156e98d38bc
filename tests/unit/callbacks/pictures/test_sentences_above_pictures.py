"""The sentence that belongs to a picture is in the pictures before and after training."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from mtl.backbones.fusion.concat import ConcatFusion
from mtl.backbones.image.residual_fpn import ResidualFPN
from mtl.backbones.text.bilstm import BiLSTM
from mtl.callbacks.pictures.box_pictures import BoxPictures
from mtl.callbacks.pictures.evaluation_pictures import EvaluationPictures
from mtl.data.sets.room_questions import RoomQuestions
from mtl.evaluation.data.show_batches import target_pictures
from mtl.heads.whole.classification import ClassificationHead
from mtl.inputs.input import input_kind
from mtl.model import MultiTaskModel


@pytest.fixture
def data() -> RoomQuestions:
    return RoomQuestions(num_train=8, num_val=4, num_test=6, batch_size=4, eval_batch_size=6, image_size=32)


def sentences(data: RoomQuestions, batch: Any) -> list[str]:
    names = data.inputs["words"].names
    return [" ".join(names[index] for index in row if index) for row in batch["words"].tolist()]


def test_batches_are_shown_with_their_sentences(data: RoomQuestions) -> None:
    shown = next(target_pictures(data, 4))
    batch = next(iter(data.train_dataloader()))
    assert [picture.text for picture in shown] == sentences(data, batch)
    assert all(len(picture.text.split()) > 2 for picture in shown)


def test_predictions_and_the_worst_samples_have_theirs(data: RoomQuestions) -> None:
    data.setup("test")
    torch.manual_seed(0)
    encoders: Any = {
        "image": lambda inputs: ResidualFPN(inputs, width=4, pyramid_width=8),
        "words": lambda inputs: BiLSTM(inputs, embedding=4, hidden=4),
    }
    trunk = ConcatFusion(data.inputs, encoders)
    heads = {"answer": ClassificationHead(data.tasks["answer"], trunk.spec)}
    model = MultiTaskModel(trunk, heads, {name: input_kind(spec)(spec) for name, spec in data.inputs.items()}).eval()
    batch = next(iter(data.test_dataloader()))
    module: Any = SimpleNamespace(model=model, tasks={"answer": data.tasks["answer"]})
    trainer: Any = SimpleNamespace(is_global_zero=True)
    first, worst = BoxPictures(num_pictures=3), EvaluationPictures()
    for callback in (first, worst):
        callback.on_test_batch_end(trainer, module, model.predict(batch), batch, 0)
    wanted = sentences(data, batch)
    assert [picture.text for picture in first._pictures] == wanted[:3]
    assert worst._worst
    assert all(picture.text == wanted[index] for _, index, picture in worst._worst)
