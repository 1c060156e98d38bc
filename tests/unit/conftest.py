"""A clean process for every command line: import policy, environment and search path as before."""

import os
import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path

import pytest
from jsonargparse._common import parsing_settings

from mtl.cli.main import main
from mtl.config import import_policy

TINY = """\
data:
  class_path: DigitScenes
  init_args: {num_train: 32, num_val: 16, num_test: 16, batch_size: 16, image_size: 32, max_digit_px: 14, max_digits: 2}
model:
  backbone: {class_path: ResidualFPN, init_args: {width: 4, pyramid_width: 8}}
  heads:
    boxes: {class_path: CenterNetHead}
    largest:
      class_path: ClassificationHead
      init_args: {levels: [c4, p2], hidden: 8, dropout: 0.1}
  loss_weights: {largest: 0.3}
  optim:
    optimizer: {class_path: AdamW, init_args: {lr: 1e-3, weight_decay: 0.3}}
trainer: {max_steps: 2, accelerator: cpu, num_sanity_val_steps: 0}
tracking: {wandb: off}
"""

Run = Callable[..., int]


@pytest.fixture(autouse=True)
def _clean_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    settings, path, environment = deepcopy(parsing_settings), list(sys.path), dict(os.environ)
    modules = set(import_policy._user_modules)
    for name in ("MTL_RUN_DIR", "MTL_ALLOW", "MTL_TRACEBACK"):
        monkeypatch.delenv(name, raising=False)
    yield
    parsing_settings.clear()
    parsing_settings.update(settings)
    sys.path[:] = path
    for name in os.environ.keys() - environment.keys():
        del os.environ[name]
    import_policy._user_modules.clear()
    import_policy._user_modules.update(modules)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with a config `tiny.yaml` in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").write_text(TINY)
    return tmp_path


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run, `runs/tiny/first`, with `tiny.yaml` two folders above."""
    root = tmp_path_factory.mktemp("trained")
    (root / "tiny.yaml").write_text(TINY)
    before = Path.cwd()
    os.chdir(root)
    try:
        assert main(["fit", "--config", "tiny.yaml", "--name", "first"]) == 0
    finally:
        os.chdir(before)
    return root / "runs" / "tiny" / "first"


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a Ray cluster of two machines with a CPU each, which are processes here."""
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    os.environ.update(RAY_worker_niceness="0")  # at 15, Ray's own, other tests beside it leave it no time
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    made.add_node(num_cpus=1)
    made.wait_for_nodes()
    yield made.address
    ray.shutdown()
    made.shutdown()
