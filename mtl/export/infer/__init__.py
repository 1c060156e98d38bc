"""Programs that run an exported file without PyTorch; `export` writes the one that serves the model's kinds of inputs.

Each is a file of its own, says in `KINDS` which inputs it prepares, and needs nothing of `mtl`.
"""

import importlib
import pkgutil
from collections.abc import Iterable
from pathlib import Path


def program_for(kinds: Iterable[str]) -> Path | None:
    """The file of the program that prepares these kinds of inputs; None where there is none.

    Args:
        kinds: of a model's inputs.
    """
    wanted = set(kinds)
    for module in pkgutil.iter_modules(__path__):
        program = importlib.import_module(f"{__name__}.{module.name}")
        if wanted <= set(program.KINDS):
            return Path(str(program.__file__))
    return None
