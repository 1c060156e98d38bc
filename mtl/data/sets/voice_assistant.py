"""`VoiceAssistant`: requests in many languages with intent, slots and translation, and pairs that only translate.

Source: xSID (van der Goot et al., NAACL 2021; CC BY-SA 4.0), `{language}.{valid,test}.conll` and
`splits/{train,val,test}.txt` with language, file and number of a sentence; Tatoeba pairs (CC BY 2.0 FR), `swe.txt` with
English, tab, Swedish, and `splits/*.txt` with numbers of lines.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from mtl.data.module import JointDataModule, OnUnlabelled
from mtl.data.sources.fetch import how_to_fetch
from mtl.data.text.conll import ConllSentence, read_conll
from mtl.data.text.lines import read_lines
from mtl.data.text.pairs import read_numbers, read_pairs
from mtl.data.text.subwords import find_pieces
from mtl.data.text.text_set import TextSet
from mtl.data.text.vocabulary import Names, fingerprint, vocabulary, written_once
from mtl.errors import did_you_mean
from mtl.functional.sequence.iob import names_of_tags
from mtl.functional.sequence.words import lower_words, split_words
from mtl.inputs.pieces import split_word
from mtl.inputs.tokens import SPECIAL as INPUT_SPECIAL
from mtl.inputs.tokens import without_digits
from mtl.targets.text import SPECIAL, UNKNOWN
from mtl.task import Inputs, InputSpec, Task

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Request:
    """One sentence, with what is known of it.

    Args:
        words: its words.
        intent: what it asks for.
        tags: one IOB tag a word.
        english: words of its translation, in lower case.
        language: of the request; empty for the pairs.
    """

    words: list[str]
    intent: str | None = None
    tags: list[str] | None = None
    english: list[str] | None = None
    language: str = ""


class VoiceAssistant(JointDataModule):
    """Tasks: `intent` (classification), `slots` (tags), `english` (text). Inputs: `words`, `characters`, also `pieces`.

    English requests have no translation, and the pairs have nothing else.

    Args:
        root: folder of xSID.
        pairs: folder of the Tatoeba pairs; none by default.
        num_pairs: how many of them train, spread over all lengths; all by default.
        languages: of the requests; all by default.
        vocabulary: JSON file that keeps words and classes; written at the first use, `root/vocab.json` by default.
        min_count: words that occur less often in training are unknown, on both sides.
        subwords: translate into so many pieces of words, of which none is unknown; 0 for whole words. The pieces are
            found once, with the package `tokenizers` (extra `text`).
        piece_input: give the requests as pieces too, the input `pieces`, found in all languages together, so that a
            translation can copy names; it needs `subwords`.
        max_words: longest sentence; a longer one is an error.
        batch_size: sentences per training step and process.
        batch_tokens: most words of a training step and process, padding included; no limit by default.
        temperature: 1 draws each sentence once in an epoch; above it, rarer languages come more often.
        eval_batch_size: sentences per validation and test step.
        num_workers: loader processes; the sentences are in memory, so 0 is best.
        seed: seed of the order of training sentences.
        on_unlabelled: as for every data module.
    """

    def __init__(
        self,
        root: str | Path,
        pairs: str | Path | None = None,
        num_pairs: int | None = None,
        languages: list[str] | None = None,
        vocabulary: str | Path | None = None,
        min_count: int = 1,
        subwords: int = 0,
        piece_input: bool = False,
        max_words: int = 128,
        batch_size: int = 64,
        batch_tokens: int | None = None,
        temperature: float = 1.0,
        eval_batch_size: int | None = 128,
        num_workers: int = 0,
        seed: int = 0,
        on_unlabelled: OnUnlabelled = "error",
    ) -> None:
        self.source = _Source(
            Path(root),
            Path(pairs) if pairs else None,
            num_pairs,
            tuple(languages or ()),
            min_count,
            subwords,
            piece_input,
            max_words,
        )
        if piece_input and not subwords:
            raise ValueError("piece_input=True needs subwords, the number of pieces, above 0; 2000 is a fair start.")
        names = self.source.names(vocabulary)
        super().__init__(_tasks(names), batch_size, eval_batch_size, num_workers, seed, on_unlabelled=on_unlabelled)
        self.inputs = _inputs(names)
        self.batch_tokens = batch_tokens
        self.temperature = temperature

    @classmethod
    def declare_tasks(cls, **init_args: Any) -> dict[str, Task]:
        return _tasks(_declared(init_args))

    @classmethod
    def declare_inputs(cls, **init_args: Any) -> Inputs:
        return _inputs(_declared(init_args))

    def setup(self, stage: str) -> None:
        for split in ("train", "val") if stage == "fit" else ("val",) if stage == "validate" else ("test",):
            if not hasattr(self, f"{split}_set"):
                setattr(self, f"{split}_set", self._set(list(self.source.requests(split))))

    def _set(self, requests: list[Request]) -> TextSet:
        intents, tags, english = (
            {name: number for number, name in enumerate(self.tasks[task].class_names)}
            for task in ("intent", "slots", "english")
        )
        targets: dict[str, list[Any]] = {
            "intent": [None if r.intent is None else intents[r.intent] for r in requests],
            "slots": [None if r.tags is None else torch.tensor([tags[tag] for tag in r.tags]) for r in requests],
            "english": [
                None if r.english is None else torch.tensor(list(_encoded(r.english, english, self.source.subwords)))
                for r in requests
            ],
        }
        languages = {name: number for number, name in enumerate(sorted({r.language for r in requests}))}
        groups = [languages[request.language] for request in requests]
        return TextSet([request.words for request in requests], self.inputs, targets, groups)


@dataclass(frozen=True)
class _Source:
    root: Path
    pairs: Path | None
    num_pairs: int | None
    languages: tuple[str, ...]
    min_count: int
    subwords: int
    piece_input: bool
    max_words: int

    def requests(self, split: str) -> Iterator[Request]:
        files: dict[tuple[str, str], list[ConllSentence]] = {}
        listed = self.root / "splits" / f"{split}.txt"
        for number, line in enumerate(read_lines(listed), start=1):
            where = f"{str(listed)!r}, line {number}"
            columns = line.split("\t")
            if len(columns) != 3 or not columns[2].strip().isdecimal():
                raise ValueError(f"{where} is {line!r}; expected language, file and number, with tabs between.")
            language, file, place = columns
            if self.languages and language not in self.languages:
                continue
            if (language, file) not in files:
                path = self.root / f"{language}.{file}.conll"
                files[language, file] = list(read_conll(path, self.max_words))
            sentences = files[language, file]
            if int(place) >= len(sentences):
                raise ValueError(f"{where} names sentence {place} of {len(sentences)} in {language}.{file}.conll.")
            sentence = sentences[int(place)]
            if "intent" not in sentence.comments:
                raise ValueError(f"{sentence.where}: the sentence has no comment `# intent = ...`.")
            english = sentence.comments.get("text-en")
            words = None if english is None else list(lower_words(english))
            yield Request(sentence.words, sentence.comments["intent"], sentence.tags, words, language)
        if self.pairs is not None:
            every = read_pairs(self.pairs / "swe.txt")
            numbers = read_numbers(self.pairs / "splits" / f"{split}.txt", len(every))
            if split == "train" and self.num_pairs is not None:
                step = max(1, len(numbers) // max(1, self.num_pairs))  # the file is sorted by length
                numbers = list(islice(numbers[::step], self.num_pairs))
            for chosen in numbers:
                text_en, swedish = every[chosen]
                yield Request(split_words(swedish), english=list(lower_words(text_en)))

    def names(self, file: str | Path | None) -> Names:
        files = sorted(self.root.glob("*.conll")) + [self.root / "splits" / f"{split}.txt" for split in SPLITS]
        if self.pairs is not None:
            files += [self.pairs / "swe.txt", *(self.pairs / "splits" / f"{split}.txt" for split in SPLITS)]
        for path in files:
            if not path.is_file():
                raise ValueError(
                    f"there is no file {str(path)!r}; `root` is the folder of xSID, `pairs` of Tatoeba."
                    f"{how_to_fetch(path)}"
                )
        known = {path.name.split(".")[0] for path in files if path.suffix == ".conll"}
        for language in self.languages:
            if language not in known:
                raise ValueError(
                    f"there is no language {language!r} in {str(self.root)!r}.{did_you_mean(language, known)} There "
                    f"are {', '.join(sorted(known))}."
                )
        settings = {"num_pairs": self.num_pairs, "languages": self.languages, "min_count": self.min_count}
        settings |= {"subwords": self.subwords} | ({"piece_input": True} if self.piece_input else {})
        return written_once(
            Path(file) if file else self.root / "vocab.json", fingerprint(files, settings), self._read_names
        )

    def _read_names(self) -> Names:
        splits = {split: list(self.requests(split)) for split in SPLITS}
        every = [request for requests in splits.values() for request in requests]
        words = [word for request in splits["train"] for word in request.words]
        english = [word for request in splits["train"] for word in request.english or ()]
        both = english + ([word.lower() for word in words] if self.piece_input else [])
        pieces = find_pieces(both, self.subwords) if self.subwords else vocabulary(english, self.min_count)[2:]
        slots = sorted({tag[2:] for request in every for tag in request.tags or () if tag != "O"})
        return {
            "words": vocabulary((without_digits(word.lower()) for word in words), self.min_count),
            "characters": vocabulary(letter for word in words for letter in word),
            "english": (*SPECIAL, *pieces),
            "intents": tuple(sorted({r.intent for r in every if r.intent is not None})),
            "tags": names_of_tags(slots),
        } | ({"pieces": (*INPUT_SPECIAL, *pieces)} if self.piece_input else {})


def _declared(init_args: dict[str, Any]) -> Names:
    defaults: dict[str, Any] = {"pairs": None, "num_pairs": None, "languages": None, "min_count": 1}
    defaults |= {"subwords": 0, "piece_input": False, "max_words": 128}
    of = {name: init_args.get(name, default) for name, default in defaults.items()}
    pairs = Path(of["pairs"]) if of["pairs"] else None
    languages = tuple(of["languages"] or ())
    source = _Source(
        Path(init_args["root"]),
        pairs,
        of["num_pairs"],
        languages,
        of["min_count"],
        of["subwords"],
        of["piece_input"],
        of["max_words"],
    )
    return source.names(init_args.get("vocabulary"))


def _encoded(words: list[str], index: dict[str, int], subwords: int) -> Iterator[int]:
    for word in words:
        parts = split_word(word, index) if subwords else [word]
        yield from [UNKNOWN] if parts is None else [index.get(part, UNKNOWN) for part in parts]


def _tasks(names: Names) -> dict[str, Task]:
    return {
        "intent": Task("intent", "classification", class_names=names["intents"]),
        "slots": Task("slots", "tags", class_names=names["tags"]),
        "english": Task("english", "text", class_names=names["english"]),
    }


def _inputs(names: Names) -> Inputs:
    kinds = {"words": "tokens", "characters": "characters", "pieces": "pieces"}
    return {name: InputSpec(name, kind, names=names[name]) for name, kind in kinds.items() if name in names}
