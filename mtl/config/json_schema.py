"""The JSON schema of configs, from the same signatures as the check of a config: completion and red lines in editors.

A config may be an overlay, so nothing is required; a class of your own, whose name has a dot, is left alone.
"""

import inspect
from collections.abc import Mapping
from datetime import timedelta
from enum import Enum
from functools import cache
from typing import Any, Literal, get_args, get_origin

from mtl.config.schema import Place, Schema, family, may_be_named, signature

_TYPES = {int: "integer", float: "number", bool: "boolean", str: "string"}
_DRAFT = "http://json-schema.org/draft-07/schema#"  # what editors support
_MOST_LETTERS = 300  # of a description


def json_schema(schema: Schema) -> dict[str, Any]:
    """The schema of a whole config.

    Args:
        schema: its sections and their types.
    """
    writer = _Writer(schema)
    properties: dict[str, Any] = {
        "base": {
            "description": "config, or list of configs, that this one is merged into; relative to this file",
            "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
        }
    }
    for name, section in schema.sections.items():
        if isinstance(section, type) and not inspect.isabstract(section) and section not in _TYPES:
            linked = {place[-1] for place in schema.linked if place[:-1] == (name,)}
            properties[name] = {**writer.arguments(section, 0, linked), "description": _summary(section)}
        else:
            properties[name] = writer.value(section)
    document = {"$schema": _DRAFT, "title": "config of mtl", **_object(properties)}
    return {**document, "definitions": writer.definitions}


class _Writer:
    """Writes the arguments of each class once, as a definition."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.definitions: dict[str, Any] = {}

    def value(self, annotation: Any, text: str = "") -> dict[str, Any]:
        """What may stand for an annotation; null removes an entry, so it may stand everywhere."""
        at = Place(annotation)
        described = {"description": text} if text else {}
        if at.anything or at.function:
            return described
        options: list[dict[str, Any]] = [{"type": "null"}]
        if at.words:
            options.append({"enum": list(at.words)})
        for kind in sorted(at.plain, key=str):
            options.append({"type": _TYPES[kind]} if kind in _TYPES else _other(kind))
        if float in at.plain or int in at.plain:
            options.append({"type": "string", "pattern": r"^[+-]?(\d|\.\d|inf|nan)[\d_.]*([eE][+-]?\d+)?$"})  # 1e-3
        if at.values is not None:
            values = self.value(at.values)
            options.append({"type": "object", "additionalProperties": values})
        if at.items:
            item = self.value(at.items[-1]) if len(at.items) == 1 else {"anyOf": [self.value(one) for one in at.items]}
            options.append({"type": "array", "items": item})
        if at.bases:
            options.append({"$ref": f"#/definitions/{self.choice(at)}"})
        return {**described, "anyOf": options}

    def choice(self, at: Place) -> str:
        """One of the classes below some bases, by name, with the arguments that it takes."""
        name = f"{'+'.join(base.__name__ for base in at.bases)}{f':{at.given}' if at.given else ''}"
        if name in self.definitions:
            return name
        self.definitions[name] = {}  # classes may contain each other
        known = {cls.__name__: cls for cls in family(*at.bases) if may_be_named(cls)}
        if not known:  # such as a device, which no config can name
            return name
        rules = []
        for short, cls in sorted(known.items()):
            then = {"properties": {"init_args": {"$ref": f"#/definitions/{self.class_arguments(cls, at.given)}"}}}
            rules.append({"if": _is_class([short, f"{cls.__module__}.{cls.__qualname__}"]), "then": then})
        paths = {"anyOf": [{"enum": sorted(known)}, {"type": "string", "pattern": r"\."}]}
        properties = {"class_path": paths, "init_args": {"type": ["object", "null"]}, "dict_kwargs": {"type": "object"}}
        named = {"type": "object", "properties": properties, "required": ["class_path"], "allOf": rules}
        straight: dict[str, Any] = {"type": "object", "not": {"required": ["class_path"]}}
        if len(at.bases) == 1 and at.bases[0] in known.values() and len(known) == 1:
            straight = {"$ref": f"#/definitions/{self.class_arguments(at.bases[0], at.given)}"}
        self.definitions[name] = {"anyOf": [paths, named, straight]}
        return name

    def class_arguments(self, cls: type, given: int) -> str:
        name = f"{cls.__module__}.{cls.__qualname__}{f':{given}' if given else ''}"
        if name not in self.definitions:
            self.definitions[name] = {}
            self.definitions[name] = {**self.arguments(cls, given, set()), "description": _summary(cls)}
        return name

    def arguments(self, cls: type, given: int, linked: set[str]) -> dict[str, Any]:
        known, more = signature(cls)
        texts = _argument_texts(cls)
        names = [name for name in list(known)[given:] if name not in linked]
        properties = {name: self.value(known[name][0], texts.get(name, "")) for name in names}
        return _object(properties, closed=not more)


def _object(properties: Mapping[str, Any], closed: bool = True) -> dict[str, Any]:
    # `callbacks+` appends to a list
    rest = {"patternProperties": {r"\+$": {}}, "additionalProperties": False} if closed else {}
    return {"type": ["object", "null"], "properties": dict(properties), **rest}


def _is_class(paths: list[str]) -> dict[str, Any]:
    return {"properties": {"class_path": {"enum": paths}}, "required": ["class_path"]}


def _other(kind: Any) -> dict[str, Any]:
    if isinstance(kind, type) and issubclass(kind, Enum):
        return {"enum": [one.name for one in kind] + [one.value for one in kind if isinstance(one.value, str | int)]}
    if isinstance(kind, type) and issubclass(kind, timedelta):
        return {"type": ["string", "object"]}
    if get_origin(kind) is Literal:
        return {"enum": list(get_args(kind))}
    return {"type": "string"}


def _summary(cls: type) -> str:
    return (inspect.getdoc(cls) or "").split("\n\n")[0].replace("\n", " ")[:_MOST_LETTERS]


@cache
def _argument_texts(cls: type) -> dict[str, str]:
    """What the docstrings of a class and its parents say about each argument."""
    from docstring_parser import parse

    found: dict[str, str] = {}
    for parent in inspect.getmro(cls):
        for text in (vars(parent).get("__doc__"), getattr(vars(parent).get("__init__"), "__doc__", None)):
            try:
                params = parse(text or "").params
            except (ValueError, LookupError):
                continue
            for one in params:
                words = " ".join((one.description or "").split())[:_MOST_LETTERS]
                found.setdefault(one.arg_name.strip("*"), words)
    return found
