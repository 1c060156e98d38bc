"""The YAML that a config may use: plain values under text keys, no tags, and no more of it than people write.

A config has some hundred values. Anchors let a file of 300 bytes stand for billions, so values are counted as they
would be after every anchor is replaced, before anything is built from them; tokens are counted while they are scanned.
"""

import re
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, TypeVar

import yaml

MOST_BYTES = 1_000_000
MOST_VALUES = 20_000
MOST_LEVELS = 50
_MOST_TOKENS = 5 * MOST_VALUES
_MOST_LETTERS = 100  # of a number, of true, false or null; the patterns for them are slow on long texts

# the parser reads texts as YAML, in which a text may be a whole config
_SHORT_LINE = re.compile(r"(?![\d_.:+-]{100})[^\n\r\t\x85\u2028\u2029]{0,10000}")

T = TypeVar("T")


class TooLarge(Exception):
    """A text or a value stands for more than any config holds."""


class Loader(yaml.SafeLoader):
    """YAML as people read it: `1e-3` is a number, `on`, `off`, `yes` and `no` are words, dates stay text."""

    _tokens = 0

    def fetch_more_tokens(self) -> Any:
        self._tokens += 1
        if self._tokens > _MOST_TOKENS:
            raise TooLarge(f"stands for more than {MOST_VALUES:,} values; a config has some hundred.")
        return super().fetch_more_tokens()

    def fetch_tag(self) -> Any:
        mark = self.get_mark()
        raise yaml.MarkedYAMLError(None, None, "tags such as !!int are not read; write the plain value", mark)

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        long = kind is yaml.ScalarNode and len(value) > _MOST_LETTERS
        return super().resolve(kind, value, (False, True) if long else implicit)  # type: ignore[no-untyped-call]


_RESOLVERS = {
    "bool": (r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    "float": (
        r"^[-+]?(?:(?:\d[\d_]*)?\.?\d+(?:[eE][-+]?\d+)|\d[\d_]*\.\d*|\.\d+|\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$",
        "",
    ),
}
Loader.yaml_implicit_resolvers = {
    first: [pair for pair in pairs if pair[0].rsplit(":", 1)[1] not in ("bool", "float", "timestamp", "value")]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _tag, (_regexp, _first) in _RESOLVERS.items():
    Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_regexp), list(_first or "-+.0123456789"))


class Dumper(yaml.SafeDumper):
    """Quotes what `Loader` would read as something else than text."""


Dumper.yaml_implicit_resolvers = Loader.yaml_implicit_resolvers


def is_plain_text(text: str) -> bool:
    """Whether YAML reads a text as one plain word, number or path, and soon.

    Args:
        text: the text.
    """
    if _SHORT_LINE.fullmatch(text) is None:
        return False
    try:  # a fourth token is one too many, and no more are read
        tokens = list(islice(yaml.scan(text, Loader=yaml.SafeLoader), 4))[1:-1]
    except yaml.YAMLError:
        return False
    return not tokens or (len(tokens) == 1 and isinstance(tokens[0], yaml.ScalarToken) and tokens[0].plain)


def compose(loader: Loader) -> yaml.Node | None:
    """The nodes of a document, if they are as few and as flat as in a config.

    Args:
        loader: of the text.

    Raises:
        TooLarge: if they are not.
        YAMLError: if this is no YAML.
    """
    try:
        node: yaml.Node | None = loader.get_single_node()
    except RecursionError as error:
        raise TooLarge(f"is nested deeper than {MOST_LEVELS} levels.") from error
    if node is not None:
        count(node, _children)
    return node


def count_values(value: Any, most: int = MOST_VALUES) -> int:
    """How many values a Python value stands for: what is shared counts wherever it stands.

    Args:
        value: dicts, lists and tuples of anything.
        most: how many there may be.

    Raises:
        TooLarge: if there are more, or they are nested too deep, as when one holds itself.
    """

    def children(value: Any) -> Sequence[Any]:
        if isinstance(value, dict):
            return [*value.keys(), *value.values()]
        return value if isinstance(value, list | tuple | set) else ()  # type: ignore[return-value]

    return count(value, children, most)


def count(root: T, children: Callable[[T], Sequence[T]], most: int = MOST_VALUES) -> int:
    """How many nodes a graph stands for as a tree.

    Args:
        root: its root.
        children: the nodes below a node.
        most: how many there may be.

    Raises:
        TooLarge: if there are more, or they are nested too deep.
    """
    known: dict[int, tuple[int, int]] = {}

    def below(node: T, level: int) -> tuple[int, int]:
        if level > MOST_LEVELS:  # before the recursion, since a node may hold itself
            raise TooLarge(f"is nested deeper than {MOST_LEVELS} levels.")
        if id(node) not in known:
            found = [below(child, level + 1) for child in children(node)]
            number, depth = 1 + sum(count for count, _ in found), 1 + max((deep for _, deep in found), default=0)
            if number > most:
                raise TooLarge(f"stands for more than {most:,} values; a config has some hundred.")
            known[id(node)] = number, depth
        if level + known[id(node)][1] > MOST_LEVELS + 1:
            raise TooLarge(f"is nested deeper than {MOST_LEVELS} levels.")
        return known[id(node)]

    return below(root, 0)[0]


def _children(node: yaml.Node) -> Sequence[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [child for pair in node.value for child in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else ()
