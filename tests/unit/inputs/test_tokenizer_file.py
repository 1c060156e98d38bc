"""Sentences in pieces: the indices, and where each word begins, are those of the package `tokenizers`."""

from pathlib import Path
from typing import Any

import pytest

from mtl.inputs.tokenizer_file import NAME, TokenizerFile
from mtl.inputs.tokens import TokensInput
from mtl.task import InputSpec

tokenizers: Any = pytest.importorskip("tokenizers", reason='needs pip install "mtl[text]"')

TEXTS = ["fly me to new york", "how much is a flight to oslo ?", "Turn on the lights, please!", "naïve café"] * 3
SENTENCES = [
    ["fly", "to", "New", "York?"],
    ["lights,"],
    ["the", "cafés", "unflown", "ÿ", "12:30", "(oslo)!"],
    ["a", "a", "a"],
]


def word_piece() -> Any:
    made = tokenizers.Tokenizer(tokenizers.models.WordPiece(unk_token="[UNK]"))
    made.normalizer = tokenizers.normalizers.BertNormalizer()
    made.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    marks = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    made.train_from_iterator(TEXTS, tokenizers.trainers.WordPieceTrainer(vocab_size=60, special_tokens=marks))
    made.post_processor = tokenizers.processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return made


def byte_level(add_prefix_space: bool, trim_offsets: bool = True) -> Any:
    made = tokenizers.Tokenizer(tokenizers.models.BPE())
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    marks = ["<s>", "<pad>", "</s>"]
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=300, special_tokens=marks, initial_alphabet=alphabet)
    made.train_from_iterator(TEXTS, trainer)
    made.post_processor = tokenizers.processors.RobertaProcessing(
        ("</s>", 2), ("<s>", 0), trim_offsets=trim_offsets, add_prefix_space=add_prefix_space
    )
    return made


def unigram() -> Any:
    made = tokenizers.Tokenizer(tokenizers.models.Unigram())
    made.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    trainer = tokenizers.trainers.UnigramTrainer(
        vocab_size=60, special_tokens=["<unk>", "<pad>", "</s>"], unk_token="<unk>", show_progress=False
    )
    made.train_from_iterator(TEXTS, trainer)
    made.post_processor = tokenizers.processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 2)])
    return made


MADE = {
    "WordPiece": word_piece,
    "byte-level BPE": lambda: byte_level(False),
    "byte-level BPE, a space first": lambda: byte_level(True),
    "byte-level BPE, spaces in pieces": lambda: byte_level(True, trim_offsets=False),
    "Unigram": unigram,
}


@pytest.mark.parametrize("kind", MADE)
def test_indices_and_beginnings_of_words_are_those_of_the_package(kind: str, tmp_path: Path) -> None:
    theirs = MADE[kind]()
    theirs.enable_padding(length=40, pad_id=1)
    theirs.enable_truncation(4)  # files ask for both: batches are padded here, and nothing is cut
    theirs.save(str(tmp_path / NAME))
    ours = TokenizerFile(str(tmp_path))
    theirs.no_padding()
    theirs.no_truncation()
    for words in SENTENCES:
        found = ours(words)
        expected = theirs.encode(" ".join(words))
        assert found.indices == expected.ids
        if kind == "byte-level BPE":  # of words alone none has a space before it, as in a text all but the first have
            starts = [expected.char_to_token(len(" ".join([*words[:place], ""]))) for place in range(len(words))]
            assert found.begins == [step - (expected.tokens[step - 1] == "Ġ") for step in starts]
        else:
            alone = theirs.encode(words, is_pretokenized=True)
            assert alone.ids == expected.ids
            assert found.begins == [alone.word_ids.index(place) for place in range(len(words))]
    assert ours.size == theirs.get_vocab_size() == 1 + max(theirs.get_vocab().values())


@pytest.mark.parametrize("kind", MADE)
def test_the_program_of_an_exported_file_finds_the_same_pieces(kind: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason='needs pip install "mtl[export]"')
    from mtl.export.infer import sentences

    MADE[kind]().save(str(tmp_path / NAME))
    ours = TokenizerFile(str(tmp_path))
    for words in SENTENCES:
        expected = ours(words)
        assert sentences.tokenized(words, ours.text) == (expected.indices, expected.begins)


def test_padding_is_what_the_file_says_or_the_usual_name(tmp_path: Path) -> None:
    made = byte_level(False)
    made.save(str(tmp_path / "named.json"))
    made.enable_padding(pad_id=7)
    made.save(str(tmp_path / "said.json"))
    bare = tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 0, "b": 5}, unk_token="a"))
    bare.save(str(tmp_path / "bare.json"))
    found = [TokenizerFile(str(tmp_path / f"{name}.json")) for name in ("named", "said", "bare")]
    assert [one.padding for one in found] == [1, 7, None]
    assert found[2].size == 6, "indices may have gaps"


def test_the_reader_of_tokens_uses_it_and_says_where_words_begin(tmp_path: Path) -> None:
    word_piece().save(str(tmp_path / NAME))
    spec = InputSpec("words", "tokens", 60, tokenizer=str(tmp_path))
    begins = TokensInput.begins(spec)
    assert begins is not None
    read = TokensInput.reader(spec)(["to", "York?"])
    assert read.tolist() == TokenizerFile(str(tmp_path))(["to", "York?"]).indices
    assert read[0] == 2
    assert read[-1] == 3
    assert begins(["to", "York?"]) == [1, 2]
    assert TokensInput.begins(InputSpec("words", "tokens", 9)) is None


def test_what_is_no_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"there is no tokenizer .*tokenizer\.json'.*nothing is downloaded"):
        TokenizerFile(str(tmp_path))
    (tmp_path / NAME).write_text("{}")
    with pytest.raises(ValueError, match=r"tokenizer\.json' is no tokenizer"):
        TokenizerFile(str(tmp_path))
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 0}, unk_token="a"))
    made.normalizer = tokenizers.normalizers.Replace("b", "")
    made.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    made.save(str(tmp_path / NAME))
    with pytest.raises(ValueError, match="makes nothing of the word 'b'; take it out"):
        TokenizerFile(str(tmp_path))(["a", "b"])
