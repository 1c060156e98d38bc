"""Subspace overlap: how far the directions that two tasks read from a level coincide.

Source: projection metric of subspaces, Edelman, Arias, Smith, SIAM J. Matrix Anal. Appl. 20(2), 1998, section 4.3.
Shapes: C channels, r directions.
"""

import torch

from mtl.affinity.gradients import joint_model
from mtl.affinity.sharing.sharing_measure import Finding, Inside, SharingMeasure
from mtl.affinity.sharing.subspaces import task_spaces


class SubspaceOverlap(SharingMeasure):
    """||U_A' U_B||^2 / min(r_A, r_B) of the tasks' orthonormal directions: 1 where one space holds the other.

    The baseline `chance` is the mean for random spaces, max(r_A, r_B) / rank of the level.
    """

    paper = "Edelman, Arias, Smith, The Geometry of Algorithms with Orthogonality Constraints, SIAM 1998"
    needs = "model"
    symmetric = True
    blind = "Chance is high where spaces are large for their level: only what lies above it says something."

    def measure(self, inside: Inside) -> list[Finding]:
        model, names = joint_model(inside, type(self).__name__), list(inside.tasks)
        found = []
        for level, space in task_spaces(model, inside.batches, names).items():
            for i, source in enumerate(names):
                for target in names[i + 1 :]:
                    one_Cr, other_Cr = space.directions[source], space.directions[target]
                    ranks = (one_Cr.shape[1], other_Cr.shape[1])
                    if not min(ranks):  # a task that does not read this level
                        found.append(Finding(level, source, target, torch.nan, {"chance": torch.nan}))
                        continue
                    value = float((one_Cr.T @ other_Cr).square().sum()) / min(ranks)
                    found.append(Finding(level, source, target, value, {"chance": max(ranks) / space.rank}))
        return found
