"""Does affinity foretell which tasks gain from each other? Every pair trained, beside what each measure said.

Run: python tests/benchmarks/affinity_validation.py [--only digits findings] [--data ../shared/data]
Each task is trained alone and with each other one: same steps, same samples in the same order, same first weights, last
weights measured. The gain of a pair is Delta_m (mean over a task's metrics, then over the tasks) over the single runs,
on the means over the seeds.
Affinity is measured on one joint run of all tasks (at 10, 50 and 100 % of it, and averaged, as TAG does) and, for CKA
and RSA, on the single runs. Columns:
    pairs        Spearman correlation of affinity and gain over the pairs of tasks
    partners     the same for one task over its partners, mean over the tasks: who is the best one for it?
"reliability" is the correlation of the gains of the even seeds with those of the odd ones: where it is low, no measure
can look good.
"""

import argparse
import math
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from pathlib import Path

import torch
from affinity_problems import Problem, digits, findings, hospitals, schools
from rich.console import Console
from rich.table import Table
from scipy.stats import spearmanr
from torch import Tensor
from torch.optim import AdamW

import mtl.affinity
from mtl.affinity.measure import AffinityMeasure, Evidence
from mtl.batch import Batch
from mtl.discovery import concrete_subclasses
from mtl.evaluation.tables.delta_m import Metric, delta_m_per_task
from mtl.inputs.input import input_kind
from mtl.model import MultiTaskModel
from mtl.optim import Optim

assert mtl.affinity  # importing the package imports every measure
POINTS = (0.1, 0.5, 1.0)  # of the joint run, where affinity is measured
BATCHES = 8  # that a measure sees at each point
ROWS = 32  # of a batch; of each task, where a row belongs to one
# what counts, and whether higher is better; r2 may be 0, and no gain is relative to that
METRICS = {"accuracy": True, "f1_macro": True, "balanced_accuracy": True, "mae": False, "rmse": False, "map50": True}
Look = Callable[[MultiTaskModel], None]
Scores = dict[str, float]


