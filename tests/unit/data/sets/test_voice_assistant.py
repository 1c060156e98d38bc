"""Requests in many languages: what is missing stays missing, and errors name file and line."""

from pathlib import Path
from typing import Any

import pytest
import torch

from mtl.batch import collate
from mtl.data.sets.voice_assistant import VoiceAssistant
from mtl.data.text.pairs import read_numbers, read_pairs
from mtl.functional.sequence.words import split_words
from mtl.targets.text import Text

ROOT = Path(__file__).resolve().parents[4]
DATA = ROOT.parent / "shared/data"
ENGLISH = (
    "# text = Rain today?\n# intent = weather\n1\tRain\tweather\tB-what\n2\ttoday\tweather\tB-when\n3\t?\tweather\tO\n"
)
GERMAN = """# text-en = Rain today?
# text = Regen heute?
# intent = weather
1\tRegen\tweather\tB-what
2\theute\tweather\tB-when
3\t?\tweather\tO

# text-en = wake me at five
# intent: alarm
1\tweck\talarm\tO
2\tmich\talarm\tO
3\tum\talarm\tI-when
4\tfünf\talarm\tI-when
"""
PAIRS = "Go.\tGå.\tCC\nI'm home.\tJag är hemma.\tCC\nTom left.\tTom gick.\tCC\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in {"en.valid.conll": ENGLISH, "de.valid.conll": GERMAN, "swe.txt": PAIRS}.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "splits").mkdir()
    (tmp_path / "splits/train.txt").write_text("en\tvalid\t0\nde\tvalid\t1\n")
    for split in ("val", "test"):
        (tmp_path / f"splits/{split}.txt").write_text("de\tvalid\t0\n")
    (tmp_path / "pairs/splits").mkdir(parents=True)
    (tmp_path / "pairs/swe.txt").write_text(PAIRS)
    for split, lines in {"train": "0\n1\n", "val": "2\n", "test": "2\n"}.items():
        (tmp_path / f"pairs/splits/{split}.txt").write_text(lines)
    return tmp_path


def made(root: Path, stage: str = "fit", **options: Any) -> VoiceAssistant:
    data = VoiceAssistant(root, vocabulary=root / "v.json", **options)
    data.setup(stage)
    return data


def test_what_is_not_known_is_not_labelled(root: Path) -> None:
    data = made(root, pairs=root / "pairs")
    assert data.tasks == VoiceAssistant.declare_tasks(root=root, pairs=root / "pairs", vocabulary=root / "v.json")
    batch = collate([data.train_set[index] for index in range(4)], data.tasks, data.inputs)
    assert batch["labelled/intent"].tolist() == [True, True, False, False]
    assert batch["labelled/slots"].tolist() == [True, True, False, False]
    assert batch["labelled/english"].tolist() == [False, True, True, True]
    text = Text(data.tasks["english"])
    assert [text.text(row) for row in batch["english"]] == ["", "wake me at five", "go.", "i'm home."]
    names = data.tasks["slots"].class_names
    assert [names[tag] for tag in batch["slots"][1] if tag >= 0] == ["O", "O", "B-when", "I-when"]


def test_words_are_those_of_training(root: Path) -> None:
    data = made(root)
    assert set(data.inputs["words"].names[2:]) == {"rain", "today", "?", "weck", "mich", "um", "fünf"}
    assert data.val_set[0]["words"].tolist()[:2] == [1, 1]
    assert 1 in data.val_set[0]["english"].tolist(), "a word that training does not have is unknown"


def test_pieces_of_words_leave_no_word_unknown(root: Path) -> None:
    pytest.importorskip("tokenizers")
    (root / "de.valid.conll").write_text(GERMAN.replace("text-en = Rain today?", "text-en = move it"))
    data = made(root, pairs=root / "pairs", subwords=40)
    text = Text(data.tasks["english"])
    assert text.text(data.val_set[0]["english"]) == "move it", "neither word stands in a training sentence"
    assert 1 not in data.val_set[0]["english"].tolist()


