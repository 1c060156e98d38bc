"""Project-out sharing: what a task loses when the directions that another task reads are taken out of a level.

Source: amnesic probing, Elazar, Ravfogel, Jacovi, Goldberg, TACL 9, 2021, with directions from gradients instead of
probes, and the damage to the task itself as the unit.
Shapes: C channels, r directions.
"""

from collections.abc import Mapping

import torch

from mtl.affinity.gradients import joint_model
from mtl.affinity.sharing.levels import Edit, evaluating, run
from mtl.affinity.sharing.sharing_measure import Finding, Inside, SharingMeasure
from mtl.affinity.sharing.subspaces import task_spaces
from mtl.model import MultiTaskModel

_LEAST = 0.05  # a task that loses less without its own directions does not read this level alone


class ProjectOut(SharingMeasure):
    """share(A to B) = damage to B without A's directions / damage to B without B's own.

    Damage is (loss without - loss) / (loss without any direction - loss): 0 for none, 1 where nothing is left.
    The baseline `random` takes as many random directions out as A has. Damage is causal: the level is edited and the
    rest of the network runs on it. It is clipped to 0..1, since an edited network may do worse than one without the
    level.
    """

    paper = "Elazar et al., Amnesic Probing, TACL 2021"
    needs = "model"
    blind = (
        "Blind where a task has one direction left, as at the last level, and where random directions do as much "
        "damage, as at a narrow input. Unknown where a task does not lose without its own directions."
    )

    def measure(self, inside: Inside) -> list[Finding]:
        model, names = joint_model(inside, type(self).__name__), list(inside.tasks)
        spaces = task_spaces(model, inside.batches, names)
        whole = _losses(model, inside, {})
        found = []
        for level, space in spaces.items():
            nothing = _losses(model, inside, {level: space.without(torch.eye(len(space.mean_C)).double())})

            def damage(edit: Edit, level: str = level, nothing: Mapping[str, float] = nothing) -> dict[str, float]:
                losses = _losses(model, inside, {level: edit})
                most = {name: nothing[name] - whole[name] for name in names}
                return {n: _clipped((losses[n] - whole[n]) / most[n]) if most[n] > 0 else torch.nan for n in names}

            without = {name: damage(space.without(space.directions[name])) for name in names}
            for source in names:
                chance = damage(space.without(space.random(space.directions[source].shape[1])))
                for target in names:
                    own = without[target][target]
                    unit = own if own > _LEAST else torch.nan
                    if target != source:
                        baselines = {"random": chance[target] / unit, "own damage": own}
                        found.append(Finding(level, source, target, without[source][target] / unit, baselines))
        return found


def _clipped(value: float) -> float:
    return min(1.0, max(0.0, value))


@torch.no_grad()
def _losses(model: MultiTaskModel, inside: Inside, edits: Mapping[str, Edit]) -> dict[str, float]:
    """Mean loss of every task; batches without a label of it give 0 in both of two passes that are compared."""
    total = dict.fromkeys(inside.tasks, 0.0)
    with evaluating(model):
        for batch in inside.batches:
            outputs = run(model, batch, edits).outputs
            for name in total:
                total[name] += float(model.loss(name, outputs[name], batch)) / len(inside.batches)
    return total
