"""Cheaper than K exact passes? Estimates of the Gramian of the parameters, their cost and what they do to the update.

Run: python tests/benchmarks/below_the_floor.py [--arch cnn3 resnet18] [--tasks 4 8]
Exact gradients of the shared parameters cost K passes through the trunk. Four ideas to pay less for the Gramian; the
weights it gives then need one more pass:
    features      the Gramian of the feature gradients, at hand in the ordinary backward (`at: features`)
    quarter       K passes through the trunk on a quarter of the batch, with a forward of their own
    sketch m      m random directions v of the parameters; u = J v through the trunk by forward-mode differentiation;
                  the inner products of u with the feature gradients are J_k v for every task k, and the mean of
                  their outer products is the Gramian: unbiased, relative error sqrt(2 / m) on its diagonal
    last step     the exact Gramian of the step before, on another batch (what `every: 2` does half of the time)
Columns: error of the cosine matrix (root mean square off the diagonal), cosine of UPGrad's and MGDA's update to the
exact one (mean and smallest over batches), and CPU time of the whole step as a multiple of the plain one. The network
trains plainly between the batches.
"""

import argparse
import math
import statistics
import time
from collections.abc import Callable

import torch
from balancing_steps import ARCHS, Setting, find_method
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn.functional import cosine_similarity

from mtl.functional.gradient_similarity import gradient_similarity

METHODS = ("UPGrad", "MGDA")
SKETCHES = (4, 16)
Rows = Callable[[], Tensor]


class Estimates:
    """The Gramian of one batch, exactly and by every idea.

    Args:
        setting: network and batch.
    """

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.backbone = setting.model.trunk.backbone
        self.last = torch.eye(setting.num_tasks, dtype=torch.float64)

    def at_features(self, part: slice = slice(None)) -> tuple[list[Tensor], list[list[Tensor]]]:
        """Features of a part of the batch, and the gradients of every task there, [K][L]."""
        setting = self.setting
        batch = {key: value[part] for key, value in setting.batch.items()}
        features = setting.model.cut(batch)
        cut = {name: {k: v.detach().requires_grad_() for k, v in features.items()} for name in setting.tasks}
        losses = setting.model.losses({n: setting.model.head(n)(cut[n]) for n in setting.tasks}, batch)
        rows = []
        for name, loss in losses.items():
            levels = list(cut[name].values())
            found = torch.autograd.grad(loss, levels, allow_unused=True)
            rows.append([torch.zeros_like(x) if g is None else g for g, x in zip(found, levels, strict=True)])
        return list(features.values()), rows

    def exact_rows(self, part: slice = slice(None)) -> Tensor:
        """Gradients of the shared parameters, [K,P]."""
        features, rows = self.at_features(part)
        found = [
            torch.autograd.grad(features, self.setting.shared, row, retain_graph=True, allow_unused=True)
            for row in rows
        ]
        like = self.setting.shared
        return torch.stack(
            [
                torch.cat(
                    [
                        torch.zeros_like(p).flatten() if g is None else g.flatten()
                        for g, p in zip(task, like, strict=True)
                    ]
                )
                for task in found
            ]
        ).double()

    def exact(self) -> Tensor:
        rows_KP = self.exact_rows()
        return rows_KP @ rows_KP.T

    def features(self) -> Tensor:
        _, rows = self.at_features()
        rows_KD = torch.stack([torch.cat([part.flatten() for part in row]) for row in rows]).double()
        return rows_KD @ rows_KD.T

    def quarter(self) -> Tensor:
        rows_KP = self.exact_rows(slice(0, max(1, len(self.setting.batch["image"]) // 4)))
        return rows_KP @ rows_KP.T

    def sketch(self, directions: int) -> Tensor:
        _, rows = self.at_features()
        rows_KD = torch.stack([torch.cat([part.flatten() for part in row]) for row in rows])
        named = {name: p for name, p in self.backbone.named_parameters() if p.requires_grad}
        model = self.setting.model
        image = model.inputs["image"](self.setting.batch)["image"]

        def trunk(parameters: dict[str, Tensor]) -> Tensor:
            levels = torch.func.functional_call(self.backbone, parameters, (image,))
            return torch.cat([level.flatten() for level in levels.values()])

        total_KK = torch.zeros(len(rows), len(rows), dtype=torch.float64)
        for _ in range(directions):
            v = {name: torch.randn_like(p) for name, p in named.items()}
            _, along_D = torch.func.jvp(trunk, (named,), (v,))
            seen_K = (rows_KD @ along_D).double().detach()
            total_KK += torch.outer(seen_K, seen_K)
        return total_KK / directions

    def last_step(self) -> Tensor:
        return self.last


def compare(arch: str, num_tasks: int, batches: int) -> Table:
    setting = Setting(arch, num_tasks)
    for module in setting.model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.track_running_stats, module.running_mean, module.running_var = False, None, None  # none to disturb
    estimates = Estimates(setting)
    ideas: dict[str, Callable[[], Tensor]] = {
        "exact": estimates.exact, "features": estimates.features, "quarter": estimates.quarter,
        **{f"sketch {m}": lambda m=m: estimates.sketch(m) for m in SKETCHES}, "last step": estimates.last_step,
    }  # fmt: skip
    plain = setting.plain()
    errors: dict[str, list[float]] = {idea: [] for idea in ideas}
    cosines: dict[tuple[str, str], list[float]] = {(idea, method): [] for idea in ideas for method in METHODS}
    times: dict[str, list[float]] = {idea: [] for idea in ideas}
    for _ in range(batches):
        setting.batch = setting.make_batch(len(setting.batch["image"]))
        plain()
        base = cpu(plain)
        rows_KP = estimates.exact_rows()
        exact_KK = rows_KP @ rows_KP.T
        for idea, estimate in ideas.items():
            found: list[Tensor] = []
            times[idea].append(cpu(lambda estimate=estimate, found=found: found.append(estimate())) / base)
            off = ~torch.eye(num_tasks, dtype=torch.bool)
            gap_KK = gradient_similarity(found[0])[1] - gradient_similarity(exact_KK)[1]
            errors[idea].append(float(gap_KK[off].square().mean().sqrt()))
            for name in METHODS:
                method = find_method(name)
                assert method is not None
                weights, wanted = method(found[0]).double(), method(exact_KK).double()
                cosines[idea, name].append(float(cosine_similarity(weights @ rows_KP, wanted @ rows_KP, dim=0)))
        estimates.last = exact_KK
    table = Table("Gramian", "cosine error", *METHODS, "time x plain", title=f"{arch}, K = {num_tasks}")
    for idea in ideas:
        cells = [f"{statistics.fmean(cosines[idea, m]):.3f} (min {min(cosines[idea, m]):.2f})" for m in METHODS]
        # features come with the ordinary backward; the exact rows are the update; the others need a plain step as well
        whole = {"exact": 0.0, "features": math.nan, "last step": math.nan}.get(idea, 1.0)
        cost = statistics.median(times[idea]) + whole
        table.add_row(idea, f"{statistics.fmean(errors[idea]):.3f}", *cells, "" if math.isnan(cost) else f"{cost:.2f}")
    return table


def cpu(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arch", nargs="+", choices=list(ARCHS), default=["cnn3", "resnet18"])
    parser.add_argument("--tasks", nargs="+", type=int, default=[4, 8])
    parser.add_argument("--batches", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for arch in options.arch:
        for num_tasks in options.tasks:
            Console(width=110).print(compare(arch, num_tasks, options.batches))


if __name__ == "__main__":
    main()
