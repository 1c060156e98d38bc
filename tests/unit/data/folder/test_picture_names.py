"""Matching written names to pictures, and ambiguous names."""

from pathlib import Path

import pytest

from mtl.data.folder.picture_names import Match, find_pictures, match_names, nearest_pictures, picture_index


@pytest.mark.parametrize(
    "text", ["sub/a", "sub/a.jpg", "sub/a.JPEG", "sub\\a.png", "./sub/a", " sub/a\t", "\ufeffsub/a", '"sub/a.tif"']
)
def test_extension_slashes_and_blanks_do_not_matter(text: str) -> None:
    assert match_names([text], ["sub/a", "a", "sub/b"]) == {text: Match("sub/a", True)}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("images/sub/a.jpg", "sub/a"),
        ("/mnt/me/set/images/sub/a.jpg", "sub/a"),
        ("C:\\Users\\me\\images\\sub\\a.jpg", "sub/a"),
        ("..\\images\\sub\\a.jpg", "sub/a"),
        ("a", "sub/a"),
        ("A.JPG", "sub/a"),
        ("Sub/A.jpg", "sub/a"),
        ("b.v2", "sub/b.v2"),
        ("e\u0301.png", "sub/\u00e9"),
    ],
)
def test_folders_and_case_are_guessed(text: str, name: str) -> None:
    assert match_names([text], ["sub/a", "sub/b.v2", "sub/\u00e9"]) == {text: Match(name, False)}


@pytest.mark.parametrize("text", ["a", "c/a.jpg", "x", "a/sub", "sub", ""])
def test_what_means_two_pictures_or_none_is_left_out(text: str) -> None:
    assert match_names([text], ["one/a", "two/a"]) == {}


def test_two_texts_never_mean_one_picture_by_guess() -> None:
    assert match_names(["cam1/a", "cam2/a"], ["a"]) == {}
    assert match_names(["a.jpg", "cam2/a"], ["a"]) == {"a.jpg": Match("a", True)}


def test_the_exact_case_comes_first() -> None:
    assert match_names(["x/A"], ["a", "A"]) == {"x/A": Match("A", False)}
    assert match_names(["A"], ["a"], fold_case=False) == {}


def test_a_dot_in_a_name_is_no_extension() -> None:
    assert match_names(["a.1"], ["a"]) == {}
    assert match_names(["a.1.png", "a.1"], ["a.1"]) == {text: Match("a.1", True) for text in ("a.1.png", "a.1")}


def test_an_index_of_a_folder_leaves_out_names_that_two_files_have(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.png", "b.JPG", "c.txt"):
        (tmp_path / name).touch()
    assert list(picture_index(tmp_path)) == ["b"]
    assert picture_index(tmp_path / "nowhere") == {}
    with pytest.raises(ValueError, match="two pictures have the name 'a': a.jpg and a.png"):
        find_pictures(tmp_path)


def test_of_files_with_one_name_the_nearest_picture_is_meant() -> None:
    pictures = {f"{split}/images/1": Path(f"root/{split}/images/1.jpg") for split in ("train", "test")}
    files = [Path(f"root/{split}/labels/1.xml") for split in ("test", "train", "val")]
    found = nearest_pictures(files, pictures)
    assert {file.parts[1]: match.name for file, match in found.items()} == {
        "train": "train/images/1",
        "test": "test/images/1",
    }
    one = {"test/images/1": pictures["test/images/1"]}
    for order in (files, files[::-1]):
        assert list(nearest_pictures(order, one)) == files[:1]
