"""Fill into a config what it leaves out and its data say, such as class names: the config of the run records it."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from mtl.config.merge import Config
from mtl.config.schema import find_class
from mtl.config.yaml_lines import ConfigError, KeyPath
from mtl.data.module import JointDataModule


def filled_from_data(config: Config) -> Config:
    """The config with the arguments of its data modules completed, also of data modules inside others.

    Args:
        config: the merged config; it is not changed.

    Raises:
        ConfigError: if the data cannot be read for it.
    """
    filled = Config(deepcopy(config.values), config.origins, config.files)
    _fill(filled, filled.values.get("data"), ("data",))
    return filled


def _fill(config: Config, section: Any, path: KeyPath) -> None:
    if not isinstance(section, dict):
        return
    arguments = section.get("init_args")
    for key, value in (arguments if isinstance(arguments, dict) else section).items():
        inside = (*path, "init_args") if isinstance(arguments, dict) else path
        if isinstance(value, dict):
            _fill(config, value, (*inside, str(key)))
    name = section.get("class_path")
    cls = find_class(name, JointDataModule) if isinstance(name, str) else None
    if cls is None or not issubclass(cls, JointDataModule) or not isinstance(arguments or {}, dict):
        return
    plain = {str(key): value for key, value in (arguments or {}).items()}
    try:
        found = cls.read_arguments(**plain)
    except (TypeError, AttributeError, KeyError):
        return  # settings of a wrong form: the check of the config says which
    except ValueError as error:
        raise ConfigError(str(error), config.origin(path)) from error
    if found:
        section["init_args"] = {**plain, **_plain(found)}


def _plain(found: Mapping[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}
