"""Data and models out of a config or a checkpoint, outside a run: the same checks, the same messages, nothing else."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from jsonargparse import ArgumentError, ArgumentParser

from mtl.config.checks import expand_paths, refuse_unsafe
from mtl.config.explain import blame, explain
from mtl.config.import_policy import Builder, check_parsed
from mtl.config.merge import Config
from mtl.config.schema import Schema
from mtl.config.yaml_lines import ConfigError, RunError
from mtl.data.module import JointDataModule
from mtl.module import MultiTaskLightningModule


def build_data(config: Config) -> JointDataModule:
    """The data module that a config describes, ready for `setup`.

    Args:
        config: the merged config; only its `data` section is read.

    Raises:
        ConfigError: for anything wrong in that section.
    """
    schema = Schema({"data": JointDataModule}, config)
    if not config.get(("data",)):
        raise ConfigError("the config has no `data` section.")
    refuse_unsafe(config, schema)
    expand_paths(config, schema)
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(JointDataModule, "data")
    build = Builder()
    try:
        parsed = parser.parse_object({"data": deepcopy(config.get(("data",)))})
        check_parsed(parsed)
        data = parser.instantiate(parsed, instantiators=[(build, object, True)]).data
    except ArgumentError as error:
        if build.failed:
            raise RunError(str(build.failed[0]), blame(build.failed[0], config)) from error
        raise explain(str(error), config, schema) from error
    assert isinstance(data, JointDataModule)
    data.prepare_data()
    return data


def build_model(settings: Mapping[str, Any]) -> MultiTaskLightningModule:
    """The model that plain settings describe, with random weights.

    Args:
        settings: arguments of `MultiTaskLightningModule`, classes as `class_path` and `init_args`.

    Raises:
        ArgumentError: for settings that the classes here do not take.
        ImportRefused: for a class that may not be named.
    """
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(MultiTaskLightningModule, "model", fail_untyped=False)
    parsed = parser.parse_object({"model": deepcopy(dict(settings))})
    check_parsed(parsed)
    model = parser.instantiate(parsed, instantiators=[(Builder(), object, True)]).model
    assert isinstance(model, MultiTaskLightningModule)
    return model
