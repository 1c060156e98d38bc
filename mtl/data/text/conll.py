"""Sentences in CoNLL form: comments `# key = value`, a word a line with its tag last, an empty line behind.

The columns of a line are separated by tabs: number, word, anything, tag.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mtl.data.text.lines import check_length, read_lines
from mtl.functional.sequence.iob import iob

_COMMENT = re.compile(r"#\s*([\w-]+)\s*[=:]\s*(.*)")


@dataclass(frozen=True)
class ConllSentence:
    """One sentence.

    Args:
        words: its words.
        tags: one IOB tag a word.
        comments: values of the comments by their key.
        where: file and first line, for messages.
    """

    words: list[str]
    tags: list[str]
    comments: dict[str, str]
    where: str


def read_conll(path: Path, max_words: int) -> Iterator[ConllSentence]:
    """The sentences of a file.

    Args:
        path: the file.
        max_words: longest sentence.

    Raises:
        ValueError: naming file and line, for a line without a word and a tag, and for what is no tag.
    """
    words: list[str] = []
    tags: list[str] = []
    comments: dict[str, str] = {}
    start = 1
    for number, line in enumerate([*read_lines(path), ""], start=1):
        where = f"{str(path)!r}, line {number}"
        if not line.strip():
            if words:
                place = f"{str(path)!r}, line {start}"
                check_length(words, max_words, place)
                yield ConllSentence(words, list(iob(tags, place)), comments, place)
            words, tags, comments, start = [], [], {}, number + 1
            continue
        columns = line.split("\t")
        if line.startswith("#") and len(columns) == 1:
            if found := _COMMENT.match(line):
                comments[found[1]] = found[2].strip()
            continue
        if len(columns) < 3 or not columns[1].strip() or not columns[-1].strip():
            raise ValueError(f"{where} has {len(columns)} columns; expected number, word, ..., tag, with tabs between.")
        words.append(columns[1].strip())
        tags.append(columns[-1].strip())
