"""The parser's long complaint, told again in a few lines: what is wrong, where it stands, what would be right."""

import difflib
import re
from typing import Any

from mtl.config.import_policy import OWN, refusal
from mtl.config.merge import CLASS_KEYS, Config
from mtl.config.schema import Schema, describe, expected_class, family, find_class, literals, parameters
from mtl.config.yaml_lines import ConfigError, KeyPath, Origin, shown
from mtl.errors import did_you_mean

_UNKNOWN_KEY = re.compile(r"[Oo]ption '([^']+)' is not accepted|does not accept option '([^']+)'")
_DENIED = re.compile(r"Importing '([^']+)' is not allowed")
_UNKNOWN_CLASS = re.compile(r"Expected a dot import path string: (\S+)|Unexpected import path format: (\S+)")
_NO_MODULE = re.compile(r"(No module named '([^']+)'|module '([^']+)' has no attribute '([^']+)')")
_MISSING = re.compile(r"the following arguments are required: ([^\n]+?)(?:\. Got value|\n|$)")
_NO_CLASS = re.compile(r"Dict must include a class_path|Not a valid subclass of")
_LINK = re.compile(r"Call to compute_fn of link .* failed: (.*)", re.DOTALL)
_MANY = 20  # names to list in one message
_KEY = re.compile(r'Parser key "([^"]+)"')
_VALUE = re.compile(r"Expected an? (.+?)\. Got value: ([^\n]+)")


def explain(complaint: str, config: Config, schema: Schema) -> ConfigError:
    """What a complaint of jsonargparse means in this config.

    Args:
        complaint: the text it raised.
        config: the merged config.
        schema: what may stand where.
    """
    keys = [tuple(key.split(".")) for key in _KEY.findall(complaint)]
    below = keys[0] if keys else ()
    if found := _UNKNOWN_KEY.search(complaint):
        return _unknown_key(found[1] or found[2], below, config, schema)
    if found := _DENIED.search(complaint):
        return denied(found[1], config)
    if found := _UNKNOWN_CLASS.search(complaint):
        return _unknown_class(found[1] or found[2], below, config, schema)
    if found := _NO_MODULE.search(complaint):
        return _cannot_import(found[1], below, config, schema)
    if found := _MISSING.search(complaint):
        return _missing(found[1].split(", ")[0], below, config, schema)
    if found := _LINK.search(complaint):
        return ConfigError(found[1].strip())
    return _wrong_value(complaint, keys, config, schema)


def locate(word: str, below: KeyPath, config: Config, as_value: bool = False) -> KeyPath | None:
    """The first written key, or value, that is a word.

    Args:
        word: the key or value.
        below: where to look; everywhere if it is not below there.
        config: the merged config.
        as_value: look for a value instead of a key.
    """
    fits = [path for path in config.origins if (str(config.get(path)) if as_value else path[-1]) == word]
    return next((path for path in fits if path[: len(below)] == below), fits[0] if fits and not below else None)


def denied(class_path: str, config: Config) -> ConfigError:
    """The refusal of an import.

    Args:
        class_path: the dotted path a config asks for.
        config: the merged config.
    """
    path = locate(class_path, (), config, as_value=True)
    return ConfigError(f"refused to import {class_path!r}: {refusal(class_path)}", config.origin(path or ()))


def blame(error: Exception, config: Config) -> Origin | None:
    """The line that an error of a constructor is about: the written key that it speaks of most.

    Args:
        error: what was raised.
        config: the merged config.
    """
    found = re.findall(r"'([\w.]+)'|\b(\w+)=|\b([a-z]+(?:_[a-z]+)+)\b", str(error))
    words = ["".join(group) for group in found]
    named = [path for path in config.origins if len(path) > 1 and path[-1] in words]
    # more words of the path first, then the word that comes first
    best = max(named, key=lambda path: (len(set(path) & set(words)), -words.index(path[-1])), default=None)
    return config.origin(best) if best else None


