"""Data in shards: equal to the original data, in an order that ranks share; errors name damaged files."""

import json
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset
from torchvision import tv_tensors

from mtl.batch import LABELLED, Sample
from mtl.data.augment.augment import Augment
from mtl.data.sets.digit_scenes import DigitScenes
from mtl.data.shards.module import TASKS, ShardedData, ShardSampler
from mtl.data.shards.sample_bytes import decode_sample
from mtl.data.shards.shard_set import INDEX, ShardSet, write_shards
from tests.unit.data.shards.test_sample_bytes import assert_same

NAMES = [str(digit) for digit in range(10)]
DECLARED: dict[str, Any] = {
    "boxes": {"kind": "detection", "class_names": NAMES},
    "largest": {"kind": "classification", "class_names": NAMES},
    "count": {"kind": "regression", "num_classes": 0},
}
SMALL: dict[str, Any] = {"num_train": 50, "num_val": 6, "num_test": 6, "image_size": 32, "max_digit_px": 14}
COMMON: dict[str, Any] = {"batch_size": 4, "eval_batch_size": 4, "seed": 3}


def scenes(**options: Any) -> DigitScenes:
    data = DigitScenes(["largest", "count"], **SMALL, **COMMON, **options)
    data.setup("fit")
    data.setup("test")
    return data


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """50 scenes in shards of six, the last of two."""
    root = tmp_path_factory.mktemp("shards")
    data = scenes()
    for split in ("train", "val", "test"):
        write_shards(getattr(data, f"{split}_set"), root / split, shard_bytes=22_000)
    (root / TASKS).write_text(json.dumps(DECLARED))
    return root


@pytest.fixture
def shards(written: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    for path in written.rglob("*.*"):
        to = tmp_path / "data" / path.relative_to(written)
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_bytes(path.read_bytes())
    return tmp_path / "data"


def loaded(root: Path | str, stage: str = "fit", **options: Any) -> ShardedData:
    data = ShardedData(str(root), DECLARED, **COMMON, **options)
    data.setup(stage)
    return data


def batches(data: Any, epoch: int) -> list[dict[str, torch.Tensor]]:
    loader = data.train_dataloader()
    loader.sampler.set_epoch(epoch)
    return list(loader)


def test_every_sample_is_that_of_the_data_set_it_was_made_from(written: Path) -> None:
    data, source = loaded(written), scenes()
    data.setup("test")
    for split in ("train", "val", "test"):
        ours, theirs = getattr(data, f"{split}_set"), getattr(source, f"{split}_set")
        assert len(ours) == len(theirs)
        for index in range(len(theirs)):
            assert_same(ours[index], theirs[index])
    assert data.tasks == source.tasks


def test_litdata_reads_the_same(written: Path) -> None:
    from litdata import StreamingDataset

    theirs, ours = StreamingDataset(str(written / "train")), ShardSet(str(written / "train"), written)
    assert len(theirs) == len(ours) == 50
    for index in (0, 5, 6, 49):
        assert_same(ours[index], decode_sample(bytes(theirs[index])))


def test_shards_are_uneven(written: Path) -> None:
    sizes = ShardSet(str(written / "train"), written).shard_sizes.tolist()
    assert len(sizes) > 5
    assert sum(sizes) == 50
    assert sizes[-1] < sizes[0]


@pytest.mark.parametrize("workers", [0, 2])
def test_mixing_everything_gives_the_batches_of_the_data_set_itself(written: Path, workers: int) -> None:
    options: dict[str, Any] = {"augment": Augment(mosaic=0.3, zoom=(0.7, 1.4))}
    ours = batches(loaded(written, shuffle_shards=None, num_workers=workers, **options), epoch=2)
    theirs = batches(scenes(**options), epoch=2)
    assert len(ours) == len(theirs) == 12
    for one, other in zip(ours, theirs, strict=True):
        assert one.pop(LABELLED) == other.pop(LABELLED)
        torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)


def order(shards: ShardSet, epoch: int = 0, group: int = 2, **options: int) -> list[int]:
    sampler = ShardSampler(shards, group, seed=1, **options)
    sampler.set_epoch(epoch)
    drawn = list(sampler)
    assert {draw[0] for draw in drawn} == {epoch}
    return [draw[1] for draw in drawn]


