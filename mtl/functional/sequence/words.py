"""The words of a sentence as people write it."""

import re
from collections.abc import Sequence

_WORD = re.compile(r"\w+(?:['\u2019-]\w+)*|[^\w\s]")  # also the typographic apostrophe


def split_words(text: str) -> list[str]:
    """Words and marks of punctuation of a sentence as people write it; `don't` is one word.

    Args:
        text: the sentence.
    """
    return _WORD.findall(text)


def lower_words(text: str) -> Sequence[str]:
    """The words of a sentence in lower case.

    Args:
        text: the sentence.
    """
    return split_words(text.lower())
