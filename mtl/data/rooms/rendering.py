"""Pictures of rooms, with what is exactly known of every pixel.

Shapes: N rooms, K object slots, H x W pixels, P = H W rays, S = K + 3 surfaces.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from mtl.data.rooms.layout import SHAPES, Rooms
from mtl.data.rooms.ray_casting import normals_at, object_entries, room_exit, turned

CLASSES = ("wall", "floor", "ceiling", *SHAPES)
_FOCAL = 0.8  # focal length as a share of the picture's side: 64 degrees
_AMBIENT = 0.4  # light that comes from everywhere
_LIFT_M = 1e-3  # of a point above its surface, or it would shade itself
_RAYS_AT_ONCE = 2**16  # so that a piece stays near the CPU's cache


@dataclass(frozen=True)
class Views:
    """What a camera sees of each room.

    Attributes:
        image: uint8, [N,3,H,W].
        depth: along the camera's axis, in metres, float32 [N,H,W].
        normals: unit vectors along the picture's axes, x right, y down, z ahead, float16 [N,3,H,W].
        classes: index in `CLASSES`, uint8 [N,H,W].
        instances: slot of the object plus one, 0 for the room, uint8 [N,H,W].
    """

    image: Tensor
    depth: Tensor
    normals: Tensor
    classes: Tensor
    instances: Tensor


def render(rooms: Rooms, size: int, noise: float, generator: torch.Generator) -> Views:
    """Cast a ray through the middle of every pixel.

    Args:
        rooms: the rooms.
        size: side of the pictures in pixels.
        noise: standard deviation of the pixel noise, as a share of full brightness.
        generator: random numbers of the noise.
    """
    count = len(rooms)
    views = Views(
        torch.empty(count, 3, size, size, dtype=torch.uint8),
        torch.empty(count, size, size),
        torch.empty(count, 3, size, size, dtype=torch.float16),
        torch.empty(count, size, size, dtype=torch.uint8),
        torch.empty(count, size, size, dtype=torch.uint8),
    )
    rays_P3 = camera_rays(size)
    piece = max(1, _RAYS_AT_ONCE // (size * size))
    for start in range(0, count, piece):
        rows = slice(start, start + piece)
        _render_piece(rooms[rows], rays_P3, size, Views(**{name: value[rows] for name, value in vars(views).items()}))
        image = views.image[rows].float()
        image += 255 * noise * torch.randn(image.shape, generator=generator)
        views.image[rows] = image.clamp_(0, 255).round_().to(torch.uint8)
    return views


def camera_rays(size: int) -> Tensor:
    """Directions through the middles of the pixels, in the camera's axes, with z = 1, [P,3].

    Args:
        size: side of the picture in pixels.
    """
    middle = (torch.arange(size) + 0.5 - size / 2) / (_FOCAL * size)
    y, x = torch.meshgrid(middle, middle, indexing="ij")
    return torch.stack((x, y, torch.ones_like(x)), -1).view(-1, 3)


def _render_piece(rooms: Rooms, rays_P3: Tensor, size: int, views: Views) -> None:
    direction_3NP = torch.einsum("pc,nwc->wnp", rays_P3, rooms.to_world)
    origin_3N1 = rooms.camera.T[..., None]
    wall_NP, axis_NP = room_exit(rooms, origin_3N1, direction_3NP)
    nearest_NP, slot_NP = object_entries(rooms, origin_3N1, direction_3NP).min(1)
    is_object_NP = nearest_NP < wall_NP
    depth_NP = torch.where(is_object_NP, nearest_NP, wall_NP)
    point_3NP = origin_3N1 + depth_NP * direction_3NP
    # of `CLASSES`; walls stand on the axes x and z, the floor is met going down
    class_NP = torch.where(axis_NP != 1, 0, torch.where(direction_3NP[1] > 0, 1, 2))
    surface_NP = rooms.there.shape[1] + class_NP
    normal_3NP = torch.zeros_like(point_3NP).scatter_(0, axis_NP[None], -1.0) * direction_3NP.sign()
    local_3NP = point_3NP.clone()
    _objects(rooms, is_object_NP, slot_NP, normal_3NP, local_3NP)
    class_NP = torch.where(is_object_NP, 3 + rooms.shape.gather(1, slot_NP), class_NP)
    surface_NP = torch.where(is_object_NP, slot_NP, surface_NP)
    colour_3NP = _albedo(rooms, surface_NP, local_3NP) * _light(rooms, point_3NP, normal_3NP)
    views.image.copy_((colour_3NP * 255).clamp_(0, 255).round_().transpose(0, 1).reshape(-1, 3, size, size))
    views.depth.copy_(depth_NP.view(-1, size, size))
    views.normals.copy_(torch.einsum("nwc,wnp->ncp", rooms.to_world, normal_3NP).view(-1, 3, size, size))
    views.classes.copy_(class_NP.view(-1, size, size))
    views.instances.copy_(torch.where(is_object_NP, slot_NP + 1, 0).view(-1, size, size))


def _objects(rooms: Rooms, is_object_NP: Tensor, slot_NP: Tensor, normal_3NP: Tensor, local_3NP: Tensor) -> None:
    """Where an object is seen: its normals in the world's axes, and the points in its own axes; both in place."""
    row_M, ray_M = is_object_NP.nonzero(as_tuple=True)
    slot_M = slot_NP[row_M, ray_M]
    turn, half = rooms.turn[row_M, slot_M].T, rooms.half[row_M, slot_M].T
    local = turned(local_3NP[:, row_M, ray_M] - rooms.centre[row_M, slot_M].T, turn)
    local_3NP[:, row_M, ray_M] = local
    normal_3NP[:, row_M, ray_M] = turned(normals_at(rooms.shape[row_M, slot_M], local, half), turn, back=True)


def _albedo(rooms: Rooms, surface_NP: Tensor, local_3NP: Tensor) -> Tensor:
    """The colour of the surface, [3,N,P]: one of two, in turn along the axes of the pattern."""
    per_metre_NP = rooms.step.reciprocal().gather(1, surface_NP)
    count_NP = torch.zeros_like(per_metre_NP)
    for axis in range(3):
        # a share of a step, so that no plane lies on the border of two
        steps_NP = torch.addcmul(torch.full((), 0.37), local_3NP[axis], per_metre_NP).floor_()
        count_NP.addcmul_(steps_NP, rooms.pattern[..., axis].gather(1, surface_NP))
    # the colours of a room in one row, so that a pixel picks its own: surface, first or second
    place_NP = 2 * surface_NP + count_NP.remainder_(2).long()
    return torch.stack([rooms.colours[..., channel].flatten(1).gather(1, place_NP) for channel in range(3)])


def _light(rooms: Rooms, point_3NP: Tensor, normal_3NP: Tensor) -> Tensor:
    """Brightness [N,P]: light from everywhere, and from the lamp where nothing stands between."""
    start_3NP = point_3NP + _LIFT_M * normal_3NP
    way_3NP = rooms.light.T[..., None] - start_3NP
    square_NP = way_3NP.square().sum(0)
    facing_NP = (way_3NP * normal_3NP).sum(0).clamp_(min=0) / square_NP.sqrt().clamp_(min=1e-6)
    shaded_NP = object_entries(rooms, start_3NP, way_3NP).amin(1) < 1
    return _AMBIENT + (1 - _AMBIENT) * facing_NP * (1.3 / (1 + 0.06 * square_NP)) * ~shaded_NP
