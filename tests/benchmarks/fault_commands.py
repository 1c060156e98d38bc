"""Commands as a user types them, in processes of their own, and whether two of their runs ended in the same state."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[2]
CONFIG = """\
data:
  class_path: DigitScenes
  init_args: {num_train: 48, num_val: 8, num_test: 8, batch_size: 8, image_size: 32, max_digit_px: 14, max_digits: 2}
model:
  backbone: {class_path: ResidualFPN, init_args: {width: 4, pyramid_width: 8}}
  heads:
    boxes: {class_path: CenterNetHead}
    largest: {class_path: ClassificationHead, init_args: {levels: [c4, p2], hidden: 8, dropout: 0.3}}
trainer:
  max_steps: 15
  accelerator: cpu
  num_sanity_val_steps: 0
  log_every_n_steps: 2
  enable_progress_bar: false
  enable_model_summary: false
  callbacks:
    - {class_path: EMA, init_args: {decay: 0.9}}
    - {class_path: LossBalancing, init_args: {method: {class_path: UPGrad}}}
checkpoint: {save_every_steps: 2}
test_after_fit: false
tracking: {wandb: off}
"""


@dataclass
class Done:
    """A command that has ended."""

    code: int | str
    seconds: float
    text: str
    left: int = 0  # processes of it that are still there


class Bench:
    """A folder to run commands in, and the runs without a fault that others are compared with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.references: dict[tuple[str, ...], Path] = {}
        (folder / "tiny.yaml").write_text(CONFIG)

    def start(self, words: list[str], launcher: list[str] | None = None, limit_kib: int = 0, **env: str) -> "Command":
        return Command(self.folder, words, launcher or [], limit_kib, env)

    def fit(self, name: str, *words: str, **env: str) -> Done:
        return self.start(["fit", "--config", "tiny.yaml", "--name", name, *words], **env).wait()

    def run(self, name: str) -> Path:
        return self.folder / "runs" / "tiny" / name

    def go_on(self, name: str) -> Done:
        return self.start(["fit", "--allow", "tests", "--resume", f"runs/tiny/{name}"]).wait()

    def same_end(self, name: str, *words: str) -> bool:
        if words not in self.references:
            reference = f"whole{len(self.references)}"
            done = self.fit(reference, *words)
            if done.code:
                raise RuntimeError(f"the run without a fault failed:\n{done.text}")
            self.references[words] = self.run(reference)
        return same(self.references[words], self.run(name))

    def same(self, first: str, second: str) -> bool:
        return same(self.run(first), self.run(second))


class Command:
    """A running `python -m mtl`."""

    def __init__(
        self, folder: Path, words: list[str], launcher: list[str], limit_kib: int, env: dict[str, str]
    ) -> None:
        program = [sys.executable, *launcher, "-m", "mtl", *words]
        if limit_kib:
            program = ["bash", "-c", f'ulimit -f {limit_kib}; exec "$@"', "limited", *program]
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("WANDB_", "MTL_"))}
        environment = {**inherited, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg", **env}
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            program, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip

    def wait(self, timeout_s: float = 300.0) -> Done:
        try:
            text, code = self.process.communicate(timeout=timeout_s)[0], self.process.returncode
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, 9)
            return Done("hung", timeout_s, self.process.communicate()[0])
        seconds = time.monotonic() - self.started
        left = alive(self.process.pid)
        if left:
            os.killpg(self.process.pid, 9)
        return Done(code, seconds, text, left)


def alive(session: int) -> int:
    """How many processes of a command are still there, a moment after it ended."""
    end = time.monotonic() + 8
    while True:
        found = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            found += fields[3] == str(session) and fields[0] != "Z"
        if not found or time.monotonic() > end:
            return found
        time.sleep(0.2)


def same(first: Path, second: Path) -> bool:
    """Whether two runs ended in the same state."""
    states = [torch.load(run / "checkpoints" / "last.ckpt", weights_only=True) for run in (first, second)]
    keys = ("global_step", "state_dict", "weights_in_training", "optimizer_states", "lr_schedulers", "balancing")
    return all(equal(states[0].get(key), states[1].get(key)) for key in keys)


def equal(first: object, second: object) -> bool:
    """Bit by bit."""
    if isinstance(first, torch.Tensor) and isinstance(second, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(equal(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple) and isinstance(second, list | tuple):
        return len(first) == len(second) and all(map(equal, first, second))
    return bool(first == second)
