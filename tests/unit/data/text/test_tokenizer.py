"""Sentences of a table in the pieces of a local folder's tokenizer, from the CSV to the predicted tags."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from mtl.backbones.text.transformers_text import TransformersText
from mtl.batch import collate
from mtl.cli.main import main
from mtl.data.text.sentence_table import SentenceTable
from mtl.evaluation.predictions.predict_text import predict_text
from mtl.export.onnx_file import OnnxModel
from mtl.heads.sequence.tagging import TaggingHead
from mtl.heads.whole.classification import ClassificationHead
from mtl.inputs.input import input_kind
from mtl.model import MultiTaskModel
from mtl.task import InputSpec

tokenizers: Any = pytest.importorskip("tokenizers", reason='needs pip install "mtl[text]"')
PIECES = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "fly", "to", "os", "##lo", "new", "york", "?", "un", "##der", "##ground")
ROWS = [
    "text,topic,slots,split",
    "Fly to Oslo?,travel,O O B-city,train",
    "underground to New York,travel,O O B-city I-city,train",
    "zzz,fare,,val",
    "to York,fare,O B-city,test",
    "fly to York,fare,O O B-city,val",
]
TASKS: dict[str, Any] = {"topic": {}, "slots": {"kind": "tags"}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as a trained network is saved in it."""
    made = tokenizers.Tokenizer(
        tokenizers.models.WordPiece({piece: index for index, piece in enumerate(PIECES)}, unk_token="[UNK]")
    )
    made.normalizer = tokenizers.normalizers.BertNormalizer()
    made.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    made.post_processor = tokenizers.processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    made.save(str(tmp_path / "tokenizer.json"))
    return tmp_path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "own.csv"
    path.write_text("\n".join(ROWS) + "\n", encoding="utf-8")
    return path


def data(path: Path, folder: Path, **settings: Any) -> SentenceTable:
    given: dict[str, Any] = {"column_tasks": TASKS, "sentence": "text", "split_column": "split"} | settings
    module = SentenceTable(str(path), tokenizer=str(folder), **given)
    module.setup("fit")
    module.setup("test")
    return module


def test_a_tag_stands_at_the_first_piece_of_its_word(table: Path, folder: Path) -> None:
    module = data(table, folder)
    assert module.inputs == {"words": InputSpec("words", "tokens", len(PIECES), tokenizer=str(folder))}
    declared = SentenceTable.declare_inputs(
        path=str(table), column_tasks=TASKS, sentence="text", split_column="split", tokenizer=str(folder)
    )
    assert declared == module.inputs
    first, second = (module.train_set[index] for index in range(2))
    assert [PIECES[index] for index in first["words"]] == ["[CLS]", "fly", "to", "os", "##lo", "?", "[SEP]"]
    assert first["slots"].tolist() == [-100, 0, 0, 1, -100, -100, -100]
    assert [PIECES[index] for index in second["words"][1:4]] == ["un", "##der", "##ground"]
    assert second["slots"].tolist() == [-100, 0, -100, -100, 0, 1, 2, -100]
    assert "slots" not in module.val_set[0]
    assert module.val_set[0]["words"].tolist() == [2, 1, 3]
    batch = collate([first, second], module.tasks, module.inputs)
    assert batch["slots"].shape == batch["words"].shape
    assert ((batch["slots"] >= 0) <= batch["words_mask"]).all()


@pytest.mark.parametrize(
    ("change", "settings", "message"),
    [
        (("O O B-city,", "O B-city,"), {}, "line 2: task 'slots' has 2 tags for 3 steps"),
        (("", ""), {"lower": False}, "lower: False has no effect beside `tokenizer`"),
        (("", ""), {"digits": True, "min_count": 2}, "digits: True, min_count: 2 has no effect"),
    ],
)
def test_mistakes_are_named(
    table: Path, folder: Path, change: tuple[str, str], settings: dict[str, Any], message: str
) -> None:
    table.write_text(table.read_text("utf-8").replace(*change, 1), "utf-8")
    with pytest.raises(ValueError, match=message):
        data(table, folder, **settings)


