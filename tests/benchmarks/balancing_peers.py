"""Steps of TorchJD for `balancing.py`: the same network, batch and optimiser, exact at the parameters."""

import copy
from collections.abc import Iterator

import torch
from balancing_steps import Setting, Step

MODES = ("sequential", "autojac", "autogram")


def peer_steps(setting: Setting, methods: tuple[str, ...], most_tasks_of_autogram: int) -> Iterator[tuple[str, Step]]:
    """Every method in every mode, by name. One whose packages are missing fails at its first step.

    Args:
        setting: network, batch and optimiser.
        methods: names of aggregators of TorchJD that have a weighting of the Gramian as well.
        most_tasks_of_autogram: with more tasks, the engine is left out: it copies the network, and is the slowest.
    """
    for method in methods:
        for mode in MODES:
            if mode != "autogram" or setting.num_tasks <= most_tasks_of_autogram:
                yield f"torchjd {mode} {method}", peer_step(setting, mode, method)


def peer_step(setting: Setting, mode: str, method: str) -> Step:
    """One whole step.

    Args:
        setting: network, batch and optimiser.
        mode: `autojac`, batched, its default; `sequential`, one task after the other; `autogram`.
        method: an aggregator; UPGrad needs quadprog and qpsolvers.
    """
    parts: list[Step] = []

    def step() -> None:
        # made at the first step, whose errors are those of a peer that cannot do this
        if not parts:
            parts.append(
                _gramian_step(setting, method) if mode == "autogram" else _jacobian_step(setting, mode, method)
            )
        parts[0]()

    return step


def _jacobian_step(setting: Setting, mode: str, method: str) -> Step:
    from torchjd import aggregation
    from torchjd.autojac import jac_to_grad, mtl_backward

    aggregator = getattr(aggregation, method)()
    heads = [list(head.parameters()) for head in setting.model.heads.values()]

    def step() -> None:
        setting.optimizer.zero_grad()
        with setting.autocast():
            features = setting.model.cut(setting.batch)
            outputs = {name: head(features) for name, head in setting.model.heads.items()}
            losses = list(setting.model.losses(outputs, setting.batch).values())
        mtl_backward(
            losses,
            list(features.values()),
            tasks_params=heads,
            shared_params=setting.shared,
            parallel_chunk_size=1 if mode == "sequential" else None,
        )
        jac_to_grad(setting.shared, aggregator)
        setting.optimizer.step()
        setting.optimizer.zero_grad()

    return step


def _gramian_step(setting: Setting, method: str) -> Step:
    from torchjd import aggregation
    from torchjd.autogram import Engine

    weighting = getattr(aggregation, f"{method}Weighting")()
    setting = copy.deepcopy(setting)  # the engine's hooks stay in the network, so it gets one of its own
    engine = Engine(setting.model.trunk, batch_dim=None)

    def step() -> None:
        setting.optimizer.zero_grad()
        losses = torch.stack(list(setting.losses().values()))
        losses.backward(weighting(engine.compute_gramian(losses)))
        setting.optimizer.step()
        setting.optimizer.zero_grad()

    return step