def unknown_key(path: KeyPath, config: Config, schema: Schema) -> ConfigError:
    """The refusal of a key that nothing reads.

    Args:
        path: the key.
        config: the merged config.
        schema: what may stand where.
    """
    parent, key = path[:-1], path[-1]
    if not parent:
        known, message = schema.names(()), f"there is no setting {key!r}."
        if (origin := config.origin(path)) and not origin.line:
            known = sorted([*known, *schema.options])
        inside = [
            f"{section}.{name}" for section in schema.sections for name in schema.names((section,)) if name == key
        ]
        if inside:
            return ConfigError(f"{message} Did you mean {inside[0]!r}?", origin)
    else:
        beside = isinstance(config.get(parent), dict) and "class_path" in config.get(parent)
        cls = schema.chosen(parent)
        known = schema.names(parent)
        owner = f"{cls.__name__} (`{_dotted(parent)}`)" if cls else f"`{_dotted(parent)}`"
        message = f"{owner} has no setting {key!r}."
        if beside and key not in CLASS_KEYS:
            message = f"{key!r} stands beside `class_path` in `{_dotted(parent)}`; settings go into `init_args`."
            known = [*known, *sorted(CLASS_KEYS - {"dict_kwargs"})]
    if len(known) > _MANY:
        near = difflib.get_close_matches(key, known, n=6, cutoff=0.4)
        listed = f" Among the {len(known)} known: {', '.join(near)}." if near else ""
    else:
        listed = f" Known: {', '.join(known)}." if known else ""
    return ConfigError(f"{message}{_hint(key, known)}{listed}", config.origin(path))


def _unknown_key(word: str, below: KeyPath, config: Config, schema: Schema) -> ConfigError:
    parts = tuple(word.split("."))
    # nearest first: a dotted word is the path itself, another is a key somewhere below the parser's key
    candidates = [path for path in config.origins if path[-len(parts) :] == parts and path[: len(below)] == below]
    if parts in config.origins and not below:
        candidates.insert(0, parts)
    wrong = [path for path in candidates if schema.names(path[:-1]) and path[-1] not in schema.names(path[:-1])]
    path = next(iter(wrong or candidates), (*below, *parts))
    return unknown_key(path, config, schema)


def _unknown_class(word: str, below: KeyPath, config: Config, schema: Schema) -> ConfigError:
    path = locate(word, below, config, as_value=True) or below
    base = expected_class(schema.expected(path))
    if base is None:
        return ConfigError(f"there is no class {word!r} for `{_dotted(path)}`.", config.origin(path))
    known = sorted({cls.__name__ for cls in family(base)})
    other = find_class(word, None)
    if other is not None:
        bases = [parent.__name__ for parent in other.__mro__[1:-1] if parent.__module__.startswith("mtl")]
        kind = f" is a {bases[0]}" if bases else " is another kind of class"
        return ConfigError(
            f"`{_dotted(path)}` needs a {base.__name__}; {word}{kind}. Known: {', '.join(known)}.", config.origin(path)
        )
    return ConfigError(
        f"there is no {base.__name__} {word!r}.{did_you_mean(word, known)} Known: {shown(known)}. A class of your own "
        "needs its full path, such as paper.heads.MyHead.",
        config.origin(path),
    )


def _cannot_import(reason: str, below: KeyPath, config: Config, schema: Schema) -> ConfigError:
    words = set(re.findall(r"'([^']+)'", reason))
    for path in config.origins:
        value = config.get(path)
        if path[: len(below)] == below and isinstance(value, str) and "." in value and words & _prefixes(value):
            base = expected_class(schema.expected(path))
            known = sorted({cls.__name__ for cls in family(base)}) if base else []
            hint = did_you_mean(value.rsplit(".", 1)[1], known)
            if not hint and value.split(".")[0] != OWN:
                hint = " Run the command in the folder that holds the package, or install it."
            return ConfigError(f"cannot import {value!r}: {reason[0].lower()}{reason[1:]}.{hint}", config.origin(path))
    return ConfigError(f"cannot import a class of `{_dotted(below)}`: {reason}.", config.origin(below))


