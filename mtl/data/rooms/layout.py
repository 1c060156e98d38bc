"""Random rooms with objects on the floor, a camera and a light, as tensors.

World axes, in metres: x to the right, y down (the floor is y = 0), z ahead; the room is centred at x = z = 0.
Shapes: N rooms, K object slots of a room, S = K + 3 surfaces (objects, then wall, floor, ceiling).
"""

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

SHAPES = ("box", "ball", "column")
BOX, BALL, COLUMN = range(3)
ROOMS = ("storeroom", "playroom", "hall", "lounge")
_MIX = torch.tensor(
    [[0.9, 0.05, 0.05], [0.05, 0.9, 0.05], [0.05, 0.05, 0.9], [1 / 3, 1 / 3, 1 / 3]]
)  # shapes in each room
_TRIES = 12  # to place an object before it is dropped
_NEAREST_M = 1.1  # of an object to the camera
# which axes a pattern counts its steps along: plain, checks, boards along z, boards along x, bands
_PATTERNS = torch.tensor([[0.0, 0, 0], [1, 1, 1], [1, 0, 0], [0, 0, 1], [0, 1, 0]])
_FLOORS = torch.tensor([0, 2, 1, 3])  # the usual pattern of the floor of each room


class Uniform(Protocol):
    """Random numbers between two bounds, a row for each room."""

    def __call__(self, low: float, high: float, *shape: int) -> Tensor:
        """Random numbers, [N,*shape].

        Args:
            low: lower bound.
            high: upper bound.
            shape: of each row.
        """


@dataclass(frozen=True)
class Rooms:
    """N rooms.

    Attributes:
        kind: index in `ROOMS`, [N].
        low: smallest x, y, z of the room, [N,3].
        high: largest x, y, z, [N,3].
        camera: position, [N,3].
        to_world: rotation of the camera's axes into the world's, [N,3,3].
        light: position of the lamp, [N,3].
        there: which slots hold an object, bool [N,K].
        shape: index in `SHAPES`, [N,K].
        centre: of each object, [N,K,3].
        half: half its sides, [N,K,3]; equal for a ball, equal in x and z for a column.
        turn: its rotation about y, cosine and sine, [N,K,2].
        colours: two colours of every surface, 0..1, [N,S,2,3].
        pattern: which axes the pattern of a surface counts steps along, [N,S,3].
        step: length of a step, [N,S].
    """

    kind: Tensor
    low: Tensor
    high: Tensor
    camera: Tensor
    to_world: Tensor
    light: Tensor
    there: Tensor
    shape: Tensor
    centre: Tensor
    half: Tensor
    turn: Tensor
    colours: Tensor
    pattern: Tensor
    step: Tensor

    def __len__(self) -> int:
        return len(self.kind)

    def __getitem__(self, rows: slice) -> "Rooms":
        return Rooms(**{name: value[rows] for name, value in vars(self).items()})


def random_rooms(count: int, max_objects: int, generator: torch.Generator) -> Rooms:
    """Rooms of four kinds, which differ in the shapes they hold and, mostly, in their floors.

    Args:
        count: N.
        max_objects: K; a room has one at least, unless it finds no place.
        generator: random numbers.
    """

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(count, *shape, generator=generator)

    kind = torch.randint(len(ROOMS), (count,), generator=generator)
    sides = torch.stack((uniform(3.5, 7.0), uniform(2.3, 3.4), uniform(3.5, 7.0)), 1)
    low = torch.stack((-sides[:, 0] / 2, -sides[:, 1], -sides[:, 2] / 2), 1)
    high = torch.stack((sides[:, 0] / 2, torch.zeros(count), sides[:, 2] / 2), 1)
    # near the wall behind, looking across the room and down
    camera = torch.stack((uniform(-0.3, 0.3) * sides[:, 0], uniform(-1.8, -1.2), low[:, 2] + 0.25), 1)
    to_world = _rotation(uniform(-0.4, 0.4) - camera[:, 0] / sides[:, 2] / 2, uniform(0.0, 0.4))
    lamp = torch.stack((uniform(-0.35, 0.35), uniform(-0.95, -0.8), uniform(-0.35, 0.35)), 1) * sides
    shape = torch.multinomial(_MIX[kind], max_objects, replacement=True, generator=generator)
    half = _sizes(shape, sides, uniform)
    angle = uniform(0, 2 * math.pi, max_objects)
    wanted = torch.arange(max_objects) < torch.randint(1, max_objects + 1, (count, 1), generator=generator)
    centre, there = _place(wanted, half, sides, camera, uniform)
    surfaces = max_objects + 3
    step = uniform(0.15, 0.5, surfaces)
    usual = (uniform(0, 1) < 0.85, _FLOORS[kind])
    numbers = torch.randint(len(_PATTERNS), (count, surfaces), generator=generator)
    numbers[:, -2] = torch.where(*usual, numbers[:, -2])
    colours = uniform(0.15, 0.95, surfaces, 2, 3)
    # the two colours of a surface are related, and the room itself is paler than what stands in it
    colours[:, :, 1] = colours[:, :, 0].lerp(colours[:, :, 1], 0.5)
    colours[:, -3:] = 0.35 + 0.6 * colours[:, -3:]
    return Rooms(
        kind, low, high, camera, to_world, lamp, there, shape, centre, half,
        torch.stack((angle.cos(), angle.sin()), -1), colours, _PATTERNS[numbers], step,
    )  # fmt: skip


