"""The quick start on a GPU: seconds until the held-back scenes reach mAP50 0.95, and what the test says.

Run: python tests/benchmarks/gpu_digits.py --rows runs/gpu/rows.jsonl [--rehearse]
`python -m mtl fit` runs as a user starts it; the clock starts with the process, imports and making scenes included.
Every validation prints a line, whose arrival is the time of that step.
"""

import argparse
import csv
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from gpu_rows import Rows

ROOT = Path(__file__).resolve().parents[2]
GOAL = 0.95
TINY = [
    "--data.num_train=32", "--data.num_val=8", "--data.num_test=8", "--data.image_size=32", "--data.max_digit_px=14",
    "--data.batch_size=4", "--data.max_digits=2", "--model.backbone.width=4", "--model.backbone.pyramid_width=8",
    "--trainer.max_steps=8", "--trainer.val_check_interval=4",
]  # fmt: skip


def train(options: argparse.Namespace, folder: Path) -> tuple[int, float, dict[int, float]]:
    """Exit code, seconds of everything, and the second at which each step was printed first."""
    accelerator = "gpu" if options.device == "cuda" else "cpu"
    validations = [f"--trainer.val_check_interval={options.every}", "--trainer.check_val_every_n_epoch=null"]
    command = [
        sys.executable, "-m", "mtl", "fit", "--config", "configs/digits.yaml", "--tracking.wandb=off", "--name=digits",
        f"--runs_root={folder}", f"--trainer.accelerator={accelerator}", "--trainer.devices=1", *validations,
        *(TINY if options.rehearse else []),
    ]  # fmt: skip
    start, seen = time.perf_counter(), {}
    with subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            if found := re.match(r"step (\d+)/", line):
                seen.setdefault(int(found[1]), time.perf_counter() - start)
    return process.returncode, time.perf_counter() - start, seen


def scores(path: Path) -> dict[int, float]:
    """mAP50 of every validation, by step."""
    with path.open(newline="", encoding="utf-8") as file:
        found = [(row["step"], row.get("val/boxes/map50")) for row in csv.DictReader(file)]
    return {int(step): float(value) for step, value in found if value}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--every", type=int, default=250, help="steps between two validations")
    parser.add_argument("--rehearse", action="store_true", help="tiny sizes")
    options = parser.parse_args()
    rows = Rows(options.rows, options.device)
    with rows.guard("digits"), tempfile.TemporaryDirectory() as folder:
        code, seconds, seen = train(options, Path(folder))
        run = Path(folder, "digits", "digits")
        curve = scores(run / "metrics.csv")
        for step, value in curve.items():
            # the row of a validation may stand under the step before the line's
            at = next((seen[s] for s in (step, step + 1, step - 1) if s in seen), None)
            rows.add("digits", what="validation", step=step, map50=value, seconds=at)
        good = [step for step, value in curve.items() if value >= GOAL]
        at = next((seen[s] for step in good[:1] for s in (step, step + 1, step - 1) if s in seen), None)
        rows.add("digits", what=f"mAP50 {GOAL}", step=good[0] if good else None, seconds=at)
        results = json.loads((run / "results.json").read_text("utf-8")) if (run / "results.json").is_file() else {}
        tested = {name: value for name, value in results.items() if isinstance(value, float) and name.count("/") <= 2}
        rows.add("digits", what="all", exit_code=code, seconds=seconds, **tested)
        if code:
            raise RuntimeError(f"mtl fit ended with exit code {code}")
    raise SystemExit(1 if rows.failed else 0)


if __name__ == "__main__":
    main()