def _missing(word: str, below: KeyPath, config: Config, schema: Schema) -> ConfigError:
    parts = tuple(word.split("."))
    owner: KeyPath = ()
    if below:
        for path in [path for path in config.origins if path[: len(below)] == below]:
            chosen = schema.chosen(path) if isinstance(config.get(path), dict | str) else None
            if chosen is not None and parts[-1] in parameters(chosen):
                owner = path[:-1] if path[-1] in CLASS_KEYS else path
    full = (*owner, *parts) if owner else (*below, *parts)
    base = expected_class(schema.expected(full))
    known = f" Known: {shown(sorted({cls.__name__ for cls in family(base)}))}." if base else ""
    cls = schema.chosen(owner) if owner else None
    name = f"{cls.__name__} (`{_dotted(owner)}`) needs {parts[-1]!r}" if cls else f"the config needs `{_dotted(full)}`"
    return ConfigError(f"{name}, and it is not given.{known}", config.origin(full))


def _wrong_value(complaint: str, keys: list[KeyPath], config: Config, schema: Schema) -> ConfigError:
    below = keys[0] if keys else ()
    values = [value.strip() for _, value in _VALUE.findall(complaint) if not value.startswith("Namespace")]
    last = keys[-1][-1] if keys else ""
    fits = [path for path in config.origins if path[: len(below)] == below and not isinstance(config.get(path), dict)]
    named = [path for path in fits if path[-1] == last and len(keys) > 1]
    exact = [path for path in fits if str(config.get(path)) in values]
    path = next((path for path in exact if last in path), next(iter(named or exact), below))
    value, expected = config.get(path), schema.expected(path)
    if _NO_CLASS.search(complaint) and not exact:
        return _no_class(below, config, schema)
    if not path or expected is None:
        return ConfigError(_shorten(complaint), config.origin(path))
    if isinstance(value, dict) and "class_path" in value:
        path, value = (*path, "class_path"), value["class_path"]
    word = value[0] if isinstance(value, list) and len(value) == 1 else value
    hint = did_you_mean(str(word), literals(expected))
    return ConfigError(f"`{_dotted(path)}` must be {describe(expected)}; found {value!r}.{hint}", config.origin(path))


def _no_class(below: KeyPath, config: Config, schema: Schema) -> ConfigError:
    for path in [path for path in config.origins if path[: len(below)] == below]:
        value, base = config.get(path), expected_class(schema.expected(path))
        if not isinstance(value, dict) or base is None or path[-1] in CLASS_KEYS:
            continue
        for key in value:
            if "class_path" in value and key not in CLASS_KEYS:
                return unknown_key((*path, str(key)), config, schema)
        if "class_path" not in value and schema.chosen(path) is base and _is_entry(value, base):
            known = sorted({cls.__name__ for cls in family(base)})
            siblings = [str(key) for key in config.get(path[:-1]) or {} if str(key) != path[-1]]
            return ConfigError(
                f"`{_dotted(path)}` needs a `class_path` that says which {base.__name__} it is."
                f"{did_you_mean(path[-1], siblings)} Known: {shown(known)}.",
                config.origin(path),
            )
    return ConfigError(f"`{_dotted(below)}` needs a `class_path`.", config.origin(below))


def _is_entry(value: dict[Any, Any], base: type) -> bool:
    """Whether a dict is meant as one object of a class, not as names with an object each."""
    return not all(isinstance(item, dict) and "class_path" in item for item in value.values()) or not value


def _hint(word: str, known: list[str]) -> str:
    """The one name that begins so, as with abbreviated flags, or the nearest one."""
    begins = [name for name in known if name.startswith(word)]
    return f" Did you mean {begins[0]!r}?" if len(begins) == 1 else did_you_mean(word, known)


def _prefixes(dotted: str) -> set[str]:
    parts = dotted.split(".")
    return {".".join(parts[:end]) for end in range(1, len(parts) + 1)} | set(parts)


def _dotted(path: KeyPath) -> str:
    return ".".join(key for key in path if key not in CLASS_KEYS)


def _shorten(complaint: str) -> str:
    lines = [line.strip(" -") for line in complaint.splitlines() if line.strip()]
    return " ".join(line for line in lines if not line.startswith(("Subtypes:", "Given value", "Errors:")))[:400]
