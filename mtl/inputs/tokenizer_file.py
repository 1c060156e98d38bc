"""Words as the tokenizer of a trained network splits them: a `tokenizer.json` of the package `tokenizers`.

A sentence is read as one text, its words with spaces between, and gets the special tokens that the file says. Where the
pieces of a word begin follows from their places in the text. Needs the extra `text`.
Shapes: T words, S pieces with special tokens.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtl.config.foreign_files import read_small
from mtl.errors import import_optional, printable

NAME = "tokenizer.json"
_MOST_BYTES = 1 << 26
_PADDING = ("[PAD]", "<pad>")  # where the file does not say which token pads


@dataclass(frozen=True)
class Pieces:
    """A sentence in pieces.

    Args:
        indices: of the pieces and special tokens, [S].
        begins: the step at which each word begins, [T].
    """

    indices: list[int]
    begins: list[int]


class TokenizerFile:
    """A tokenizer, without the padding and the cutting that its file may ask for.

    Args:
        path: a folder with `tokenizer.json`, or such a file.

    Raises:
        ImportError: if the extra is not installed.
        ValueError: if there is no such file, or it is no tokenizer.
    """

    def __init__(self, path: str) -> None:
        tokenizers: Any = import_optional("tokenizers", "text")
        file = Path(path).expanduser()
        file = file / NAME if file.is_dir() else file
        if not file.is_file():
            raise ValueError(
                f"there is no tokenizer {str(file)!r}. Name a local folder with {NAME}, as `save_pretrained` of a fast "
                "tokenizer writes it; nothing is downloaded."
            )
        try:
            self.tokenizer = tokenizers.Tokenizer.from_str(read_small(file, _MOST_BYTES, follow=True).decode("utf-8"))
        except Exception as error:  # the package raises plain exceptions
            raise ValueError(f"{str(file)!r} is no tokenizer: {printable(str(error))}") from error
        self.path = str(file)
        said = self.tokenizer.padding
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        self.vocabulary: dict[str, int] = self.tokenizer.get_vocab(with_added_tokens=True)
        self.size = 1 + max(self.vocabulary.values(), default=-1)
        self.padding: int | None = said["pad_id"] if said else None
        if self.padding is None:
            self.padding = next((self.vocabulary[name] for name in _PADDING if name in self.vocabulary), None)

    @property
    def text(self) -> str:
        """The tokenizer as its file has it, without padding and cutting."""
        return str(self.tokenizer.to_str())

    def index(self, name: str) -> int | None:
        """The index of a token; None if there is no such token.

        Args:
            name: of the token.
        """
        return self.vocabulary.get(name)

    def __call__(self, words: Sequence[str]) -> Pieces:
        """A sentence in pieces.

        Args:
            words: of the sentence, without spaces in them.

        Raises:
            ValueError: if a word has no piece.
        """
        found = self.tokenizer.encode(" ".join(words), add_special_tokens=True)
        ends, place = [], -1
        for word in words:
            place += 1 + len(word)
            ends.append(place)
        begins: dict[int, int] = {}
        at = 0
        for step, ((start, end), special) in enumerate(zip(found.offsets, found.special_tokens_mask, strict=True)):
            if special:
                continue
            # the last letter decides: a piece may hold the space before its word, or be nothing but that space
            while at < len(words) and ends[at] < max(end, start + 1):
                at += 1
            begins.setdefault(at, step)
        for number, word in enumerate(words):
            if number not in begins:
                raise ValueError(
                    f"the tokenizer {self.path!r} makes nothing of the word {printable(word)!r}; take it out."
                )
        return Pieces(list(found.ids), [begins[number] for number in range(len(words))])


@functools.cache
def tokenizer_of(path: str) -> TokenizerFile:
    """The tokenizer of a folder, read once.

    Args:
        path: as of `TokenizerFile`.
    """
    return TokenizerFile(path)
