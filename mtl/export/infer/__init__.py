"""Programs that run an exported file without PyTorch; `export` writes the ones that serve the model's kinds of inputs.

Each says in `KINDS` which inputs it prepares, and needs nothing of `mtl`. For models of several inputs `samples.py`
uses the programs of their kinds beside it.
"""

import importlib
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

TOGETHER = "samples"  # the program that uses the others


def programs_for(inputs: Mapping[str, Mapping[str, Any]]) -> list[Path]:
    """The program that prepares these inputs, and the files that it needs beside it; none where there is none.

    Args:
        inputs: what `describe` says of each: its `kind`, and `names` or a `tokenizer` where it has some.
    """
    wanted = {str(known["kind"]) for known in inputs.values()}
    unnamed = {str(known["kind"]) for known in inputs.values() if not {"names", "tokenizer"} & known.keys()}
    found: dict[Path, set[str]] = {}
    for module in pkgutil.iter_modules(__path__):
        program = importlib.import_module(f"{__name__}.{module.name}")
        found[Path(str(program.__file__))] = set(program.KINDS) - (unnamed if program.BY_NAMES else set())
    alone = [path for path, own in found.items() if wanted <= own]
    beside = [path for path, own in found.items() if wanted & own]
    if alone or not wanted <= set().union(*(found[path] for path in beside)):
        return alone[:1]
    return [Path(__file__).with_name(f"{TOGETHER}.py"), *beside]
