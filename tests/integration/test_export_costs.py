"""What files of the quick start cost beside the model they come from, as ratios; `pytest -s -m nightly` prints them.

Time is CPU time of this process on one thread, the median of calls that take turns, so a busy machine moves it little.
The weights are nearly those of the start: they change neither time nor bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from mtl.cli.main import main
from mtl.config.merge import read_config
from mtl.data.module import JointDataModule
from mtl.evaluation.build import build_data
from mtl.evaluation.export_costs import memory
from mtl.evaluation.exported import Runs, eager, inputs_of, latency
from mtl.evaluation.load import load_checkpoint
from mtl.export.exportable import ExportableModel
from mtl.model import MultiTaskModel

pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")
from mtl.export.onnx_file import OnnxModel, without_scopes, write_onnx
from mtl.export.quantize import quantize

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(1800), pytest.mark.filterwarnings("ignore")]
CONFIG = Path(__file__).resolve().parents[2] / "configs" / "digits.yaml"
SMALL = ["--trainer.max_steps", "1", "--data.num_train", "64", "--data.num_val", "32", "--data.num_test", "32"]
SINGLES = {"boxes": ["boxes"], "largest": ["largest"]}
CALIBRATED, ROUNDS = 32, 100


@dataclass(frozen=True)
class Files:
    """The model of the quick start and the files of it, by name."""

    checkpoint: Path
    model: ExportableModel
    paths: Mapping[str, Path]
    inputs: Mapping[str, Tensor]

    def bytes_of(self, name: str) -> int:
        return self.paths[name].stat().st_size

    def times(self, size: int, *names: str) -> dict[str, float]:
        """Milliseconds of a call of each, in turns; others in between would only empty the processor's caches."""
        runs: dict[str, Runs] = {
            name: eager(self.model) if name == "eager" else OnnxModel(self.paths[name], threads=1) for name in names
        }
        batch = {name: value[:size] for name, value in self.inputs.items()}
        return {name: found["p50_ms"] for name, found in latency(runs, batch, ROUNDS).items()}

    def memory(self, name: str) -> float:
        """Megabytes that a process needs at most."""
        kind, path = ("eager", self.checkpoint) if name == "eager" else ("onnx", self.paths[name])
        found = memory(kind, path, {n: value[:16] for n, value in self.inputs.items()}, self.model.tasks)
        assert not isinstance(found, str), found
        return found["peak_mb"]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("costs")
    words = ["fit", "--config", str(CONFIG), "--name", "a", "--tracking.wandb", "off", "--runs_root", str(folder)]
    assert main([*words, *SMALL]) == 0
    run = folder / "digits" / "a"
    data, checkpoint = build_data(read_config([run / "config.yaml"])), run / "checkpoints" / "last.ckpt"
    data.setup("fit")
    model = settled(load_checkpoint(checkpoint).model, data)
    first = next(iter(data.train_dataloader()))
    height, width = first["image"].shape[-2:]
    made = {name: ExportableModel(model, tasks, size=(height, width)) for name, tasks in SINGLES.items()}
    made["joint"] = ExportableModel(model, size=(height, width))
    paths = {name: folder / f"{name}.onnx" for name in (*made, "int8")}
    for name, ready in made.items():
        write_onnx(ready, paths[name])
    samples = list(inputs_of(made["joint"], data.train_dataloader(), CALIBRATED))
    every = {name: torch.cat([batch[name] for batch in samples]) for name in made["joint"].input_names}
    alone = [{name: value[index : index + 1] for name, value in every.items()} for index in range(CALIBRATED)]
    quantize(paths["joint"], paths["int8"], alone)
    for path in paths.values():
        without_scopes(path)
    return Files(checkpoint, made["joint"], paths, every)


def settled(model: MultiTaskModel, data: JointDataModule) -> MultiTaskModel:
    """The model with the statistics of its norms taken from training samples."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # the mean over all samples
    model.train()
    with torch.no_grad():
        for batch in data.train_dataloader():
            model.cut(batch)
    return model.eval()


def at_most(bars: Mapping[str, tuple[float, float]]) -> None:
    """Print the measured ratios beside their bars, and compare all of them before one fails."""
    lines = [f"{name}: {found:.3f}, at most {bar}" for name, (found, bar) in bars.items()]
    print("\n".join(lines))  # noqa: T201
    assert not [line for line, (found, bar) in zip(lines, bars.values(), strict=True) if found > bar]


@pytest.mark.parametrize(("size", "of_eager"), [(1, 0.5), (16, 0.75)])
def test_a_call_of_a_file_takes_a_share_of_the_models_time(files: Files, size: int, of_eager: float) -> None:
    model, eight = files.times(size, "eager", "joint"), files.times(size, "joint", "int8")
    alone = files.times(size, "joint", *SINGLES)
    at_most(
        {
            f"batch {size}, onnxruntime / eager": (model["joint"] / model["eager"], of_eager),
            f"batch {size}, int8 / float": (eight["int8"] / eight["joint"], 0.85),
            f"batch {size}, joint / single tasks": (alone["joint"] / sum(alone[name] for name in SINGLES), 0.85),
        }
    )


def test_a_file_has_a_share_of_the_bytes_and_of_the_memory(files: Files) -> None:
    alone = sum(files.bytes_of(name) for name in SINGLES)
    at_most(
        {
            "bytes, int8 / float": (files.bytes_of("int8") / files.bytes_of("joint"), 0.4),
            "bytes, joint / single tasks": (files.bytes_of("joint") / alone, 0.85),
            "memory, onnxruntime / eager": (files.memory("joint") / files.memory("eager"), 0.5),
        }
    )