class Study:
    """All runs on one problem.

    Args:
        problem: tasks and data.
        steps: of every run.
        lr: of AdamW, at the peak of the schedule.
    """

    def __init__(self, problem: Problem, steps: int, lr: float) -> None:
        self.problem, self.steps, self.lr = problem, steps, lr
        self.names = list(problem.tasks)
        self.pairs = list(combinations(range(len(self.names)), 2))
        self.rows = [problem.train[task.labelled_field].nonzero()[:, 0] for task in problem.tasks.values()]
        self.num_rows = len(next(iter(problem.train.values())))
        self.alone: list[list[Scores]] = []  # by seed and task
        self.together: list[dict[tuple[int, int], Scores]] = []  # by seed and pair
        self.affinity: dict[str, list[Tensor]] = {}  # by measure, one matrix for each seed

    def run(self, seed: int) -> None:
        """Single runs, pairs and the joint run of one seed.

        Args:
            seed: of weights and samples.
        """
        singles = [self.train([task], seed) for task in range(len(self.names))]
        self.alone.append([self.test(model) for model in singles])
        self.together.append({pair: self.test(self.train(pair, seed)) for pair in self.pairs})
        found: dict[str, list[Tensor]] = {}
        everything = range(len(self.names))
        batches = [batch for batch, _ in zip(self.batches(everything, seed + 1000), range(BATCHES), strict=False)]
        named = dict(zip(self.names, singles, strict=True))
        last: list[MultiTaskModel | None] = [None]

        def look(model: MultiTaskModel | None) -> None:
            last[0] = model
            for measure in concrete_subclasses(AffinityMeasure):  # type: ignore[type-abstract]
                # labels and single runs say the same at every point
                if (measure.needs == "model") == (model is not None):
                    evidence = Evidence(self.problem.tasks, batches, model, named)
                    matrix_KK = measure.example().measure(evidence).double().nanmean(0)
                    found.setdefault(measure.__name__, []).append(matrix_KK)

        self.train(everything, seed, look)
        look(None)
        for name, matrices in found.items():
            self.affinity.setdefault(name, []).append(torch.stack(matrices).nanmean(0))

    def train(self, tasks: Sequence[int], seed: int, look: Look | None = None) -> MultiTaskModel:
        """One run of some tasks; the sum of their losses.

        Args:
            tasks: which.
            seed: of weights and samples; what a task starts from and sees does not depend on the others.
            look: called with the model at the points of the run.
        """
        torch.manual_seed(seed)
        backbone = self.problem.backbone()
        heads = {}
        for task in tasks:
            torch.manual_seed(1000 * seed + task + 1)
            heads[self.names[task]] = self.problem.heads[self.names[task]](backbone.spec)
        prepare = {name: input_kind(spec)(spec) for name, spec in self.problem.inputs.items()}
        model = MultiTaskModel(backbone, heads, prepare).train()
        optimizer, schedule = Optim(lambda groups: AdamW(groups, lr=self.lr, weight_decay=0.05)).build(
            model, self.steps
        )
        points = {round(point * self.steps) for point in POINTS}
        for step, batch in zip(range(1, self.steps + 1), self.batches(tasks, seed), strict=False):
            optimizer.zero_grad()
            torch.stack(list(model.losses(model(batch), batch).values())).sum().backward()
            optimizer.step()
            schedule.step()
            if look is not None and step in points:
                look(model)
        return model

    def batches(self, tasks: Sequence[int], seed: int) -> Iterator[Batch]:
        """Random training batches without end, the same for a task whoever learns with it.

        Args:
            tasks: whose rows are wanted, where a row belongs to one task.
            seed: of the draws.
        """
        own = self.problem.own_rows
        sources = [self.rows[task] for task in tasks] if own else [torch.arange(self.num_rows)]
        draws = [torch.Generator().manual_seed(1000 * seed + (task if own else 0)) for task in tasks][: len(sources)]
        while True:
            rows = torch.cat(
                [
                    source[torch.randint(len(source), (ROWS,), generator=draw)]
                    for source, draw in zip(sources, draws, strict=True)
                ]
            )
            yield {key: value[rows] for key, value in self.problem.train.items()}

    @torch.no_grad()
    def test(self, model: MultiTaskModel) -> Scores:
        """Metrics by which the tasks are judged, by `task/metric`.

        Args:
            model: a trained model.
        """
        model.eval()
        predictions = model.decode(model(self.problem.test))
        scores = {}
        for name, found in predictions.items():
            metrics = model.head(name).metrics()
            metrics.update(found, self.problem.test)
            scores |= {f"{name}/{key}": float(value) for key, value in metrics.compute().items() if key in METRICS}
        model.train()
        return scores

    def gains(self, seeds: Sequence[int]) -> Tensor:
        """Row i, column j: what task j gains from partner i in percent; NaN on the diagonal.

        Args:
            seeds: which of the seeds that were run.
        """
        gains_KK = torch.full((len(self.names), len(self.names)), torch.nan, dtype=torch.float64)
        for pair in self.pairs:
            for other, task in (pair, pair[::-1]):
                keys = list(self.alone[0][task])
                alone = {key: sum(self.alone[seed][task][key] for seed in seeds) / len(seeds) for key in keys}
                joint = {key: sum(self.together[seed][pair][key] for seed in seeds) / len(seeds) for key in keys}
                metrics = [Metric(*key.split("/"), METRICS[key.split("/")[1]]) for key in keys]
                gains_KK[other, task] = delta_m_per_task(joint, alone, metrics)
        return gains_KK


def over_pairs(affinity_KK: Tensor, gains_KK: Tensor) -> tuple[float, float, int]:
    """Spearman correlation over pairs, its p-value, and the number of pairs; both directions are averaged.

    Args:
        affinity_KK: what a measure says.
        gains_KK: what came.
    """
    upper = torch.ones(len(gains_KK), len(gains_KK), dtype=torch.bool).triu(1)
    said, came = ((matrix + matrix.T)[upper] / 2 for matrix in (affinity_KK, gains_KK))
    known = said.isfinite()
    if int(known.sum()) < 4:
        return math.nan, math.nan, int(known.sum())
    found = spearmanr(said[known].numpy(), came[known].numpy())
    return float(found.statistic), float(found.pvalue), int(known.sum())


