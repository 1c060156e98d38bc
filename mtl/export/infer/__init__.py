"""Programs that run an exported file without PyTorch; `export` writes the ones that serve the model's kinds of inputs.

Each says in `KINDS` which inputs it prepares, and needs nothing of `mtl`. The program of models of several inputs,
`samples.py`, uses those of each input beside it.
"""

import importlib
import pkgutil
from collections.abc import Iterable
from pathlib import Path

TOGETHER = "samples"  # the program that uses the others


def programs_for(kinds: Iterable[str]) -> list[Path]:
    """The program that prepares these kinds of inputs, and the files that it needs beside it; none where there is none.

    Args:
        kinds: of a model's inputs.
    """
    wanted = set(kinds)
    found: dict[Path, set[str]] = {}
    for module in pkgutil.iter_modules(__path__):
        program = importlib.import_module(f"{__name__}.{module.name}")
        found[Path(str(program.__file__))] = set(program.KINDS)
    alone = [path for path, own in found.items() if wanted <= own]
    beside = [path for path, own in found.items() if wanted & own]
    if alone or not wanted <= set().union(*(found[path] for path in beside)):
        return alone[:1]
    return [Path(__file__).with_name(f"{TOGETHER}.py"), *beside]