def _rotation(yaw_N: Tensor, pitch_N: Tensor) -> Tensor:
    """Camera to world: first down by the pitch, then to the right by the yaw."""
    one, none = torch.ones_like(yaw_N), torch.zeros_like(yaw_N)
    (c, s), (d, t) = (yaw_N.cos(), yaw_N.sin()), (pitch_N.cos(), pitch_N.sin())
    about_y = torch.stack((c, none, s, none, one, none, -s, none, c), 1).view(-1, 3, 3)
    about_x = torch.stack((one, none, none, none, d, t, none, -t, d), 1).view(-1, 3, 3)
    return about_y @ about_x


def _sizes(shape_NK: Tensor, sides_N3: Tensor, uniform: Uniform) -> Tensor:
    """Half sides of every object; columns reach up to three quarters of the room."""
    slots = shape_NK.shape[1]
    boxes = torch.stack((uniform(0.2, 0.55, slots), uniform(0.15, 0.6, slots), uniform(0.2, 0.55, slots)), -1)
    ball = uniform(0.18, 0.5, slots)[..., None].expand(-1, -1, 3)
    radius = uniform(0.1, 0.25, slots)
    column = torch.stack((radius, uniform(0.3, 0.75, slots) * sides_N3[:, None, 1] / 2, radius), -1)
    is_box, is_ball = (shape_NK == BOX)[..., None], (shape_NK == BALL)[..., None]
    return torch.where(is_box, boxes, torch.where(is_ball, ball, column))


def _place(
    wanted_NK: Tensor, half_NK3: Tensor, sides_N3: Tensor, camera_N3: Tensor, uniform: Uniform
) -> tuple[Tensor, Tensor]:
    """Centres [N,K,3] of objects that stand on the floor and do not meet, and which of them found a place [N,K]."""
    radius_NK = torch.hypot(half_NK3[..., 0], half_NK3[..., 2])
    centre_NK3 = torch.zeros_like(half_NK3)
    centre_NK3[..., 1] = -half_NK3[..., 1]
    placed_NK = torch.zeros_like(wanted_NK)
    for slot in range(wanted_NK.shape[1]):
        for _ in range(_TRIES):
            room_N2 = sides_N3[:, [0, 2]] / 2 - radius_NK[:, slot, None]
            spot_N2 = uniform(-1, 1, 2) * room_N2
            away_NK = (centre_NK3[..., [0, 2]] - spot_N2[:, None]).norm(dim=-1)
            meets_N = ((away_NK < radius_NK + radius_NK[:, slot, None]) & placed_NK).any(1)
            near_N = (spot_N2 - camera_N3[:, [0, 2]]).norm(dim=-1) < _NEAREST_M + radius_NK[:, slot]
            free_N = wanted_NK[:, slot] & ~placed_NK[:, slot] & ~meets_N & ~near_N
            centre_NK3[free_N, slot, 0], centre_NK3[free_N, slot, 2] = spot_N2[free_N, 0], spot_N2[free_N, 1]
            placed_NK[free_N, slot] = True
    return centre_NK3, placed_NK
