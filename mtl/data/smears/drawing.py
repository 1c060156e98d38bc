"""Red and white blood cells of a patient, drawn as discs; some red ones hold a parasite.

Shapes: C cells of a picture, H x W pixels.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mtl.data.smears.patients import DIAGNOSES, Patients

CELLS = ("red", "infected", "white")
_WHITE_UM = (9.0, 15.0)  # their sizes differ so much that they are no measure
_MOST_CELLS, _TRIES = 16, 60
_GAP = 1.04  # centres are this many radii apart, at least
_INFECTED = (0.3, 0.7)  # share of the red cells of somebody with malaria
# colours of the plasma, red cells, nuclei
_STAINS = (
    ((0.94, 0.92, 0.95), (0.86, 0.62, 0.68), (0.36, 0.16, 0.52)),
    ((0.96, 0.94, 0.90), (0.90, 0.58, 0.52), (0.27, 0.22, 0.58)),
    ((0.90, 0.93, 0.96), (0.78, 0.66, 0.78), (0.45, 0.12, 0.45)),
)


@dataclass(frozen=True)
class Smear:
    """A picture, and the cells on it.

    Args:
        image: uint8, [3,H,W].
        boxes: xyxy px of each cell, float32 [C,4].
        labels: index in `CELLS`, [C].
    """

    image: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]


def draw_smear(patients: Patients, index: int, size_px: int, noise: float, rng: np.random.Generator) -> Smear:
    """The picture of one patient.

    Args:
        patients: the patients.
        index: which one.
        size_px: height and width in pixels.
        noise: standard deviation of the pixel noise, as a share of full brightness.
        rng: random numbers.
    """
    scale = patients.um_per_px[index]
    ill = DIAGNOSES[patients.diagnosis[index]] == "malaria"
    share = rng.uniform(*_INFECTED) if ill else 0.0
    plasma, red, nucleus = (np.array(colour) + 0.03 * rng.normal(size=3) for colour in _STAINS[patients.stain[index]])
    image_HW3 = np.broadcast_to(plasma, (size_px, size_px, 3)).copy()
    whites = int(rng.integers(3))
    centres: list[tuple[float, float, float]] = []
    labels: list[int] = []
    for cell in range(_MOST_CELLS):
        white = cell < whites
        diameter_um = rng.uniform(*_WHITE_UM) if white else patients.diameter_um[index] * (1 + 0.05 * rng.normal())
        radius = max(2.0, diameter_um / scale / 2)
        place = _free_place(centres, radius, size_px, rng)
        if place is None:
            continue
        infected = not white and rng.random() < share
        _draw_cell(image_HW3, *place, radius, nucleus if white else red, white, rng)
        if infected:
            _draw_parasite(image_HW3, *place, radius, nucleus, rng)
        centres.append((*place, radius))
        labels.append(CELLS.index("white" if white else "infected" if infected else "red"))
    # dirt of the stain lies anywhere, and is no parasite
    for _ in range(int(rng.integers(4))):
        x, y = rng.uniform(2, size_px - 2, 2).tolist()
        _blend(image_HW3, x, y, 0.9, nucleus, 0.7)
    image_HW3 += noise * rng.normal(size=image_HW3.shape)
    image = (image_HW3.clip(0, 1) * 255).round().astype(np.uint8).transpose(2, 0, 1)
    boxes_C4 = np.array([(x - r, y - r, x + r, y + r) for x, y, r in centres], np.float32).reshape(-1, 4)
    return Smear(np.ascontiguousarray(image), boxes_C4, np.array(labels, np.int64))


def _free_place(
    centres: list[tuple[float, float, float]], radius: float, size_px: int, rng: np.random.Generator
) -> tuple[float, float] | None:
    if 2 * radius >= size_px:
        return None
    others_C3 = np.array(centres).reshape(-1, 3)
    places_T2 = rng.uniform(radius, size_px - radius, (_TRIES, 2))
    away_TC = np.hypot(places_T2[:, :1] - others_C3[:, 0], places_T2[:, 1:] - others_C3[:, 1])
    free_T = (away_TC >= _GAP * (radius + others_C3[:, 2])).all(1)
    if not free_T.any():
        return None
    x, y = places_T2[free_T.argmax()].tolist()
    return x, y


def _draw_cell(
    image_HW3: NDArray[np.float64],
    x: float,
    y: float,
    radius: float,
    colour: NDArray[np.float64],
    white: bool,
    rng: np.random.Generator,
) -> None:
    if not white:
        _blend(image_HW3, x, y, radius, colour, 0.95)
        _blend(image_HW3, x, y, 0.42 * radius, colour + 0.14, 0.6)  # red cells are thin in the middle
        return
    _blend(image_HW3, x, y, radius, 0.5 * colour + 0.45, 0.8)
    for _ in range(3):  # the lobes of the nucleus
        dx, dy = rng.uniform(-0.35, 0.35, 2) * radius
        _blend(image_HW3, x + dx, y + dy, 0.42 * radius, colour, 0.9)


def _draw_parasite(
    image_HW3: NDArray[np.float64],
    x: float,
    y: float,
    radius: float,
    colour: NDArray[np.float64],
    rng: np.random.Generator,
) -> None:
    angle, away = rng.uniform(0, 2 * np.pi), rng.uniform(0.2, 0.5) * radius
    _blend(image_HW3, x + away * np.cos(angle), y + away * np.sin(angle), max(1.0, 0.28 * radius), colour, 0.9)


def _blend(
    image_HW3: NDArray[np.float64], x: float, y: float, radius: float, colour: NDArray[np.float64], share: float
) -> None:
    """A disc with a soft edge of one pixel."""
    height, width = image_HW3.shape[:2]
    top, bottom = max(0, int(y - radius - 1)), min(height, int(y + radius + 2))
    left, right = max(0, int(x - radius - 1)), min(width, int(x + radius + 2))
    rows, columns = np.arange(top, bottom)[:, None] + 0.5, np.arange(left, right) + 0.5
    cover = (radius + 0.5 - np.hypot(columns - x, rows - y)).clip(0, 1)[..., None] * share
    part = image_HW3[top:bottom, left:right]
    part += cover * (colour - part)
