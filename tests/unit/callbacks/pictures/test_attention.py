"""What a decoder looked at is drawn after the test, with the words that it read and the pieces that it wrote."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer

from mtl.backbones.text.bilstm import BiLSTM
from mtl.callbacks.pictures import attention
from mtl.callbacks.pictures.attention import AttentionPictures
from mtl.data.module import JointDataModule
from mtl.drawing.attention import Attention, draw_attention
from mtl.heads.sequence.decoder import DecoderHead
from mtl.heads.whole.classification import ClassificationHead
from mtl.inputs.pieces import PiecesInput
from mtl.module import MultiTaskLightningModule
from mtl.task import Inputs, InputSpec, Task

WORDS = {"words": InputSpec("words", "tokens", names=("<padding>", "<unknown>", "flyg", "till", "$1"))}
TASKS = {
    "english": Task("english", "text", class_names=("<end>", "<unknown>", "fly", "to", "##_$")),
    "intent": Task("intent", "classification", class_names=("go", "stop")),
}


class Given(JointDataModule):
    """Three sentences, one without a translation."""

    from_config = False
    inputs: Inputs = WORDS

    def __init__(self) -> None:
        super().__init__(TASKS)
        sentences = [torch.tensor([2, 3, 4]), torch.tensor([2]), torch.tensor([3, 1, 2, 4])]
        samples: Any = [{"words": words, "intent": 0} for words in sentences]
        samples[0]["english"], samples[2]["english"] = torch.tensor([2, 3]), torch.tensor([4])
        self.train_set = self.val_set = self.test_set = samples

    @classmethod
    def declare_tasks(cls, **_: Any) -> dict[str, Task]:
        return TASKS


def test_words_stand_at_both_sides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    seen: list[Attention] = []

    def draw(samples: list[Attention], path: Path) -> bool:
        seen.extend(samples)
        return draw_attention(samples, path)

    monkeypatch.setattr(attention, "draw_attention", draw)
    heads = {"english": DecoderHead, "intent": ClassificationHead}
    backbone = lambda inputs: BiLSTM(inputs, embedding=8, hidden=8)  # noqa: E731
    module = MultiTaskLightningModule(TASKS, backbone, heads, dict(WORDS))  # type: ignore[arg-type]
    options = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    trainer = Trainer(callbacks=[AttentionPictures(tmp_path, num_drawn=2)], **options)  # type: ignore[arg-type]
    trainer.test(module, Given(), verbose=False)
    assert [path.name for path in tmp_path.iterdir()] == ["english_attention.png"]
    assert (tmp_path / "english_attention.png").stat().st_size > 5000
    assert [list(sample.read) for sample in seen] == [["flyg", "till", "$1"], ["flyg"]]
    for sample in seen:
        assert sample.written[-1] == "(end)" or len(sample.written) == 32
        torch.testing.assert_close(sample.shares_SN.sum(1), torch.ones(len(sample.written)))
    assert seen[0].title.endswith("\ntrue: fly to")
    assert "true" not in seen[1].title


def test_pieces_are_named_word_after_word() -> None:
    spec = InputSpec("pieces", "pieces", names=("<padding>", "<unknown>", "fly", "##g"))
    batch = {"pieces": torch.tensor([[[2, 3], [1, 0], [0, 0]]])}
    assert PiecesInput(spec).step_names(batch, 0) == ["fly", "##g", "<unknown>"]
    assert PiecesInput(InputSpec("pieces", "pieces", channels=4)).step_names(batch, 0) == []


def test_a_number_below_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="num_drawn=-1"):
        AttentionPictures(num_drawn=-1)
