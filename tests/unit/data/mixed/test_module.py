"""`MixedData`: rows of all parts in a batch, nothing from what a part does not label, exact resume, parts apart."""

import json
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset
from torchvision import tv_tensors

from mtl.batch import Sample
from mtl.cli.main import main
from mtl.data.augment.augment import Augment
from mtl.data.mixed.mixed_set import PART, MixedSet, PartSet
from mtl.data.mixed.module import MixedData
from mtl.data.mixed.unify import Translation
from mtl.data.module import JointDataModule
from mtl.task import Inputs, InputSpec, Task
from tests.unit.data.conftest import Writer
from tests.unit.data.test_module import Save, fit

ROOT = Path(__file__).resolve().parents[4]
BOXES = Task("boxes", "detection", class_names=("cat",))
SCENE = Task("scene", "classification", class_names=("in", "out"))


class Plain(Dataset[Sample]):
    def __init__(self, task: Task, number: int, shade: int, size: int = 16) -> None:
        self.task, self.number, self.shade, self.size = task, number, shade, size

    def __len__(self) -> int:
        return self.number

    def __getitem__(self, index: int) -> Sample:
        pixels = torch.full((3, self.size, self.size), self.shade + index, dtype=torch.uint8)
        sample: Sample = {"image": tv_tensors.Image(pixels), "image_id": index, "source": "camera"}
        if self.task == BOXES:
            box = torch.tensor([[2.0, 2, 9, 9]])
            sample["boxes"] = tv_tensors.BoundingBoxes(box, format="XYXY", canvas_size=(16, 16))  # type: ignore[call-overload]
            sample["box_labels"] = torch.tensor([0])
        else:
            sample[self.task.name] = index % 2
        return sample


class PlainData(JointDataModule):
    def __init__(self, task: Task, number: int = 8, shade: int = 0, size: int = 16, **options: Any) -> None:
        super().__init__({task.name: task}, **options)
        self.train_set = self.val_set = self.test_set = Plain(task, number, shade, size)

    @classmethod
    def declare_tasks(cls, **_: Any) -> dict[str, Task]:
        return {}


def mixed(**options: Any) -> MixedData:
    parts = {"pets": PlainData(BOXES, 8, 0), "places": PlainData(SCENE, 24, 100)}
    data = MixedData(parts, **{"batch_size": 8, **options})
    data.setup("fit")
    data.setup("test")
    return data


def test_a_batch_has_rows_of_all_parts_and_each_is_labelled_for_its_own_tasks() -> None:
    data = mixed(ratio="equal", epoch_size=32)
    batches = list(data.train_dataloader())
    assert len(batches) == 4
    for batch in batches:
        assert set(batch[PART].tolist()) == {0, 1}
        assert torch.equal(batch["labelled/boxes"], batch[PART] == 0)
        assert torch.equal(batch["labelled/scene"], batch[PART] == 1)
        assert torch.equal(batch["image"][:, 0, 0, 0] >= 100, batch[PART] == 1)
        assert "source" not in batch
    assert sum(int((batch[PART] == 0).sum()) for batch in batches) == 16


def test_evaluation_is_on_the_concatenation_with_ids_of_their_own() -> None:
    batches = list(mixed().test_dataloader())
    assert torch.cat([batch["image_id"] for batch in batches]).tolist() == list(range(32))
    assert torch.cat([batch[PART] for batch in batches]).tolist() == [0] * 8 + [1] * 24


def test_a_mosaic_stays_in_its_part() -> None:
    data = mixed(augment=Augment(mosaic=1.0))
    for batch in data.train_dataloader():
        shades = batch["image"].flatten(1).float()
        assert ((shades.amin(1) >= 100) == (batch[PART] == 1)).all()
        assert ((shades.amax(1) < 100) == (batch[PART] == 0)).all()


def test_labels_are_counted_over_all_parts() -> None:
    counts = mixed().count_labels("train", {"boxes": BOXES, "scene": SCENE})
    assert counts["boxes"].labelled
    assert counts["scene"].labelled
    assert counts["boxes"].of == 32


@pytest.mark.parametrize("stop_at", [1, 5])
def test_a_resumed_run_sees_what_it_would_have_seen(tmp_path: Path, stop_at: int) -> None:
    options = {"ratio": {"pets": 1.0, "places": 2.0}, "epoch_size": 32, "augment": Augment(0.5, zoom=(0.8, 1.5))}
    whole = fit(mixed(**options), tmp_path, callbacks=[Save(tmp_path)])  # type: ignore[arg-type]
    resumed = fit(mixed(**options), tmp_path, ckpt_path=str(tmp_path / f"step={stop_at}.ckpt"))  # type: ignore[arg-type]
    assert len(whole.seen) == 8
    assert len(resumed.seen) == 8 - stop_at
    for (ids, image), (other_ids, other_image) in zip(whole.seen[stop_at:], resumed.seen, strict=True):
        assert ids == other_ids
        assert torch.equal(image, other_image)