def test_requests_and_translations_are_made_of_the_same_pieces(root: Path) -> None:
    pytest.importorskip("tokenizers")
    options = {"pairs": root / "pairs", "subwords": 60, "piece_input": True}
    data = made(root, **options)
    assert data.inputs == VoiceAssistant.declare_inputs(root=root, vocabulary=root / "v.json", **options)
    names = data.inputs["pieces"].names
    assert names[2:] == data.tasks["english"].class_names[2:]
    rows = data.train_set[1]["pieces"]
    words = ["".join(names[int(piece)].removeprefix("##") for piece in row if piece) for row in rows]
    assert words == ["weck", "mich", "um", "fünf"]
    with pytest.raises(ValueError, match="piece_input=True needs subwords"):
        made(root, piece_input=True)


def test_rare_languages_come_more_often_with_a_temperature(root: Path) -> None:
    data = made(root, pairs=root / "pairs", temperature=5.0)
    assert data.train_set.groups == [2, 1, 0, 0]  # type: ignore[attr-defined]
    assert data.train_dataloader().sampler.members  # type: ignore[attr-defined]
    assert not made(root, pairs=root / "pairs").train_dataloader().sampler.members  # type: ignore[attr-defined]


def test_languages_and_pairs_can_be_fewer(root: Path) -> None:
    assert len(made(root, languages=["de"]).train_set) == 1  # type: ignore[arg-type]
    (root / "v.json").unlink()
    assert len(made(root, pairs=root / "pairs", num_pairs=1).train_set) == 3  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no language 'den' in .*Did you mean 'en'"):
        made(root, languages=["den"])


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("splits/train.txt", "de valid 0\n", r"splits/train.txt', line 1 is 'de valid 0'; expected language"),
        ("splits/train.txt", "de\tvalid\t7\n", r"line 1 names sentence 7 of 2 in de.valid.conll"),
        ("de.valid.conll", "1\tRegen O\n", r"de.valid.conll', line 1 has 2 columns"),
        ("de.valid.conll", "1\tRegen\tx\tQ\n", r"de.valid.conll', line 1 has the tag 'Q'"),
        ("de.valid.conll", "1\tRegen\tx\tO\n", r"has no comment `# intent"),
        ("pairs/swe.txt", "no tab here\n", r"swe.txt', line 1 has no two sentences"),
        ("pairs/splits/train.txt", "0\n3\n", r"train.txt', line 2 is '3'; expected a number from 0 to 2"),
    ],
)
def test_a_bad_line_is_named(root: Path, file: str, content: str, message: str) -> None:
    (root / file).write_text(content)
    if file == "de.valid.conll":
        (root / "splits/train.txt").write_text("de\tvalid\t0\n")
    with pytest.raises(ValueError, match=message):
        made(root, pairs=root / "pairs")


def test_raw_sentences_are_split_at_punctuation() -> None:
    assert split_words("Don't go, Jean-Luc! (¿Qué?)") == [
        "Don't",
        "go",
        ",",
        "Jean-Luc",
        "!",
        "(",
        "¿",
        "Qué",
        "?",
        ")",
    ]


def test_pairs_keep_their_first_two_columns(root: Path) -> None:
    assert read_pairs(root / "swe.txt")[1] == ("I'm home.", "Jag är hemma.")
    assert read_numbers(root / "pairs/splits/train.txt", 3) == [0, 1]


@pytest.mark.slow
def test_real_files_are_read(tmp_path: Path) -> None:
    if not (DATA / "xsid").is_dir() or not (DATA / "tatoeba_en_sv").is_dir():
        pytest.skip(f"{DATA / 'xsid'} or {DATA / 'tatoeba_en_sv'} is not here")
    data = VoiceAssistant(DATA / "xsid", DATA / "tatoeba_en_sv", 100, vocabulary=tmp_path / "v.json")
    data.setup("test")
    assert (data.tasks["intent"].num_classes, data.tasks["slots"].num_classes) == (16, 71)
    assert sum("intent" in sample for sample in data.test_set.samples) == 1596  # type: ignore[attr-defined]
    assert sum("english" in sample for sample in data.test_set.samples) == 1482 + 1001  # type: ignore[attr-defined]
    assert all(torch.is_tensor(data.test_set[index]["words"]) for index in (0, 2000))
