"""From a run to files that run without PyTorch."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mtl.cli.main import main
from mtl.evaluation.exported import lost

CONFIG = Path(__file__).resolve().parents[3] / "configs" / "digits.yaml"
SMALL = ["--trainer.max_steps", "2", "--data.num_train", "32", "--data.num_val", "8", "--data.num_test", "8"]
WITHOUT_TORCH = "import sys; sys.modules['torch'] = None; sys.argv = sys.argv[1:]; import runpy; "
WITHOUT_TORCH += "runpy.run_path(sys.argv[0], run_name='__main__')"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    words = ["fit", "--config", str(CONFIG), "--name", "seed0", "--tracking.wandb", "off", *SMALL]
    assert main([*words, "--runs_root", str(folder), "--data.batch_size", "8"]) == 0
    return folder / "digits" / "seed0"


@pytest.mark.slow
def test_a_run_becomes_files_that_give_its_answers(run: Path, tmp_path: Path, capsys: Any) -> None:
    pytest.importorskip("onnxruntime")
    assert main(["export", "--run", str(run), "--checkpoint", "last", "--quantize", "int8", "--calibrate", "4"]) == 0
    assert "largest difference" in capsys.readouterr().out
    made = run / "export"
    known = json.loads((made / "export.json").read_text())
    assert known["tasks"]["boxes"] == {"kind": "detection", "classes": [str(digit) for digit in range(10)]}
    assert known["size"] == [64, 64]
    assert known["files"]["onnx"]["parity"]["samples"] == 8
    assert known["files"]["onnx"]["parity"]["largest_difference"] < 1e-3
    for key, value in known["metrics"]["eager"].items():
        assert known["metrics"]["onnx"][key] == pytest.approx(value, abs=1e-3), key
    assert known["files"]["int8"]["bytes"] < 0.4 * known["files"]["onnx"]["bytes"]

    Image.new("RGB", (100, 60), (90, 10, 10)).save(tmp_path / "a.png")
    words = [sys.executable, "-c", WITHOUT_TORCH, str(made / "infer.py"), str(made / "model.onnx")]
    done = subprocess.run([*words, str(tmp_path / "a.png")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["picture"].endswith("a.png")
    assert isinstance(answer["boxes"], list)
    assert answer["largest"]["class"] in known["tasks"]["largest"]["classes"]


@pytest.mark.slow
def test_rows_of_runs_are_files_with_bytes_and_times(run: Path, capsys: Any) -> None:
    pytest.importorskip("onnxruntime")
    root = run.parents[1]
    assert main(["report", "--runs", str(root), "--devices"]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("| digits | 1 |"))
    parameters, size, one, sixteen = (float(cell.replace(",", "")) for cell in line.split("|")[3:7])
    assert 4 * parameters < size < 6 * parameters
    assert 0 < one < sixteen
    assert (root / "devices.png").stat().st_size > 1000
    assert (root / "report.html").read_text().count("<img") >= 2
    assert (root / "devices.csv").read_text().splitlines()[1].startswith("digits,1,")


@pytest.mark.nightly
@pytest.mark.timeout(1800)
@pytest.mark.filterwarnings("ignore")
def test_time_and_memory_of_each_are_measured(run: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    words = ["export", "--run", str(run), "--checkpoint", "last", "--to", str(tmp_path), "--benchmark"]
    assert main(words) == 0
    known = json.loads((tmp_path / "export.json").read_text())
    names = {"eager", "onnx"} | ({"compile"} if "compile" not in known["skipped"] else set())
    assert set(known["latency"]["1"]) == set(known["latency"]["16"]) == names
    for name in names:
        assert 0 < known["memory"][name]["before_mb"] < known["memory"][name]["peak_mb"]
    assert known["memory"]["onnx"]["peak_mb"] < 0.5 * known["memory"]["eager"]["peak_mb"], "it needs no PyTorch"


@pytest.mark.slow
def test_one_task_alone_is_a_smaller_file(run: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    assert main(["export", "--run", str(run), "--checkpoint", "last", "--to", str(tmp_path / "both")]) == 0
    assert (
        main(["export", "--run", str(run), "--checkpoint", "last", "--to", str(tmp_path / "one"), "--tasks", "largest"])
        == 0
    )
    assert (tmp_path / "one/model.onnx").stat().st_size < (tmp_path / "both/model.onnx").stat().st_size


@pytest.mark.slow
def test_metrics_are_of_as_many_samples_as_asked_for(run: Path, tmp_path: Path, capsys: Any) -> None:
    pytest.importorskip("onnxruntime")
    words = ["export", "--run", str(run), "--checkpoint", "last", "--to", str(tmp_path), "--tasks", "largest"]
    assert main([*words, "--samples", "3"]) == 0
    assert "metrics of 3 of 8 test samples" in " ".join(capsys.readouterr().out.split())
    known = json.loads((tmp_path / "export.json").read_text())
    assert known["samples"] == {"measured": 3, "of": 8}
    assert (3 * known["metrics"]["eager"]["largest/accuracy"]).is_integer()
    assert main([*words, "--samples", "0"]) == 2
    assert "--samples 0 must be at least 1" in capsys.readouterr().err


@pytest.mark.slow
def test_what_does_not_fit_is_refused(run: Path, capsys: Any) -> None:
    assert main(["export", "--run", str(run), "--checkpoint", "last", "--tasks", "box"]) == 1
    assert "the model has no task 'box'" in capsys.readouterr().err
    assert main(["export", "--run", str(run), "--checkpoint", "last", "--format", "pt2", "--quantize", "int8"]) == 2
    assert "--quantize works with --format onnx" in capsys.readouterr().err


def test_a_file_that_lost_accuracy_is_told() -> None:
    before = {"boxes/map": 0.8, "kind/accuracy": 0.9, "count/mae": 3.0}
    assert lost(before, {"boxes/map": 0.789, "kind/accuracy": 0.891, "count/mae": 2.0}) == []
    assert lost(before, {"boxes/map": 0.7, "kind/accuracy": 0.88, "count/mae": 9.0}) == [
        "boxes/map (0.800 -> 0.700)",
        "kind/accuracy (0.900 -> 0.880)",
    ]


@pytest.mark.slow
def test_predict_takes_the_file_and_gives_the_predictions_of_the_run(run: Path, tmp_path: Path, capsys: Any) -> None:
    pytest.importorskip("onnxruntime")
    made, pictures = tmp_path / "made", tmp_path / "pictures"
    assert main(["export", "--run", str(run), "--checkpoint", "last", "--to", str(made)]) == 0
    pictures.mkdir()
    for number, size in enumerate([(100, 60), (64, 64), (40, 90)]):
        Image.effect_noise(size, 90).convert("RGB").save(pictures / f"{number}.png")
    words = ["predict", "--images", str(pictures), "--score_threshold", "0", "--pictures", "none"]
    last = ["--run", str(run), "--ckpt_path", str(run / "checkpoints" / "last.ckpt")]
    assert main([*words, *last, "--output", str(tmp_path / "of_run")]) == 0
    assert main([*words, "--model", str(made / "model.onnx"), "--output", str(tmp_path / "of_file")]) == 0
    run_s, file_s = (json.loads((tmp_path / name / "predictions.json").read_text()) for name in ("of_run", "of_file"))
    assert run_s["images"] == file_s["images"]
    assert run_s["categories"] == file_s["categories"]
    # boxes of equal scores are in no order, and the last of the list may differ by rounding
    best = [[one for one in found["annotations"] if one["image_id"] == 1][:10] for found in (run_s, file_s)]
    assert len(best[0]) == 10
    assert [one["score"] for one in best[0]] == pytest.approx([one["score"] for one in best[1]], abs=1e-4)
    first = (tmp_path / "of_run/predictions.csv").read_text().splitlines()[0]
    assert first == (tmp_path / "of_file/predictions.csv").read_text().splitlines()[0]
    (made / "broken.onnx").write_bytes(b"no model")
    assert main([*words, "--model", str(made / "broken.onnx"), "--output", str(tmp_path / "of_file")]) != 0
    told = capsys.readouterr().err
    assert "broken.onnx' is no model that onnxruntime can load" in told
    assert "Traceback" not in told


@pytest.mark.nightly
@pytest.mark.timeout(1800)
@pytest.mark.filterwarnings("ignore")
def test_a_sentence_has_the_answers_of_predict_without_pytorch(tmp_path: Path, capsys: Any) -> None:
    pytest.importorskip("onnxruntime")
    few = ["--data.num_train", "32", "--data.num_val", "8", "--data.num_test", "8", "--trainer.max_steps", "2"]
    words = ["fit", "--config", str(CONFIG.with_name("commands.yaml")), "--name", "a", "--tracking.wandb", "off"]
    assert main([*words, *few, "--runs_root", str(tmp_path)]) == 0
    run = tmp_path / "commands" / "a"
    last = ["--run", str(run), "--checkpoint", "last"]
    assert main(["export", *last, "--quantize", "int8", "--calibrate", "2"]) == 0
    assert "left out: int8: weights of embeddings and recurrent layers stay float" in capsys.readouterr().out
    assert not (run / "export/model.int8.onnx").exists()

    sentences = ["wake me at 7:30", "Turn the LIGHT on, in the 'zzz'!", "a"]
    (tmp_path / "a.txt").write_text("\n".join(sentences))
    options = ["--ckpt_path", str(run / "checkpoints" / "last.ckpt"), "--text", str(tmp_path / "a.txt")]
    assert main(["predict", "--run", str(run), *options, "--output", str(tmp_path)]) == 0
    rows = json.loads((tmp_path / "predictions.json").read_text())["sentences"]
    program = [sys.executable, "-c", WITHOUT_TORCH, str(run / "export/infer.py"), str(run / "export/model.onnx")]
    done = subprocess.run([*program, *sentences], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for row, found in zip(rows, map(json.loads, done.stdout.splitlines()), strict=True):
        assert found["intent"]["class"] == row["intent"]
        assert found["intent"]["score"] == pytest.approx(row["intent_score"], abs=1e-4)
        assert " ".join(name for _, name in found["slots"]) == row["slots"]
        assert found["spanish"] == row["spanish"]
