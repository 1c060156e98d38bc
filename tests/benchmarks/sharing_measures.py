"""Do the measures of `python -m mtl explain` see a share that was planted? One column for each planted share.

Run: PYTHONPATH=. python tests/benchmarks/sharing_measures.py [--seeds 3]     (20 seconds of one CPU thread)
Two tasks read six columns of a random row each, of which 0, 2, 4 or 6 are the same; a trunk of two hidden layers learns
both, or one for the measures that compare single networks. Values are means over both directions and the seeds, in
brackets the largest baseline.
"""

import argparse
import math
import statistics

import torch
from rich.console import Console
from rich.table import Table

import mtl.affinity
from mtl.affinity.sharing.sharing_measure import Finding, SharingMeasure
from mtl.discovery import concrete_subclasses
from tests.contract.kit.planted_share import READ, inside

PLANTED = (0, 2, 4, 6)


def levels(found: list[Finding]) -> dict[str, tuple[float, float]]:
    """Mean value and mean of the largest baseline by level, of the last step."""
    last = max((one.step for one in found if one.step is not None), default=None)
    rows: dict[str, list[tuple[float, float]]] = {}
    for one in found:
        if one.step == last and one.source != one.target:
            beside = [v for name, v in one.baselines.items() if name not in ("own damage", "cka")]
            rows.setdefault(one.level, []).append((one.value, max(beside, default=math.nan)))
    return {level: tuple(map(statistics.fmean, zip(*pairs, strict=True))) for level, pairs in rows.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1)
    seeds = range(parser.parse_args().seeds)
    torch.set_num_threads(1)
    assert mtl.affinity  # importing the package imports every measure
    table = Table("measure", "level", *(f"{shared / READ:.2f}" for shared in PLANTED))
    for cls in concrete_subclasses(SharingMeasure):  # type: ignore[type-abstract]
        runs = {shared: [levels(cls().measure(inside(shared, True, seed))) for seed in seeds] for shared in PLANTED}
        for level in runs[0][0]:
            cells = []
            for shared in PLANTED:
                value, beside = (statistics.fmean(run[level][place] for run in runs[shared]) for place in (0, 1))
                cells.append(f"{value:.2f}" + ("" if math.isnan(beside) else f" ({beside:.2f})"))
            table.add_row(cls.__name__, level, *cells)
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
