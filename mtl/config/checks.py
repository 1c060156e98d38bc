"""The check of a config, value by value, before the parser reads it, and once more after it.

Each value is compared with what the signature of its class allows there: that decides which class may be named, what
may be text, and what is a path. The values are walked, not the places where they were written: a value may come from
an anchor, a merge, a flag or a default.
"""

import inspect
import typing
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from mtl.config.explain import class_of, dotted, names_of, unknown_key
from mtl.config.import_policy import PLAIN, is_of_user, takes_dict_kwargs
from mtl.config.merge import CLASS_KEYS, Config
from mtl.config.paths import refuse_outside
from mtl.config.schema import Place, Schema, describe, expected_class, family, signature
from mtl.config.yaml_limits import TooLarge, count_values, is_plain_text
from mtl.config.yaml_lines import ConfigError, KeyPath, shown
from mtl.errors import did_you_mean

_MOST_NESTED = 4  # classes within classes; each takes the parser twice as long
_LARGEST, _MOST_DIGITS = 2**63, 40  # of a number; torch and numpy hold 64 bits
_ROOTS = {"root", "cache_dir", "labels_csv"}  # arguments of data sets that are paths in a text, or a list of them


def check(config: Config, schema: Schema, parsed: bool = False) -> list[KeyPath]:
    """Check every value of a config; remove entries of dicts that are `null` where null is no value.

    Args:
        config: the merged config, or what a parser made of it.
        schema: what may stand where.
        parsed: whether a parser has been there, which adds what is linked.

    Returns:
        The places that hold paths.

    Raises:
        ConfigError: naming the first place that is wrong, and what would be right.
    """
    try:
        count_values(config.values)
    except TooLarge as error:
        raise ConfigError(f"the config {error}") from error
    walk = _Walk(config, schema, parsed)
    walk.sections()
    return walk.paths


