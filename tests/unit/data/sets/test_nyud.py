"""NYUD on fakes in the layout of ASTMT, MTI-Net and ATRC."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mtl.cli.main import main
from mtl.data.sets.benchmarks.nyud import NYUD
from mtl.evaluation.tables.published import beside_published, read_published
from mtl.evaluation.tables.report import read_report

ROOT = Path(__file__).resolve().parents[4]

H, W = 24, 32


@pytest.fixture
def root(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    names = {"train": ["0003", "0001", "0007"], "val": ["0002", "0005"]}
    (tmp_path / "gt_sets").mkdir()
    for folder in ("images", "segmentation", "depth", "normals", "edge"):
        (tmp_path / folder).mkdir()
    for split, own in names.items():
        (tmp_path / "gt_sets" / f"{split}.txt").write_text("\n".join(own) + "\n")
        for name in own:
            pixels = np.full((H, W, 3), 10 * int(name), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / f"{name}.jpg")
            labels = rng.integers(0, 41, (H, W)).astype(np.uint8)
            Image.fromarray(labels).save(tmp_path / "segmentation" / f"{name}.png")
            depth = rng.uniform(0.5, 9, (H, W)).astype(np.float32)
            depth[0] = 0
            normals = rng.normal(size=(H, W, 3)).astype(np.float32)
            normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
            normals[:, 0] = 0
            edges = (rng.random((H, W)) < 0.1).astype(np.uint8)
            for folder, array in (("depth", depth), ("normals", normals), ("edge", edges)):
                np.save(tmp_path / folder / f"{name}.npy", array)
    return tmp_path


def ready(root: Path, **settings: object) -> NYUD:
    data = NYUD(str(root), check=False, batch_size=2, **settings)  # type: ignore[arg-type]
    data.setup("fit")
    return data


def test_a_sample_has_four_maps_in_the_order_of_the_list(root: Path) -> None:
    data = ready(root)
    assert [len(part) for part in (data.train_set, data.val_set)] == [3, 2]  # type: ignore[arg-type]
    assert data.test_set is data.val_set
    for index, name in enumerate(("0003", "0001", "0007")):
        sample = data.train_set[index]
        assert sample["image"].float().mean() == pytest.approx(10 * int(name), abs=2)
        stored = np.array(Image.open(root / "segmentation" / f"{name}.png")).astype(int)
        expected = np.where(stored == 0, -100, stored - 1)  # 1 is the first of 40 classes, 0 is none
        np.testing.assert_array_equal(sample["segmentation"].numpy(), expected)
        np.testing.assert_array_equal(sample["depth"].isnan().numpy(), np.load(root / "depth" / f"{name}.npy") == 0)
        normals = np.load(root / "normals" / f"{name}.npy")
        assert sample["normals"][:, :, 0].isnan().all()
        np.testing.assert_allclose(sample["normals"][:, :, 1:].permute(1, 2, 0).numpy(), normals[:, 1:], atol=1e-6)
        np.testing.assert_array_equal(sample["edges"].numpy(), np.load(root / "edge" / f"{name}.npy"))
    batch = next(iter(data.train_dataloader()))
    assert batch["edges"].shape == (2, H, W)


def test_pictures_and_maps_are_resized_together(root: Path) -> None:
    sample = ready(root, image_size=(12, 16)).val_set[0]
    for name in ("image", "segmentation", "depth", "normals", "edges"):
        assert sample[name].shape[-2:] == (12, 16)
    assert sample["to_original"].tolist() == [2.0, 2.0, 0.0, 0.0]
    assert set(sample["edges"].unique().tolist()) <= {0.0, 1.0}
    known = sample["normals"][:, sample["normals"].isfinite().all(0)]
    torch.testing.assert_close(known.norm(dim=0), torch.ones(known.shape[1]))


def test_other_counts_sizes_and_missing_files_are_refused(root: Path) -> None:
    with pytest.raises(ValueError, match=r"train.txt' names 3 pictures; the benchmark has 795"):
        NYUD(str(root)).setup("fit")
    with pytest.raises(ValueError, match="there is no file .*train.txt"):
        NYUD(str(root / "nowhere")).setup("fit")
    (root / "edge" / "0005.npy").unlink()
    with pytest.raises(ValueError, match=r"1 of them have no file in .*edge', for example 0005.npy"):
        ready(root)


def test_files_that_are_no_labels_are_named(root: Path) -> None:
    np.save(root / "edge" / "0003.npy", np.full((H, W), 0.5))
    data = ready(root)
    with pytest.raises(ValueError, match=r"0003.npy' must hold 0 or 1"):
        data.train_set[0]
    Image.fromarray(np.full((H, W), 41, np.uint8)).save(root / "segmentation" / "0001.png")
    with pytest.raises(ValueError, match=r"0001.png' has class 41; classes are 1 to 40"):
        data.train_set[1]
    np.save(root / "depth" / "0007.npy", np.ones((H, W - 1)))
    with pytest.raises(ValueError, match=r"0007.npy' is \[24, 31\], its picture \[24, 32\]"):
        data.train_set[2]


@pytest.mark.nightly
@pytest.mark.slow
def test_the_config_of_the_benchmark_trains_on_fakes_and_makes_a_row_of_its_table(root: Path, folder: Path) -> None:
    settings = {
        "data.root": root,
        "data.check": "false",
        "data.batch_size": 2,
        "data.num_workers": 0,
        "model.backbone.init_args.weights": "null",
        "trainer.max_epochs": 1,
        "trainer.accelerator": "cpu",
        "trainer.num_sanity_val_steps": 0,
        "tracking.wandb": "off",
        "name": "seed0",
    }
    flags = [f"--{key}={value}" for key, value in settings.items()]
    assert main(["fit", "--config", str(ROOT / "configs/nyud.yaml"), *flags]) == 0
    table = read_published(str(ROOT / "configs/published/nyud_r50.csv"))
    assert "| **nyud, ours** (1 seeds) |" in beside_published(read_report(folder / "runs"), table)
