"""Which samples are drawn, and where the pictures go."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mtl.callbacks.pictures import box_pictures
from mtl.callbacks.pictures.box_pictures import BoxPictures
from mtl.callbacks.tracking.results import Results
from mtl.evaluation.tables.report import read_results
from mtl.runs.metrics_csv import MetricsCSV


def test_a_run_leaves_a_grid_of_test_scenes(finished_run: Any) -> None:
    with Image.open(finished_run.folder / "pictures/predictions.png") as image:
        assert image.width == round(4 * 2.6 * 130)


def test_the_first_test_samples_are_drawn_over_batches(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr(box_pictures, "draw_grid", lambda pictures, *rest: drawn.extend(pictures))
    data = tiny.data()
    data.eval_batch_size = 4
    tiny.trainer([BoxPictures(tmp_path, num_pictures=6)]).test(tiny.module(), data, verbose=False)
    assert len(drawn) == 6
    assert all((picture.image == data.test_set.images[index]).all() for index, picture in enumerate(drawn))


def test_in_a_config_by_itself_it_finds_the_run_folder(tiny: Any, tmp_path: Path) -> None:
    trainer = tiny.trainer([BoxPictures(num_pictures=2)], logger=MetricsCSV(tmp_path / "metrics.csv"))
    trainer.test(tiny.module(), tiny.data(), verbose=False)
    assert (tmp_path / "pictures/predictions.png").is_file()


def test_without_a_folder_and_w_and_b_nothing_is_drawn(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr(box_pictures, "draw_grid", lambda *rest: drawn.append(rest))
    tiny.trainer([BoxPictures()]).test(tiny.module(), tiny.data(), verbose=False)
    assert drawn == []


@pytest.mark.parametrize("broken", ["draw_grid", "take_picture"])
def test_a_picture_that_cannot_be_drawn_costs_no_results(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, broken: str
) -> None:
    def fail(*_: Any) -> None:
        raise ValueError("picture 'a.jpg' cannot be decoded")

    monkeypatch.setattr(box_pictures, broken, fail)
    tiny.trainer([BoxPictures(tmp_path), Results(tmp_path)]).test(tiny.module(), tiny.data(), verbose=False)
    assert read_results(tmp_path / "results.json")["test/score"] is not None
    assert "cannot be drawn (ValueError: picture 'a.jpg' cannot be decoded)" in caplog.text


@pytest.mark.parametrize(
    "options",
    [{"num_pictures": -1}, {"every_n_validations": 0}, {"min_score": 1.5}],
    ids=lambda options: next(iter(options)),
)
def test_rejects_settings_out_of_range(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(options))}="):
        BoxPictures(**options)
