"""`IntentSlots`: what a sentence asks for (intent) and the values it names (slots): the layout of ATIS and SNIPS.

Source: `{train,valid,test}/seq.in` one sentence a line, `seq.out` one IOB tag a word, `label` one intent a line, as in
Goo et al., "Slot-Gated Modeling for Joint Slot Filling and Intent Prediction", NAACL 2018.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mtl.data.module import JointDataModule, OnUnlabelled
from mtl.data.sources.fetch import how_to_fetch
from mtl.data.text.lines import check_length, read_lines, words_of
from mtl.data.text.text_set import TextSet
from mtl.data.text.vocabulary import Names, fingerprint, vocabulary, written_once
from mtl.errors import did_you_mean
from mtl.functional.sequence.iob import iob, names_of_tags
from mtl.inputs.tokens import without_digits
from mtl.task import Inputs, InputSpec, Task

FILES = ("seq.in", "seq.out", "label")
FOLDERS = {"train": ("train",), "val": ("valid", "val", "dev"), "test": ("test",)}


@dataclass(frozen=True)
class Sentence:
    """One line of the three files.

    Args:
        words: its words.
        tags: one IOB tag a word.
        intent: what it asks for.
        where: file and line, for messages.
    """

    words: list[str]
    tags: list[str]
    intent: str
    where: str


class IntentSlots(JointDataModule):
    """Tasks: `intent` (classification) and `slots` (tags). Inputs: `words`, and `characters` of each word.

    Words are known from the training sentences only. Classes come from all splits, so that a class that only the
    test has counts as a miss, or those that are declared. An `I-` tag that continues nothing begins a span.

    Args:
        root: folder of `train`, `valid` (or `val`, `dev`) and `test`.
        vocabulary: JSON file that keeps words and classes; written at the first use, `root/vocab.json` by default.
        intents: names of the intents; by default the ones in the files. Any other is an error.
        slots: names of the slots without `B-` and `I-`; by default the ones in the files.
        characters: give the letters of every word beside its index, for words that training does not have.
        lower: a word that only differs in case is the same word; letters keep their case.
        digits: a word that only differs in its digits is the same word; letters keep the digits.
        min_count: words that occur less often in training are unknown.
        max_words: longest sentence; a longer line is an error.
        batch_size: sentences per training step and process.
        batch_tokens: most words of a training step and process, padding included; no limit by default.
        eval_batch_size: sentences per validation and test step.
        num_workers: loader processes; the sentences are in memory, so 0 is best.
        seed: seed of the order of training sentences.
        on_unlabelled: as for every data module.
    """

    def __init__(
        self,
        root: str | Path,
        vocabulary: str | Path | None = None,
        intents: list[str] | None = None,
        slots: list[str] | None = None,
        characters: bool = True,
        lower: bool = True,
        digits: bool = True,
        min_count: int = 1,
        max_words: int = 512,
        batch_size: int = 32,
        batch_tokens: int | None = None,
        eval_batch_size: int | None = 128,
        num_workers: int = 0,
        seed: int = 0,
        on_unlabelled: OnUnlabelled = "error",
    ) -> None:
        settings = {"lower": lower, "digits": digits, "min_count": min_count, "max_words": max_words}
        names = _names(root, vocabulary, intents, slots, settings)
        super().__init__(_tasks(names), batch_size, eval_batch_size, num_workers, seed, on_unlabelled=on_unlabelled)
        self.root = Path(root)
        self.max_words = max_words
        self.batch_tokens = batch_tokens
        self.inputs = _inputs(names, characters)

    @classmethod
    def declare_tasks(cls, **init_args: Any) -> dict[str, Task]:
        return _tasks(_names(**_of_names(init_args)))

    @classmethod
    def declare_inputs(cls, characters: bool = True, **init_args: Any) -> Inputs:
        return _inputs(_names(**_of_names(init_args)), characters)

    @classmethod
    def example_args(cls, folder: Path) -> dict[str, Any]:
        places = ("oslo", "rome", "new york", "bern", "san juan", "lima")
        for split, chosen in (("train", places), ("valid", places[:3]), ("test", places[3:])):
            (folder / split).mkdir()
            words = "from" if split == "test" else "to"
            tags = [" ".join(["B-place", "I-place"][: len(place.split())]) for place in chosen]
            lines = {
                "seq.in": [f"flights {words} {place}" for place in chosen],
                "seq.out": [f"O O {tag}" for tag in tags],
                "label": ["flight" if len(place) % 2 else "fare" for place in chosen],
            }
            for name, text in lines.items():
                (folder / split / name).write_text("\n".join(text) + "\n", encoding="utf-8")
        return {"root": str(folder)}

    def setup(self, stage: str) -> None:
        for split in ("train", "val") if stage == "fit" else ("val",) if stage == "validate" else ("test",):
            if not hasattr(self, f"{split}_set"):
                setattr(self, f"{split}_set", self._read(split))

    def _read(self, split: str) -> TextSet:
        intents, tags = (
            {name: number for number, name in enumerate(self.tasks[task].class_names)} for task in ("intent", "slots")
        )
        sentences = list(read_split(self.root, split, self.max_words))
        for sentence in sentences:
            _refuse_unknown("intent", [sentence.intent], intents, sentence.where)
            _refuse_unknown("tag", sentence.tags, tags, sentence.where)
        targets: dict[str, list[Any]] = {
            "intent": [intents[sentence.intent] for sentence in sentences],
            "slots": [torch.tensor([tags[tag] for tag in sentence.tags]) for sentence in sentences],
        }
        return TextSet([sentence.words for sentence in sentences], self.inputs, targets)


def read_split(root: Path, split: str, max_words: int) -> Iterator[Sentence]:
    """The sentences of one split.

    Args:
        root: folder of the splits.
        split: `train`, `val` or `test`.
        max_words: longest sentence.

    Raises:
        ValueError: naming file and line, for files that do not fit each other, and for what is no tag.
    """
    folder = _folder(root, split)
    files = {name: folder / name for name in FILES}
    lines = {name: read_lines(file) for name, file in files.items()}
    if len({len(found) for found in lines.values()}) > 1:
        counts = ", ".join(f"{name} {len(found):,}" for name, found in lines.items())
        raise ValueError(
            f"the files of {str(folder)!r} differ in their number of lines: {counts}. Line N of each is one sentence."
        )
    for number, (text, tagged, intent) in enumerate(zip(*lines.values(), strict=True), start=1):
        where = {name: f"{str(file)!r}, line {number}" for name, file in files.items()}
        words, tags = words_of(text), words_of(tagged)
        check_length(words, max_words, where["seq.in"])
        if len(words) != len(tags):
            raise ValueError(
                f"{where['seq.out']} has {len(tags)} tags, and seq.in has {len(words)} words there; expected one tag a "
                "word."
            )
        if len(words_of(intent)) != 1:
            raise ValueError(f"{where['label']} is {intent!r}; expected one intent without spaces.")
        yield Sentence(words, list(iob(tags, where["seq.out"])), intent.strip(), where["seq.in"])


def _folder(root: Path, split: str) -> Path:
    for name in FOLDERS[split]:
        if (root / name).is_dir():
            return root / name
    raise ValueError(
        f"{str(root)!r} has no folder {' or '.join(FOLDERS[split])}; `root` holds train, valid and test, each with "
        f"{', '.join(FILES)}."
    )


def _of_names(init_args: dict[str, Any]) -> dict[str, Any]:
    settings = {"lower": True, "digits": True, "min_count": 1, "max_words": 512}
    return {name: init_args.get(name) for name in ("root", "vocabulary", "intents", "slots")} | {
        "settings": {name: init_args.get(name, default) for name, default in settings.items()}
    }


def _names(
    root: str | Path,
    vocabulary: str | Path | None,
    intents: Sequence[str] | None,
    slots: Sequence[str] | None,
    settings: dict[str, Any],
) -> Names:
    """Words and letters of the training sentences, and the classes that are declared or found in any split."""
    root = Path(root)
    declared = {"intents": intents, "slots": slots}
    files = [_folder(root, split) / name for split in FOLDERS for name in FILES]
    for file in files:
        if not file.is_file():
            raise ValueError(f"there is no file {str(file)!r}; each split has {', '.join(FILES)}.{how_to_fetch(file)}")
    of = fingerprint(files, settings | declared)
    file = Path(vocabulary) if vocabulary else root / "vocab.json"
    return written_once(file, of, lambda: _read_names(root, intents, slots, settings))


def _read_names(
    root: Path, intents: Sequence[str] | None, slots: Sequence[str] | None, settings: dict[str, Any]
) -> Names:
    splits = {split: list(read_split(root, split, settings["max_words"])) for split in FOLDERS}
    words = [word for sentence in splits["train"] for word in sentence.words]
    everything = [sentence for sentences in splits.values() for sentence in sentences]
    if intents is None:
        intents = sorted({sentence.intent for sentence in everything})
    if slots is None:
        slots = sorted({tag[2:] for sentence in everything for tag in sentence.tags if tag != "O"})
    as_words = [word.lower() for word in words] if settings["lower"] else words
    as_words = [without_digits(word) for word in as_words] if settings["digits"] else as_words
    return {
        "words": vocabulary(as_words, settings["min_count"]),
        "characters": vocabulary(letter for word in words for letter in word),
        "intents": tuple(intents),
        "tags": names_of_tags(slots),
    }


def _tasks(names: Names) -> dict[str, Task]:
    return {
        "intent": Task("intent", "classification", class_names=names["intents"]),
        "slots": Task("slots", "tags", class_names=names["tags"]),
    }


def _inputs(names: Names, characters: bool) -> Inputs:
    words = {"words": InputSpec("words", "tokens", names=names["words"])}
    letters = {"characters": InputSpec("characters", "characters", names=names["characters"])}
    return words | letters if characters else words


def _refuse_unknown(what: str, found: Sequence[str], known: dict[str, int], where: str) -> None:
    for name in found:
        if name not in known:
            raise ValueError(
                f"{where}: the {what} {name!r} is not one of the {len(known)} that are declared."
                f"{did_you_mean(name, known)} Add it, or correct the file."
            )
