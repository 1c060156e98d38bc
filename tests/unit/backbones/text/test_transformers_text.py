"""Encoders of transformers: equal to the package's own forward, padding, local folders, refusals."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from mtl.architectures.cross_stitch import CrossStitch
from mtl.architectures.film import FiLM
from mtl.backbones.pretrained import without_pretrained
from mtl.backbones.text.transformers_text import TransformersText
from mtl.inputs.tokens import SPECIAL
from mtl.task import InputSpec

WORDS = {"words": InputSpec("words", "tokens", 9)}
SIZE = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 40}
LENGTHS = (5, 8, 1)
# by structure: like BERT; other names; positions behind padding; narrower embeddings; one piece
TYPES: dict[str, dict[str, Any]] = {
    "bert": {"intermediate_size": 16},
    "distilbert": {"hidden_dim": 16},
    "roberta": {"intermediate_size": 16},
    "electra": {"intermediate_size": 16, "embedding_size": 4},
    "albert": {"intermediate_size": 16, "embedding_size": 4},
}
every_type = pytest.mark.parametrize("model_type", TYPES)


def settings(model_type: str, **more: Any) -> dict[str, Any]:
    return {"model_type": model_type, **SIZE, **TYPES[model_type], **more}


def batch(steps: int = 8) -> tuple[Tensor, Tensor]:
    mask = torch.arange(steps) < torch.tensor(LENGTHS)[:, None]
    draw = torch.Generator().manual_seed(1)
    return torch.nn.functional.pad(torch.randint(1, 9, (3, 8), generator=draw), (0, steps - 8)) * mask, mask


def test_without_transformers_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ImportError, match=r'pip install "mtl\[transformers\]"'):
        TransformersText(WORDS)


class TestWithTransformers:
    @pytest.fixture(autouse=True)
    def _transformers(self) -> None:
        pytest.importorskip("transformers", reason='needs pip install "mtl[transformers]"')

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return saved(tmp_path)

    @every_type
    def test_equals_the_package_called_directly(self, model_type: str) -> None:
        import transformers

        chosen = {name: value for name, value in settings(model_type).items() if name != "model_type"}
        config = transformers.AutoConfig.for_model(model_type, **chosen, vocab_size=9, pad_token_id=0)
        torch.manual_seed(3)
        theirs = transformers.AutoModel.from_config(config).eval()
        torch.manual_seed(3)
        ours = TransformersText(WORDS, settings(model_type))
        assert ours.training
        tokens, mask = batch()
        with torch.no_grad():
            expected = theirs(input_ids=tokens, attention_mask=mask.long()).last_hidden_state
            found = ours.eval()(tokens, mask)
        torch.testing.assert_close(found["t1"][mask], expected[mask], rtol=1e-5, atol=1e-6)
        assert found["t1_mask"].equal(mask)
        assert len(ours.stages()) == (0 if model_type == "albert" else 3)

    @every_type
    def test_more_padding_changes_nothing_and_a_sentence_without_words_is_finite(self, model_type: str) -> None:
        backbone = TransformersText(WORDS, settings(model_type)).eval()
        tokens, mask = batch()
        short, long = backbone(tokens, mask)["t1"], backbone(*batch(24))["t1"]
        torch.testing.assert_close(long[:, :8], short, rtol=1e-4, atol=1e-5)
        assert not long[:, 8:].any()
        mask[1] = False
        backbone.train()
        found = backbone(tokens * mask, mask)["t1"]
        assert found.isfinite().all()
        found.square().sum().backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in backbone.parameters())

    def test_dropout_is_the_one_of_the_config(self) -> None:
        off = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
        for more, same in ((off, True), (off | {"hidden_dropout_prob": 0.5}, False)):
            backbone = TransformersText(WORDS, settings("bert", **more)).train()
            first, second = (backbone(*batch())["t1"] for _ in range(2))
            assert first.equal(second) is same

    @pytest.mark.parametrize("cls", [CrossStitch, FiLM])
    def test_an_encoder_is_shared_in_stages(self, cls: Any) -> None:
        made = cls(TransformersText(WORDS, settings("distilbert")), ["a", "b"])
        tokens, mask = batch()
        cut = made.cut({"words": tokens, "words_mask": mask})
        assert made.view(cut, "a")["t1"].shape == made.view(cut, "b")["t1"].shape == (3, 8, 8)
        with pytest.raises(ValueError, match="TransformersText of albert is one piece"):
            cls(TransformersText(WORDS, settings("albert")), ["a", "b"])

    def test_a_folder_gives_its_weights_in_full_precision(self, folder: Path) -> None:
        import transformers

        theirs = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
        ours = TransformersText(WORDS, folder=str(folder))
        assert ours.pretrained
        assert ours.training
        tokens, mask = batch()
        found = ours.eval()(tokens, mask)["t1"]
        expected = theirs(input_ids=tokens, attention_mask=mask.long()).last_hidden_state
        torch.testing.assert_close(found[mask], expected[mask], rtol=1e-5, atol=1e-6)
        assert {parameter.dtype for parameter in ours.parameters()} == {torch.float32}
        with without_pretrained():  # a checkpoint comes behind it: the same layers, other weights
            empty = TransformersText(WORDS, folder=str(folder)).eval()
        empty.load_state_dict(ours.state_dict())
        torch.testing.assert_close(empty(tokens, mask)["t1"], found)

    def test_padding_of_a_folder_may_be_another_index(self, tmp_path: Path) -> None:
        import transformers

        saved(tmp_path, "roberta", pad_token_id=1)
        theirs = transformers.AutoModel.from_pretrained(tmp_path, dtype=torch.float32).eval()
        tokens, mask = batch()
        tokens = torch.where(tokens == 1, 2, tokens)
        expected = theirs(torch.where(mask, tokens, 1), attention_mask=mask.long()).last_hidden_state
        found = TransformersText(WORDS, folder=str(tmp_path)).eval()(tokens, mask)["t1"]
        torch.testing.assert_close(found[mask], expected[mask], rtol=1e-5, atol=1e-6)
        named = {"words": InputSpec("words", "tokens", names=(*SPECIAL, *"abcdefg"))}
        with pytest.raises(ValueError, match="padding at index 1; in the vocabulary of input 'words' it is at 0"):
            TransformersText(named, folder=str(tmp_path))

    def test_names_of_the_data_are_those_of_the_tokenizer(self, folder: Path) -> None:
        import tokenizers

        vocabulary = {name: number for number, name in enumerate(("[PAD]", "[UNK]", *"abcdefg"))}
        tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))
        tokenizer.save(str(folder / "tokenizer.json"))
        for letters, message in (("abcdefg", None), ("abdcefg", "token 'd' at index 5 .* has it at 4. Encode the")):
            named = {"words": InputSpec("words", "tokens", names=(*SPECIAL, *letters))}
            if message is None:
                TransformersText(named, folder=str(folder))
            else:
                with pytest.raises(ValueError, match=message):
                    TransformersText(named, folder=str(folder))

    def test_another_vocabulary_is_refused(self, folder: Path) -> None:
        other = {"words": InputSpec("words", "tokens", 12)}
        with pytest.raises(ValueError, match="vocabulary of 9; input 'words' has one of 12. Encode .*channels=9"):
            TransformersText(other, folder=str(folder))

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"model_type": "gpt2"}, "model_type 'gpt2', which is no encoder"),
            ({"model_type": "mine", "auto_map": {"AutoModel": "code.Mine"}}, "model_type 'mine', which is no encoder"),
            ({"quantization_config": {"load_in_8bit": True}}, "quantized weights or an adapter"),
            ({"num_hidden_layers": 3}, "its weights lack"),
            ({"is_decoder": True}, "is of a decoder"),
            ({"hidden_size": "wide"}, "config.json' is refused"),
        ],
        ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
    )
    def test_a_folder_of_another_kind_is_refused(self, folder: Path, change: dict[str, Any], message: str) -> None:
        file = folder / "config.json"
        file.write_text(json.dumps(json.loads(file.read_text("utf-8")) | change), "utf-8")
        with pytest.raises(ValueError, match=message):
            TransformersText(WORDS, folder=str(folder))

    def test_weights_that_could_run_code_are_not_read(self, folder: Path) -> None:
        (folder / "model.safetensors").unlink()
        torch.save({}, folder / "pytorch_model.bin")
        with pytest.raises(ValueError, match="safetensors"):
            TransformersText(WORDS, folder=str(folder))

    def test_a_name_of_the_hub_is_refused(self) -> None:
        with pytest.raises(ValueError, match="'bert-base-uncased' has no config.json.*nothing is downloaded.*download"):
            TransformersText(WORDS, folder="bert-base-uncased")

    @pytest.mark.parametrize(
        ("config", "message"),
        [
            ({}, "model_type None, which is no encoder"),
            ({"model_type": "brt"}, "model_type 'brt'.*Did you mean 'bert'"),
            ({"model_type": "vit"}, "model_type 'vit', which is no encoder of tokens"),
            ({"model_type": "bart"}, "is of a decoder"),
            ({"model_type": "bert", "hiden_size": 8}, "there is no such setting. Did you mean 'hidden_size'"),
            ({"model_type": "bert", "vocab_size": 8}, "vocabulary come from elsewhere"),
            ({"model_type": "bert", "hidden_size": "wide"}, "refused by transformers.*hidden_size"),
            ({"model_type": "bert", "hidden_size": 9, "num_attention_heads": 2}, "builds no bert.*not a multiple"),
            ({"model_type": "bert", "hidden_size": 8, "num_attention_heads": 2, "max_position_embeddings": 4}, "Raise"),
            ({"model_type": "mpnet", **SIZE, "intermediate_size": 8}, "padding at index 1"),
            ({"model_type": "fnet", "hidden_size": 8, "num_hidden_layers": 1}, "does not run|gives other values"),
        ],
        ids=lambda value: "-".join(map(str, value.values()))[:20] if isinstance(value, dict) else "",
    )
    def test_wrong_settings_are_explained(self, config: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            TransformersText(WORDS, config)

    def test_config_and_folder_are_one_too_many(self, folder: Path) -> None:
        with pytest.raises(ValueError, match="give one of them"):
            TransformersText(WORDS, settings("bert"), str(folder))

    def test_a_sentence_longer_than_the_positions_is_explained(self) -> None:
        tokens = torch.ones(1, 48, dtype=torch.long)
        with pytest.raises(ValueError, match="has 39 positions; found sentences of 48.*max_position_embeddings"):
            TransformersText(WORDS, settings("roberta"))(tokens, tokens > 0)


def saved(folder: Path, model_type: str = "bert", pad_token_id: int = 0) -> Path:
    """A network as somebody else trained and saved it, in half precision."""
    import transformers

    chosen = {name: value for name, value in settings(model_type).items() if name != "model_type"}
    config = transformers.AutoConfig.for_model(model_type, **chosen, vocab_size=9, pad_token_id=pad_token_id)
    torch.manual_seed(5)
    transformers.AutoModel.from_config(config).to(torch.bfloat16).save_pretrained(folder)
    return folder