def over_partners(affinity_KK: Tensor, gains_KK: Tensor) -> float:
    """Mean over the tasks of the Spearman correlation over a task's partners.

    Args:
        affinity_KK: what a measure says.
        gains_KK: what came.
    """
    found = []
    for task in range(len(gains_KK)):
        known = affinity_KK[:, task].isfinite() & gains_KK[:, task].isfinite()
        if int(known.sum()) >= 3:
            found.append(float(spearmanr(affinity_KK[known, task].numpy(), gains_KK[known, task].numpy()).statistic))
    found = [value for value in found if value == value]  # equal gains have no order
    return sum(found) / len(found) if found else math.nan


def show(study: Study, console: Console) -> None:
    """Print what came of one problem.

    Args:
        study: after its runs.
        console: where to.
    """
    seeds = range(len(study.alone))
    gains_KK = study.gains(seeds)
    both = [(float(gains_KK[i, j] + gains_KK[j, i]) / 2, i, j) for i, j in study.pairs]
    halves = [study.gains(seeds[start::2]) for start in (0, 1)] if len(seeds) > 1 else [gains_KK, gains_KK]
    table = Table("measure", "pairs", "p", "partners", title=study.problem.name, title_justify="left")
    for name, matrices in study.affinity.items():
        affinity_KK = torch.stack(matrices).nanmean(0)
        statistic, pvalue, _ = over_pairs(affinity_KK, gains_KK)
        table.add_row(name, f"{statistic:+.2f}", f"{pvalue:.2g}", f"{over_partners(affinity_KK, gains_KK):+.2f}")
    statistic, pvalue, number = over_pairs(halves[0], halves[1])
    table.add_row("reliability", f"{statistic:+.2f}", f"{pvalue:.2g}", f"{over_partners(*halves):+.2f}")
    console.print(table)
    alone = {key: sum(run[task][key] for run in study.alone) / len(seeds) for task in range(len(study.names))
             for key in study.alone[0][task]}  # fmt: skip
    shown = ", ".join(f"{key} {value:.3g}" for key, value in alone.items())
    console.print(f"{number} pairs, {len(seeds)} seeds, {study.steps} steps; alone: {shown}")
    shown = ", ".join(f"{study.names[i]}+{study.names[j]} {gain:+.1f}" for gain, i, j in sorted(both))
    console.print(f"pairs that lose: {sum(gain < 0 for gain, *_ in both)}; gains in %: {shown}")


def main() -> None:
    parser = argparse.ArgumentParser()
    known = {
        "digits": (400, 4e-3, 3),
        "findings": (300, 3e-3, 20),
        "hospitals": (300, 3e-3, 40),
        "schools": (300, 3e-3, 10),
    }
    parser.add_argument("--only", nargs="+", choices=known, default=list(known), help="data sets [all]")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the tables")
    parser.add_argument("--seeds", type=int, help="so many [3 of digits, 10 to 40 of tables]")
    parser.add_argument("--steps", type=int, help="of every run [400 of digits, 300 of tables]")
    options = parser.parse_args()
    torch.set_num_threads(1)
    console = Console(highlight=False, width=140)
    tables = {"findings": (findings, "heart_disease"), "hospitals": (hospitals, "heart_disease"),
              "schools": (schools, "school")}  # fmt: skip
    for name in options.only:
        if name in tables and not (options.data / tables[name][1]).is_dir():
            console.print(f"{name}: skipped, there is no {options.data / tables[name][1]}; name its parent by --data")
            continue
        problem = digits() if name not in tables else tables[name][0](options.data / tables[name][1])
        steps, lr, seeds = known[name]
        study, start = Study(problem, options.steps or steps, lr), time.perf_counter()
        for seed in range(options.seeds or seeds):
            study.run(seed)
        show(study, console)
        console.print(f"{time.perf_counter() - start:.0f} s\n")


if __name__ == "__main__":
    main()
