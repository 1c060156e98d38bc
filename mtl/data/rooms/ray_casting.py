"""Where rays meet a room and its objects: every shape is convex, so a ray is inside it on one interval.

Rays are origin + t direction. Directions have length 1 along the camera's axis, so t is the depth of what they meet.
Vectors come with their components first, because that is twice as fast.
Shapes: N rooms, K object slots, P rays of a room, M objects of one shape in all rooms.
"""

import torch
from torch import Tensor

from mtl.data.rooms.layout import BALL, BOX, COLUMN, Rooms

_TINY = 1e-9


def room_exit(rooms: Rooms, origin_3NP: Tensor, direction_3NP: Tensor) -> tuple[Tensor, Tensor]:
    """Where rays leave their room.

    Args:
        rooms: the rooms.
        origin_3NP: inside the room; P may be 1.
        direction_3NP: directions.

    Returns:
        t [N,P], and the axis (0, 1, 2) of the wall that is met [N,P].
    """
    ahead = torch.where(direction_3NP > 0, rooms.high.T[..., None], rooms.low.T[..., None])
    t_3NP = (ahead - origin_3NP) / direction_3NP
    # a ray along a wall never meets it; divided by a tiny number of the wrong sign it would lie behind
    x, y, z = torch.where(direction_3NP.abs() < _TINY, torch.inf, t_3NP).unbind(0)
    t_NP = torch.minimum(torch.minimum(x, y), z)
    return t_NP, torch.where(t_NP == x, 0, torch.where(t_NP == y, 1, 2))


def object_entries(rooms: Rooms, origin_3NP: Tensor, direction_3NP: Tensor) -> Tensor:
    """Where rays enter each object, t [N,K,P]; infinite where they miss it or it lies behind.

    Args:
        rooms: the rooms.
        origin_3NP: outside of all objects; P may be 1.
        direction_3NP: directions.
    """
    entries_NKP = direction_3NP.new_full((*rooms.there.shape, direction_3NP.shape[-1]), torch.inf)
    for shape in (BOX, BALL, COLUMN):
        room_M, slot_M = (rooms.there & (rooms.shape == shape)).nonzero(as_tuple=True)
        if len(room_M):
            origin = origin_3NP[:, room_M] - rooms.centre[room_M, slot_M].T[..., None]
            direction, half = direction_3NP[:, room_M], rooms.half[room_M, slot_M].T[..., None]
            if shape == BOX:  # the others are round
                turn = rooms.turn[room_M, slot_M].T[..., None]
                origin, direction = turned(origin, turn), turned(direction, turn)
            near, far = _intervals(shape, origin, direction, half)
            entries_NKP[room_M, slot_M] = near.masked_fill_((near >= far) | (near <= 0), torch.inf)
    return entries_NKP


def turned(vectors: Tensor, turn: Tensor, back: bool = False) -> Tensor:
    """Vectors in the axes of an object that is turned about y.

    Args:
        vectors: [3,...].
        turn: cosine and sine, [2,...].
        back: from the object's axes to the world's.
    """
    x, y, z = vectors
    c, s = turn
    s = -s if back else s
    return torch.stack((torch.addcmul(c * x, s, z), y.expand(c.shape[:1] + x.shape[1:]), torch.addcmul(c * z, -s, x)))


def normals_at(shape_M: Tensor, point_3M: Tensor, half_3M: Tensor) -> Tensor:
    """Outward normals at points of the surface, in the axes of the object, [3,M].

    Args:
        shape_M: index in `SHAPES`.
        point_3M: on the surface.
        half_3M: half sides.
    """
    share = point_3M / half_3M
    axis = share.abs().argmax(0, keepdim=True)
    of_box = torch.zeros_like(point_3M).scatter(0, axis, share.gather(0, axis).sign())
    round_xz = share * torch.tensor([[1.0], [0.0], [1.0]])
    on_cap = share[1].abs() > round_xz.square().sum(0).sqrt()
    cap = torch.zeros_like(point_3M)
    cap[1] = share[1].sign()
    of_column = torch.where(on_cap, cap, _unit(round_xz))
    return torch.where(shape_M == BOX, of_box, torch.where(shape_M == BALL, _unit(point_3M), of_column))


def _intervals(shape: int, origin: Tensor, direction: Tensor, half: Tensor) -> tuple[Tensor, Tensor]:
    """From which t to which t a ray is inside, [M,P] each; empty intervals have the second not above the first."""
    if shape == BALL:
        return _roots(list(origin), list(direction), half[0])
    if shape == COLUMN:
        into, out = _roots([origin[0], origin[2]], [direction[0], direction[2]], half[0])
        near, far = _slab(origin[1], direction[1], half[1])
        return torch.maximum(near, into), torch.minimum(far, out)
    near, far = _slab(origin[0], direction[0], half[0])
    for axis in (1, 2):
        into, out = _slab(origin[axis], direction[axis], half[axis])
        near, far = torch.maximum(near, into), torch.minimum(far, out)
    return near, far


def _slab(origin: Tensor, direction: Tensor, half: Tensor) -> tuple[Tensor, Tensor]:
    """Where |origin + t direction| is below half, along one axis."""
    inverse = _not_zero(direction).reciprocal()
    middle, reach = -origin * inverse, half * inverse.abs()
    return middle - reach, middle + reach


def _roots(origin: list[Tensor], direction: list[Tensor], radius: Tensor) -> tuple[Tensor, Tensor]:
    """Where the length of origin + t direction is below the radius."""
    a = _dot(direction, direction).clamp_(min=_TINY)
    b = _dot(origin, direction)
    c = _dot(origin, origin) - radius.square()
    # of a ray that misses both are equal, an empty interval
    root = torch.addcmul(b.square(), a, c, value=-1).clamp_(min=0).sqrt_()
    return (-b - root) / a, (root - b) / a


def _dot(first: list[Tensor], second: list[Tensor]) -> Tensor:
    total = first[0] * second[0]
    for one, two in zip(first[1:], second[1:], strict=True):
        total = torch.addcmul(total, one, two)
    return total


def _not_zero(values: Tensor) -> Tensor:
    return torch.where(values.abs() < _TINY, _TINY, values)


def _unit(vectors_3M: Tensor) -> Tensor:
    return vectors_3M / vectors_3M.square().sum(0).sqrt().clamp(min=_TINY)