class _Walk:
    def __init__(self, config: Config, schema: Schema, parsed: bool) -> None:
        self.config, self.schema, self.parsed = config, schema, parsed
        self.paths: list[KeyPath] = []

    def sections(self) -> None:
        values, sections = self.config.values, self.schema.sections
        for name in values:
            if name not in sections:
                inside = [f"{section}.{name}" for section, cls in sections.items() if name in _names(cls)]
                if inside:
                    raise self.error((name,), f"there is no setting {name!r}. Did you mean {inside[0]!r}?")
                origin = self.config.origin((name,))
                known = [*sections, "base", *(self.schema.options if origin and not origin.line else ())]
                raise unknown_key((name,), sorted(known), f"there is no setting {name!r}.", self.config)
        for name, annotation in sections.items():
            bases = Place(annotation).bases
            if not bases or bases[0] not in family(*bases):
                if bases and values.get(name) is None:
                    raise self.missing((name,), annotation)
                refuse_outside((name,), values.get(name), Place(annotation).path, self.config.origin((name,)))
                self.value(values.get(name), annotation, (name,), 0)
            elif not isinstance(values.get(name, {}), dict):
                shape = f"must hold settings, `key: value` each; found {values[name]!r:.80}"
                raise self.error((name,), f"`{name}` {shape}.")
            else:
                self.arguments(values.get(name, {}), bases[0], (name,), 0, 0)

    def value(self, value: Any, annotation: Any, path: KeyPath, depth: int) -> None:
        at = Place(annotation)
        if value is None:
            return
        if at.function and not isinstance(value, bool | int | float):
            reason = "takes a function, and a config names classes only. Leave it out, or set it in a subclass of yours"
            raise self.error(path, f"`{dotted(path)}` {reason}.")
        if isinstance(value, dict):
            if at.bases and (at.values is None or "class_path" in value):
                self.built(value, at, path, depth)
            elif "class_path" in value or not (at.values is not None or at.anything):
                raise self.wrong(value, at, path)
            else:
                # an entry whose type has null among its values stays, such as `sex: null` of the subgroups of a table
                kept = at.anything or type(None) in typing.get_args(at.values)
                for key in [key for key, item in value.items() if item is None and not kept]:
                    if not self.parsed:
                        del value[key]
                for key, item in value.items():
                    self.value(item, at.values or Any, (*path, str(key)), depth)
        elif isinstance(value, list | tuple | set):
            items = at.items or (Any,)
            if not at.items and not at.anything:
                raise self.wrong(value, at, path)
            for index, item in enumerate(value):
                self.value(item, items[min(index, len(items) - 1)], (*path, str(index)), depth)
        elif isinstance(value, str | Path):
            self.text(str(value), at, path, depth)
        elif isinstance(value, int) and abs(value) >= _LARGEST:
            raise self.error(
                path, f"`{dotted(path)}` is a number of {len(f'{value:x}')} hexadecimal digits, too large."
            )
        elif not isinstance(value, PLAIN) or not (at.anything or value in at.words or _is_one_of(value, at.plain)):
            raise self.wrong(value, at, path)

    def text(self, value: str, at: Place, path: KeyPath, depth: int) -> None:
        if at.path or (path[0] == "data" and not _ROOTS.isdisjoint(path[-2:])):
            self.paths.append(path)
        if at.annotation is str or value in map(str, at.words):
            return
        if not is_plain_text(value):
            reason = "holds marks of YAML, as quotes around a list or a dict do. Write settings without quotes"
            raise self.error(path, f"the text of `{dotted(path)}` {reason}; found {value!r:.80}.")
        if at.anything or at.path or str in at.plain or any(_reads(value, kind) for kind in at.plain):
            return
        if at.bases:
            if "/" in value or "\\" in value or value.endswith((".yaml", ".yml", ".json")):
                if is_dataclass(at.bases[0]):  # no class to choose: its keys are given
                    raise self.wrong(value, at, path)
                hint = "To merge a file, name it in `base:`"
                raise self.error(path, f"`{dotted(path)}` takes a class, found {value!r:.200}. {hint}.")
            self.built({"class_path": value}, at, path, depth)
        elif at.plain <= {bool, int, float}:  # others, such as a time, are the parser's to read
            raise self.wrong(value, at, path)

    def built(self, value: dict[str, Any], at: Place, path: KeyPath, depth: int) -> None:
        """A dict that describes an object, by `class_path` and `init_args`, or by its arguments alone."""
        if depth == _MOST_NESTED:
            raise self.error(path, f"`{dotted(path)}` is a class within {depth} others; a config may nest {depth}.")
        bases, name = at.bases, value.get("class_path")
        if isinstance(name, str):
            cls = class_of(name, bases, (*path, "class_path"), self.config)
        elif "class_path" not in value and bases[0] in family(*bases):
            cls = bases[0]
        else:
            parent = self.config.get(path[:-1])
            beside = [str(key) for key in parent if key != path[-1]] if isinstance(parent, dict) else []
            known = f"{did_you_mean(path[-1], beside)} Known: {shown(names_of(bases))}"
            need = f"needs a `class_path` that says which {bases[0].__name__} it is"
            raise self.error(path, f"`{dotted(path)}` {need}.{known}.")
        if CLASS_KEYS.isdisjoint(value):
            return self.arguments(value, cls, path, at.given, depth + 1)
        for key in value:
            if key not in CLASS_KEYS:
                message = f"{key!r} stands beside `class_path` in `{dotted(path)}`; settings go into `init_args`."
                raise unknown_key((*path, str(key)), [*_names(cls)[at.given :], "init_args"], message, self.config)
        if value.get("dict_kwargs") and not takes_dict_kwargs(cls):
            message = f"{cls.__name__} takes no dict_kwargs; its settings go into init_args."
            raise self.error((*path, "dict_kwargs"), message)
        for part in ("init_args", "dict_kwargs"):
            if not isinstance(value.get(part) or {}, dict):
                raise self.error((*path, part), f"`{part}` must be names with values; found {value[part]!r:.80}.")
        self.value(value.get("dict_kwargs"), Any, (*path, "dict_kwargs"), depth + 1)
        return self.arguments(value.get("init_args") or {}, cls, (*path, "init_args"), at.given, depth + 1)

    def arguments(self, values: dict[str, Any], cls: type, path: KeyPath, given: int, depth: int) -> None:
        known, more = signature(cls)
        linked = () if self.parsed else [place[-1] for place in self.schema.linked if place[:-1] == path]
        names = [name for name in list(known)[given:] if name not in linked]
        for key, value in values.items():
            here = (*path, str(key))
            if key in linked:
                raise self.error(here, f"`{dotted(here)}` comes from the data module; remove it here.")
            if key not in names and (not more or str(key).startswith("__")):
                message = f"{cls.__name__} (`{dotted(path)}`) has no setting {key!r}."
                raise unknown_key(here, names, message, self.config)
            annotation = known[key][0] if key in names else Any
            if not is_of_user(cls):
                refuse_outside(here, value, Place(annotation).path, self.config.origin(here))
            if value is None and key in names and not self.parsed and not _takes_null(cls, key, annotation):
                must = f"must be {describe(annotation)}; found null, or nothing"
                raise self.error(here, f"`{dotted(here)}` {must}. Leave the line out for the default.")
            self.value(value, annotation, here, depth)
        for name in names:
            if known[name][1] and (name not in values or (values[name] is None and not _may_be_none(known[name][0]))):
                owner = f"{cls.__name__} (`{dotted(path)}`) needs {name!r}" if depth else ""
                raise self.missing((*path, name), known[name][0], owner)

    def missing(self, path: KeyPath, annotation: Any, owner: str = "") -> ConfigError:
        base = expected_class(annotation)
        known = f" Known: {shown(names_of((base,)))}." if base else ""
        files = ", ".join(map(str, self.config.files[:5]))
        # what stands nowhere has no line that could name the file
        read = f" Read: {files}." if files and self.config.origin(path) is None else ""
        return self.error(path, f"{owner or f'the config needs `{dotted(path)}`'}, and it is not given.{known}{read}")

    def wrong(self, value: Any, at: Place, path: KeyPath) -> ConfigError:
        word = value[0] if isinstance(value, list) and len(value) == 1 else value
        hint = did_you_mean(f"{word!s:.100}", at.literals)
        if at.annotation is str and isinstance(value, bool | int | float):  # YAML reads 7, no and on as something else
            hint = " Put the word in quotes."
        if at.bases and is_dataclass(at.bases[0]):
            keys = [one.name for one in fields(at.bases[0])]
            hint = f" Give its keys: `{dotted((*path, keys[0]))}: VALUE`" + (
                f", and {', '.join(keys[1:])} if needed." if keys[1:] else "."
            )
            return self.error(
                path, f"`{dotted(path)}` has keys of its own, and is no single value; found {value!r:.200}.{hint}"
            )
        return self.error(path, f"`{dotted(path)}` must be {describe(at.annotation)}; found {value!r:.200}.{hint}")

    def error(self, path: KeyPath, message: str) -> ConfigError:
        return ConfigError(message, self.config.origin(path))


