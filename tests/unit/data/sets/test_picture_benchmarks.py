"""CelebA, Office-31, Office-Home and MultiMNIST on fakes in their true layouts."""

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch

from mtl.data.mixed.mixed_set import PART
from mtl.data.mixed.module import MixedData
from mtl.data.sets.benchmarks.celeba import ATTRIBUTES, CelebA
from mtl.data.sets.benchmarks.multi_mnist import MultiMNIST
from mtl.data.sets.benchmarks.office import Office31, OfficeHome
from tests.unit.data.conftest import Writer


@pytest.fixture
def celeba(tmp_path: Path, write: Writer) -> Path:
    values = np.where(np.random.default_rng(0).random((6, 40)) < 0.5, -1, 1)
    rows = []
    for number, row in enumerate(values):
        write.picture(tmp_path / f"img_align_celeba/{number + 1:06d}.jpg", (17, 21), number)
        rows.append(f"{number + 1:06d}.jpg {' '.join(f'{value:2d}' for value in row)}")
    (tmp_path / "list_attr_celeba.txt").write_text("\n".join(["6", " ".join(ATTRIBUTES) + " ", *rows]) + "\n")
    parts = [0, 0, 1, 0, 2, 2]
    lines = [f"{number + 1:06d}.jpg {part}" for number, part in enumerate(parts)]
    (tmp_path / "list_eval_partition.txt").write_text("\n".join(lines) + "\n")
    np.save(tmp_path / "values.npy", values)
    return tmp_path


def test_celeba_has_a_task_for_each_attribute_and_its_own_splits(celeba: Path) -> None:
    values = np.load(celeba / "values.npy")
    data = CelebA(str(celeba), check=False, image_size=(32, 32))
    data.setup("fit")
    assert len(data.tasks) == 40
    assert "_5_o_Clock_Shadow" in data.tasks
    assert [len(part) for part in (data.train_set, data.val_set, data.test_set)] == [3, 1, 2]  # type: ignore[arg-type]
    sample = data.train_set[2]  # the fourth picture
    assert sample["image"].shape == (3, 32, 32)
    assert [int(sample[name]) for name in data.tasks] == [int(value > 0) for value in values[3]]


def test_celeba_as_one_task_of_some_attributes(celeba: Path) -> None:
    values = np.load(celeba / "values.npy")
    data = CelebA(str(celeba), ["Young", "Smiling"], "multilabel", check=False)
    data.setup("test")
    places = [ATTRIBUTES.index("Young"), ATTRIBUTES.index("Smiling")]
    assert data.tasks["attributes"].class_names == ("Young", "Smiling")
    assert data.test_set[0]["attributes"].tolist() == (values[4, places] > 0).astype(float).tolist()


def test_celeba_refuses_other_counts_unknown_attributes_and_damage(celeba: Path) -> None:
    with pytest.raises(ValueError, match="has 3 pictures; the benchmark has 162770"):
        CelebA(str(celeba)).setup("fit")
    with pytest.raises(ValueError, match=r"no attribute 'Smilling'. Did you mean 'Smiling'"):
        CelebA(str(celeba), ["Smilling"])
    lines = (celeba / "list_eval_partition.txt").read_text().splitlines()
    (celeba / "list_eval_partition.txt").write_text("\n".join(lines[1:]))
    with pytest.raises(ValueError, match="lacks 1 pictures, for example '000001.jpg'"):
        CelebA(str(celeba), check=False).setup("fit")
    (celeba / "list_attr_celeba.txt").write_text("6\nYoung Old\n")
    with pytest.raises(ValueError, match="line 2 .* does not name the 40 attributes"):
        CelebA(str(celeba), check=False).setup("fit")


def office(root: Path, write: Writer, folder: str, classes: int) -> None:
    for label in range(classes):
        for number in range(5):
            write.picture(root / folder / f"class{label:02d}" / f"frame_{number}.jpg", (20, 20), label)


