from pathlib import Path

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mtl.drawing.figure_file import save_figure


def test_a_picture_that_cannot_be_written_is_told_and_no_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    figure = Figure(figsize=(1, 1))
    FigureCanvasAgg(figure)
    assert save_figure(figure, tmp_path / "pictures" / "one.png")
    assert (tmp_path / "pictures" / "one.png").stat().st_size > 100
    assert not save_figure(figure, Path("/proc/pictures/one.png"))
    assert "picture /proc/pictures/one.png cannot be written (" in caplog.text
