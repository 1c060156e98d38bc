"""The faults of `faults.py`, one function each: the command that meets the fault, and the one to go on with it."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from tests.benchmarks import wandb_server
from tests.benchmarks.fault_commands import Bench, Done

INJECT = "tests.benchmarks.fault_injection"
TWO = ["--trainer.devices", "2", "--trainer.strategy", "ddp"]
SHARDS = [*TWO[:-1], "fully_sharded"]
PICTURES = """\
base: tiny.yaml
data:
  class_path: COCOFolder
  init_args: {root: pictures, box_classes: [grey], fractions: [0.8, 0.1, 0.1], batch_size: 8, image_size: [32, 32]}
model:
  heads: {largest: null}
"""


@dataclass
class Outcome:
    """What came of one fault."""

    done: Done
    ok: bool
    said: str
    same_end: bool | None = None


@dataclass
class Case:
    """One fault."""

    fault: str
    expected: str
    run: Callable[[Bench], Outcome]


CASES: dict[str, Case] = {}


def case(fault: str, expected: str) -> Callable[[Callable[[Bench], Outcome]], None]:
    """A case under the name of its function."""

    def keep(run: Callable[[Bench], Outcome]) -> None:
        CASES[run.__name__.replace("_", "-")] = Case(fault, expected, run)

    return keep


def callback(name: str, **arguments: object) -> str:
    """The flag that adds a callback."""
    return f"--trainer.callbacks+={json.dumps({'class_path': name, 'init_args': arguments})}"


def inject(fault: str, **arguments: object) -> list[str]:
    """The flags that put a fault into a run."""
    return ["--allow", "tests", callback(f"{INJECT}.{fault}", **arguments)]


def find(text: str, pattern: str = "^error:") -> str:
    """The last line in which a command says what happened."""
    lines = [line.strip() for line in text.splitlines() if re.search(pattern, line.strip())]
    return lines[-1] if lines else ""


@case("process killed (-9)", "--resume continues")
def killed(bench: Bench) -> Outcome:
    done, again = bench.fit("killed", *inject("Die")), bench.go_on("killed")
    return Outcome(done, (done.code, again.code) == (-9, 0), find(again.text, "resumes from"), bench.same_end("killed"))


@case("rank killed (-9)", "all ranks end, --resume continues")
def rank_killed(bench: Bench) -> Outcome:
    return ranks_end(bench, "rank-killed", *TWO, *inject("Die", rank=1))


@case("rank killed (-9), FSDP2", "all ranks end, --resume continues")
def sharded_rank_killed(bench: Bench) -> Outcome:
    return ranks_end(bench, "shards-killed", *SHARDS, *inject("Die", rank=1))


@case("rank 1 hangs", "all ranks end after timeout_s=15, --resume continues")
def rank_hangs(bench: Bench) -> Outcome:
    return ranks_end(bench, "rank-hangs", *TWO, callback("MultiGPU", timeout_s=15), *inject("Hang", rank=1))


@case("rank 0 hangs", "all ranks end after timeout_s=15, --resume continues")
def first_rank_hangs(bench: Bench) -> Outcome:
    return ranks_end(bench, "first-hangs", *TWO, callback("MultiGPU", timeout_s=15), *inject("Hang", rank=0))


def ranks_end(bench: Bench, name: str, *words: str) -> Outcome:
    done, again = bench.fit(name, *words), bench.go_on(name)
    ok = done.code not in (0, "hung") and not done.left and "Traceback" not in done.text and again.code == 0
    return Outcome(done, ok, find(done.text, "^error:"), bench.same_end(name, *words[: len(TWO)]))


@case("rank killed, torchrun --max-restarts 1", "resumes without a command")
def torchrun_restarts(bench: Bench) -> Outcome:
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--max-restarts", "1"]
    words = ["fit", "--config", "tiny.yaml", "--name", "elastic", *TWO, *inject("Die", rank=1)]
    done = bench.start(words, launcher).wait()
    return Outcome(done, done.code == 0, find(done.text, "resumes from"), bench.same_end("elastic", *TWO))


@case("SLURM takes the machine away (SIGUSR1)", "saved, queued again, the same job continues")
def slurm_preempts(bench: Bench) -> Outcome:
    queue = bench.folder / "bin" / "scontrol"
    queue.parent.mkdir(exist_ok=True)
    queue.write_text('#!/bin/sh\necho "$@" >> "$(dirname "$0")/asked"\n')
    queue.chmod(0o755)
    slurm = {"JOB_ID": "42", "NTASKS": "1", "PROCID": "0", "LOCALID": "0", "NODEID": "0", "JOB_NAME": "train"}
    env = {f"SLURM_{name}": value for name, value in (slurm | {"JOB_NODELIST": "localhost"}).items()}
    env["PATH"] = f"{queue.parent}:{os.environ['PATH']}"
    words = ["--trainer.devices", "1", *inject("Preempt")]
    done = bench.fit("slurm", *words, **env)
    again = bench.fit("slurm", *words, **env, SLURM_RESTART_COUNT="1")
    asked = (queue.parent / "asked").read_text() if (queue.parent / "asked").is_file() else ""
    ok = "Traceback" not in done.text and again.code == 0 and asked == "requeue 42\n"
    return Outcome(done, ok, find(done.text, "queued job 42 again"), bench.same_end("slurm"))


@case("SIGTERM in the middle of a validation, one of two ranks", "ends at once, --resume continues")
def stopped_in_validation(bench: Bench) -> Outcome:
    words = ["--data.num_val", "64", "--data.eval_batch_size", "4", *TWO]
    done, again = bench.fit("validation", *words, *inject("StopValidation", rank=1)), bench.go_on("validation")
    said = find(done.text, "its validation is not done, so it continues from step")
    ok = (done.code, again.code) == (143, 0) and not done.left and bool(said)
    return Outcome(done, ok, said, bench.same_end("validation", *words))


@case("loader process killed", "error, --resume continues")
def worker_killed(bench: Bench) -> Outcome:
    done, again = bench.fit("worker", "--data.num_workers", "2", *inject("KillWorker")), bench.go_on("worker")
    return Outcome(done, ended(done) and again.code == 0, find(done.text), bench.same_end("worker"))


@case("NaN loss, on_nonfinite: stop", "error names task and step")
def nan_stop(bench: Bench) -> Outcome:
    done = bench.fit("nan", *inject("NotANumber"))
    return Outcome(done, ended(done, "the loss of task 'boxes' was not finite at step 7"), find(done.text))


@case("NaN loss, on_nonfinite: drop", "weights stay finite")
def nan_drop(bench: Bench) -> Outcome:
    done = bench.fit("nan-drop", callback("FiniteLosses", on_nonfinite="drop"), *inject("NotANumber"))
    state = torch.load(bench.run("nan-drop") / "checkpoints" / "last.ckpt", weights_only=True)
    ok = done.code == 0 and all(bool(value.isfinite().all()) for value in state["state_dict"].values())
    return Outcome(done, ok, find(done.text, "sits out"))


@case("pictures cut off in mid-epoch", "error names the file, --resume continues with whole ones")
def pictures_cut_off(bench: Bench) -> Outcome:
    pictures = bench.folder / "pictures"
    make_pictures(pictures)
    (bench.folder / "pictures.yaml").write_text(PICTURES)
    words = ["fit", "--config", "pictures.yaml", "--experiment", "tiny", "--data.num_workers", "1", "--name"]
    whole = bench.start([*words, "whole-pictures"]).wait()
    done = bench.start([*words, "cut", *inject("CutPicture", folder=str(pictures / "images"))]).wait()
    make_pictures(pictures)
    again = bench.go_on("cut")
    ok = whole.code == 0 and ended(done, r"\.png") and again.code == 0
    return Outcome(done, ok, find(done.text), bench.same("whole-pictures", "cut"))


@case("W&B unreachable", "continues offline")
def wandb_unreachable(bench: Bench) -> Outcome:
    env = {"WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_API_KEY": "0" * 40}
    done = bench.fit("wandb", "--tracking.wandb", "auto", **env)
    said = find(done.text, "W&B: offline")
    return Outcome(done, done.code == 0 and bool(said), said, bench.same_end("wandb"))


@case("W&B lost in mid-run", "ends within finish_timeout_s=5, says what to upload")
def wandb_lost(bench: Bench) -> Outcome:
    port = bench.folder / "port"
    server = subprocess.Popen([sys.executable, wandb_server.__file__, str(port)])
    while not port.is_file() or not port.read_text():
        time.sleep(0.05)
    env = {"WANDB_BASE_URL": f"http://127.0.0.1:{port.read_text()}", "WANDB_API_KEY": "0" * 40}
    words = ["--tracking.wandb", "online", "--tracking.finish_timeout_s", "5", *inject("KillProcess", pid=server.pid)]
    done = bench.fit("wandb-lost", *words, **env)
    server.kill()
    server.wait()
    said = find(done.text, "W&B: not everything was taken in 5 s")
    return Outcome(done, done.code == 0 and bool(said), said, bench.same_end("wandb-lost"))


@case("logger raises", "one warning, training continues")
def logger_raises(bench: Bench) -> Outcome:
    logger = json.dumps([{"class_path": f"{INJECT}.BrokenLogger"}])
    done = bench.fit("logger", "--allow", "tests", f"--trainer.logger={logger}")
    ok = done.code == 0 and done.text.count("training continues") == 1
    return Outcome(done, ok, find(done.text, "training continues"), bench.same_end("logger"))


@case("wall clock back by a year", "nothing")
def clock_jumps(bench: Bench) -> Outcome:
    done = bench.fit("clock", *inject("JumpClock"))
    return Outcome(done, done.code == 0, find(done.text), bench.same_end("clock"))


@case("last.ckpt cut off", "--resume names it and takes the newest good one")
def checkpoint_cut_off(bench: Bench) -> Outcome:
    bench.fit("cut-off", *inject("Die", step=13))
    last = bench.run("cut-off") / "checkpoints" / "last.ckpt"
    last.write_bytes(last.read_bytes()[:5000])
    again = bench.go_on("cut-off")
    ok = again.code == 0 and re.search("last.ckpt.* is damaged.*best.ckpt", again.text) is not None
    return Outcome(again, ok, find(again.text, "resumes from"), bench.same_end("cut-off"))


@case("disk full at a checkpoint", "error, the one before stays")
def disk_full(bench: Bench) -> Outcome:
    bench.fit("full", *inject("Die"))
    last = bench.run("full") / "checkpoints" / "last.ckpt"
    before = last.read_bytes()
    done = bench.start(["fit", "--allow", "tests", "--resume", "runs/tiny/full"], limit_kib=100).wait()
    whole = last.read_bytes() == before and not list(last.parent.glob(".*"))
    again = bench.go_on("full")
    ok = ended(done, "cannot write checkpoint") and whole and again.code == 0
    return Outcome(done, ok, find(done.text), bench.same_end("full"))


@case("two runs of one name", "two folders")
def one_name(bench: Bench) -> Outcome:
    words = ["fit", "--config", "tiny.yaml", "--name", "race"]
    done = [command.wait() for command in [bench.start(words), bench.start(words)]]
    names = sorted(path.name for path in bench.run("race").parent.glob("race*"))
    ok = [one.code for one in done] == [0, 0] and names == ["race", "race-2"]
    return Outcome(done[0], ok, ", ".join(names), bench.same_end("race") and bench.same_end("race-2"))


@case("two --resume in one folder", "one is refused")
def one_folder(bench: Bench) -> Outcome:
    bench.fit("shared", *inject("Die"))
    words = ["fit", "--allow", "tests", "--resume", "runs/tiny/shared", *inject("Slow")]
    done = sorted((one.wait() for one in [bench.start(words), bench.start(words)]), key=lambda one: str(one.code))
    said = find(done[1].text, "is in use by")
    return Outcome(done[1], done[0].code == 0 and ended(done[1], code=2) and bool(said), said, bench.same_end("shared"))


def ended(done: Done, pattern: str = "", code: int = 1) -> bool:
    """Whether a command ended by itself, in a few words, and left nothing running."""
    quiet = not done.left and "Traceback" not in done.text
    return done.code == code and quiet and re.search(f"error: .*{pattern}", done.text) is not None


def make_pictures(folder: Path) -> None:
    """A small COCO set of noise with a grey square."""
    draw = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    images, boxes = [], []
    for index in range(60):
        picture = draw.integers(0, 255, (40, 40, 3), dtype=np.uint8)
        picture[8:24, 8:24] = 128
        Image.fromarray(picture).save(folder / "images" / f"{index}.png")
        images.append({"id": index, "file_name": f"{index}.png", "width": 40, "height": 40})
        boxes.append(
            {"id": index, "image_id": index, "category_id": 1, "bbox": [8, 8, 16, 16], "area": 256, "iscrowd": 0}
        )
    content = {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "grey"}]}
    (folder / "annotations.json").write_text(json.dumps(content))
