"""How well training would scale: a model of the step from measured times and bytes, checked against runs here.

    PYTHONPATH=. python tests/benchmarks/scaling_model.py                      # predict, from the numbers of a GPU
    PYTHONPATH=. python tests/benchmarks/scaling_model.py --check              # measure 1, 2 and 4 ranks here, compare

The model, for N ranks in nodes of g:
    step = forward + max(backward, overlapped) + exposed + latency
    all-reduce of n bytes = 2 (N-1)/N n / link, link the slower of inside and between nodes (a ring crosses both)
    overlapped = the all-reduce that DDP runs beside backward; exposed = what balancing must wait for, which is the
    K x K all-reduce at features, and at parameters, instead of DDP's all-reduce, the last of K reduce-scatters and one
    all-gather, (N-1)/N n / link each; the other K - 1 run beside the backward of the next task
    latency = collectives that nothing hides x 2 log2(N) hops
    efficiency = (forward + backward of one rank alone) / step
It knows no stragglers and no loading, so it is an upper bound; `ranks/straggler` of `MultiGPU` says what to divide by.
Batch and network per rank stay the same (weak scaling). Ranks of `--check` that share a core get their share of it.
"""

import argparse
import math
import os
import socket
import time
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn
from torch.nn.parallel import DistributedDataParallel

MB = 1e6


@dataclass(frozen=True)
class Step:
    """What a step consists of.

    Attributes:
        forward_ms: of one rank alone.
        backward_ms: of one rank alone.
        megabytes: of all gradients.
        rows: gradients of single tasks that are reduce-scattered, each after a backward of its own: K at parameters, 0
            at features and for the plain sum.
        collectives: small ones that are waited for, such as normalisers and the Gramian.
    """

    forward_ms: float
    backward_ms: float
    megabytes: float
    rows: int = 0
    collectives: int = 4


@dataclass(frozen=True)
class Net:
    """What connects the ranks.

    Attributes:
        inside_gbs: GB/s of a ring inside a node.
        between_gbs: GB/s of a ring between nodes, of all its links together.
        hop_us: microseconds of one hop of a collective.
        per_node: ranks of a node.
    """

    inside_gbs: float = 300.0
    between_gbs: float = 50.0
    hop_us: float = 15.0
    per_node: int = 8


def efficiency(step: Step, net: Net, ranks: int) -> float:
    """Share of perfect scaling that the model predicts, 0 to 1."""
    alone_ms = step.forward_ms + max(step.rows, 1) * step.backward_ms
    if ranks == 1:
        return 1.0
    link_gbs = net.inside_gbs if ranks <= net.per_node else min(net.inside_gbs, net.between_gbs)
    pass_ms = (ranks - 1) / ranks * step.megabytes / link_gbs  # MB over GB/s is ms
    latency_ms = step.collectives * 2 * math.log2(ranks) * net.hop_us / 1000
    if step.rows:
        hidden_ms = (step.rows - 1) * max(step.backward_ms, pass_ms)
        return alone_ms / (step.forward_ms + step.backward_ms + hidden_ms + 2 * pass_ms + latency_ms)
    last_bucket_ms = min(25.0, step.megabytes) / step.megabytes * 2 * pass_ms  # the last one has nothing beside it
    overlapped_ms = max(step.backward_ms, 2 * pass_ms - last_bucket_ms) + last_bucket_ms
    return alone_ms / (step.forward_ms + overlapped_ms + latency_ms)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--forward-ms", type=float, default=30.0)
    parser.add_argument("--backward-ms", type=float, default=60.0)
    parser.add_argument("--megabytes", type=float, default=102.0, help="of the gradients; 102 is ResNet-50 in float32")
    parser.add_argument("--tasks", type=int, default=4)
    parser.add_argument("--inside-gbs", type=float, default=300.0)
    parser.add_argument("--between-gbs", type=float, default=50.0)
    parser.add_argument("--check", action="store_true", help="measure on this machine instead, over gloo")
    parser.add_argument("--ranks", type=int, nargs="+", help="[8 64 512; with --check 1 2 4]")
    arguments = parser.parse_args()
    if arguments.check:
        check(arguments.ranks or [1, 2, 4])
        return
    ranks = arguments.ranks or [8, 64, 512]
    plain = Step(arguments.forward_ms, arguments.backward_ms, arguments.megabytes)
    net = Net(arguments.inside_gbs, arguments.between_gbs)
    exact = replace(plain, rows=arguments.tasks)
    print(f"{plain}\n{net}\n")
    print(f"{'efficiency at ranks':34}" + "".join(f"{num:>8}" for num in ranks))
    rows = [("plain DDP", plain), ("balanced at features", replace(plain, collectives=plain.collectives + 1))]
    for name, step in [*rows, (f"at parameters, K={arguments.tasks}", exact)]:
        print(f"{name:34}" + "".join(f"{efficiency(step, net, num):8.1%}" for num in ranks))