def _may_be_none(annotation: Any) -> bool:
    return annotation in (Any, None, object) or type(None) in typing.get_args(annotation)


def _takes_null(cls: type, name: str, annotation: Any) -> bool:
    """Whether a setting may be null: others reach a comparison with a number, which says nothing of the setting."""
    if Place(annotation).plain.isdisjoint((bool, int, float, str)) or _may_be_none(annotation):
        return True
    for parent in inspect.getmro(cls):
        init = vars(parent).get("__init__")
        found = inspect.signature(init).parameters.get(name) if inspect.isfunction(init) else None
        if found is not None:
            return found.default in (None, found.empty)
    return True


def _names(section: Any) -> list[str]:
    return list(signature(section)[0]) if isinstance(section, type) else []


def _is_one_of(value: Any, kinds: set[Any]) -> bool:
    if isinstance(value, bool | int | float):
        return type(value) in kinds or (type(value) is int and float in kinds)
    return not kinds <= {bool, int, float, str}


def _reads(text: str, kind: Any) -> bool:
    """Whether the parser makes a number, true or false of a text."""
    try:
        if kind is bool:
            return text.lower() in ("true", "false")
        if len(text) > _MOST_DIGITS or kind not in (int, float):
            return False
        return (kind is float and float(text) is not None) or (kind is int and abs(int(text, 0)) < _LARGEST)
    except ValueError:
        return False
