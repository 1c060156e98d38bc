"""After the test the run has confusion matrices, curves, calibration and its worst samples."""

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from mtl.callbacks.pictures.evaluation_pictures import EvaluationPictures
from mtl.drawing import evaluation
from mtl.drawing.evaluation import draw_confusion, draw_detection_curves
from mtl.metrics.detection_matching import SIZES, Matched, curve_of, match_all
from mtl.task import Task


def test_a_run_has_the_pictures_of_its_evaluation(trained: Path) -> None:
    pictures = {path.name for path in (trained / "pictures").iterdir()}
    # an untrained detector finds nothing that could be matched, but its true boxes are there
    assert {"confusion_largest.png", "calibration.png", "worst.png", "confusion_boxes.png"} <= pictures
    with Image.open(trained / "pictures" / "worst.png") as image:
        assert min(image.size) > 100


def test_sizes_of_objects_are_in_pixels_of_the_file() -> None:
    task, pictures = Task("boxes", "detection", class_names=("a",)), EvaluationPictures()
    box = torch.tensor([[[10.0, 20, 30, 40]]])  # 20 px wide and high in the network's input, and 80 px in the file
    batch = {
        "boxes": box,
        task.labels_field: torch.tensor([[0]]),
        "image": torch.zeros(1, 3, 64, 64),
        "orig_size": torch.tensor([[256, 256]]),
        "to_original": torch.tensor([[4.0, 4, 0, 0]]),
    }
    found = {"boxes": box, "scores": torch.tensor([[0.9]]), "labels": torch.tensor([[0]])}
    assert pictures._add_boxes(task, found, batch).tolist() == [0]
    (image,) = pictures._images["boxes"]
    assert image.boxes.tolist() == image.true_boxes.tolist() == [[40, 80, 120, 160]]
    counts = {size: match_all([image], 1, area=area)[0].count for size, area in SIZES.items()}
    assert counts == {"small": 0, "medium": 1, "large": 0}


def test_matrices_and_curves_are_drawn_also_of_many_classes_and_strange_names(tmp_path: Path) -> None:
    names = [f"$class_{i}\n" for i in range(60)]
    counts = torch.zeros(60, 60, dtype=torch.long)
    counts[3, 4] = 5
    assert draw_confusion(counts, names, "x", tmp_path / "few.png")
    assert not draw_confusion(torch.ones(60, 60, dtype=torch.long), names, "x", tmp_path / "many.png")
    curve = curve_of(Matched([0.9, 0.8, 0.3], [True, False, True], 3))
    none = curve_of(Matched([], [], 2))
    assert draw_detection_curves({"a$b": curve, "b": none}, {"small": None, "large": 0.5}, "x", tmp_path / "c.png")


def test_names_of_many_classes_do_not_cover_the_curves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr(evaluation, "save_figure", lambda figure, path: drawn.append(figure) or True)
    curve = curve_of(Matched([0.9, 0.8, 0.3], [True, False, True], 3))
    assert draw_detection_curves({f"class {i}": curve for i in range(10)}, {"large": 0.5}, "x", tmp_path / "c.png")
    (figure,) = drawn
    figure.canvas.draw()
    legend = figure.axes[0].get_legend().get_window_extent()
    assert not any(axis.get_window_extent().overlaps(legend) for axis in figure.axes)
    assert min(legend.x0, legend.y0) >= 0


def test_numbers_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="num_worst=-1"):
        EvaluationPictures(num_worst=-1)
