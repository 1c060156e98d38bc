import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mtl.cli.main import main


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, size in enumerate([(40, 60), (32, 32)]):
        pixels = np.random.default_rng(number).integers(0, 255, (*size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


@pytest.mark.parametrize("how", ["run", "ckpt_path"])
def test_a_folder_of_pictures_is_predicted(trained: Path, pictures: Path, tmp_path: Path, how: str) -> None:
    source = trained if how == "run" else trained / "checkpoints" / "best.ckpt"
    output = tmp_path / "out"
    words = ["predict", f"--{how}", str(source), "--images", str(pictures), "--output", str(output)]
    assert main([*words, "--score_threshold", "0.0"]) == 0
    found = json.loads((output / "predictions.json").read_text())
    assert [(image["height"], image["width"]) for image in found["images"]] == [(40, 60), (32, 32)]
    assert all(box["bbox"][0] >= 0 and box["bbox"][2] > 0 for box in found["annotations"])
    with (output / "predictions.csv").open() as file:
        assert len(list(csv.DictReader(file))) >= 2
    assert len(list(output.rglob("*.jpg"))) == 2


def test_pictures_and_patterns_are_predicted(trained: Path, pictures: Path, tmp_path: Path) -> None:
    output = ["--output", str(tmp_path / "out"), "--pictures", "none"]
    words = ["predict", "--run", str(trained), "--images", str(pictures / "[0]*.png"), str(pictures / "1.png"), *output]
    assert main(words) == 0
    found = json.loads((tmp_path / "out/predictions.json").read_text())
    assert [image["file_name"] for image in found["images"]] == ["0.png", "1.png"]
    assert not list((tmp_path / "out").rglob("*.jpg"))


def test_results_lie_in_the_run_folder_by_default(trained: Path, pictures: Path) -> None:
    assert main(["predict", "--run", str(trained), "--images", str(pictures)]) == 0
    assert (trained / "predictions" / "predictions.json").is_file()


def test_a_checkpoint_without_its_run_needs_the_image_size(
    trained: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = tmp_path / "a" / "b" / "best.ckpt"
    alone.parent.mkdir(parents=True)
    alone.write_bytes((trained / "checkpoints" / "best.ckpt").read_bytes())
    words = ["predict", "--ckpt_path", str(alone), "--images", str(pictures), "--output", str(tmp_path / "out")]
    assert main(words) == 2
    assert "does not say how large the images were; give --image_size" in capsys.readouterr().err
    assert main([*words, "--image_size", "32", "48"]) == 0


@pytest.mark.parametrize(
    ("words", "message", "code"),
    [
        (["--images", "."], "`predict` needs a trained model: --run", 2),
        (["--run", "nowhere", "--images", "."], "there is no run folder 'nowhere'", 2),
        (["--run", "nowhere", "--images", "nothing"], "there is no folder 'nothing'", 2),
    ],
)
def test_what_is_missing_is_told(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str, code: int
) -> None:
    assert main(["predict", *words]) == code
    assert message in capsys.readouterr().err


def test_pictures_are_named_in_several_ways_and_written_for_other_tools(
    trained: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["predict", "--run", str(trained), "--output", str(tmp_path / "out"), "--score", "0", "--device", "cpu"]
    assert main([*words, "--images", str(pictures / "*.png"), str(pictures), "--format", "yolo", "voc"]) == 0
    assert "2 pictures" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "out/labels").iterdir()) == ["0.txt", "1.txt"]
    assert sorted(path.name for path in (tmp_path / "out/annotations").iterdir()) == ["0.xml", "1.xml"]
    assert main([*words, "--images", str(pictures), "--device", "abacus"]) == 2
    assert "--device 'abacus' is no device. There are cpu, cuda, cuda:NUMBER and mps." in capsys.readouterr().err
    assert main([*words, "--images", str(pictures), "--image_size", "1", "2", "3"]) == 2
    assert "--image_size takes one side, or height and width; found 1 2 3." in capsys.readouterr().err


def test_a_file_of_sentences_is_not_read_by_an_exported_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", "--model", str(tmp_path / "model.onnx"), "--text", str(tmp_path / "a.txt")]) == 2
    assert "is run by `infer.py` beside it" in capsys.readouterr().err
