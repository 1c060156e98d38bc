"""Errors about a config in a few lines: what is wrong, where, and what would be right."""

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Any

from mtl.config.import_policy import OWN, ImportRefused, refusal
from mtl.config.import_policy import find_class as allowed_class
from mtl.config.merge import CLASS_KEYS, Config
from mtl.config.refused_classes import why_refused
from mtl.config.schema import family, find_class, may_be_named
from mtl.config.yaml_lines import ConfigError, KeyPath, Origin, shown
from mtl.errors import did_you_mean

_MANY = 20  # names to list in one message
_LINK = re.compile(r"Call to compute_fn of link .* failed: (.*)", re.DOTALL)
_KEY = re.compile(r'Parser key "([^"]+)"')
_INNERMOST = re.compile(r'Parser key "([^"]+)":\s*((?!Problem|Does not)[^\n]{3,200}?\.)(?=\s|$)')
_HINT = re.compile(r" Did you mean [^?]*\?| Parts are .*|[Kk]nown: .*| [Tt]here are .*")
_WORDS = re.compile(r"'([\w.]+)'|\b(\w+)=|\b([a-z_]+(?:\.[a-z_]+)+)\b|\b([a-z]+(?:_[a-z]+)+)\b|`([\w.]+)`")
_NUMBERS = re.compile(r"(?<![\w.])(?:[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?|nan|-?inf)(?![\w.]*\w)")


def dotted(path: KeyPath) -> str:
    """A place as a message names it.

    Args:
        path: keys from the top.
    """
    return ".".join(key for key in path if key not in CLASS_KEYS)


def unknown_key(path: KeyPath, known: Sequence[str], message: str, config: Config) -> ConfigError:
    """The refusal of a key that nothing reads.

    Args:
        path: the key.
        known: keys that would be right.
        message: its first sentence.
        config: the merged config.
    """
    word = path[-1]
    if len(known) > _MANY:
        near = difflib.get_close_matches(word, known, n=6, cutoff=0.4)
        listed = f" Among the {len(known)} known: {', '.join(near)}." if near else ""
    else:
        listed = f" Known: {', '.join(known)}." if known else ""
    # the one name that begins so, as with abbreviated flags, or the nearest one
    begins = [name for name in known if name.startswith(word)]
    hint = f" Did you mean {begins[0]!r}?" if len(begins) == 1 else did_you_mean(word, known)
    return ConfigError(f"{message}{hint}{listed}", config.origin(path))


def class_of(name: str, bases: tuple[type, ...], path: KeyPath, config: Config) -> type:
    """The class that a config names, if it is allowed there.

    Args:
        name: its short name, or its whole path.
        bases: what it must be below, one of these.
        path: where it is named.
        config: the merged config.

    Raises:
        ConfigError: saying which classes may stand there.
    """
    names, origin = names_of(bases), config.origin(path)
    wanted = " or ".join(dict.fromkeys(base.__name__ for base in bases))
    if "." not in name:
        if (found := find_class(name, bases)) is not None and not why_refused(f"{found.__module__}.{name}"):
            return found
        if (foreign := next((cls for cls in family(*bases) if cls.__name__ == name), None)) is not None:
            path_of = f"{foreign.__module__}.{foreign.__qualname__}"
            raise ConfigError(str(ImportRefused(path_of, refusal(path_of))), origin)
        if (other := find_class(name, None)) is None:
            raise ConfigError(
                f"there is no {wanted} {name!r}.{did_you_mean(name, names)} Known: {shown(names)}. A class of your own "
                "needs its full path, such as paper.heads.MyHead.",
                origin,
            )
    else:
        try:
            other = allowed_class(name)
        except ImportError as error:
            short = name.rsplit(".", 1)[1]
            there = [f"{cls.__module__}.{short}" for cls in family(*bases) if cls.__name__ == short]
            hint = f" Did you mean {there[0]!r}?" if there else did_you_mean(short, names)
            if not hint and name.split(".")[0] != OWN:
                hint = " Run the command in the folder that holds the package, or install it."
            reason = str(error)
            raise ConfigError(f"cannot import {name!r}: {reason[:1].lower()}{reason[1:]}.{hint}", origin) from error
        except ImportRefused as error:
            raise ConfigError(str(error), origin) from error
        if issubclass(other, bases):
            if (way_out := why_refused(f"{other.__module__}.{other.__qualname__}")) is not None:
                raise ConfigError(f"{other.__name__} cannot work in a run of {OWN}: {way_out}.", origin)
            return other
    parents = [parent.__name__ for parent in other.__mro__[1:-1] if parent.__module__.startswith(OWN)]
    kind = f"is a {parents[0]}" if parents else "is another kind of class"
    raise ConfigError(f"`{dotted(path)}` needs a {wanted}; {name} {kind}. Known: {', '.join(names)}.", origin)


