"""Where rays meet a room and its objects: every shape is convex, so a ray is inside it on one interval.

Rays are origin + t direction. Directions have length 1 along the camera's axis, so t is the depth of what they meet.
Shapes: N rooms, K object slots, P rays of a room, M objects of one shape in all rooms.
"""

import torch
from torch import Tensor

from mtl.data.rooms.layout import BALL, BOX, COLUMN, Rooms

_TINY = 1e-9


def room_exit(rooms: Rooms, origin_NP3: Tensor, direction_NP3: Tensor) -> tuple[Tensor, Tensor]:
    """Where rays leave their room.

    Args:
        rooms: the rooms.
        origin_NP3: inside the room; P may be 1.
        direction_NP3: directions.

    Returns:
        t [N,P], and the axis (0, 1, 2) of the wall that is met [N,P].
    """
    ahead_NP3 = torch.where(direction_NP3 > 0, rooms.high[:, None], rooms.low[:, None])
    t_NP3 = (ahead_NP3 - origin_NP3) / _not_zero(direction_NP3)
    return t_NP3.min(-1)


def object_entries(rooms: Rooms, origin_NP3: Tensor, direction_NP3: Tensor) -> Tensor:
    """Where rays enter each object, t [N,K,P]; infinite where they miss it or it lies behind.

    Args:
        rooms: the rooms.
        origin_NP3: outside of all objects; P may be 1.
        direction_NP3: directions.
    """
    rays = direction_NP3.shape[1]
    entries_NKP = direction_NP3.new_full((*rooms.there.shape, rays), torch.inf)
    for shape in (BOX, BALL, COLUMN):
        room_M, slot_M = (rooms.there & (rooms.shape == shape)).nonzero(as_tuple=True)
        if not len(room_M):
            continue
        centre, turn = rooms.centre[room_M, slot_M][:, None], rooms.turn[room_M, slot_M][:, None]
        origin = turned(origin_NP3[room_M] - centre, turn)
        direction = turned(direction_NP3[room_M], turn)
        near, far = _intervals(shape, origin, direction, rooms.half[room_M, slot_M][:, None])
        entries_NKP[room_M, slot_M] = torch.where((near < far) & (near > 0), near, torch.inf)
    return entries_NKP


def turned(vectors: Tensor, turn: Tensor, back: bool = False) -> Tensor:
    """Vectors in the axes of an object that is turned about y.

    Args:
        vectors: [...,3].
        turn: cosine and sine, [...,2].
        back: from the object's axes to the world's.
    """
    x, y, z = vectors.unbind(-1)
    c, s = turn[..., 0], -turn[..., 1] if back else turn[..., 1]
    return torch.stack((c * x + s * z, y, c * z - s * x), -1)


def normals_at(shape: Tensor, point: Tensor, half: Tensor) -> Tensor:
    """Outward normals at points of the surface, in the axes of the object.

    Args:
        shape: index in `SHAPES`, [...].
        point: on the surface, [...,3].
        half: half sides, [...,3].
    """
    share = point / half
    axis = share.abs().argmax(-1, keepdim=True)
    of_box = torch.zeros_like(point).scatter(-1, axis, share.gather(-1, axis).sign())
    round_xz = share * torch.tensor([1.0, 0.0, 1.0])
    on_cap = share[..., 1].abs() > round_xz.norm(dim=-1)
    cap = torch.zeros_like(point)
    cap[..., 1] = share[..., 1].sign()
    of_column = torch.where(on_cap[..., None], cap, _unit(round_xz))
    shape = shape[..., None]
    return torch.where(shape == BOX, of_box, torch.where(shape == BALL, _unit(point), of_column))


def _intervals(shape: int, origin: Tensor, direction: Tensor, half: Tensor) -> tuple[Tensor, Tensor]:
    """From which t to which t a ray is inside, [M,P] each; empty intervals have the second below the first."""
    if shape == BALL:
        return _roots(origin, direction, half[..., 0])
    inverse = 1 / _not_zero(direction)
    one, two = (-half - origin) * inverse, (half - origin) * inverse
    near, far = torch.minimum(one, two), torch.maximum(one, two)
    if shape == BOX:
        return near.amax(-1), far.amin(-1)
    into, out = _roots(origin[..., [0, 2]], direction[..., [0, 2]], half[..., 0])
    return torch.maximum(near[..., 1], into), torch.minimum(far[..., 1], out)


def _roots(origin: Tensor, direction: Tensor, radius: Tensor) -> tuple[Tensor, Tensor]:
    """Where |origin + t direction| is below the radius."""
    a = direction.square().sum(-1).clamp(min=_TINY)
    b = (origin * direction).sum(-1)
    c = origin.square().sum(-1) - radius.square()
    root = (b.square() - a * c).clamp(min=0).sqrt()
    # of a ray that misses both are equal, an empty interval
    return (-b - root) / a, (-b + root) / a


def _not_zero(values: Tensor) -> Tensor:
    return torch.where(values.abs() < _TINY, _TINY, values)


def _unit(vectors: Tensor) -> Tensor:
    return vectors / vectors.norm(dim=-1, keepdim=True).clamp(min=_TINY)
