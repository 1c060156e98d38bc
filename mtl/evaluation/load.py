"""Load a trained model from its run folder or checkpoint, for notebooks, tests and predictions."""

from pathlib import Path
from typing import Any

from mtl.backbones.pretrained import without_pretrained
from mtl.config.import_policy import allow_imports
from mtl.config.yaml_lines import ConfigError
from mtl.evaluation.build import build_model
from mtl.module import MultiTaskLightningModule
from mtl.runs.checkpoint_files import find_checkpoint, read_checkpoint
from mtl.runs.checkpoint_fit import differences, written_by


def load_run(run_dir: str | Path, checkpoint: str = "best") -> MultiTaskLightningModule:
    """The model of a finished run with its best weights, on the CPU and in evaluation mode.

    Args:
        run_dir: folder of the run, `runs/<experiment>/<name>`.
        checkpoint: `best`, `last`, or the name of another file in `checkpoints/`.

    Raises:
        FileNotFoundError: if the folder or the checkpoint is missing.
        ValueError: if the checkpoint is damaged, or was not made by `python -m mtl fit`.
    """
    return load_checkpoint(find_checkpoint(run_dir, checkpoint))


def load_checkpoint(path: str | Path) -> MultiTaskLightningModule:
    """The model that a checkpoint of `python -m mtl fit` holds, on the CPU and in evaluation mode.

    Args:
        path: the checkpoint file.

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: if it is damaged, or does not say how its model is built.
    """
    allow_imports()  # a checkpoint names classes, as a config does
    state = read_checkpoint(path)
    settings = _settings(state.get("hyper_parameters"))
    if "heads" not in settings:
        raise ValueError(
            f"checkpoint {str(path)!r} does not say how its model is built; only `python -m mtl fit` writes that. "
            "Build the MultiTaskLightningModule yourself and load checkpoint['state_dict'] into it."
        )
    try:
        with without_pretrained():
            model = build_model(settings)
    except ConfigError as error:
        raise ConfigError(f"checkpoint {str(path)!r} ({written_by(state)}) cannot be rebuilt here: {error}") from error
    if told := differences(state, model):
        raise ConfigError(
            f"checkpoint {str(path)!r} ({written_by(state)}) does not fit the model it describes: {told}."
        )
    model.load_state_dict(state["state_dict"])
    return model.eval()


def _settings(stored: Any) -> dict[str, Any]:
    """The arguments of the module; what Lightning adds begins with `_`."""
    return {k: v for k, v in stored.items() if not str(k).startswith("_")} if isinstance(stored, dict) else {}
