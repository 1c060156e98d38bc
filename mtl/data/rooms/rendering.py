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
    direction_NP3 = rays_P3 @ rooms.to_world.mT
    origin_N13 = rooms.camera[:, None]
    wall_NP, axis_NP = room_exit(rooms, origin_N13, direction_NP3)
    nearest_NP, slot_NP = object_entries(rooms, origin_N13, direction_NP3).min(1)
    is_object_NP = nearest_NP < wall_NP
    depth_NP = torch.where(is_object_NP, nearest_NP, wall_NP)
    point_NP3 = origin_N13 + depth_NP[..., None] * direction_NP3
    normal_NP3, local_NP3 = _surfaces(rooms, direction_NP3, point_NP3, axis_NP, is_object_NP, slot_NP)
    down_NP = torch.gather(direction_NP3, 2, axis_NP[..., None])[..., 0] > 0
    # of `CLASSES`; walls stand on the axes x and z, the floor is met going down
    of_room_NP = torch.where(axis_NP != 1, 0, torch.where(down_NP, 1, 2))
    class_NP = torch.where(is_object_NP, 3 + rooms.shape.gather(1, slot_NP), of_room_NP)
    surface_NP = torch.where(is_object_NP, slot_NP, rooms.there.shape[1] + of_room_NP)
    albedo_NP3 = _albedo(rooms, surface_NP, local_NP3)
    views.image.copy_(_picture(albedo_NP3 * _light(rooms, point_NP3, normal_NP3)[..., None], size))
    views.depth.copy_(depth_NP.view(-1, size, size))
    views.normals.copy_((normal_NP3 @ rooms.to_world).mT.reshape(-1, 3, size, size))
    views.classes.copy_(class_NP.view(-1, size, size))
    views.instances.copy_(torch.where(is_object_NP, slot_NP + 1, 0).view(-1, size, size))


def _surfaces(
    rooms: Rooms, direction_NP3: Tensor, point_NP3: Tensor, axis_NP: Tensor, is_object_NP: Tensor, slot_NP: Tensor
) -> tuple[Tensor, Tensor]:
    """Normals in the world's axes, and the points in the axes of what they lie on, [N,P,3] both."""
    inwards = torch.zeros_like(point_NP3).scatter_(2, axis_NP[..., None], 1.0) * -direction_NP3.sign()
    row = torch.arange(len(rooms))[:, None]
    turn, half = rooms.turn[row, slot_NP], rooms.half[row, slot_NP]
    local = turned(point_NP3 - rooms.centre[row, slot_NP], turn)
    outwards = turned(normals_at(rooms.shape[row, slot_NP], local, half), turn, back=True)
    of_object = is_object_NP[..., None]
    return torch.where(of_object, outwards, inwards), torch.where(of_object, local, point_NP3)


def _albedo(rooms: Rooms, surface_NP: Tensor, local_NP3: Tensor) -> Tensor:
    """The colour of the surface: one of two, in turn along the axes of the pattern."""
    row = torch.arange(len(rooms))[:, None]
    # a share of a step, so that no plane lies on the border of two
    steps = (local_NP3 / rooms.step[row, surface_NP][..., None] + 0.37).floor()
    second_NP = (steps * rooms.pattern[row, surface_NP]).sum(-1) % 2
    colours = rooms.colours[row, surface_NP]
    return colours[..., 0, :].lerp(colours[..., 1, :], second_NP[..., None])


def _light(rooms: Rooms, point_NP3: Tensor, normal_NP3: Tensor) -> Tensor:
    """Brightness [N,P]: light from everywhere, and from the lamp where nothing stands between."""
    start_NP3 = point_NP3 + _LIFT_M * normal_NP3
    way_NP3 = rooms.light[:, None] - start_NP3
    distance_NP = way_NP3.norm(dim=-1)
    facing_NP = (way_NP3 * normal_NP3).sum(-1).clamp(min=0) / distance_NP.clamp(min=1e-6)
    shaded_NP = (object_entries(rooms, start_NP3, way_NP3) < 1).any(1)
    falloff_NP = 1.3 / (1 + 0.06 * distance_NP.square())
    return _AMBIENT + (1 - _AMBIENT) * facing_NP * falloff_NP * ~shaded_NP


def _picture(colour_NP3: Tensor, size: int) -> Tensor:
    return (colour_NP3.mT.reshape(-1, 3, size, size) * 255).clamp(0, 255).round()
