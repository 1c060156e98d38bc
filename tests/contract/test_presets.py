"""Presets are overlays for any config: all are understood, and run in several processes on the CPU."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mtl.cli.main import main
from mtl.evaluation.load import load_run

ROOT = Path(__file__).resolve().parents[2]
PRESETS = sorted((ROOT / "configs/presets").glob("*.yaml"))
CPU = ["--trainer.accelerator=cpu", "--trainer.devices=2", "--trainer.sync_batchnorm=false"]
TINY = [
    "--data.num_train=32", "--data.num_val=7", "--data.num_test=7", "--data.image_size=32", "--data.max_digit_px=14",
    "--data.batch_size=4", "--data.eval_batch_size=4", "--data.max_digits=2", "--model.backbone.width=4",
    "--model.backbone.pyramid_width=8", "--trainer.max_steps=4", "--trainer.num_sanity_val_steps=0",
    "--trainer.log_every_n_steps=2", "--tracking.wandb=off", "--name=run",
]  # fmt: skip
# a balanced joint detection run
CONFIGS = ["--config", "configs/digits_balanced.yaml"]


def environment() -> dict[str, str]:
    foreign = ("RANK", "WORLD_SIZE", "MASTER_", "LOCAL_", "TORCHELASTIC", "SLURM", "MTL_RUN_DIR", "GROUP_", "PL_")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)} | {
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT),
    }


def start(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        words, cwd=ROOT, env=environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def fit(*words: str) -> str:
    process = start(sys.executable, "-m", "mtl", "fit", *CONFIGS, *TINY, *words)
    shown, _ = process.communicate(timeout=240)
    assert process.returncode == 0, shown
    return shown


def check(folder: Path) -> None:
    """One whole run: results, numbers of the ranks, and a checkpoint that loads in one process."""
    assert [path.name for path in folder.parent.iterdir() if not path.name.startswith(".")] == ["run"]
    assert json.loads((folder / "results.json").read_text())
    header = (folder / "metrics.csv").read_text().splitlines()[0].split(",")
    assert {"ranks/straggler", "ranks/memory_gb_max", "throughput/samples_per_s_per_rank", "weights/boxes"} <= {*header}
    assert load_run(folder).tasks.keys() == {"boxes", "largest"}


def test_presets_are_those_of_the_readme() -> None:
    assert [path.stem for path in PRESETS] == ["ddp", "ddp_cpu", "debug", "fsdp", "lr_range", "multinode"]


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
@pytest.mark.parametrize("config", ["digits.yaml", "digits_four_tasks.yaml", "coco128.yaml"])
def test_every_preset_is_understood_over_any_config(
    path: Path, config: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(SystemExit, match="^0$"):
        main(["fit", "--config", f"configs/{config}", "--config", str(path), "--print_config"])
    shown = yaml.safe_load(capsys.readouterr().out)
    kinds = [callback["class_path"].split(".")[-1] for callback in shown["trainer"]["callbacks"] or []]
    assert kinds.count("MultiGPU") == (path.stem not in ("debug", "lr_range"))
    assert "EMA" in kinds or config == "coco128.yaml", "callbacks of the config stay"
    assert shown["experiment"] == Path(config).stem
    assert path.read_text().startswith("# ")


@pytest.mark.slow
@pytest.mark.ddp
def test_two_processes_on_the_cpu_train_by_ddp_and_test(tmp_path: Path) -> None:
    shown = fit("--config", "configs/presets/ddp_cpu.yaml", f"--runs_root={tmp_path}")
    check(tmp_path / "digits_balanced" / "run")
    assert "batch norms see the samples of their own process only" in shown


@pytest.mark.slow
@pytest.mark.ddp
@pytest.mark.parametrize("at", ["features", pytest.param("parameters", marks=pytest.mark.nightly)])
def test_two_processes_train_shards_balanced_with_averaged_weights(at: str, tmp_path: Path) -> None:
    (tmp_path / "digits_balanced.yaml").write_text(
        "trainer: {callbacks: [{class_path: EMA, init_args: {decay: 0.9}}, "
        f"{{class_path: LossBalancing, init_args: {{method: UPGrad, at: {at}}}}}]}}"
    )
    own = ["--config", str(tmp_path / "digits_balanced.yaml")]
    fit(*own, "--config", "configs/presets/fsdp.yaml", *CPU, f"--runs_root={tmp_path}")
    check(tmp_path / "digits_balanced" / "run")


@pytest.mark.slow
@pytest.mark.ddp
def test_two_nodes_of_two_processes_are_one_run(tmp_path: Path) -> None:
    port = 20000 + os.getpid() % 20000
    mtl = ["fit", *CONFIGS, *TINY, "--config", "configs/presets/multinode.yaml", *CPU, "--trainer.num_nodes=2"]
    nodes = [
        start(
            *(sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc_per_node=2", f"--node_rank={node}"),
            *("--master_addr=127.0.0.1", f"--master_port={port}", "-m", "mtl", *mtl, f"--runs_root={tmp_path}"),
        )
        for node in range(2)
    ]
    for node in nodes:
        shown, _ = node.communicate(timeout=280)
        assert node.returncode == 0, shown
    check(tmp_path / "digits_balanced" / "run")
