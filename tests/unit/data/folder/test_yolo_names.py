"""Names of classes in a YOLO folder: a `data.yaml` that cannot be read is refused, and not passed over."""

from pathlib import Path
from typing import Any

import pytest

from mtl.config.yaml_lines import ConfigError
from mtl.data.folder.yolo_folder import YOLOFolder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    YOLOFolder.example_args(tmp_path)
    return tmp_path


def data(root: Path) -> YOLOFolder:
    arguments: Any = {"root": str(root), "images": "images", "image_size": (32, 32)}
    return YOLOFolder(**{**arguments, **YOLOFolder.read_arguments(**arguments)})


def test_names_come_from_the_file(root: Path) -> None:
    assert data(root).tasks["boxes"].class_names == ("cat", "dog")


@pytest.mark.parametrize("text", ["names: [cat", "names: {0: cat", "\tnames: [cat, dog]"])
def test_a_file_that_is_no_yaml_is_refused(root: Path, text: str) -> None:
    (root / "data.yaml").write_text(text)
    with pytest.raises(ConfigError, match="not valid YAML") as raised:
        data(root)
    assert "data.yaml" in str(raised.value.origin)  # which the command line prints below the message


def test_files_of_other_tools_are_left_alone(root: Path) -> None:
    (root / "a_template.yaml").write_text("{{ name }}: [")
    assert data(root).tasks["boxes"].class_names == ("cat", "dog")


def test_an_index_without_a_name_says_where_the_names_are(root: Path) -> None:
    (root / "data.yaml").write_text("names: [cat]\n")
    with pytest.raises(ValueError, match=r"class 1 \(data\.yaml names 1 classes\)"):
        data(root).setup("fit")