def test_domains_of_an_office_train_together_as_parts(tmp_path: Path, write: Writer) -> None:
    for domain in ("amazon", "dslr", "webcam"):
        office(tmp_path, write, f"{domain}/images", 31)
    domains = ("amazon", "dslr", "webcam")
    parts = {name: Office31(str(tmp_path), name, image_size=(16, 16), check=False) for name in domains}  # type: ignore[arg-type]
    renamed = {name: {"object": f"{name}_object"} for name in domains}
    data = MixedData(parts, ratio="equal", rename=renamed, batch_size=12)  # type: ignore[arg-type]
    data.setup("fit")
    assert {name: task.num_classes for name, task in data.tasks.items()} == {f"{name}_object": 31 for name in domains}
    batch = next(iter(data.train_dataloader()))
    assert batch["labelled/dslr_object"].tolist() == (batch[PART] == 1).tolist()
    part = data.train_set.parts["webcam"]  # type: ignore[attr-defined]
    assert len(part) == round(0.6 * 31 * 5)
    sample = part[0]
    assert f"class{int(sample['webcam_object']):02d}" in part.dataset.paths[0]


def test_office_home_has_a_domain_with_a_space_and_checks_counts(tmp_path: Path, write: Writer) -> None:
    office(tmp_path, write, "Real World", 65)
    data = OfficeHome(str(tmp_path), "Real World", check=False)
    data.setup("fit")
    assert sum(len(part) for part in (data.train_set, data.val_set, data.test_set)) == 325  # type: ignore[misc]
    with pytest.raises(ValueError, match="has 325 pictures; the benchmark has 4357"):
        OfficeHome(str(tmp_path), "Real World").setup("fit")
    (tmp_path / "dslr").mkdir()
    (tmp_path / "Real World").rename(tmp_path / "dslr/images")
    with pytest.raises(ValueError, match="has 65 folders of classes; Office31 has 31"):
        Office31(str(tmp_path), "dslr").setup("fit")


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.astype(np.uint8).tobytes()


@pytest.fixture
def mnist(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for split, count in (("train", 12), ("t10k", 4)):
        digits = rng.integers(0, 256, (count, 28, 28))
        (tmp_path / f"{split}-images-idx3-ubyte").write_bytes(idx(digits))
        (tmp_path / f"{split}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(np.arange(count) % 10)))
    return tmp_path


def test_two_digits_overlap_and_each_is_a_task(mnist: Path) -> None:
    data = MultiMNIST(str(mnist), num_val=4, check=False)
    data.setup("fit")
    assert [len(part) for part in (data.train_set, data.val_set, data.test_set)] == [8, 4, 4]  # type: ignore[arg-type]
    raw = np.frombuffer((mnist / "train-images-idx3-ubyte").read_bytes(), np.uint8, offset=16).reshape(12, 28, 28)
    sample = data.train_set[3]
    left, right = raw[sample["left"]], raw[sample["right"]]  # of the first ten, digit k has class k
    image = sample["image"][0].numpy()
    assert image.shape == (36, 36)
    np.testing.assert_array_equal(image[:8, :28], left[:8])
    np.testing.assert_array_equal(image[28:, 8:], right[20:])
    np.testing.assert_array_equal(image[8:28, 8:28], np.maximum(left[8:, 8:], right[:20, :20]))
    assert {int(data.train_set[index]["right"]) for index in range(8)} == set(range(8))
    again = MultiMNIST(str(mnist), num_val=4, check=False)
    again.setup("fit")
    assert torch.equal(again.train_set[5]["image"], data.train_set[5]["image"])
    batch = next(iter(data.train_dataloader()))
    assert batch["image"].shape[1:] == (1, 36, 36)


def test_mnist_files_are_checked(mnist: Path) -> None:
    with pytest.raises(ValueError, match=r"has images \[12, 28, 28\].*MNIST has 60000"):
        MultiMNIST(str(mnist)).setup("fit")
    content = (mnist / "train-images-idx3-ubyte").read_bytes()
    (mnist / "train-images-idx3-ubyte").write_bytes(content[:-1])
    with pytest.raises(ValueError, match="is no IDX file of bytes, or is cut off"):
        MultiMNIST(str(mnist), check=False).setup("fit")
    (mnist / "train-images-idx3-ubyte").unlink()
    with pytest.raises(ValueError, match="no file .*train-images-idx3-ubyte"):
        MultiMNIST(str(mnist), check=False).setup("fit")
