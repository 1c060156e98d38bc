"""One config out of many: `base:` includes, several `--config` files and flags, merged before parsing.

Dicts merge key by key, so an overlay never deletes a head. A class that changes loses the arguments of the old one.
`callbacks+:` appends to a list. `null` takes an entry of a dict away (`Schema.drop_removed`).
"""

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mtl.config.shipped import own_or_shipped
from mtl.config.yaml_limits import MOST_LEVELS, MOST_VALUES
from mtl.config.yaml_lines import ConfigError, KeyPath, Origin, Origins, load_yaml, parse_flag_value

CLASS_KEYS = frozenset({"class_path", "init_args", "dict_kwargs"})
MOST_FILES = 100  # that one config may consist of; each may name several in `base:`


@dataclass
class Config:
    """Values, and the place where each was written.

    Args:
        values: the nested dict that is parsed.
        origins: origin by key path.
        files: what was read, a file of `base:` before the one that names it.
    """

    values: dict[str, Any] = field(default_factory=dict)
    origins: Origins = field(default_factory=dict)
    files: list[Path] = field(default_factory=list)

    def origin(self, path: KeyPath) -> Origin | None:
        """Where the nearest written key at or above a path stands.

        Args:
            path: keys from the top.
        """
        while path and path not in self.origins:
            path = path[:-1]
        return self.origins.get(path)

    def get(self, path: KeyPath) -> Any:
        """The value at a path, None where there is none.

        Args:
            path: keys from the top.
        """
        value: Any = self.values
        for key in path:
            if isinstance(value, list):
                value = value[int(key)] if key.isdigit() and int(key) < len(value) else None
            else:
                value = value.get(key) if isinstance(value, dict) else None
        return value

    def put(self, path: KeyPath, value: Any) -> None:
        """Replace the value at a path that exists.

        Args:
            path: keys from the top.
            value: the new value.
        """
        parent = self.get(path[:-1])
        key: Any = int(path[-1]) if isinstance(parent, list) else next(key for key in parent if str(key) == path[-1])
        parent[key] = value

    def set_flag(self, name: str, text: str) -> None:
        """Merge one flag into the config; flags override files.

        Args:
            name: the flag without dashes, for example `model.heads.scene.dropout`.
            text: its value as typed.
        """
        keys = name.split(".")
        origin = Origin(f"--{name} {text}")
        if len(keys) > MOST_LEVELS:
            raise ConfigError(f"--{name} names a key {len(keys)} levels deep; a config has at most {MOST_LEVELS}.")
        values: Any = parse_flag_value(text)
        if values == text and text.lstrip().startswith("#"):
            raise ConfigError(
                f"{text!r} is a comment to YAML, and nothing would be set. Put quotes inside: '\"{text}\"'.", origin
            )
        source: Origins = {(*keys, *below): origin for below in _paths(values)}
        for key in reversed(keys):
            values = {key: values}
        source.update({tuple(keys[:end]): origin for end in range(1, len(keys) + 1)})
        _Merge(self.origins, source, into_last=True).into(self.values, values)


class _Merge:
    """Merges one overlay into a config, and keeps the origins in step.

    Args:
        origins: origins of the config, changed in place.
        source: origins of the overlay.
        into_last: a dict over a list changes the last entry of the list, as flags do.
    """

    def __init__(self, origins: Origins, source: Origins, into_last: bool = False) -> None:
        self.origins = origins
        self.source = source
        self.into_last = into_last

    def into(self, low: dict[Any, Any], high: dict[Any, Any], path: KeyPath = (), at: KeyPath = ()) -> None:
        """Merge a dict into another; `path` is the place in the config, `at` the place in the overlay."""
        for key, value in high.items():
            below = (*at, str(key))
            if isinstance(key, str) and key.endswith("+"):
                name = key[:-1]
                low[name] = self._appended(low.get(name), value, (*path, name), below)
                here = (*path, name)
            else:
                here = (*path, str(key))
                low[key] = self._merged(low.get(key), value, here, below)
            # a section stays where it was first written; what changes inside it has its own origin
            if below in self.source and not (isinstance(low.get(here[-1]), dict) and here in self.origins):
                self.origins[here] = self.source[below]

    def _merged(self, old: Any, new: Any, path: KeyPath, at: KeyPath) -> Any:
        if isinstance(new, str) and isinstance(old, dict) and _is_class(new):  # a class given by its name alone
            self.source[(*at, "class_path")] = self.source.get(at, Origin("?"))
            new = {"class_path": new}
        if not isinstance(new, dict):
            # only what has parts has origins below: walking all of them for every value would be quadratic
            if isinstance(old, dict | list):
                self._forget(path)
            if isinstance(new, list):
                self._adopt(path, at)
            return deepcopy(new)
        if self.into_last and isinstance(old, list) and old:
            last = str(len(old) - 1)
            old[-1] = self._merged(old[-1], new, (*path, last), at)
            return old
        if isinstance(old, str):
            self.origins[(*path, "class_path")] = self.origins.get(path, Origin("?"))
            old = {"class_path": old}
        if not isinstance(old, dict):
            self._forget(path)
            old = {}
        if old and "class_path" in {**old, **new}:
            return self._merged_class(old, new, path, at)
        self.into(old, new, path, at)
        return old

    def _merged_class(self, old: dict[Any, Any], new: dict[Any, Any], path: KeyPath, at: KeyPath) -> dict[Any, Any]:
        if "class_path" not in old:  # so far only arguments, for a class nobody had named
            self._move(path, (*path, "init_args"))
            old = {"init_args": old}
        elif not CLASS_KEYS.issuperset(new):  # arguments given straight away belong to the class below
            arguments = old.setdefault("init_args", {})
            self.into(arguments, new, (*path, "init_args"), at)
            return old
        elif "class_path" in new and not same_class(old["class_path"], new["class_path"]):
            self._forget(path)
            old = {}
        self.into(old, new, path, at)
        return old

    def _appended(self, old: Any, new: Any, path: KeyPath, at: KeyPath) -> list[Any]:
        if old is not None and not isinstance(old, list):
            self._move(path, (*path, "0"))
            self.origins[(*path, "0")] = self.origins.get(path, Origin("?"))
        items = [] if old is None else old if isinstance(old, list) else [old]
        for index, item in enumerate(new if isinstance(new, list) else [new]):
            self._adopt((*path, str(len(items))), (*at, str(index)) if isinstance(new, list) else at)
            items.append(deepcopy(item))
        return items

    def _adopt(self, path: KeyPath, at: KeyPath) -> None:
        for key, origin in self.source.items():
            if key[: len(at)] == at:
                self.origins[path + key[len(at) :]] = origin

    def _forget(self, path: KeyPath) -> None:
        for key in [key for key in self.origins if key[: len(path)] == path]:
            del self.origins[key]

    def _move(self, path: KeyPath, target: KeyPath) -> None:
        moved = {key: origin for key, origin in self.origins.items() if key[: len(path)] == path and key != path}
        for key in moved:
            del self.origins[key]
        self.origins.update({target + key[len(path) :]: origin for key, origin in moved.items()})


