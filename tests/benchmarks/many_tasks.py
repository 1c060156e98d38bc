"""139 tasks in one network: exam scores of the pupils of 139 schools, beside linear models.

Run: python tests/benchmarks/many_tasks.py --data ../shared/data/school
Rows: ridge regression of each school alone and of all pupils together, a multi-task elastic net, and a network with a
head for each school under several balancing methods. Penalty and number of steps are chosen on validation pupils.
Error: root mean squared error over all test pupils, in points of the exam. Step: CPU milliseconds of a training step.
Memory: how much the process grew at its peak beyond what it held before, in MB; each row is a process of its own.
Data: school.csv.gz with school, split, x0 to x27 and score (Bakker, Heskes 2003; from MALSAR).
Shapes: N pupils, D columns, K schools.
"""

import argparse
import csv
import gzip
import multiprocessing
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from multi_task_elastic_net import Array, multi_task_elastic_net
from rich.console import Console
from rich.table import Table
from sklearn.linear_model import Ridge

import mtl.balancing
from mtl.backbones.table.mlp import TableMLP
from mtl.balancing.engine.balancer import Balancer, Place
from mtl.balancing.equal import Equal
from mtl.balancing.method import Method
from mtl.balancing.mgda import MGDA
from mtl.balancing.pcgrad import PCGrad
from mtl.balancing.uncertainty import Uncertainty
from mtl.balancing.upgrad import UPGrad
from mtl.batch import Batch, labelled_tasks
from mtl.heads.whole.regression import RegressionHead
from mtl.inputs.table import TableInput
from mtl.model import MultiTaskModel
from mtl.task import InputSpec, Task

assert mtl.balancing
PENALTIES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
STEPS, EVERY, BATCH = 300, 25, 512
METHODS: dict[str, tuple[Callable[[], Method], Place]] = {
    "equal weights": (Equal, "features"),
    "uncertainty": (Uncertainty, "features"),
    # no pupil has two schools, so at the features gradients never meet: UPGrad and PCGrad are the plain sum there
    "UPGrad at features": (UPGrad, "features"),
    "PCGrad at features": (PCGrad, "features"),
    "MGDA at features": (MGDA, "features"),
    "UPGrad at parameters": (UPGrad, "parameters"),
    "PCGrad at parameters": (PCGrad, "parameters"),
    "MGDA at parameters": (MGDA, "parameters"),
}


@dataclass(frozen=True)
class Pupils:
    """One split: standardised columns [N,D], scores [N] and schools [N]."""

    rows: Array
    scores: Array
    schools: np.ndarray