class TestWithTransformers:
    @pytest.fixture(autouse=True)
    def _transformers(self) -> None:
        pytest.importorskip("transformers", reason='needs pip install "mtl[transformers]"')

    def test_a_trained_network_reads_its_own_pieces(self, table: Path, folder: Path) -> None:
        import transformers

        saved(folder)
        module = data(table, folder)
        backbone = TransformersText(dict(module.inputs), folder=str(folder)).eval()
        batch = collate([module.train_set[0], module.test_set[0]], module.tasks, module.inputs)
        theirs = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
        given = transformers.PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"), pad_token="[PAD]")(
            ["Fly to Oslo?", "to York"], padding=True, return_tensors="pt", return_token_type_ids=False
        )
        with torch.no_grad():
            expected, found = theirs(**given).last_hidden_state, backbone(batch["words"], batch["words_mask"])["t1"]
        real = given["attention_mask"].bool()
        torch.testing.assert_close(found[:, : real.shape[1]][real], expected[real], rtol=1e-5, atol=1e-6)

    def test_predicted_tags_are_those_of_words(self, table: Path, folder: Path) -> None:
        saved(folder)
        module = data(table, folder)
        torch.manual_seed(0)
        backbone = TransformersText(dict(module.inputs), folder=str(folder))
        heads = {
            "topic": ClassificationHead(module.tasks["topic"], backbone.spec),
            "slots": TaggingHead(module.tasks["slots"], backbone.spec),
        }
        model = MultiTaskModel(backbone, heads, {n: input_kind(s)(s) for n, s in module.inputs.items()}).eval()
        (folder / "lines.txt").write_text("underground to Oslo?\nfly\n")
        assert predict_text(model, folder / "lines.txt", folder / "out")["sentences"] == 2
        rows = json.loads((folder / "out" / "predictions.json").read_text())["sentences"]
        # CLS un der ground to os lo ? SEP
        read = input_kind(module.inputs["words"]).reader(module.inputs["words"])
        labels = model.predict(
            {"words": read(["underground", "to", "Oslo?"])[None], "words_mask": torch.ones(1, 9) > 0}
        )
        names = [module.tasks["slots"].class_names[index] for index in labels["slots"]["labels"][0].tolist()]
        assert rows[0]["text"] == "underground to Oslo?"
        assert rows[0]["slots"] == " ".join(names[step] for step in (1, 4, 5))
        assert len(rows[1]["slots"].split()) == 1

    def test_a_network_may_have_more_embeddings_than_its_tokenizer_has_tokens(self, table: Path, folder: Path) -> None:
        saved(folder, vocab_size=len(PIECES) + 2)
        assert TransformersText(dict(data(table, folder).inputs), folder=str(folder)).pretrained

    @pytest.mark.parametrize(
        ("vocab_size", "pad_token_id", "message"),
        [
            (len(PIECES) - 1, 0, f"vocabulary of {len(PIECES) - 1}; the tokenizer .* has one of {len(PIECES)}. Take"),
            (len(PIECES), 4, "padding at index 4; its tokenizer pads with 0. Correct pad_token_id"),
        ],
    )
    def test_weights_of_another_tokenizer_are_refused(
        self, table: Path, folder: Path, vocab_size: int, pad_token_id: int, message: str
    ) -> None:
        saved(folder, vocab_size, pad_token_id)
        with pytest.raises(ValueError, match=message):
            TransformersText(dict(data(table, folder).inputs), folder=str(folder))

    def test_a_tokenizer_of_another_folder_is_refused(self, table: Path, folder: Path, tmp_path: Path) -> None:
        other = tmp_path / "other"
        other.mkdir()
        saved(other)
        text = (folder / "tokenizer.json").read_text("utf-8")
        module = data(table, folder)
        assert TransformersText(dict(module.inputs), folder=str(other)).pretrained, "it has no tokenizer of its own"
        (other / "tokenizer.json").write_text(text.replace('"york"', '"rome"'), "utf-8")
        with pytest.raises(ValueError, match=r"token 'rome' at index 9 .* has it at None\. Take the tokenizer and"):
            TransformersText(dict(module.inputs), folder=str(other))
        saved(other, len(PIECES) + 3)
        (other / "tokenizer.json").unlink()
        with pytest.raises(ValueError, match=f"vocabulary of {len(PIECES) + 3}; the tokenizer"):
            TransformersText(dict(module.inputs), folder=str(other))

    def test_random_weights_take_the_tokenizers_size_and_padding(self, table: Path, folder: Path) -> None:
        text = (folder / "tokenizer.json").read_text("utf-8")
        swapped = text.replace('"[PAD]":0', '"[PAD]":9').replace('"york":9', '"york":0')
        swapped = swapped.replace('"[PAD]": 0', '"[PAD]": 9').replace('"york": 9', '"york": 0')
        assert swapped != text
        (folder / "tokenizer.json").write_text(swapped, "utf-8")
        settings = {"model_type": "bert", "hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1}
        backbone = TransformersText(dict(data(table, folder).inputs), settings)
        assert backbone.padding == 9
        assert backbone.embed.embeddings.word_embeddings.weight.shape[0] == len(PIECES)  # type: ignore[union-attr]


def saved(folder: Path, vocab_size: int = len(PIECES), pad_token_id: int = 0) -> None:
    """A small BERT in a folder."""
    import transformers

    torch.manual_seed(5)
    config = transformers.BertConfig(
        vocab_size=vocab_size, pad_token_id=pad_token_id, hidden_size=8, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=16, max_position_embeddings=128,
    )  # fmt: skip
    transformers.AutoModel.from_config(config).save_pretrained(folder)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_run_reads_the_folder_again_when_it_predicts(table: Path, folder: Path) -> None:
    pytest.importorskip("transformers", reason='needs pip install "mtl[transformers]"')
    saved(folder)
    source = {"path": str(table), "column_tasks": TASKS, "sentence": "text", "split_column": "split"}
    config = {
        "data": {"class_path": "SentenceTable", "init_args": source | {"tokenizer": str(folder), "batch_size": 2}},
        "model": {
            "backbone": {"class_path": "TransformersText", "init_args": {"folder": str(folder)}},
            "heads": {"topic": {"class_path": "ClassificationHead"}, "slots": {"class_path": "TaggingHead"}},
            "optim": {"optimizer": {"class_path": "AdamW", "init_args": {"lr": 1e-3}}},
        },
        "trainer": {"max_steps": 2, "accelerator": "cpu"},
    }
    (folder / "own.yaml").write_text(json.dumps(config), "utf-8")
    words = ["fit", "--config", str(folder / "own.yaml"), "--name", "a", "--runs_root", str(folder / "runs")]
    assert main([*words, "--tracking.wandb", "off"]) == 0
    run = folder / "runs" / "own" / "a"
    (folder / "lines.txt").write_text("underground to Oslo?\n", "utf-8")
    last = ["--ckpt_path", str(run / "checkpoints" / "last.ckpt")]
    assert main(["predict", "--run", str(run), *last, "--text", str(folder / "lines.txt")]) == 0
    (row,) = json.loads((run / "predictions" / "predictions.json").read_text("utf-8"))["sentences"]
    assert len(row["slots"].split()) == 3
    pytest.importorskip("onnxscript", reason='needs pip install "mtl[export]"')
    assert main(["export", "--run", str(run), "--checkpoint", "last"]) == 0
    infer = [sys.executable, "infer.py", "model.onnx", "underground to Oslo?"]
    assert not OnnxModel(run / "export/model.onnx").lengths  # any up to the last position of the network
    answer = json.loads(subprocess.run(infer, cwd=run / "export", check=True, capture_output=True, text=True).stdout)
    assert answer["topic"]["class"] == row["topic"]
    assert [tag for _, tag in answer["slots"]] == row["slots"].split()
    assert [word for word, _ in answer["slots"]] == ["underground", "to", "Oslo?"]
