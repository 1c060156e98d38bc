"""`mtl`: one shared network, many tasks. A PyTorch Lightning research template for multi-task learning.

From Python, each imported when it is first asked for:

    from mtl import MultiTaskLightningModule, fit, load_run
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["MultiTaskLightningModule", "fit", "load_checkpoint", "load_run"]

if TYPE_CHECKING:
    from mtl.cli.from_python import fit
    from mtl.evaluation.load import load_checkpoint, load_run
    from mtl.module import MultiTaskLightningModule

_PLACES = {
    "MultiTaskLightningModule": "mtl.module",
    "fit": "mtl.cli.from_python",
    "load_checkpoint": "mtl.evaluation.load",
    "load_run": "mtl.evaluation.load",
}


def __getattr__(name: str) -> Any:
    # late: `python -m mtl --help` needs neither torch nor Lightning
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    raise AttributeError(f"module 'mtl' has no attribute {name!r}")
