"""The pets on a fake in torchvision's layout."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import OxfordIIITPet

from mtl.batch import IGNORE_INDEX
from mtl.data.augment.augment import Augment
from mtl.data.sets.benchmarks.oxford_pets import BREEDS, OxfordPets

TRAINVAL = [(f"Abyssinian_{i}", 1, 1) for i in range(5)] + [(f"yorkshire_terrier_{i}", 37, 2) for i in range(5)]
TEST = [("american_bulldog_1", 2, 2)]


@pytest.fixture
def root(tmp_path: Path, write: Any) -> Path:
    base = tmp_path / "oxford-iiit-pet"
    (base / "annotations/trimaps").mkdir(parents=True)
    for part, pets in (("trainval", TRAINVAL), ("test", TEST)):
        lines = [f"{name} {breed} {species} 1" for name, breed, species in pets]
        (base / f"annotations/{part}.txt").write_text("\n".join(lines) + "\n")
        for seed, (name, _, species) in enumerate(pets):
            write.picture(base / f"images/{name}.jpg", seed=seed)
            trimap = np.full((30, 40), 2, np.uint8)
            trimap[5:20, 5:20] = 1
            trimap[5:20, 19] = 3
            Image.fromarray(trimap).save(base / f"annotations/trimaps/{name}.png")
            if part == "trainval" and seed:
                write.voc(base / f"annotations/xmls/{name}.xml", [(("cat", "dog")[species - 1], 6, 6, 15, 15)])
    return tmp_path


def module(root: Path, **options: Any) -> OxfordPets:
    return OxfordPets(str(root), image_size=(30, 40), **options)


def by_name(data: OxfordPets, name: str) -> dict[str, Any]:
    for split in (data.train_set, data.val_set):
        for index in range(len(split)):
            if split.name(index) == name:
                return dict(split[index])
    raise KeyError(name)


def test_breed_species_and_head_box(root: Path) -> None:
    data = module(root)
    data.setup("fit")
    sample = by_name(data, "yorkshire_terrier_3")
    assert (int(sample["breed"]), int(sample["species"])) == (36, 1)
    assert sample["boxes"].tolist() == [[5, 5, 15, 15]]
    assert sample["box_labels"].tolist() == [0]
    # the fake is one that torchvision itself reads
    pets = OxfordIIITPet(str(root), split="trainval")
    assert pets[0][1] == 0
    assert BREEDS[0] == "Abyssinian"
    assert BREEDS[36] == "Yorkshire Terrier"


def test_a_picture_without_its_xml_has_no_box_label_but_a_breed(root: Path) -> None:
    data = module(root)
    data.setup("fit")
    sample = by_name(data, "Abyssinian_0")
    assert "boxes" not in sample
    assert int(sample["breed"]) == 0
    data.setup("test")
    assert "boxes" not in data.test_set[0]
    assert int(data.test_set[0]["breed"]) == 1
    assert data.data_report.images("no_annotation") == ["Abyssinian_0", "american_bulldog_1"]


def test_validation_is_drawn_from_trainval(root: Path) -> None:
    data = module(root, val_share=0.3)
    data.setup("fit")
    assert [len(data.train_set), len(data.val_set)] == [7, 3]


def test_the_trimap_is_a_task_of_its_own(root: Path) -> None:
    data = module(root, trimap=True, batch_size=8)
    data.setup("fit")
    assert data.tasks["trimap"].kind == "segmentation"
    assert "trimap" not in module(root).tasks
    trimap = by_name(data, "Abyssinian_1")["trimap"]
    assert trimap.shape == (30, 40)
    assert (trimap[5:20, 5:19] == 0).all()
    assert (trimap[5:20, 19] == 2).all()
    assert trimap[0, 0] == 1
    batch = next(iter(data.train_dataloader()))
    assert batch["trimap"].shape == (8, 30, 40)
    assert batch["labelled/trimap"].all()


def test_the_trimap_follows_the_augmentation(root: Path) -> None:
    data = module(root, trimap=True, augment=Augment(flip_horizontal=1.0, zoom=(0.5, 0.5)), batch_size=8)
    data.setup("fit")
    trimap = next(iter(data.train_dataloader()))["trimap"]
    assert set(trimap.unique().tolist()) == {IGNORE_INDEX, 0, 1, 2}
    assert (trimap == IGNORE_INDEX).float().mean() == pytest.approx(0.75, abs=0.02)


def test_a_missing_or_misfitting_trimap_is_not_labelled(root: Path) -> None:
    trimaps = root / "oxford-iiit-pet/annotations/trimaps"
    (trimaps / "Abyssinian_1.png").unlink()
    Image.new("L", (10, 10)).save(trimaps / "Abyssinian_2.png")
    data = module(root, trimap=True)
    data.setup("fit")
    assert data.data_report.images("missing_map") == ["Abyssinian_1"]
    assert data.data_report.images("map_size_differs") == ["Abyssinian_2"]
    assert "trimap" not in by_name(data, "Abyssinian_1")
    assert torch.is_tensor(by_name(data, "Abyssinian_3")["trimap"])


def test_missing_data_is_an_error_with_two_ways_out(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="pets are not in.*parent folder of oxford-iiit-pet, or `download: true`"):
        module(tmp_path).setup("fit")


def test_download_is_left_to_torchvision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[str] = []
    monkeypatch.setattr(OxfordIIITPet, "_download", lambda self: fetched.append(str(self._base_folder)))
    monkeypatch.setattr(OxfordIIITPet, "_check_exists", lambda self: True)
    (tmp_path / "oxford-iiit-pet/annotations").mkdir(parents=True)
    (tmp_path / "oxford-iiit-pet/annotations/trainval.txt").write_text("Abyssinian_1 1 1 1\n")
    module(tmp_path).prepare_data()
    assert not fetched
    module(tmp_path, download=True).prepare_data()
    assert fetched == [str(tmp_path / "oxford-iiit-pet")]