def read(folder: Path) -> dict[str, Pupils]:
    """The splits, standardised by the training pupils.

    Args:
        folder: of school.csv.gz.
    """
    with gzip.open(folder / "school.csv.gz", "rt", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    rows = np.array([[float(row[f"x{i}"]) for i in range(27)] for row in table])
    scores, schools = np.array([float(row["score"]) for row in table]), np.array([int(row["school"]) for row in table])
    split = np.array([row["split"] for row in table])
    learn = split == "train"
    rows = (rows - rows[learn].mean(0)) / np.maximum(rows[learn].std(0), 1e-9)
    return {name: Pupils(rows[split == name], scores[split == name], schools[split == name]) for name in
            ("train", "val", "test")}  # fmt: skip


def error(found: Array, pupils: Pupils) -> float:
    return float(np.sqrt(np.mean((found - pupils.scores) ** 2)))


def chosen(fit: Callable[[float], Callable[[Pupils], Array]], data: dict[str, Pupils]) -> tuple[float, str]:
    """Test error of the penalty that is best on validation pupils, and the penalty."""
    models = {penalty: fit(penalty) for penalty in PENALTIES}
    best = min(PENALTIES, key=lambda penalty: error(models[penalty](data["val"]), data["val"]))
    return error(models[best](data["test"]), data["test"]), f"penalty {best:g}"


def ridge_alone(data: dict[str, Pupils]) -> tuple[float, float, str]:
    train = data["train"]
    of = [train.schools == k for k in range(139)]

    def fit(penalty: float) -> Callable[[Pupils], Array]:
        models = [Ridge(penalty).fit(train.rows[at], train.scores[at]) for at in of]
        weights, level = np.stack([m.coef_ for m in models]), np.array([m.intercept_ for m in models])
        return lambda pupils: (pupils.rows * weights[pupils.schools]).sum(1) + level[pupils.schools]

    result, words = chosen(fit, data)
    return result, 0.0, words


def ridge_together(data: dict[str, Pupils]) -> tuple[float, float, str]:
    train = data["train"]

    def fit(penalty: float) -> Callable[[Pupils], Array]:
        model = Ridge(penalty).fit(train.rows, train.scores)
        return lambda pupils: model.predict(pupils.rows)

    result, words = chosen(fit, data)
    return result, 0.0, words


def elastic_net(data: dict[str, Pupils]) -> tuple[float, float, str]:
    train = data["train"]
    of = [train.schools == k for k in range(139)]
    rows, targets = [train.rows[at] for at in of], [train.scores[at] for at in of]

    def fit(penalty: float) -> Callable[[Pupils], Array]:
        weights, level = multi_task_elastic_net(rows, targets, penalty, steps=300)
        return lambda pupils: (pupils.rows * weights[pupils.schools]).sum(1) + level[pupils.schools]

    result, words = chosen(fit, data)
    return result, 0.0, words


LINEAR = {
    "ridge, each school": ridge_alone,
    "ridge, all pupils": ridge_together,
    "multi-task elastic net": elastic_net,
}


def network(data: dict[str, Pupils], method: str) -> tuple[float, float, str]:
    """One trunk and a head for each school; the steps of the best validation error."""
    torch.manual_seed(0)
    spec = InputSpec("row", "table", channels=27)
    trunk = TableMLP({"row": spec}, (64,), dropout=0.3)
    mean, std = float(data["train"].scores.mean()), float(data["train"].scores.std())
    head = partial(RegressionHead, features=trunk.spec, error="mse", target_mean=mean, target_std=std)
    tasks = {f"s{k}": Task(f"s{k}", "regression") for k in range(139)}
    heads = {name: head(task) for name, task in tasks.items()}
    # the columns are standardised already
    model = MultiTaskModel(trunk, heads, {"row": TableInput(spec, [0.0] * 27, [1.0] * 27)})
    make, at = METHODS[method]
    balancer = Balancer(make(), model.partition(), at)
    model.junction = balancer.junction
    optimizer = torch.optim.AdamW([*model.parameters(), *balancer.method.parameters()], 3e-3, weight_decay=0.1)
    batches = {name: batch_of(pupils, np.arange(len(pupils.scores))) for name, pupils in data.items()}
    rng, best, times = np.random.default_rng(0), (np.inf, np.inf, 0), []
    for step in range(STEPS):
        batch = batch_of(data["train"], rng.choice(len(data["train"].scores), BATCH, replace=False))
        before = time.process_time()
        optimizer.zero_grad()
        # a school without a pupil in the batch is absent, not a task whose gradient is 0, which MGDA would follow
        balancer.objective(model.losses(model(batch), batch), labelled_tasks(batch, tasks)).backward()
        optimizer.step()
        times.append(time.process_time() - before)
        if (step + 1) % EVERY == 0:
            val, test = (error(predicted(model, batches[name]), data[name]) for name in ("val", "test"))
            best = min(best, (val, test, step + 1))
    return best[1], 1000 * float(np.median(times)), f"{best[2]} steps"


def batch_of(pupils: Pupils, at: np.ndarray) -> Batch:
    scores, schools = torch.from_numpy(pupils.scores[at]).float(), torch.from_numpy(pupils.schools[at])
    batch: Batch = {"row": torch.from_numpy(pupils.rows[at]).float(), "school": schools}
    for k in range(139):
        batch[f"s{k}"] = torch.where(schools == k, scores, torch.nan)
        batch[f"labelled/s{k}"] = schools == k
    return batch


def predicted(model: MultiTaskModel, batch: Batch) -> Array:
    model.eval()
    values_KN = torch.stack([found["values"] for found in model.predict(batch).values()])
    model.train()
    return values_KN.gather(0, batch["school"][None])[0].double().numpy()


def measured(name: str, folder: Path) -> tuple[float, float, str, float]:
    """Error, milliseconds of a step, what was chosen, and memory of one row; in a process of its own."""
    torch.set_num_threads(1)
    data = read(folder)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = LINEAR[name](data) if name in LINEAR else network(data, name.removeprefix("network, "))
    return *result, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data/school"), help="folder of school.csv.gz")
    parser.add_argument("--rows", nargs="+", help="rows to measure; all by default")
    options = parser.parse_args()
    names = [*LINEAR, *(f"network, {method}" for method in METHODS)]
    table = Table("139 schools", "error, points", "step, CPU ms", "memory, MB", "chosen on validation")
    context = multiprocessing.get_context("spawn")
    for name in options.rows or names:
        with context.Pool(1) as pool:
            found, step, words, memory = pool.apply(measured, (name, options.data))
        table.add_row(name, f"{found:.3f}", f"{step:.1f}" if step else "", f"{memory:.0f}", words)
        print(name, found, step, words, memory, flush=True)
    Console().print(table)


if __name__ == "__main__":
    main()
