"""Faults put into real runs, what comes of each, and whether the run ends as if nothing had been.

Run: python tests/benchmarks/faults.py [--only NAME ...] [--json FILE]
Every case is a command as a user types it, in processes of its own, and one more to go on with it. `ok`: what stands
under `expected` has happened, nothing was left running, and no traceback hides it. `same end`: weights, average,
optimiser, schedule and balancing are bit-equal to a run without a fault. The exit code is 1 if one of
them is not so.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

sys.path.append(str(Path(__file__).resolve().parents[2]))
from tests.benchmarks import fault_data_cases  # noqa: F401, its cases join CASES
from tests.benchmarks.fault_cases import CASES
from tests.benchmarks.fault_commands import Bench


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=list(CASES), help="some of the cases")
    parser.add_argument("--json", type=Path, default=Path("runs/faults.json"), help="where the table goes as JSON")
    options = parser.parse_args()
    table = Table("fault", "expected", "exit", "seconds", "ok", "same end", "said", box=None)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        for name in options.only or CASES:
            found = CASES[name]
            outcome = found.run(bench)
            done = outcome.done
            row = {
                "fault": found.fault, "expected": found.expected, "exit": done.code, "seconds": round(done.seconds, 1),
                "left_running": done.left, "ok": outcome.ok, "same_end": outcome.same_end, "said": outcome.said,
            }  # fmt: skip
            print(f"{name}: {'ok' if outcome.ok and outcome.same_end is not False else 'NOT OK'}", flush=True)
            if not outcome.ok:
                print(done.text[-3000:], flush=True)
            rows.append(row)
            words = {None: "", True: "yes", False: "NO"}
            cells = (str(done.code), f"{done.seconds:.0f}", words[outcome.ok], words[outcome.same_end])
            table.add_row(found.fault, found.expected, *cells, outcome.said[:110])
    Console(width=200).print(table)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(rows, indent=2) + "\n")
    print(f"written to {options.json}")
    return int(any(not row["ok"] or row["same_end"] is False for row in rows))


if __name__ == "__main__":
    sys.exit(main())