def test_workers_change_nothing() -> None:
    loaders = [mixed(num_workers=workers, augment=Augment(0.5)).train_dataloader() for workers in (0, 2)]
    for one, other in zip(*loaders, strict=True):
        assert torch.equal(one["image"], other["image"])
        assert torch.equal(one["image_id"], other["image_id"])


class Grey(PlainData):
    inputs: Inputs = MappingProxyType({"image": InputSpec("image", "image", channels=1)})


@pytest.mark.parametrize(
    ("other", "options", "message"),
    [
        (Grey(SCENE), {}, r"part 'b' has inputs 'image' \(image, 1 channels\)"),
        (PlainData(SCENE, augment=Augment()), {}, "part 'b' sets `augment`, which has no effect"),
        (PlainData(SCENE), {"temperature": 2.0}, "needs `ratio: temperature`"),
        (PlainData(SCENE), {"ratio": {"a": 1.0}}, "b is missing"),
        (PlainData(SCENE), {"ratio": {"a": 1.0, "c": 1.0}}, "no part 'c'; parts are a, b"),
        (PlainData(SCENE), {"epoch_size": 0}, "epoch_size=0"),
    ],
)
def test_parts_that_do_not_fit_are_refused(other: PlainData, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MixedData({"a": PlainData(BOXES), "b": other}, **options)


def test_a_part_named_as_a_task_is_refused() -> None:
    with pytest.raises(ValueError, match="part 'scene' needs another name"):
        MixedData({"scene": PlainData(BOXES), "b": PlainData(SCENE)})


def test_pictures_of_two_sizes_are_refused_at_setup() -> None:
    data = MixedData({"a": PlainData(BOXES), "b": PlainData(SCENE, size=24)})
    with pytest.raises(ValueError, match=r"parts 'a' and 'b' fit no common batch: images .* \(3, 24, 24\)"):
        data.setup("fit")


def test_the_config_of_three_folders_runs(folder: Path, write: Writer) -> None:
    """Boxes of one folder, classes of another, masks of a third."""
    for place in ("pets", "places", "streets"):
        for number in range(10):
            write.picture(folder / "data" / place / "images" / f"{number}.png", seed=number)
        (folder / "data" / place / "annotations").mkdir()
    write.coco(folder / "data/pets/annotations.json", {f"{n}.png": [("cat", 2.0, 2.0, 20.0, 20.0)] for n in range(10)})
    scenes = ("indoor", "outdoor")
    write.csv(folder / "data/places/labels.csv", [{"image": f"{n}", "scene": scenes[n % 2]} for n in range(10)])
    (folder / "data/streets/masks").mkdir()
    for number in range(10):
        mask = np.zeros((30, 40), np.uint8)
        mask[:10], mask[10:12] = 1, 255
        Image.fromarray(mask).save(folder / f"data/streets/masks/{number}.png")
    settings = {
        "data.parts.pets.init_args.image_size": "[32, 32]",
        "data.parts.places.init_args.image_size": "[32, 32]",
        "data.parts.streets.init_args.image_size": "[32, 32]",
        "data.batch_size": 6,
        "trainer.max_steps": 3,
        "trainer.accelerator": "cpu",
        "trainer.num_sanity_val_steps": 0,
        "tracking.wandb": "off",
        "name": "first",
    }
    flags = [f"--{key}={value}" for key, value in settings.items()]
    assert main(["fit", "--config", str(ROOT / "configs/mixed_folders.yaml"), *flags]) == 0
    results = json.loads((folder / "runs/mixed_folders/first/results.json").read_text())
    for name, own in (("boxes", "pets"), ("scene", "places"), ("surface", "streets")):
        monitor = results["meta"]["tasks"][name]["monitor"]
        # one part labels the task, so its metric is that of the whole set
        assert results[f"test/{own}/{name}/{monitor}"] == pytest.approx(results[f"test/{name}/{monitor}"])
        others = {"pets", "places", "streets"} - {own}
        assert not [key for key in results if key.startswith(tuple(f"test/{other}/{name}/" for other in others))]


def test_a_task_may_be_called_part() -> None:
    task = Task("part", "classification", num_classes=9)
    samples: Any = [{"image": torch.zeros(3, 2, 2), "part": torch.tensor(7)}]
    mixed = MixedSet({"body": PartSet(samples, 0, 0, ["image"], [Translation(task, task, None)])})
    assert (int(mixed[0]["part"]), mixed[0][PART]) == (7, 0)
