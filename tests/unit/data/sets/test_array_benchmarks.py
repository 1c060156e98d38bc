"""NYUv2 and Cityscapes on fakes in the layout of the MTAN release."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from mtl.cli.main import main
from mtl.data.sets.benchmarks.cityscapes import Cityscapes
from mtl.data.sets.benchmarks.nyuv2 import NYUv2
from mtl.evaluation.tables.published import beside_published, read_published
from mtl.evaluation.tables.report import read_report

ROOT = Path(__file__).resolve().parents[4]
H, W = 12, 16


def write(
    root: Path, counts: Mapping[str, int], labels: str, classes: int, normals: bool, size: tuple[int, int] = (H, W)
) -> None:
    rng = np.random.default_rng(0)
    for split, count in counts.items():
        for number in range(count):
            arrays = {
                "image": rng.random((*size, 3)).astype(np.float32),
                labels: rng.integers(-1, classes, size).astype(np.float32),
                "depth": (rng.random((*size, 1)) * 5).astype(np.float32),
            }
            arrays["depth"][:2] = 0
            if normals:
                vectors = rng.normal(size=(*size, 3)).astype(np.float32)
                arrays["normal"] = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
                arrays["normal"][:, :3] = 0
            for folder, array in arrays.items():
                path = root / split / folder / f"{number}.npy"
                path.parent.mkdir(parents=True, exist_ok=True)
                np.save(path, array)


@pytest.fixture
def nyu(tmp_path: Path) -> Path:
    write(tmp_path, {"train": 12, "val": 3}, "label", 13, normals=True)
    return tmp_path


def test_a_sample_has_three_maps_and_what_is_invalid_is_unknown(nyu: Path) -> None:
    data = NYUv2(str(nyu), check=False, batch_size=4)
    data.setup("fit")
    sample = data.train_set[11]  # numbers are no strings: 11 comes after 9
    stored = {name: np.load(nyu / f"train/{name}/11.npy") for name in ("image", "label", "depth", "normal")}
    np.testing.assert_allclose(sample["image"].permute(1, 2, 0).numpy() / 255, stored["image"], atol=0.002)
    assert torch.equal(sample["segmentation"] == -100, torch.from_numpy(stored["label"] < 0))
    known = sample["segmentation"] >= 0
    np.testing.assert_array_equal(sample["segmentation"][known].numpy(), stored["label"][known.numpy()])
    assert sample["depth"][:2].isnan().all()
    np.testing.assert_allclose(sample["depth"][2:].numpy(), stored["depth"][2:, :, 0])
    assert sample["normals"][:, :, :3].isnan().all()
    np.testing.assert_allclose(sample["normals"][:, :, 3:].permute(1, 2, 0).numpy(), stored["normal"][:, 3:], atol=1e-6)
    batch = next(iter(data.train_dataloader()))
    assert batch["normals"].shape == (4, 3, H, W)


def test_validation_is_the_test_set_unless_samples_are_held_out(nyu: Path) -> None:
    plain, held = NYUv2(str(nyu), check=False), NYUv2(str(nyu), check=False, num_val=4)
    for data in (plain, held):
        data.setup("fit")
    assert plain.val_set is plain.test_set
    assert [len(part) for part in (held.train_set, held.val_set, held.test_set)] == [8, 4, 3]  # type: ignore[arg-type]
    ids = [{part[i]["image_id"] for i in range(len(part))} for part in (held.train_set, held.val_set)]  # type: ignore[arg-type]
    assert ids[0] | ids[1] == set(range(12))
    assert not ids[0] & ids[1]


def test_other_counts_and_sizes_than_the_benchmark_are_refused(nyu: Path) -> None:
    with pytest.raises(ValueError, match=r"has 12 pictures of 12 x 16; the benchmark has 795 of 288 x 384"):
        NYUv2(str(nyu)).setup("fit")


@pytest.mark.parametrize("classes", [2, 7, 19])
def test_cityscapes_reads_the_labels_of_as_many_classes(tmp_path: Path, classes: int) -> None:
    write(tmp_path, {"train": 3, "val": 2}, f"label_{classes}", classes, normals=False)
    data = Cityscapes(str(tmp_path), num_classes=classes, check=False)  # type: ignore[arg-type]
    data.setup("test")
    assert data.tasks["segmentation"].num_classes == classes
    assert data.tasks["depth"].kind == "inverse_depth"
    assert set(data.test_set[1]) >= {"image", "segmentation", "depth"}


def test_damaged_folders_are_named(nyu: Path) -> None:
    with pytest.raises(ValueError, match="does not exist"):
        NYUv2(str(nyu / "nowhere")).setup("fit")
    with pytest.raises(ValueError, match="has no files 0.npy"):
        NYUv2(str(nyu / "train")).setup("fit")
    (nyu / "val/depth/2.npy").unlink()
    with pytest.raises(ValueError, match="depth' has 2 files, .*image' has 3"):
        NYUv2(str(nyu), check=False).setup("fit")
    (nyu / "train/image/4.npy").unlink()
    with pytest.raises(ValueError, match="no 4.npy"):
        NYUv2(str(nyu), check=False).setup("fit")


def test_labels_of_more_classes_and_broken_files_are_named(nyu: Path) -> None:
    np.save(nyu / "train/label/0.npy", np.full((H, W), 13.0))
    (nyu / "train/depth/1.npy").write_bytes(b"no array")
    data = NYUv2(str(nyu), check=False)
    data.setup("fit")
    with pytest.raises(ValueError, match=r"0.npy' has class 13; task 'segmentation' has classes 0 to 12"):
        data.train_set[0]
    with pytest.raises(ValueError, match=r"1.npy' cannot be read"):
        data.train_set[1]


NYU, CITY = ("label", 13), ("label_7", 7)
DEEPLAB = {"model.backbone.init_args.weights": "null"}
SEGNET = {"model.backbone.init_args.widths": "[4, 4, 4, 4, 4]"}


@pytest.mark.nightly
@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "table", "labels", "network"),
    [
        ("nyuv2", "nyuv2_deeplab_r50", NYU, DEEPLAB),
        ("cityscapes", "cityscapes_deeplab_r50", CITY, DEEPLAB),
        ("nyuv2_mtan", "nyuv2_segnet_mtan", NYU, SEGNET),
        ("cityscapes_mtan", "cityscapes_segnet_mtan", CITY, SEGNET),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_config_of_the_benchmark_trains_on_fakes_and_makes_a_row_of_its_table(
    folder: Path, config: str, table: str, labels: tuple[str, int], network: dict[str, str]
) -> None:
    normals = config.startswith("nyuv2")
    write(folder / "data", {"train": 4, "val": 2}, *labels, normals=normals, size=(32, 48))
    settings = {
        "data.root": "data",
        "data.check": "false",
        "data.batch_size": 2,
        "data.num_workers": 0,
        **network,
        "trainer.max_epochs": 2,
        "trainer.limit_train_batches": 1,
        "trainer.accelerator": "cpu",
        "trainer.num_sanity_val_steps": 0,
        "tracking.wandb": "off",
        "name": "seed0",
    }
    flags = [f"--{key}={value}" for key, value in settings.items()]
    assert main(["fit", "--config", str(ROOT / f"configs/{config}.yaml"), *flags]) == 0
    text = beside_published(read_report(folder / "runs"), read_published(str(ROOT / f"configs/published/{table}.csv")))
    assert f"| **{config}, ours** (1 seeds) |" in text
    reported = (
        "the mean of the last 2 validations" if "mtan" in config else "the checkpoint of the best validation score"
    )
    assert f"Ours: mean over seeds of the test set, from {reported}" in text
