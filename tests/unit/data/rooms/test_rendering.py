"""Depth and normals against sphere tracing of signed distances, another way to the same numbers."""

import numpy as np
import pytest
import torch
from torch import Tensor

from mtl.data.rooms.layout import BALL, BOX, Rooms, random_rooms
from mtl.data.rooms.ray_casting import room_exit
from mtl.data.rooms.rendering import CLASSES, Views, camera_rays, render

SIZE, COUNT = 32, 16


def distance(rooms: Rooms, room: int, point: Tensor) -> Tensor:
    """Signed distance to the nearest surface, positive in the free space, of points [P,3]."""
    distances = [(point - rooms.low[room]).amin(1), (rooms.high[room] - point).amin(1)]
    for slot in rooms.there[room].nonzero().flatten().tolist():
        x, y, z = (point - rooms.centre[room, slot]).T
        c, s = rooms.turn[room, slot]
        half = rooms.half[room, slot]
        shape = int(rooms.shape[room, slot])
        if shape == BALL:
            distances.append(torch.stack((x, y, z)).norm(dim=0) - half[0])
            continue
        if shape == BOX:
            # into the axes of the box: turned by the angle about y
            outside = torch.stack((c * x + s * z, y, c * z - s * x)).abs() - half[:, None]
        else:
            outside = torch.stack((torch.hypot(x, z) - half[0], y.abs() - half[1]))
        distances.append(outside.clamp(min=0).norm(dim=0) + outside.amax(0).clamp(max=0))
    return torch.stack(distances).amin(0)


@pytest.fixture(scope="module")
def rooms() -> Rooms:
    return random_rooms(COUNT, 6, torch.Generator().manual_seed(5))


@pytest.fixture(scope="module")
def views(rooms: Rooms) -> Views:
    return render(rooms, SIZE, 0.0, torch.Generator().manual_seed(0))


def surface(rooms: Rooms, views: Views, room: int) -> Tensor:
    """Points in the world that the depth map says are seen, [P,3]."""
    rays = (camera_rays(SIZE) @ rooms.to_world[room].T).double()
    return rooms.camera[room].double() + views.depth[room].flatten()[:, None].double() * rays


def test_depth_ends_at_the_first_surface_and_meets_none_before(rooms: Rooms, views: Views) -> None:
    for room in range(COUNT):
        some = slice(room % 11, None, 11)  # rays that differ from room to room: each costs many steps
        rays = (camera_rays(SIZE)[some] @ rooms.to_world[room].T).double()
        start, reached = rooms.camera[room].double(), torch.zeros(len(rays), dtype=torch.float64)
        for _ in range(200):  # steps as long as the nearest surface is away never pass one
            reached += distance(rooms, room, start + reached[:, None] * rays) / rays.norm(dim=1)
        error = (reached - views.depth[room].flatten()[some]).abs()
        # a ray that grazes an edge needs more steps
        assert error.quantile(0.95) < 1e-3
        assert (error > 0.01).double().mean() < 0.02
        assert distance(rooms, room, surface(rooms, views, room)).abs().max() < 1e-4


def test_normals_are_the_gradient_of_the_distance(rooms: Rooms, views: Views) -> None:
    step = 1e-4
    for room in range(COUNT):
        point = surface(rooms, views, room)
        offsets = step * torch.eye(3, dtype=torch.float64)
        gradient = torch.stack(
            [distance(rooms, room, point + o) - distance(rooms, room, point - o) for o in offsets], 1
        )
        expected = (gradient / gradient.norm(dim=1, keepdim=True)) @ rooms.to_world[room].double()
        found = views.normals[room].flatten(1).T.double()
        agree = (found * expected).sum(1)
        # on the edge of a box the gradient is that of two faces
        assert (agree > 0.999).double().mean() > 0.98
        rays = camera_rays(SIZE).double()
        assert ((found * rays).sum(1) < 1e-3).all(), "a surface that is seen faces the camera"


def test_classes_are_where_their_surfaces_are(rooms: Rooms, views: Views) -> None:
    for room in range(COUNT):
        point = surface(rooms, views, room)
        classes = views.classes[room].flatten()
        assert point[classes == CLASSES.index("floor"), 1].abs().max() < 1e-4
        ceiling = point[classes == CLASSES.index("ceiling"), 1]
        assert not len(ceiling) or (ceiling - rooms.low[room, 1]).abs().max() < 1e-4
        assert torch.equal(classes >= 3, views.instances[room].flatten() > 0)
        for slot in rooms.there[room].nonzero().flatten().tolist():
            assert set(classes[views.instances[room].flatten() == slot + 1].tolist()) <= {
                3 + int(rooms.shape[room, slot])
            }


def test_rays_along_walls_meet_the_wall_ahead(rooms: Rooms) -> None:
    origin = rooms.camera.T[..., None]
    for tiny in (0.0, 1e-12, -1e-12):
        direction = torch.tensor([tiny, -tiny, 1.0])[:, None, None].expand(3, COUNT, 1)
        depth, axis = room_exit(rooms, origin, direction)
        torch.testing.assert_close(depth[:, 0], rooms.high[:, 2] - rooms.camera[:, 2])
        assert (axis == 2).all()


def test_objects_stand_apart_on_the_floor_and_inside(rooms: Rooms) -> None:
    assert rooms.there.any(1).float().mean() > 0.9
    bottom = (rooms.centre + rooms.half)[..., 1][rooms.there]
    torch.testing.assert_close(bottom, torch.zeros_like(bottom), rtol=0, atol=1e-6)
    low, high = rooms.low[:, None, [0, 2]], rooms.high[:, None, [0, 2]]
    centre = rooms.centre[..., [0, 2]]
    inside = ((centre > low) & (centre < high)).all(-1)
    assert inside[rooms.there].all()


def test_the_lamp_makes_shadows(rooms: Rooms) -> None:
    views = render(rooms, SIZE, 0.0, torch.Generator())
    empty = render(Rooms(**{**vars(rooms), "there": torch.zeros_like(rooms.there)}), SIZE, 0.0, torch.Generator())
    # floor that is seen in both: with objects some of it is darker, none brighter
    same = (views.instances == 0) & (views.classes == empty.classes)
    change = (views.image.int() - empty.image.int()).sum(1)[same]
    assert (change <= 0).all()
    assert 0.01 < (change < -10).float().mean() < 0.5


def test_rooms_come_from_the_generator_alone() -> None:
    first, again, other = (random_rooms(4, 3, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert all(torch.equal(value, vars(again)[name]) for name, value in vars(first).items())
    assert not torch.equal(first.centre, other.centre)


def test_pieces_change_nothing(rooms: Rooms, views: Views, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mtl.data.rooms.rendering._RAYS_AT_ONCE", SIZE * SIZE * 5)
    again = render(rooms, SIZE, 0.0, torch.Generator())
    np.testing.assert_array_equal(again.image.numpy(), views.image.numpy())
    torch.testing.assert_close(again.depth, views.depth)
