"""What sharing saves on the rooms, and what it does for a task with few labels, as curves over the number of labels.

Run: PYTHONPATH=. python tests/benchmarks/sharing_curves.py cost
     PYTHONPATH=. python tests/benchmarks/sharing_curves.py labels --task depth --seeds 2

cost: one network with all five tasks against five networks with one task each, as in `configs/rooms.yaml`: parameters,
operations and CPU milliseconds of a picture, and the memory that a training step of 16 pictures keeps for its backward
pass. Nothing is trained. The five networks train one after the other, so that their memory is the largest of them.

labels: one task has labels of few scenes, the others of all. `joint` draws a quarter of a batch from the scenes with
the label; `alone` is a network for that task only, and all its batches are such scenes, so that it sees each label four
times as often. Same trunk, steps and learning rate, no augmentation; a seed draws the scenes and the weights. Runs that
are in the CSV already are not trained again.
"""

import argparse
import csv
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from mtl.architectures.hard_sharing import HardSharing
from mtl.architectures.parts.cost import count_flops
from mtl.backbones.image.residual_fpn import ResidualFPN
from mtl.batch import Batch, collate
from mtl.data.sets.room_scenes import TASKS, RoomSet
from mtl.drawing.run_curves import draw_run_curves
from mtl.heads.dense.depth import DepthHead
from mtl.heads.dense.normals import NormalsHead
from mtl.heads.dense.segmentation import SegmentationHead
from mtl.heads.detection.centernet import CenterNetHead
from mtl.heads.whole.classification import ClassificationHead
from mtl.inputs.input import input_kind
from mtl.model import MultiTaskModel
from mtl.task import IMAGE

NAMES = ("segmentation", "depth", "normals", "boxes", "room")
MEASURED = {"segmentation": "miou", "depth": "abs_err", "normals": "mean", "boxes": "map50", "room": "accuracy"}
BATCH = 16
FIELDS = ("task", "metric", "labels", "network", "seed", "value", "cpu_seconds")


def build(names: Sequence[str]) -> MultiTaskModel:
    """The network of `configs/rooms.yaml` with some of its tasks."""
    trunk = HardSharing(ResidualFPN(width=16, pyramid_width=32), list(names))
    make = {
        "segmentation": lambda: SegmentationHead(TASKS["segmentation"], trunk.spec, width=32),
        "depth": lambda: DepthHead(TASKS["depth"], trunk.spec, width=32, target_mean=3.5, target_std=1.5),
        "normals": lambda: NormalsHead(TASKS["normals"], trunk.spec, width=32),
        "boxes": lambda: CenterNetHead(TASKS["boxes"], trunk.spec),
        "room": lambda: ClassificationHead(
            TASKS["room"], trunk.spec, levels=["c4", "p2"], pooling=["mean", "max"], hidden=64
        ),
    }
    inputs = {name: input_kind(spec)(spec) for name, spec in IMAGE.items()}
    return MultiTaskModel(trunk, {name: make[name]() for name in names}, inputs)


def scenes(split: str, number: int, size: int, seed: int, names: Sequence[str]) -> Batch:
    """All scenes of a split as one batch."""
    made = RoomSet(split, number, seed, list(names), {}, image_size=size, max_objects=6, min_visible_px=16, noise=0.03)
    batch = collate([made[index] for index in range(number)], {name: TASKS[name] for name in names})
    return {key: value for key, value in batch.items() if isinstance(value, torch.Tensor)}


def rows(batch: Batch, chosen: torch.Tensor) -> Batch:
    return {key: value[chosen] for key, value in batch.items()}


def joint_loss(model: MultiTaskModel, batch: Batch) -> torch.Tensor:
    return torch.stack(list(model.losses(model(batch), batch).values())).sum()


# cost


