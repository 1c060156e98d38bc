"""Run an exported model on sentences without PyTorch: python infer.py model.onnx "one sentence" ...

Needs onnxruntime and numpy, and the package tokenizers where the model reads pieces of one. Prints a line of JSON for
each sentence; without any, lines of standard input are read.
"""

import functools
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

KINDS = ("tokens", "characters", "pieces")  # of inputs that are prepared here
BY_NAMES = True  # whether these inputs must have names, or a tokenizer
ANSWERS = ("tags", "text")  # kinds of tasks whose answers only this program makes out
UNKNOWN, MULTIPLE = 1, 8  # sentences are padded with 0 to a multiple of steps, as in training
LETTERS, PIECES, PIECE = 32, 12, "##"  # of a longer word, the first ones are read
MARKS = re.compile(r"(['\"(¿¡]*)(.*?\w.*?)([.,;:!?'\")]*)")  # at the edges of a word


def forms(text: str) -> tuple[str, ...]:
    """A word as it is, in lower case, and with 0 for every digit."""
    return (text, text.lower(), re.sub(r"\d", "0", text), re.sub(r"\d", "0", text.lower()))


def split(sentence: str, known: set[str]) -> list[str]:
    """The words of a sentence; marks at the edges of an unknown one are words of their own, or left out if unknown."""
    found: list[str] = []
    for text in re.split("[ \t]+", sentence.strip(" \t")):
        marked = None if any(form in known for form in forms(text)) else MARKS.fullmatch(text)
        parts = [text] if marked is None else [*marked[1], marked[2], *marked[3]]
        found += [part for part in parts if part in known or any(letter.isalnum() for letter in part)] or parts
    return found


def word(text: str, known: dict[str, int]) -> list[int]:
    """The index of a word as training knew it."""
    return [next((known[form] for form in forms(text) if form in known), UNKNOWN)]


def pieces(text: str, known: dict[str, int]) -> list[int]:
    """The indices of the longest pieces that a word is made of."""
    found: list[int] = []
    text, start = text.lower(), 0
    while start < len(text):
        names = {end: PIECE * (start > 0) + text[start:end] for end in range(len(text), start, -1)}
        end = next((end for end, name in names.items() if name in known), 0)
        if not end:
            return [UNKNOWN]
        found, start = [*found, known[names[end]]], end
    return found[:PIECES]


@functools.cache
def tokenizer_of(text: str) -> Any:
    """The tokenizer that the file of the model holds."""
    import tokenizers

    return tokenizers.Tokenizer.from_str(text)


def tokenized(words: list[str], text: str) -> tuple[list[int], list[int]]:
    """The indices of a sentence's pieces, and the step at which each word begins."""
    found = tokenizer_of(text).encode(" ".join(words), add_special_tokens=True)
    ends = np.cumsum([len(one) + 1 for one in words]) - 1
    begins: dict[int, int] = {}
    for step, ((start, end), special) in enumerate(zip(found.offsets, found.special_tokens_mask, strict=True)):
        if not special:  # the last letter of a piece says of which word it is
            begins.setdefault(int(np.searchsorted(ends, max(end, start + 1))), step)
    if lost := [one for number, one in enumerate(words) if number not in begins]:
        raise ValueError(f"the tokenizer makes nothing of the word {lost[0]!r}")
    return list(found.ids), [begins[number] for number in range(len(words))]


def prepare(words: list[str], kind: str, names: list[str]) -> Any:
    """A sentence as one input of the network, [1,T] or [1,T,L]."""
    known = {name: index for index, name in enumerate(names) if index > UNKNOWN}
    if kind == "tokens":
        rows = [word(text, known) for text in words]
    elif kind == "pieces":
        rows = [pieces(text, known) for text in words]
    else:
        rows = [[known.get(letter, UNKNOWN) for letter in text[:LETTERS]] for text in words]
    made = np.zeros((1, len(words), max(map(len, rows))), np.int64)
    for place, row in enumerate(rows):
        made[0, place, : len(row)] = row
    return made[..., 0] if kind == "tokens" else made


def feed(
    one: Any, about: dict[str, Any], cells: dict[str, str], _: Path
) -> tuple[dict[str, Any], list[tuple[str, int]]]:
    """What the network takes of a sentence, and its words with their steps; inputs of one may share a column."""
    of_words = {name: given for name, given in about["inputs"].items() if given["kind"] in KINDS}
    sentence = next(cells[name] for name in (one.name, *of_words) if name in cells)
    names = [given.get("names") for given in about["inputs"].values() if given["kind"] == "tokens"]
    words, what = re.split("[ \t]+", sentence.strip(" \t")), about["inputs"][one.name]
    if None not in names:  # a tokenizer splits marks off itself
        words = split(sentence, {name for known in names for name in known})
    if "tokenizer" in what:
        pieces_of, begins = tokenized(words, what["tokenizer"])
        values = np.array([pieces_of], np.int64)
    else:
        values, begins = prepare(words, what["kind"], what["names"]), list(range(len(words)))
    length = values.shape[1]
    steps = one.shape[1] if isinstance(one.shape[1], int) else -(-length // MULTIPLE) * MULTIPLE
    made = {one.name: values, f"{one.name}_mask": np.ones((1, length), bool)}
    if length > steps:
        sys.exit(f"a sentence has {length} steps, and this file takes {steps}; export with --max-length {length}.")
    rest = [(0, 0), (0, steps - length), (0, 0)]
    padded = {name: np.pad(values, rest[: values.ndim]) for name, values in made.items()}
    return padded, list(zip(words, begins, strict=True))


def answer(what: dict[str, Any], own: dict[str, Any], words: list[tuple[str, int]]) -> Any:
    """The answer of one task as people read it."""
    labels = own.get("labels", own.get("tokens"))
    if labels is None or not what["classes"]:
        return {name: value.tolist() for name, value in own.items()}
    names = [what["classes"][index] for index in labels.ravel() if index >= 0]
    if labels.ndim == 0:
        return {"class": names[0], "score": round(float(own["scores"]), 4)}
    if what["kind"] != "text":
        return [[text, names[step]] for text, step in words]
    text = " ".join(names).replace(f" {PIECE}", "").removeprefix(PIECE)
    return re.sub(r" (?=[.,!?;:%)])", "", text)


def predict(session: Any, about: dict[str, Any], sentence: str) -> dict[str, Any]:
    """The answers of all tasks."""
    fed: dict[str, Any] = {}
    taken, names, found = session.get_inputs(), [one.name for one in session.get_outputs()], {}
    for one in taken:
        if one.name in about["inputs"]:
            made, words = feed(one, about, {one.name: sentence}, Path())
            fed |= made
    values = session.run(names, {one.name: fed[one.name] for one in taken})
    for task, what in about["tasks"].items():
        mine = [max((t for t in about["tasks"] if n.startswith(f"{t}_")), key=len) == task for n in names]
        own = {n[len(task) + 1 :]: v[0] for n, v, here in zip(names, values, mine, strict=True) if here}
        found[task] = answer(what, own, words)
    return found


if __name__ == "__main__":
    run = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
    known_of_file = json.loads(run.get_modelmeta().custom_metadata_map["mtl"])
    for given in sys.argv[2:] or map(str.rstrip, sys.stdin):
        if given.strip(" \t"):
            line = json.dumps({"text": given, **predict(run, known_of_file, given)}, ensure_ascii=False)
            sys.stdout.write(line + "\n")