def test_the_order_is_drawn_anew_each_epoch_and_holds_every_sample_once(written: Path) -> None:
    shards = ShardSet(str(written / "train"), written)
    assert sorted(order(shards)) == list(range(50))
    assert order(shards, 1) == order(shards, 1) != order(shards, 2)


def test_only_the_shards_of_one_group_are_read_at_a_time(written: Path) -> None:
    shards = ShardSet(str(written / "train"), written)
    ends = np.cumsum(shards.shard_sizes)
    groups: list[set[int]] = []
    for shard in np.searchsorted(ends, order(shards), side="right"):
        if not groups or (shard not in groups[-1] and len(groups[-1]) == 2):
            groups.append(set())
        groups[-1].add(int(shard))
    assert len(groups) == -(-len(ends) // 2)
    assert set().union(*groups) == set(range(len(ends)))


@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_share_the_samples_of_one_large_batch(written: Path, ranks: int) -> None:
    shards = ShardSet(str(written / "train"), written)
    alone = order(shards, 4)
    parts = [order(shards, 4, num_replicas=ranks, rank=rank) for rank in range(ranks)]
    assert len({len(part) for part in parts}) == 1
    dealt = [index for turn in zip(*parts, strict=True) for index in turn]
    assert dealt[:50] == alone
    assert dealt[50:] == alone[: len(dealt) - 50], "the last turn is filled up from the start"


def test_a_restored_loader_goes_on_where_the_other_stopped(written: Path) -> None:
    whole = batches(loaded(written, shuffle_shards=2), epoch=1)
    resumed = loaded(written, shuffle_shards=2, num_workers=2)
    resumed._resumed = {"epoch": 1, "batches": 7}
    rest = batches(resumed, epoch=1)
    assert len(rest) == len(whole) - 7
    for one, other in zip(whole[7:], rest, strict=True):
        assert one.pop(LABELLED) == other.pop(LABELLED)
        torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)


class Gaps(Dataset[Sample]):
    """Every second picture has no boxes annotated, every third no scene."""

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> Sample:
        sample: Sample = {"image": tv_tensors.Image(torch.zeros(3, 8, 8, dtype=torch.uint8)), "image_id": index}
        if index % 2:
            sample["boxes"] = tv_tensors.BoundingBoxes(torch.zeros(0, 4), format="XYXY", canvas_size=(8, 8))  # type: ignore[call-overload]
            sample["box_labels"] = torch.zeros(0, dtype=torch.int64)
        if index % 3:
            sample["largest"] = 1
        return sample


def test_what_is_not_annotated_stays_so(tmp_path: Path) -> None:
    for split in ("train", "val"):
        write_shards(Gaps(), tmp_path / split)
    declared = {name: DECLARED[name] for name in ("boxes", "largest")}
    (tmp_path / TASKS).write_text(json.dumps(declared))
    data = ShardedData(str(tmp_path), declared, eval_batch_size=12)
    data.setup("fit")
    (batch,) = data.val_dataloader()
    assert batch["labelled/boxes"].tolist() == [bool(i % 2) for i in range(12)]
    assert batch["largest"].tolist() == [1 if i % 3 else -100 for i in range(12)]


def test_shards_from_an_address_are_fetched_ahead_and_once_each(shards: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    address, options = f"local:{shards}", {"shuffle_shards": 2, "cache_dir": str(cache)}
    data = loaded(address, **options)
    source = data.train_set
    assert isinstance(source, ShardSet)
    assert len(list(ShardSampler(source, 2))) == 50
    assert source._ahead is not None
    source._ahead.shutdown()
    copies = {path.name for path in cache.rglob("chunk-*.bin")}
    assert copies == {path.name for path in (shards / "train").glob("chunk-*.bin")}
    for path in (shards / "train").glob("chunk-*.bin"):
        path.unlink()
    ours, theirs = batches(loaded(address, **options, num_workers=2), epoch=1), scenes().train_set
    assert len(ours) == 12
    for batch in ours:
        for index, image in zip(batch["image_id"].tolist(), batch["image"], strict=True):
            assert torch.equal(image, theirs[index]["image"].as_subclass(torch.Tensor))


def test_workers_fetch_what_nobody_fetched(shards: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"num_workers": 2, "cache_dir": str(tmp_path / "cache")}
    data = loaded(f"local:{shards}", **options)
    seen = torch.cat([batch["image_id"] for batch in data.val_dataloader()])
    assert seen.tolist() == list(range(6))
    (shards / "test" / "chunk-0-0.bin").unlink()
    message = r"cannot download local:.*/test/chunk-0-0.bin: FileNotFoundError.* Correct `root`"
    with pytest.raises(ValueError, match=message):
        loaded(f"local:{shards}", "test", **options).test_set[0]


def test_a_set_travels_to_another_process(written: Path) -> None:
    shards = ShardSet(str(written / "train"), written)
    assert_same(pickle.loads(pickle.dumps(shards))[7], shards[7])


def test_a_shard_that_was_cut_is_named_at_the_start(shards: Path) -> None:
    path = shards / "train" / "chunk-0-1.bin"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"chunk-0-1.bin' is damaged or missing: found \d+ bytes, index.json says \d+"):
        loaded(shards)
    path.unlink()
    with pytest.raises(ValueError, match=r"chunk-0-1.bin' is damaged or missing: found no file"):
        loaded(shards)


