"""Build data and models from a config or a checkpoint, outside a run, with the same checks and messages."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from typing import Any, TypeVar

from jsonargparse import ArgumentParser, Namespace

from mtl.config.explain import blame
from mtl.config.foreign_files import UnsafeFile
from mtl.config.import_policy import Builder
from mtl.config.merge import Config
from mtl.config.parsing import expand, new_parser, parse
from mtl.config.schema import Schema, find_class, parameters
from mtl.config.yaml_lines import ConfigError, RunError
from mtl.data.from_data import filled_from_data
from mtl.data.module import JointDataModule
from mtl.module import MultiTaskLightningModule

Model = TypeVar("Model", bound=MultiTaskLightningModule)


def build_data(config: Config) -> JointDataModule:
    """The data module that a config describes, ready for `setup`.

    Args:
        config: the merged config; only its `data` section is read.

    Raises:
        ConfigError: for anything wrong in that section.
    """
    if not config.get(("data",)):
        raise ConfigError("the config has no `data` section.")
    config = filled_from_data(config)
    parser = new_parser()
    parser.add_subclass_arguments(JointDataModule, "data", fail_untyped=False)
    data = _build(parser, Config({"data": config.values["data"]}, config.origins), {"data": JointDataModule}).data
    assert isinstance(data, JointDataModule)
    data.prepare_data()
    return data


def build_data_of_run(config: Config) -> JointDataModule:
    """The data module of a run of `fit`: it has the run's seed, unless the config says another.

    Args:
        config: the merged config.

    Raises:
        ConfigError: for anything wrong in its `data` section.
    """
    seed, section = config.values.get("seed_everything", 0), config.values.get("data")
    if isinstance(section, dict) and type(seed) is int:
        cls = find_class(str(section.get("class_path")), JointDataModule)
        if cls is not None and "seed" in parameters(cls) and "seed" not in (section.get("init_args") or {}):
            config = Config(deepcopy(config.values), config.origins)
            config.values["data"]["init_args"] = {**(section.get("init_args") or {}), "seed": seed}
    return build_data(config)


@contextmanager
def blamed(config: Config, data: JointDataModule) -> Iterator[None]:
    """Let errors about the data name the line of the config, as `fit` does.

    Args:
        config: the merged config.
        data: the data module that it describes.

    Raises:
        RunError: in place of a `ValueError`.
    """
    try:
        yield
    except (ConfigError, UnsafeFile):
        raise
    except ValueError as error:
        raise RunError(str(error), blame(error, config, type(data))) from error


def build_model(settings: Mapping[str, Any], cls: type[Model] = MultiTaskLightningModule) -> Model:  # type: ignore[assignment]
    """The model that plain settings describe, with random weights.

    Args:
        settings: arguments of `MultiTaskLightningModule`, classes as `class_path` and `init_args`.
        cls: what to build.

    Raises:
        ConfigError: for settings that the classes here do not take, and classes that may not be named.
        RunError: for settings that a class cannot work with.
    """
    parser = new_parser()
    parser.add_class_arguments(cls, "model", fail_untyped=False)
    values = {"model": dict(settings)}
    model = _build(parser, Config(values), {"model": cls}).model
    assert isinstance(model, cls)
    model.save_hyperparameters(deepcopy(dict(settings)), logger=False)  # a checkpoint of it says how it is built
    return model


def _build(parser: ArgumentParser, config: Config, sections: Mapping[str, type]) -> Namespace:
    schema, build = Schema(sections), Builder()
    config = Config(deepcopy(config.values), config.origins)
    settings = expand(parse(parser, config, schema), config, schema)
    try:
        built: Namespace = parser.instantiate(settings, instantiators=[(build, object, True)])
    except Exception as error:  # noqa: BLE001, raised again as what the settings led to
        first = build.failed[0] if build.failed else error
        raise RunError(str(first), blame(first, config, build.failed_class)) from first
    return built
