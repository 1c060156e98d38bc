"""The log keys of validation that a run is going to have, found before it runs."""

from collections.abc import Mapping

import numpy as np

from mtl.batch import collate
from mtl.heads.head import Head
from mtl.inputs.input import Input, input_kind
from mtl.module import MultiTaskLightningModule
from mtl.targets.target import target_of
from mtl.task import Inputs

_LOSSES = ("val/loss", "train/loss")


def metric_names(head: Head, inputs: Inputs) -> list[str] | None:
    """Names of a head's metrics, from two samples that are made up and predicted right; None where that fails.

    Args:
        head: the head.
        inputs: the inputs of the model, by name.
    """
    rng, target, metrics = np.random.default_rng(0), target_of(head.task), head.metrics()
    try:
        samples = [{name: input_kind(spec).example(spec, rng) for name, spec in inputs.items()} for _ in range(2)]
        samples = [sample | target.example(sample, rng) for sample in samples]
        batch = collate(samples, {head.task.name: head.task}, inputs)
        metrics.update(target.perfect(batch), batch)
        return list(metrics.compute())
    except Exception:  # noqa: BLE001, classes of others may want more than an example has
        return None


def monitored_keys(module: MultiTaskLightningModule) -> tuple[dict[str, str], list[str]]:
    """Keys that a callback may monitor, each with `max` or `min` for what is better; and starts of unknown ones.

    Args:
        module: the module.
    """
    inputs = {name: one.spec for name, one in module.model.inputs.items() if isinstance(one, Input)}
    known: dict[str, str] = {"val/score": "max", "train/loss": "min"}
    unknown = []
    for name, metrics in module.task_metrics():
        head = module.model.head(name)
        known |= {f"{loss}/{name}": "min" for loss in _LOSSES}
        names = metric_names(head, inputs)
        if names is None:
            unknown.append(f"val/{name}/")
        for metric in [*(names or []), head.monitor[0]]:
            known[f"val/{name}/{metric}"] = "min" if metric in metrics.lower_is_better else "max"
    return known, unknown


def what_is_wrong(monitor: str, mode: str, known: Mapping[str, str], unknown: list[str]) -> str | None:
    """Why a callback cannot go by a key, without the way out; None if it can, or nobody knows yet.

    Args:
        monitor: the key.
        mode: `max` or `min`, what the callback takes for better.
        known: keys with what is better.
        unknown: starts of keys that nobody knows yet.
    """
    if monitor in known:
        better = known[monitor]
        return None if better == mode else f"{monitor!r} is better when it is {'high' if better == 'max' else 'low'}"
    # keys of other kinds, such as those that a callback of the user logs
    foreign = "/" in monitor and monitor.split("/")[0] not in ("val", "train", "test")
    return None if foreign or monitor.startswith(tuple(unknown)) else f"nothing logs {monitor!r} in training"
