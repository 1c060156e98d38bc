"""A figure on the disk. A run does not end because a picture of it cannot be written."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mtl.errors import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_log = logging.getLogger(__name__)


def save_figure(figure: "Figure", path: Path) -> bool:
    """Write a figure; a full disk is a warning and no error.

    Args:
        figure: the figure.
        path: the file, whose folder is made.

    Returns:
        Whether it was written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=130)
    except OSError as error:
        path.unlink(missing_ok=True)
        _log.warning("picture %s cannot be written (%s); the run continues without it.", path, error.strerror or error)
        return False
    return True


@contextmanager
def not_costing(what: str) -> Iterator[None]:
    """For pictures of a run that is fine: a failure is logged, and the run writes its results all the same.

    Args:
        what: is drawn.
    """
    try:
        yield
    except Exception as error:  # noqa: BLE001, drawing meets files, fonts, disks and servers
        reason = printable(f"{type(error).__name__}: {error}")
        _log.warning("%s cannot be drawn (%s); the run continues without.", what, reason)


@contextmanager
def not_hiding(exception: BaseException, what: str) -> Iterator[None]:
    """For pictures of a run that has failed: what fails now is logged, so that the first error is raised.

    Args:
        exception: why the run has failed.
        what: is drawn.
    """
    try:
        yield
    except Exception as error:  # noqa: BLE001, the error of a second killed loader process may arrive at any time
        _log.warning("no %s of this run, which failed with %s: %s", what, type(exception).__name__, error)
