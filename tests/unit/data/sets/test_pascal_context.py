"""PASCALContext on fakes in the layout of ASTMT, MTI-Net and ATRC."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from mtl.cli.main import main
from mtl.data.sets.benchmarks.pascal_context import PASCALContext, edges_between, part_of
from mtl.evaluation.tables.published import beside_published, read_published
from mtl.evaluation.tables.report import read_report

ROOT = Path(__file__).resolve().parents[4]

H, W = 20, 30
NAMES = {"train": ["2008_000008", "2008_000015"], "val": ["2008_000003"]}
WALL, SKY = 440, 2  # numbers of classes with and without normals


def structs(rows: list[dict[str, Any]]) -> Any:
    """An array of structs, as Matlab writes it; an empty matrix for none."""
    if not rows:
        return np.zeros((0, 0))
    made = np.zeros((1, len(rows)), [(key, object) for key in rows[0]])
    for index, row in enumerate(rows):
        for key, value in row.items():
            made[key][0, index] = value
    return made


def things(*objects: tuple[int, list[tuple[str, np.ndarray]]]) -> dict[str, Any]:
    """`anno` of a picture: the number of the class of every object, and masks of its parts by name."""
    mask = np.zeros((H, W), np.uint8)
    rows = [
        {
            "class": "thing",
            "class_ind": number,
            "mask": mask,
            "parts": structs([{"part_name": name, "mask": part} for name, part in parts]),
        }
        for number, parts in objects
    ]
    return {"anno": {"imname": "x", "objects": structs(rows)}}


def save_picture(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    (tmp_path / "ImageSets/Context").mkdir(parents=True)
    (tmp_path / "human_parts").mkdir()
    (tmp_path / "pascal-context/trainval").mkdir(parents=True)
    for split, names in NAMES.items():
        (tmp_path / f"ImageSets/Context/{split}.txt").write_text("\n".join(names) + "\n")
        for name in names:
            save_picture(tmp_path / f"JPEGImages/{name}.jpg", np.full((H, W, 3), 60, np.uint8))
            labels = rng.integers(0, 21, (H, W)).astype(np.uint8)
            labels[0] = 255
            save_picture(tmp_path / f"semseg/pascal-context/{name}.png", labels)
            save_picture(
                tmp_path / f"sal_distill/{name}.png",
                np.where(np.arange(W) < 10, 200, 90)[None].repeat(H, 0).astype(np.uint8),
            )
            normals = np.zeros((H, W, 3), np.uint8) + np.array([128, 128, 0], np.uint8)
            save_picture(tmp_path / f"normals_distill/{name}.png", normals)
            classes = np.full((H, W), SKY, np.uint16)
            classes[:, 12:] = WALL
            savemat(tmp_path / f"pascal-context/trainval/{name}.mat", {"LabelMap": classes})
            savemat(tmp_path / f"human_parts/{name}.mat", things((7, []), (15, [])))
    top, bottom = np.zeros((H, W), np.uint8), np.zeros((H, W), np.uint8)
    top[2:6, 4:8], bottom[5:9, 4:8] = 1, 1
    person = (15, [("leye", top), ("torso", bottom)])
    savemat(tmp_path / "human_parts/2008_000008.mat", things((3, [("wheel", bottom)]), person))
    save_picture(tmp_path / "semseg/VOC12/2008_000008.png", np.full((H, W), 15, np.uint8))
    return tmp_path


def ready(root: Path, **settings: Any) -> PASCALContext:
    data = PASCALContext(str(root), **{"image_size": (24, 32), "check": False, "batch_size": 2, **settings})
    data.setup("fit")
    return data


def test_a_sample_has_five_maps_in_the_middle_of_the_canvas(root: Path) -> None:
    data = ready(root)
    assert [len(part) for part in (data.train_set, data.val_set)] == [2, 1]  # type: ignore[arg-type]
    sample = data.train_set[0]
    inside = (slice(2, 22), slice(1, 31))
    assert sample["to_original"].tolist() == [1, 1, -1, -2]
    assert (sample["segmentation"][inside] == 15).all()  # the finer map of VOC where there is one
    assert (sample["segmentation"][:2] == -100).all()
    parts = sample["human_parts"][inside]
    assert (parts[2:5, 4:8] == 1).all()
    assert (parts[5:9, 4:8] == 2).all()  # a later part lies on an earlier one, as in the code of the papers
    assert int((parts > 0).sum()) == 28
    assert (sample["human_parts"][:2] == -100).all()
    assert (sample["saliency"][inside][:, :10] == 1).all()
    assert (sample["saliency"][inside][:, 10:] == 0).all()
    normals = sample["normals"][(slice(None), *inside)]
    assert normals[:, :, :12].isnan().all()  # the sky has no surface
    assert normals[2, :, 12:].numpy() == pytest.approx(np.full((H, 18), -1), abs=1e-3)
    assert normals[:, :, 12:].norm(dim=0).numpy() == pytest.approx(np.ones((H, 18)), abs=1e-5)
    edges = sample["edges"][inside]
    assert (edges.sum(1) <= 1).all()
    assert set(np.nonzero(edges.numpy())[1].tolist()) <= {11, 12}
    assert edges.sum() >= H - 4  # an end may lose a pixel or two


def test_a_picture_without_people_has_no_label_of_parts(root: Path) -> None:
    data = ready(root)
    assert "human_parts" not in data.train_set[1]
    assert data.train_set[1]["segmentation"][2].unique().tolist() == [-100]  # 255 in the first row of the file
    batch = next(iter(data.train_dataloader()))
    assert sorted(batch["labelled/human_parts"].tolist()) == [False, True]
    assert batch["normals"].shape == (2, 3, 24, 32)


def test_edges_lie_between_regions() -> None:
    square = np.zeros((12, 12), np.int64)
    square[3:9, 3:9] = 7
    edges = edges_between(square)
    assert not edges[:2].any()
    assert not edges[5:7, 5:7].any()
    assert 16 <= edges.sum() <= 28  # once around, a pixel wide


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("hair", 1), ("lear", 1), ("rebrow", 1), ("neck", 2), ("luarm", 3), ("rlarm", 4), ("lhand", 4), ("ruleg", 5),
        ("llleg", 6), ("rfoot", 6),
    ],
)  # fmt: skip
def test_parts_are_six(name: str, part: int) -> None:
    assert part_of(name) == part


def test_counts_sizes_and_missing_files_are_refused(root: Path) -> None:
    with pytest.raises(ValueError, match=r"train.txt' names 2 pictures; the benchmark has 4998"):
        ready(root, check=True)
    with pytest.raises(ValueError, match="there is no file .*train.txt"):
        ready(root / "nowhere")
    with pytest.raises(ValueError, match=r"20 x 30 pixels; image_size=\[16, 32\] must not be smaller"):
        ready(root, image_size=(16, 32)).train_set[0]
    (root / "semseg/pascal-context/2008_000003.png").unlink()
    with pytest.raises(ValueError, match=r"1 of them have no file in .*VOC12' or .*for example 2008_000003.png"):
        ready(root)


def test_files_that_are_no_labels_are_named(root: Path) -> None:
    data = ready(root)
    savemat(root / "human_parts/2008_000008.mat", things((15, [("tail", np.ones((H, W), np.uint8))])))
    with pytest.raises(ValueError, match=r"2008_000008.mat': part 'tail' is no part of a person"):
        data.train_set[0]
    (root / "pascal-context/trainval/2008_000015.mat").write_bytes(b"no matrix")
    with pytest.raises(ValueError, match=r"2008_000015.mat' cannot be read as Matlab's 'LabelMap'"):
        data.train_set[1]
    save_picture(root / "semseg/pascal-context/2008_000003.png", np.full((H, W), 21, np.uint8))
    with pytest.raises(ValueError, match=r"has class 21; classes are 0 to 20"):
        data.val_set[0]


@pytest.mark.nightly
@pytest.mark.slow
def test_the_config_of_the_benchmark_trains_on_fakes_and_makes_a_row_of_its_table(root: Path, folder: Path) -> None:
    settings = {
        "data.root": root,
        "data.check": "false",
        "data.image_size": "[32, 48]",
        "data.batch_size": 2,
        "data.num_workers": 0,
        "model.backbone.init_args.weights": "null",
        "model.backbone.init_args.name": "resnet50",
        "trainer.max_epochs": 1,
        "trainer.accelerator": "cpu",
        "trainer.num_sanity_val_steps": 0,
        "tracking.wandb": "off",
        "name": "seed0",
    }
    # the only test picture shows a person, so that there is a number of parts
    for folder_of_maps in ("human_parts/{}.mat", "semseg/pascal-context/{}.png"):
        source, place = (root / folder_of_maps.format(name) for name in ("2008_000008", "2008_000003"))
        place.write_bytes(source.read_bytes())
    flags = [f"--{key}={value}" for key, value in settings.items()]
    assert main(["fit", "--config", str(ROOT / "configs/pascal_context.yaml"), *flags]) == 0
    table = read_published(str(ROOT / "configs/published/pascal_context.csv"))
    text = beside_published(read_report(folder / "runs"), table)
    assert "| **pascal_context, ours** (1 seeds) |" in text
    assert "edges as odsF, which needs a program of its own" in text