def test_damage_inside_of_a_shard_is_named_when_it_is_read(shards: Path) -> None:
    path = shards / "train" / "chunk-0-1.bin"
    data = bytearray(path.read_bytes())
    data[-20] ^= 255
    path.write_bytes(data)
    message = r"chunk-0-1.bin' is damaged: sample 5 of its 6: its checksum is wrong"
    with pytest.raises(ValueError, match=message):
        loaded(shards, verify_shards=True)
    with pytest.raises(ValueError, match=message):
        list(loaded(shards).train_dataloader())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"chunks": [', r"index.json is damaged \(JSONDecodeError"),
        ('{"chunks": [{"filename": "../a.bin", "chunk_size": 1, "chunk_bytes": 1}]}', "is damaged .*entry"),
        ("{}", "KeyError: 'chunks'"),
    ],
)
def test_a_damaged_index_is_named(shards: Path, text: str, message: str) -> None:
    (shards / "train" / INDEX).write_text(text)
    with pytest.raises(ValueError, match=message):
        loaded(shards)


def test_shards_that_would_run_code_are_refused(shards: Path) -> None:
    index = json.loads((shards / "train" / INDEX).read_text())
    index["config"]["data_format"] = ["pickle"]
    (shards / "train" / INDEX).write_text(json.dumps(index))
    with pytest.raises(ValueError, match="expected shards of bytes"):
        loaded(shards)


def test_what_is_missing_is_named(shards: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nowhere/tasks.json' does not exist.* python -m mtl.cli.write_shards"):
        loaded(tmp_path / "nowhere")
    (shards / "val" / INDEX).unlink()
    with pytest.raises(ValueError, match=r"/val/index.json' does not exist"):
        loaded(shards)


def test_tasks_that_differ_from_the_written_ones_are_named(written: Path) -> None:
    wrong = {**DECLARED, "largest": {"kind": "classification", "class_names": NAMES[::-1]}}
    with pytest.raises(ValueError, match="data.tasks says .*'9', '8'.*tasks.json says .*'0', '1'"):
        ShardedData(str(written), wrong).setup("fit")
    with pytest.raises(ValueError, match="has boxes, largest, count. Did you mean 'largest'"):
        ShardedData(str(written), {"larges": DECLARED["largest"]}).setup("fit")
    with pytest.raises(ValueError, match="unknown field 'classes'; fields are .*class_names"):
        ShardedData(str(written), {"largest": {"kind": "classification", "classes": NAMES}})
    with pytest.raises(ValueError, match="'largest' needs its `kind`"):
        ShardedData(str(written), {"largest": {"class_names": NAMES}})


def test_without_litdata_the_command_that_installs_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "litdata.streaming", None)
    with pytest.raises(ImportError, match=r'pip install "mtl\[streaming\]"'):
        write_shards(Gaps(), tmp_path / "train")


def test_useless_settings_are_refused(written: Path) -> None:
    with pytest.raises(ValueError, match="shuffle_shards=0 must be at least 1"):
        ShardedData(str(written), DECLARED, shuffle_shards=0)
    with pytest.raises(ValueError, match="shard_bytes=0 must be within"):
        write_shards(Gaps(), written / "new", shard_bytes=0)
    with pytest.raises(ValueError, match="train' is not empty"):
        write_shards(Gaps(), written / "train")