def kept_mb(model: MultiTaskModel, batch: Batch) -> float:
    """Memory of the tensors that the forward pass keeps for the backward pass, weights left out."""
    own = {parameter.data_ptr() for parameter in model.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = joint_loss(model, batch)
    assert loss.requires_grad
    return sum(kept.values()) / 2**20


def milliseconds(runs: Sequence[Callable[[], object]], rounds: int = 15) -> list[float]:
    """Median CPU time of each, interleaved so that a busy machine slows all of them alike."""
    times: list[list[float]] = [[] for _ in runs]
    for _ in range(rounds):
        for run, own in zip(runs, times, strict=True):
            begin = time.process_time()
            run()
            own.append(1000 * (time.process_time() - begin))
    return [statistics.median(own[2:]) for own in times]


def cost(size: int) -> list[tuple[str, float, float, float, float, float]]:
    """Rows: name, parameters, operations (G), ms of a picture, ms of a step of a picture, MB kept by a step."""
    batch = scenes("train", BATCH, size, 0, NAMES)
    one = {"image": batch["image"][:1]}
    networks = [build(NAMES), *(build([name]) for name in NAMES)]
    numbers = [sum(parameter.numel() for parameter in network.parameters()) for network in networks]
    kept = [kept_mb(network.train(), batch) for network in networks]
    steps = milliseconds([lambda net=network: joint_loss(net, batch).backward() for network in networks], 7)  # type: ignore[misc]
    flops = [count_flops(lambda net=network: net.eval()(one)) / 1e9 for network in networks]  # type: ignore[misc]
    inference = milliseconds([lambda net=network: net.predict(one) for network in networks])  # type: ignore[misc]
    names = ["one network, 5 tasks", *(f"{name} alone" for name in NAMES)]
    found = list(zip(names, numbers, flops, inference, [ms / BATCH for ms in steps], kept, strict=True))
    alone = found[1:]
    sums = [sum(row[column] for row in alone) for column in range(1, 5)]  # type: ignore[misc]
    found.append(("five networks", *sums, max(row[5] for row in alone)))  # type: ignore[arg-type]
    first, last = found[0], found[-1]
    found.append(("one / five", *(a / b for a, b in zip(first[1:], last[1:], strict=True))))  # type: ignore[arg-type]
    return found


# labels


def train(task: str, names: Sequence[str], known: int, seed: int, options: argparse.Namespace) -> float:
    """Train on `known` labels of a task, and measure it on the test scenes."""
    batch = scenes("train", options.scenes, options.size, seed, names)
    order = torch.Generator().manual_seed(seed)
    few = torch.randperm(options.scenes, generator=order)[:known]
    batch[TASKS[task].labelled_field] = torch.zeros(options.scenes, dtype=torch.bool).index_fill(0, few, True)
    torch.manual_seed(seed)
    model = build(names)
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=0.05, betas=(0.9, 0.99), fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=options.steps)
    of_few = BATCH if len(names) == 1 else BATCH // 4
    for _ in range(options.steps):
        labelled = few[torch.randint(known, (of_few,), generator=order)]
        others = torch.randint(options.scenes, (BATCH - of_few,), generator=order)
        part = rows(batch, torch.cat((labelled, others)))
        optimizer.zero_grad()
        joint_loss(model, part).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        schedule.step()
    model.eval()
    test = scenes("test", options.test, options.size, seed, names)
    metrics = model.head(task).metrics()
    for begin in range(0, options.test, 50):
        part = rows(test, torch.arange(begin, min(begin + 50, options.test)))
        metrics.update(model.predict({"image": part["image"]})[task], part)
    return float(metrics.compute()[MEASURED[task]])


def labels(options: argparse.Namespace) -> None:
    """Train what is not in the CSV yet, then print the table and draw the picture."""
    task, path = options.task, options.to / f"labels_{options.task}.csv"
    done = read(path)
    for known in options.labels:
        for seed in range(options.seeds):
            for network, names in (("joint", NAMES), ("alone", (task,))):
                if (known, network, seed) in done:
                    continue
                begin = time.process_time()
                value = train(task, names, known, seed, options)
                done[known, network, seed] = value
                write(
                    path,
                    (
                        task,
                        MEASURED[task],
                        known,
                        network,
                        seed,
                        round(value, 4),
                        round(time.process_time() - begin, 1),
                    ),
                )
    print(f"\n| labels of {task} | joint, {MEASURED[task]} | alone | joint - alone |\n| ---: | ---: | ---: | ---: |")
    for known in sorted({key[0] for key in done}):
        pairs = [(done[known, "joint", seed], done[known, "alone", seed]) for seed in range(options.seeds)]
        joint, alone = ([pair[index] for pair in pairs] for index in (0, 1))
        gains = ", ".join(f"{a - b:+.3f}" for a, b in pairs)
        print(f"| {known} | {statistics.fmean(joint):.3f} | {statistics.fmean(alone):.3f} | {gains} |")
    draw(done, task, options.to / f"labels_{task}.png")


def draw(done: dict[tuple[int, str, int], float], task: str, path: Path) -> None:
    groups = {}
    for network in ("joint", "alone"):
        seeds = sorted({seed for _, own, seed in done if own == network})
        counts = sorted({known for known, own, _ in done if own == network})
        groups[network] = [(counts, [done[known, network, seed] for known in counts]) for seed in seeds]
    draw_run_curves(groups, f"{task}, {MEASURED[task]}", path, x=f"scenes with a label of {task}", log_x=True)


def read(path: Path) -> dict[tuple[int, str, int], float]:
    if not path.is_file():
        return {}
    with path.open(newline="") as file:
        return {(int(r["labels"]), r["network"], int(r["seed"])): float(r["value"]) for r in csv.DictReader(file)}


def write(path: Path, row: Sequence[object]) -> None:
    new = not path.is_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(FIELDS)
        writer.writerow(row)
    print(*row, flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["cost", "labels"])
    parser.add_argument("--task", choices=NAMES, default="depth")
    parser.add_argument("--labels", type=int, nargs="+", default=[25, 75, 250, 800])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--scenes", type=int, default=800)
    parser.add_argument("--test", type=int, default=200)
    parser.add_argument("--size", type=int, default=64, help="of a picture, in pixels")
    parser.add_argument("--to", type=Path, default=Path("runs/sharing_curves"))
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    if options.what == "labels":
        labels(options)
    else:
        print("| | parameters | G operations | ms a picture | ms a training picture | MB kept by a step of 16 |")
        print("| --- | ---: | ---: | ---: | ---: | ---: |")
        for name, *values in cost(options.size):
            print(f"| {name} | " + " | ".join(f"{v:,.0f}" if v >= 1000 else f"{v:.3g}" for v in values) + " |")
    print(f"\n{time.process_time():.0f} CPU seconds")


if __name__ == "__main__":
    main()
