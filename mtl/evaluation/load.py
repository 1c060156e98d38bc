"""Load a trained model from its run folder or checkpoint, for notebooks, tests and predictions."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from mtl.backbones.pretrained import without_pretrained
from mtl.config.import_policy import allow_imports
from mtl.config.merge import read_config
from mtl.config.yaml_lines import ConfigError
from mtl.evaluation.build import build_model
from mtl.evaluation.trained_model import TrainedModel
from mtl.module import MultiTaskLightningModule
from mtl.runs.checkpoint_files import find_checkpoint, read_checkpoint
from mtl.runs.checkpoint_fit import differences, written_by


def load_run(run_dir: str | Path, checkpoint: str = "best", allow: Sequence[str] = ()) -> TrainedModel:
    """The model of a finished run with its best weights, on the CPU and in evaluation mode; `.predict` takes pictures.

    Args:
        run_dir: folder of the run, `runs/<experiment>/<name>`.
        checkpoint: `best`, `last`, or the name of another file in `checkpoints/`.
        allow: modules of your own whose classes the checkpoint may name.

    Raises:
        FileNotFoundError: if the folder or the checkpoint is missing.
        ValueError: if the checkpoint is damaged, or was not made by `python -m mtl fit`.
    """
    model = load_checkpoint(find_checkpoint(run_dir, checkpoint), allow)
    for name, value in as_in_training(Path(run_dir)).items():
        setattr(model, name, tuple(value) if isinstance(value, list) else value)
    return model


def as_in_training(run: Path) -> dict[str, Any]:
    """How a run brought its pictures to the network's size: `image_size` and `fit`, as far as its config says them.

    Of several data sets, what all of them say alike.

    Args:
        run: its folder.
    """
    if not (run / "config.yaml").is_file():
        return {}
    config = read_config([run / "config.yaml"])
    arguments = config.get(("data", "init_args")) or {}
    parts = arguments.get("parts")
    places = [arguments]
    if isinstance(parts, Mapping):
        places = [part.get("init_args") or {} for part in parts.values() if isinstance(part, Mapping)]
    found: dict[str, Any] = {}
    for name in ("image_size", "fit", "pixel_range"):
        first, *others = [place.get(name) for place in places] or [None]
        if first is not None and all(other == first for other in others):
            found[name] = [first] * 2 if name == "image_size" and isinstance(first, int) else first
    return found


def load_checkpoint(path: str | Path, allow: Sequence[str] = ()) -> TrainedModel:
    """The model that a checkpoint holds, on the CPU and in evaluation mode.

    Args:
        path: the checkpoint file, of `python -m mtl fit` or of a trainer of your own.
        allow: modules of your own whose classes it may name.

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: if it is damaged, or does not say how its model is built.
    """
    allow_imports(allow)  # a checkpoint names classes, as a config does
    state = read_checkpoint(path)
    settings = _settings(state.get("hyper_parameters"))
    if "heads" not in settings:
        raise ValueError(
            f"checkpoint {str(path)!r} ({written_by(state)}) does not say how its model is built: `python -m mtl fit` "
            "writes that, and a MultiTaskLightningModule made of classes and functools.partial of classes with plain "
            "values. Build the model yourself and load checkpoint['state_dict'] into it."
        )
    try:
        with without_pretrained():
            model = build_model(settings, TrainedModel)
    except ConfigError as error:
        raise ConfigError(f"checkpoint {str(path)!r} ({written_by(state)}) cannot be rebuilt here: {error}") from error
    if told := differences(state, model):
        raise ConfigError(
            f"checkpoint {str(path)!r} ({written_by(state)}) does not fit the model it describes: {told}."
        )
    model.load_state_dict(state["state_dict"])
    return model.eval()


def load_untrained(path: str | Path, seed: int = 0) -> MultiTaskLightningModule:
    """A model built like a checkpoint's, with weights that its run never trained; inputs are prepared as in the run.

    Weights from a file, such as a pretrained trunk's, are read again.

    Args:
        path: the checkpoint file.
        seed: of the random weights.

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: as `load_checkpoint` does.
    """
    trained, settings = load_checkpoint(path), _settings(read_checkpoint(path).get("hyper_parameters"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build_model(settings | {"init_from": None}, MultiTaskLightningModule)  # the other run may be gone
    model.model.inputs.load_state_dict(trained.model.inputs.state_dict())
    return model.eval()


def _settings(stored: Any) -> dict[str, Any]:
    """The arguments of the module; what Lightning adds begins with `_`."""
    return {k: v for k, v in stored.items() if not str(k).startswith("_")} if isinstance(stored, dict) else {}
