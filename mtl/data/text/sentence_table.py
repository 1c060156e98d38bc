"""`SentenceTable`: sentences of your own, a column of a CSV file, with classes, tags, texts or numbers beside them.

Words are known from the training rows only; they stand in a small file that is written once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mtl.batch import Sample
from mtl.config.paths import expanded
from mtl.data.csv_rows import Row, Rows, read_csv
from mtl.data.folder.class_names import labelled_cells
from mtl.data.folder.image_labels import ImageLabels
from mtl.data.table.csv_table import check_table, named
from mtl.data.table.sequence_table import BEGINS, SequenceTable
from mtl.data.table.splits import check_settings, splits_of
from mtl.data.text.lines import check_characters, check_length, split_marks, words_of
from mtl.data.text.vocabulary import Names, fingerprint, vocabulary, written_once
from mtl.inputs.input import input_kind
from mtl.inputs.tokenizer_file import tokenizer_of
from mtl.inputs.tokens import without_digits
from mtl.targets.target import kinds
from mtl.task import Inputs, InputSpec, Task

_SPLITS = {
    "split_column": None,
    "split_cells": None,
    "fractions": None,
    "split_seed": 0,
    "stratify": None,
    "group": None,
}
_WORDS = {"sentence": "sentence", "lower": True, "digits": False, "min_count": 1, "max_words": 512}


class SentenceTable(SequenceTable):
    """Rows with a sentence each. Inputs: `words`, and `characters` of each word; `row` with columns of numbers.

    Words are split at spaces; a mark at the edge of a word is a word of its own, unless a task has one tag a word.

    Args:
        path: the CSV file; relative paths are relative to the working directory.
        column_tasks: tasks by name; each says what its column means: `topic: {}` (classes as the column has them),
            `stars: {kind: regression}`, `names: {kind: tags}` (a tag a word, with spaces between), `english:
            {kind: text}` (a translation, of words that the training rows have).
        sentence: column of the sentences.
        characters: give the letters of every word beside its index, for words that training does not have.
        lower: a word that only differs in case is the same word; letters keep their case.
        digits: a word that only differs in its digits is the same word; letters keep the digits.
        min_count: words that occur less often in training are unknown.
        max_words: longest sentence; a longer one is an error.
        vocabulary: JSON file that keeps the words; written at the first use, beside the table by default.
        tokenizer: local folder with a `tokenizer.json`, whose pieces `words` are then, as a trained network of that
            folder reads them (`TransformersText`); words keep the marks at their edges, and a tag stands at the first
            piece of its word. There are no `characters`. Needs the extra `text`.
        **kwargs: arguments of `SequenceTable` and `TableDataModule`.
    """

    def __init__(
        self,
        path: str,
        column_tasks: dict[str, ImageLabels],
        sentence: str = "sentence",
        characters: bool = True,
        lower: bool = True,
        digits: bool = False,
        min_count: int = 1,
        max_words: int = 512,
        vocabulary: str | None = None,
        tokenizer: str | None = None,
        **kwargs: Any,
    ) -> None:
        if tokenizer is not None:
            _refuse_idle(lower=lower, digits=digits, min_count=min_count)
        given = {"sentence": sentence, "lower": lower, "digits": digits, "min_count": min_count, "max_words": max_words}
        tasks = named(column_tasks, path)
        names = _names(path, tasks, vocabulary, given | kwargs)
        super().__init__(path, _with_texts(tasks, names), **kwargs)
        self.inputs = {**_inputs(names, characters, tokenizer), **self.inputs}
        self.sentence, self.max_words = sentence, max_words
        self.whole_words = _whole_words(tasks) or tokenizer is not None

    @classmethod
    def declare_tasks(
        cls, *, column_tasks: Mapping[str, Any] | None = None, path: str | None = None, **init_args: Any
    ) -> dict[str, Task]:
        if path is None:
            return super().declare_tasks(column_tasks=column_tasks)
        tasks = named(column_tasks, path)
        names = _names(path, tasks, init_args.get("vocabulary"), init_args)
        return super().declare_tasks(column_tasks=_with_texts(tasks, names))

    @classmethod
    def declare_inputs(
        cls,
        *,
        path: str = "",
        column_tasks: Mapping[str, Any] | None = None,
        characters: bool = True,
        tokenizer: str | None = None,
        **init_args: Any,
    ) -> Inputs:
        tasks = named(column_tasks, path)
        names = _names(path, tasks, init_args.get("vocabulary"), init_args)
        return {**_inputs(names, characters, tokenizer), **super().declare_inputs(**init_args)}

    @classmethod
    def example_args(cls, folder: Path) -> dict[str, Any]:
        places = ("Oslo", "Rome", "New York", "Bern", "San Juan", "Lima")
        splits = ("train", "train", "train", "train", "val", "test")
        lines = ["sentence,topic,names,length,spanish,split"]
        for number in range(24):
            place = places[number % 6]
            tags = " ".join(["O", "O", *["B-place", "I-place"][: len(place.split())]])
            words = f"flights {'from' if number % 2 else 'to'} {place}"
            lines.append(f"{words},{'air' if number % 4 else ''},{tags},{number},vuelos {place},{splits[number % 6]}")
        lines += ["how much to Lima,fare,O O O B-place,,,train"]
        (folder / "sentences.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return {
            "path": str(folder / "sentences.csv"),
            "column_tasks": {
                "topic": {},
                "names": {"kind": "tags"},
                "length": {"kind": "regression"},
                "spanish": {"kind": "text"},
            },
            "split_column": "split",
        }

    def more_columns(self) -> list[str]:
        return [self.sentence]

    def read_sequences(self, rows: Rows, split: str) -> tuple[Rows, list[Sample]]:
        readers = {
            name: input_kind(spec).reader(spec) for name, spec in self.inputs.items() if name in ("words", "characters")
        }
        every = _sentences(rows, self.sentence, self.max_words, self.whole_words)
        samples: list[Sample] = [{name: read(words) for name, read in readers.items()} for words in every]
        begins = input_kind(self.inputs["words"]).begins(self.inputs["words"])
        if begins is not None:
            samples = [sample | {BEGINS: begins(words)} for sample, words in zip(samples, every, strict=True)]
        return rows, samples

    def steps_of(self, sample: Sample) -> int:
        return len(sample["words"])

    def text_of(self, row: Row) -> str:
        return row[self.sentence].strip()


def _sentences(rows: Rows, column: str, max_words: int, whole_words: bool) -> list[list[str]]:
    """The words of every row."""
    found = []
    for row, line in zip(rows.rows, rows.lines, strict=True):
        where = f"{rows.source}, line {line}"
        text = " ".join(row[column].split("\n"))  # a cell may hold several lines
        check_characters(text, where)
        words = words_of(text)
        check_length(words, max_words, where)
        found.append(words if whole_words else [part for word in words for part in split_marks(word)])
    return found


def _whole_words(tasks: Mapping[str, Any]) -> bool:
    return any(kinds()[spec.kind].of_steps for spec in map(ImageLabels.of, tasks.values()) if spec.kind in kinds())


def _names(path: str, tasks: Mapping[str, Any], file: str | None, given: Mapping[str, Any]) -> Names:
    """Words and letters of the training sentences, and the words of the texts to write."""
    table = Path(expanded(path))
    check_table(table)
    settings = {name: given.get(name, default) for name, default in {**_WORDS, **_SPLITS}.items()}
    check_settings(**{name: settings[name] for name in _SPLITS})
    texts = {name: spec for name, spec in ((n, ImageLabels.of(s)) for n, s in tasks.items()) if _is_text(spec)}
    used = [column for name, spec in texts.items() for column in (*spec.read_columns(name), *spec.only_where)]
    used += [settings[role] for role in ("sentence", "split_column", "stratify", "group") if settings[role]]
    rows = read_csv(table, used, "Set `sentence` to the column of the sentences.")
    meant = {name: vars(spec) for name, spec in texts.items()}
    of = fingerprint([table], {**settings, "texts": meant, "whole_words": _whole_words(tasks)})

    def read() -> Names:
        splits = splits_of(rows, **{name: settings[name] for name in _SPLITS})
        train = rows.at(splits["train"].tolist())
        every = _sentences(train, settings["sentence"], settings["max_words"], _whole_words(tasks))
        words = [word for sentence in every for word in sentence]
        forms = [word.lower() for word in words] if settings["lower"] else words
        forms = [without_digits(word) for word in forms] if settings["digits"] else forms
        found: Names = {
            "words": vocabulary(forms, settings["min_count"]),
            "characters": vocabulary(letter for word in words for letter in word),
        }
        for name, spec in texts.items():
            (column,) = spec.read_columns(name)
            cells = labelled_cells(train, column, spec)
            found[f"text {name}"] = kinds()[spec.kind].names_in(cells, spec.separator)
        return found

    return written_once(Path(expanded(file)) if file else table.with_suffix(".vocab.json"), of, read)


def _is_text(spec: ImageLabels) -> bool:
    """Whether a task needs words that only the training rows tell."""
    return spec.kind in kinds() and kinds()[spec.kind].open_names and not (spec.classes or spec.columns)


def _with_texts(tasks: Mapping[str, Any], names: Names) -> dict[str, ImageLabels]:
    specs = {name: ImageLabels.of(spec) for name, spec in tasks.items()}
    return {
        name: replace(spec, classes=list(names[f"text {name}"])) if _is_text(spec) else spec
        for name, spec in specs.items()
    }


def _refuse_idle(**settings: Any) -> None:
    """Refuse settings of a vocabulary of words beside a tokenizer, which has its own."""
    idle = [f"{name}: {value}" for name, value in settings.items() if value != _WORDS[name]]
    if idle:
        raise ValueError(
            f"{', '.join(idle)} has no effect beside `tokenizer`, which splits words itself; leave it out."
        )


def _inputs(names: Names, characters: bool, tokenizer: str | None = None) -> Inputs:
    if tokenizer is not None:
        return {"words": InputSpec("words", "tokens", tokenizer_of(tokenizer).size, tokenizer=tokenizer)}
    kinds_of: Sequence[tuple[str, str]] = [("words", "tokens"), *([("characters", "characters")] if characters else [])]
    return {name: InputSpec(name, kind, names=names[name]) for name, kind in kinds_of}
