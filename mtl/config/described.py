"""Objects and classes as the settings of a config, where that is possible: so a checkpoint says how it is built."""

from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from functools import partial
from typing import Any

_PLAIN = (str, int, float, bool, type(None))


class _Unknown(Exception):
    """An object of which nobody can tell how it was made."""


def described(arguments: Mapping[str, Any]) -> dict[str, Any] | None:
    """Arguments of a constructor as plain values; None if one of them is an object that was built already.

    Args:
        arguments: classes, `functools.partial` of classes with plain values, dataclasses, dicts, lists, plain values;
            `self` and what is None are left out, so that a constructor may give its `locals()`.
    """
    given = {k: v for k, v in arguments.items() if k not in ("self", "__class__") and v is not None}
    try:
        return {name: _value(value) for name, value in given.items()}
    except _Unknown:
        return None


def _value(value: Any) -> Any:
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, type):
        return {"class_path": _path(value)}
    if isinstance(value, partial) and isinstance(value.func, type) and not value.args:
        return {"class_path": _path(value.func), "init_args": {k: _value(v) for k, v in value.keywords.items()}}
    if is_dataclass(value) and not isinstance(value, type):
        return _value(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): _value(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_value(one) for one in value]
    raise _Unknown


def _path(cls: type) -> str:
    if cls.__module__ == "__main__" or "<locals>" in cls.__qualname__:
        raise _Unknown
    return f"{cls.__module__}.{cls.__qualname__}"
