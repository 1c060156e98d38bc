"""Maps become colours: unknown pixels are grey, bright is high, the truth stands beside the prediction."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from mtl.drawing.grid import draw_grid
from mtl.drawing.maps import colours_of, map_panels
from mtl.drawing.sample import Picture, class_colour
from mtl.drawing.wandb_image import wandb_images
from mtl.targets.overlay import Answer, Boxes, ClassMap, Directions, Overlay, Points, ValueMap
from mtl.task import Task

IMAGE = torch.full((3, 8, 12), 90, dtype=torch.uint8)
TASKS = {name: Task(name, name) for name in ("depth", "normals", "edges")}
TASKS["mask"] = Task("mask", "segmentation", class_names=("road", "sky"))


def test_values_go_from_dark_to_bright_and_unknown_is_grey() -> None:
    values = torch.linspace(0, 1, 96).view(8, 12)
    values[0, 1] = torch.nan
    found = colours_of(ValueMap(values, 0.0, 1.0), IMAGE)
    assert found is not None
    assert found[:, 0, 0].tolist() == [0x44, 0x01, 0x54]
    assert found[:, -1, -1].tolist() == [0xFD, 0xE7, 0x25]
    assert found[:, 0, 1].tolist() == [40, 40, 40]
    assert found.float().mean(0)[0, 0] < found.float().mean(0)[4, 6] < found.float().mean(0)[-1, -1]


def test_a_surface_that_faces_the_camera_is_light_blue() -> None:
    vectors = torch.tensor([0.0, 0.0, -1.0])[:, None, None].expand(3, 8, 12)
    found = colours_of(Directions(vectors), IMAGE)
    assert found is not None
    assert found[:, 0, 0].tolist() == [128, 128, 255]


def test_a_map_that_reaches_over_the_picture_is_cut() -> None:
    for shape in (
        ClassMap(torch.zeros(10, 16)),
        ValueMap(torch.zeros(10, 16), 0, 1),
        Directions(torch.zeros(3, 10, 16)),
    ):
        found = colours_of(shape, IMAGE)
        assert found is not None
        assert found.shape == IMAGE.shape


def test_boxes_are_no_map() -> None:
    assert colours_of(Boxes(torch.zeros(0, 4), torch.zeros(0)), IMAGE) is None


def shown() -> Picture:
    values = torch.rand(8, 12)
    depth, normals = ValueMap(values, 0.0, 1.0), Directions(torch.rand(3, 8, 12))
    overlays = {
        "depth": Overlay(depth, depth),
        "normals": Overlay(normals),
        "mask": Overlay(ClassMap(torch.ones(8, 12))),
        "room": Overlay(answer=Answer("hall", "hall", 0.5, True)),
    }
    return Picture(IMAGE, overlays)


def test_the_grid_has_a_place_for_each_map_and_its_truth(tmp_path: Path) -> None:
    assert list(map_panels(shown())) == ["depth", "normals", "mask"]
    assert map_panels(shown())["normals"][1] is None
    draw_grid([shown()] * 3, TASKS, tmp_path / "grid.png")
    with Image.open(tmp_path / "grid.png") as image:
        assert image.width == round(7 * 1.6 * 130)
        # bright depth is drawn, which neither the picture nor the frame is
        pixels = np.asarray(image.convert("RGB")).reshape(-1, 3).astype(int)
    assert (np.abs(pixels - [0xFD, 0xE7, 0x25]).sum(1) < 60).any()


def test_wandb_gets_a_picture_for_each_map_that_it_cannot_switch() -> None:
    images = wandb_images(shown(), TASKS)
    assert [image._caption for image in images[1:]] == ["depth: predicted, true", "normals: predicted"]
    assert images[1]._width == 2 * images[2]._width


def test_points_are_dots_in_a_colour_of_their_own_and_unknown_ones_are_not_drawn() -> None:
    image = torch.full((3, 40, 60), 10, dtype=torch.uint8)
    places = torch.tensor([[12.0, 8.0], [torch.nan, torch.nan], [50.0, 30.0]])
    panel = colours_of(Points(places), image)
    assert panel is not None
    for index, x, y in ((0, 12, 8), (2, 50, 30)):
        red = int(class_colour(index)[1:3], 16)
        assert panel[0, y, x] == red
        assert (panel[:, y, x + 1] == 255).all(), "a white rim"
    second = [int(class_colour(1)[at : at + 2], 16) for at in (1, 3, 5)]
    assert not (panel == torch.tensor(second)[:, None, None]).all(0).any()
    assert (image == 10).all(), "the picture itself stays"
