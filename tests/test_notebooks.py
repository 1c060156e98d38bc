"""Every notebook runs from top to bottom, and was saved after such a run."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
# whole comparisons, exports and contract tests, half a minute or more each: other tests take their parts
LONG = {
    "add_a_method",
    "add_an_architecture",
    "from_a_run_to_a_device",
    "read_results",
    "speech",
    "text",
    "add_a_dense_task",
}
RUNS = [pytest.param(path, id=path.stem, marks=[pytest.mark.nightly] * (path.stem in LONG)) for path in NOTEBOOKS]


@pytest.mark.slow
@pytest.mark.timeout(1200)  # a comparison within a notebook takes minutes on a machine that does other work
@pytest.mark.parametrize("notebook", RUNS)
def test_notebook_runs(notebook: Path) -> None:
    execute = Path(sys.executable).with_name("jupyter-execute")
    if not execute.is_file():
        pytest.skip('needs the extra "notebooks"')
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "MTL_NOTEBOOK_STEPS": "3"}
    done = subprocess.run([execute, notebook], cwd=ROOT, env=env, capture_output=True, text=True, timeout=1100)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_was_run_in_order_before_it_was_saved(notebook: Path) -> None:
    cells = [cell for cell in json.loads(notebook.read_text("utf-8"))["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert outputs
    assert not [output for output in outputs if output["output_type"] == "error"]
