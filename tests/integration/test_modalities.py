"""A written and a spoken digit beside each alone: what both are worth, and what is left where one is missing.

`pytest -s -m nightly tests/integration/test_modalities.py` prints the table of `configs/README.md`.
"""

import json
import os
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import pytest
from jsonargparse._common import parsing_settings

from mtl.cli.main import main
from tests.contract.kit.places import BESIDE

ROOT = Path(__file__).resolve().parents[2]
PEOPLE = next((place for place in (ROOT / "data/fsdd", BESIDE / "fsdd") if place.is_dir()), None)
BACKBONE = "--model.backbone.init_args"


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(ROOT)
    settings = deepcopy(parsing_settings)
    yield
    parsing_settings.clear()
    parsing_settings.update(settings)
    os.environ.pop("MTL_RUN_DIR", None)


def accuracy(folder: Path, name: str, *flags: str) -> dict[str, float]:
    """Accuracy of the digit in a run, and with some inputs, by `@<inputs>`."""
    config = ROOT / "configs/spoken_and_written_digits.yaml"
    fixed = (f"--runs_root={folder}", f"--name={name}", "--tracking.wandb=off")
    assert main(["fit", "--config", str(config), *fixed, *flags]) == 0
    results = json.loads((folder / config.stem / name / "results.json").read_text())
    start = "test/digit/accuracy"
    found = {key.removeprefix(start): value for key, value in results.items() if key.startswith(start)}
    print(name, found, {k: v for k, v in results.items() if "speaker/accuracy" in k or "ink/r2" in k})  # noqa: T201
    return found


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_both_are_better_than_one_and_one_is_enough(tmp_path: Path) -> None:
    if PEOPLE is None:
        pytest.skip("its data, data/fsdd, is not here")
    people = f"--data.root={PEOPLE}"
    both = accuracy(tmp_path, "both", people)
    alone = {
        kept: accuracy(
            tmp_path,
            kept,
            people,
            f"--data.modalities=[{kept}]",
            f"{BACKBONE}.encoders.{other}=null",
            f"{BACKBONE}.modality_dropout=0",
        )[""]
        for kept, other in (("image", "audio"), ("audio", "image"))
    }
    print(both, alone)  # noqa: T201
    assert both[""] >= max(alone.values()) + 0.06
    assert both["@audio"] >= 0.85 * alone["audio"]
    assert both["@image"] >= 0.95 * alone["image"]