def names_of(bases: tuple[type, ...]) -> list[str]:
    """Names of the classes of some families, sorted.

    Args:
        bases: the families.
    """
    return sorted({cls.__name__ for cls in family(*bases) if may_be_named(cls)})


def explain(complaint: str, config: Config) -> ConfigError:
    """A short message for an error of the parser, which sees only what `check` accepts.

    Args:
        complaint: the text it raised.
        config: the merged config.
    """
    if failed := _LINK.search(complaint):
        return ConfigError(failed[1].strip(), _place_in_data(failed[1], config))
    path = max((tuple(key.split(".")) for key in _KEY.findall(complaint)), key=len, default=())
    if inner := _INNERMOST.findall(complaint):
        key, said = inner[-1]
        places = [place for place in config.origins if place[-1] == key.split(".")[-1]]
        if places:
            place = max(places, key=len)
            return ConfigError(f"`{dotted(place)}`: {said[:400]}", config.origin(place))
    lines = [line.strip(" -") for line in complaint.splitlines() if line.strip(" -")]
    told = [line for line in lines if not line.startswith(("Parser key", "Subtypes:", "Given value", "Errors:"))]
    where = f"`{dotted(path)}`: " if path else ""
    return ConfigError(where + " ".join(told or lines)[:400], config.origin(path))


def _place_in_data(text: str, config: Config) -> Origin | None:
    """The line that an error about the declared tasks or inputs names: a list, a key or a word in `data`."""

    def is_named(path: KeyPath) -> bool:
        value = config.get(path)
        if isinstance(value, list):
            return len(value) > 1 and ", ".join(map(str, value)) in text
        return f"'{path[-1]}'" in text or (isinstance(value, str) and f"'{value}'" in text)

    named = [path for path in config.origins if path[0] == "data" and is_named(path)]
    return config.origin(max(named, key=len, default=("data",)))


def blame(error: Exception, config: Config, cls: type | None = None) -> Origin | None:
    """The line that an error of a constructor is about: what is written there that its text names best.

    Args:
        error: what was raised.
        config: the merged config.
        cls: the class whose constructor raised it, where that is known.
    """
    text = _HINT.sub("", f"{error!s:.10000}")
    groups: Iterable[tuple[str, ...]] = _WORDS.findall(text)
    words = ["".join(group) for group in groups]
    places = [tuple(word.split(".")) for word in words if "." in word]
    words += [place[-1] for place in places]
    numbers = {str(float(number)) for number in _NUMBERS.findall(text)}
    names = {*re.findall(r"\b[A-Z]\w+", text), *([cls.__name__] if cls is not None else [])}
    best, most = None, (0, False, 0)
    # what data says about its files is never about the model, whatever words they share
    of_data = cls is not None and _class_at(config, ("data",)) == cls.__name__
    for path in config.origins:
        if of_data and path[0] != "data":
            continue
        score = _fits(path, config, words, places, numbers, names)
        # of equal ones what is on the command line, then the word that comes first
        rank = (score, not config.origins[path].line, -words.index(path[-1]) if path[-1] in words else -len(words))
        if score and rank > most and (len(path) > 1 or score >= 10):
            best, most = path, rank
    return config.origin(best or ("data",)) if best or of_data else None


def _fits(
    path: KeyPath, config: Config, words: list[str], places: list[tuple[str, ...]], numbers: set[str], names: set[str]
) -> int:
    """How well a written key fits an error: its place, its value, its name, and the class that it belongs to."""
    plain = tuple(key for key in path if key not in CLASS_KEYS and not key.isdigit())
    value = config.get(path)
    named = max((len(place) for place in places if plain[-len(place) :] == place and path[-1] == place[-1]), default=0)
    score = 10 * named
    if isinstance(value, str) and len(value) > 1 and value in words:
        score += 8
    if path[-1] in words and not isinstance(config.get(path[:-1]), list):
        score += 4 * len(set(path) & set(words))
    of_class = any(_class_at(config, path[:end]) in names for end in range(1, len(path)))
    inside = any(plain[start : start + len(p)] == p for p in places for start in range(len(plain) - len(p)))
    if _number(value) in numbers and (score or of_class or inside):
        score += 3 + 30 * inside
    if score and of_class:
        score += 6
    if path[-1] == "class_path" and not score and str(value).rpartition(".")[2] in names:
        score = 1
    return score


def _number(value: Any) -> str | None:
    """A number, also as it stands on a command line, in one form."""
    try:
        return None if isinstance(value, bool | dict | list) or value is None else str(float(value))
    except ValueError:
        return None


def _class_at(config: Config, path: KeyPath) -> str:
    value = config.get(path)
    return str(value["class_path"]).rpartition(".")[2] if isinstance(value, dict) and "class_path" in value else ""
