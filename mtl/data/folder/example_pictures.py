"""Random pictures with a box each, which examples of folders of pictures are made of."""

from pathlib import Path

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 24, 32
CLASSES = ("cat", "dog")


def write_example_pictures(folder: Path) -> dict[str, tuple[str, int, int, int, int]]:
    """Write `images/*.png`, splits, and a CSV with a label for each picture.

    Args:
        folder: the folder of the data set.

    Returns:
        A box for each picture, by its name: class, then xyxy in whole pixels.
    """
    (folder / "images").mkdir()
    (folder / "splits").mkdir()
    rng = np.random.default_rng(0)
    boxes, labels = {}, ["image,light"]
    for split, number in (("train", 6), ("val", 3), ("test", 3)):
        names = [f"{split}{index}" for index in range(number)]
        (folder / "splits" / f"{split}.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
        for index, name in enumerate(names):
            pixels = rng.integers(256, size=(HEIGHT, WIDTH, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "images" / f"{name}.png")
            boxes[name] = (CLASSES[index % 2], 2 + index, 3, 14 + index, 20)
            labels.append(f"{name},{('day', 'dusk', '')[index % 3]}")
    (folder / "labels.csv").write_text("\n".join(labels) + "\n", encoding="utf-8")
    return boxes