def check(ranks: list[int]) -> None:
    """Times of plain DDP here beside the model, which is given one rank's times and the bandwidth of two."""
    cores = os.cpu_count() or 1
    if max(ranks) > 4 * cores:
        raise SystemExit(f"--ranks {max(ranks)}: {cores} cores measure up to {4 * cores} processes.")
    print(f"{cores} cores")
    forward_ms, backward_ms, step_ms, _, megabytes = measure(1)
    _, _, _, gbs, _ = measure(2)
    step, net = Step(forward_ms, backward_ms, megabytes), Net(gbs, gbs, 100.0, 1 << 20)
    print(f"forward {forward_ms:.1f} ms, backward {backward_ms:.1f} ms, {megabytes:.1f} MB, ring {gbs:.2f} GB/s")
    print(f"{'ranks':>6}{'step ms':>10}{'measured':>10}{'model':>10}")
    for num in ranks:
        ms = step_ms if num == 1 else measure(num)[2]
        print(
            f"{num:>6}{ms:>10.1f}{step_ms / ms:>10.1%}{min(1, cores / num) * efficiency(step, net, num):>10.1%}",
            flush=True,
        )


def measure(ranks: int) -> tuple[float, float, float, float, float]:
    """Milliseconds of forward, backward and step, GB/s of a ring, megabytes of gradients; medians of rank 0."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = mp.get_context("spawn")
    ours, theirs = context.Pipe()
    processes = [context.Process(target=work, args=(rank, ranks, port, theirs)) for rank in range(ranks)]
    for process in processes:
        process.start()
    times: tuple[float, float, float, float, float] = ours.recv()
    for process in processes:
        process.join()
    return times


def work(rank: int, ranks: int, port: int, pipe: Any) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=ranks)
    layers = [nn.Conv2d(3, 64, 3, 2, 1), *(nn.Conv2d(64, 64, 3, 1, 1) for _ in range(8)), nn.AdaptiveAvgPool2d(4)]
    network = nn.Sequential(*layers, nn.Flatten(), nn.Linear(1024, 2048), nn.Linear(2048, 10))
    model = DistributedDataParallel(network) if ranks > 1 else network
    image, times = torch.rand(8, 3, 64, 64), []
    for _ in range(30):
        start = time.perf_counter()
        loss = model(image).square().mean()
        middle = time.perf_counter()
        loss.backward()
        end = time.perf_counter()
        times.append((1000 * (middle - start), 1000 * (end - middle), 1000 * (end - start)))
    forward_ms, backward_ms, step_ms = (torch.tensor(times[2:]).median(0).values).tolist()
    buffer, seconds = torch.ones(4_000_000), []
    for _ in range(6):
        start = time.perf_counter()
        dist.all_reduce(buffer)
        seconds.append(time.perf_counter() - start)
    gbs = 2 * (ranks - 1) / ranks * buffer.numel() * 4 / 1e9 / sorted(seconds)[3]
    if rank == 0:
        pipe.send((forward_ms, backward_ms, step_ms, gbs, sum(p.numel() * 4 for p in network.parameters()) / MB))
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