def read_config(
    files: Iterable[Path], flags: Iterable[tuple[str, str]] = (), values: dict[str, Any] | None = None
) -> Config:
    """Merge files in order, each overriding the ones before, then a dict, then the flags.

    Args:
        files: config files; one that is not there may name a config that comes with the package.
        flags: names without dashes, and values as typed.
        values: a config as a dict, whose `base:` names files of the current folder; it is changed.

    Raises:
        ConfigError: if a file cannot be read, or includes itself, or they are too many or too large together.
    """
    config, sizes = Config(), list[int]()
    for path in files:
        _lay(config, own_or_shipped(path), (), sizes)
    if values is not None:
        origins = {path: Origin(f"in Python: {'.'.join(path)}") for path in _paths(values)}
        _lay_values(config, values, origins, Path(), (), sizes)
    for name, text in flags:
        config.set_flag(name, text)
    return config


def same_class(first: Any, second: Any) -> bool:
    """Whether two class paths name one class: they are equal, or one is the short name of the other.

    Args:
        first: a class path or a class name.
        second: another one.
    """
    names = [str(first).split("."), str(second).split(".")]
    short = min(len(name) for name in names) == 1
    return names[0] == names[1] or (short and names[0][-1] == names[1][-1])


def _is_class(text: str) -> bool:
    return all(part.isidentifier() for part in text.split("."))


def _paths(values: Any, path: KeyPath = ()) -> list[KeyPath]:
    """Every key path inside a value."""
    items = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    found = []
    for key, value in items:
        found += [(*path, str(key)), *_paths(value, (*path, str(key)))]
    return found


def _lay(config: Config, path: Path, chain: tuple[Path, ...], sizes: list[int]) -> None:
    """Merge a file into the config, and before it the files of its `base:`; `sizes` counts the values of each file."""
    here = path.resolve()
    if here in chain:
        circle = " -> ".join(file.name for file in (*chain[chain.index(here) :], here))
        raise ConfigError(f"configs include each other in a circle: {circle}. Remove one `base:`.")
    values, origins = load_yaml(path)
    sizes.append(len(origins))
    if len(sizes) > MOST_FILES or sum(sizes) > MOST_VALUES:
        raise ConfigError(
            f"the config reads {len(sizes)} files of {sum(sizes):,} values by `base:`, up to {str(path)!r}; it may be "
            f"{MOST_FILES} files of {MOST_VALUES:,} values."
        )
    _lay_values(config, values, origins, path.parent, (*chain, here), sizes)
    config.files.append(path)


def _lay_values(
    config: Config,
    values: dict[str, Any],
    origins: Origins,
    folder: Path,
    chain: tuple[Path, ...],
    sizes: list[int],
) -> None:
    base, origin = values.pop("base", None), origins.get(("base",))
    for name in [] if base is None else base if isinstance(base, list) else [base]:
        file = _base_file(folder, name) if isinstance(name, str) else None
        if file is None:
            raise ConfigError(
                f"`base` must name a file, or a list of files, beside this config, or a config that comes with the "
                f"package (`python -m mtl list configs`); there is no {name!r:.200} in {str(folder)!r}.",
                origin,
            )
        _lay(config, file, chain, sizes)
    _Merge(config.origins, origins).into(config.values, values)


def _base_file(folder: Path, name: str) -> Path | None:
    """The file beside a config, or the one of that name which comes with the package."""
    if _is_file(folder / name):
        return folder / name
    shipped = own_or_shipped(Path(name))
    # a file of the working directory is neither
    return shipped if shipped.is_absolute() and not Path(name).is_absolute() else None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False
