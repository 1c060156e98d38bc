"""A figure on the disk. A run does not end because a picture of it cannot be written."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mtl.errors import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_log = logging.getLogger(__name__)
PAPER_FORMATS = ("pdf", "svg")
_more: tuple[str, ...] = ()  # formats of this process beside the one of each file


def also_in(formats: Sequence[str]) -> None:
    """Write every figure of this process in more formats, beside its file.

    Args:
        formats: any of `PAPER_FORMATS`; none for the files alone.

    Raises:
        ValueError: for another format.
    """
    global _more
    if wrong := [name for name in formats if name not in PAPER_FORMATS]:
        raise ValueError(f"figures are written as {' or '.join(PAPER_FORMATS)} too, not as {wrong[0]!r:.50}.")
    _more = tuple(dict.fromkeys(formats))


def panels(number: int, columns: int, width: float, height: float, above: float = 0.0) -> "tuple[Figure, list[Axes]]":
    """A figure of panels in lines, without a screen; places that are left over in the last line stay empty.

    Args:
        number: of panels.
        columns: most in a line.
        width: of a panel, in inches.
        height: of a panel, in inches.
        above: room for a title, in inches.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(columns, number)
    lines = -(-number // columns)
    figure = Figure(figsize=(width * columns, height * lines + above), layout="constrained")
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(lines, columns, squeeze=False).flat)
    for axis in axes[number:]:
        axis.set_axis_off()
    return figure, axes[:number]


def write_figure(figure: "Figure", path: Path) -> list[Path]:
    """Write a figure, also in the formats of `also_in`.

    Args:
        figure: the figure.
        path: the file; its suffix chooses the format.

    Returns:
        The files.
    """
    import matplotlib

    files = [path, *(other for name in _more if (other := path.with_suffix(f".{name}")) != path)]
    undated = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}}
    # letters stay letters that can be searched and edited, and one command writes the same bytes again
    with matplotlib.rc_context({"pdf.fonttype": 42, "svg.fonttype": "none", "svg.hashsalt": "mtl"}):
        for file in files:
            figure.savefig(file, dpi=130, metadata=undated.get(file.suffix.lower()))
    return files


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
        write_figure(figure, path)
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
