"""XML files of CVAT: shapes as boxes, and files that are refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mtl.data.folder.listed.cvat_folder import CVATFolder
from mtl.data.formats import voc
from mtl.data.formats.recognise import recognise


def folder(root: Path, shapes: str, **options: Any) -> CVATFolder:
    (root / "images").mkdir(exist_ok=True)
    for name in ("a", "b", "c"):
        Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(root / f"images/{name}.jpg")
    image = f'<image id="7" name="a.jpg" width="60" height="40">{shapes}</image><image id="8" name="images/b.jpg"/>'
    (root / "annotations.xml").write_text(f"<annotations><version>1.1</version>{image}</annotations>")
    data = CVATFolder(str(root), **options)
    data.names()
    return data


BOX = '<box label="cat" xtl="6" ytl="4" xbr="30" ybr="20"/>'


def test_a_shape_is_the_box_around_it_and_points_are_left_out(tmp_path: Path) -> None:
    shapes = (
        f"{BOX}<tag label='day'/>"
        '<polygon label="dog" points="6.00,4.00;30.00,8.00;10.00,20.00"><attribute name="x">1</attribute></polygon>'
        '<ellipse label="cat" cx="20" cy="20" rx="5" ry="3"/>'
        '<mask label="cat" left="2" top="3" width="5" height="6" rle="30"/>'
        '<points label="eye" points="3,3"/>'
        '<cuboid label="cat" xtl1="5" ytl1="6" xbl1="5" ybl1="16" xtr1="15" ytr1="7" xbr1="15" ybr1="17"'
        ' xtl2="20" ytl2="4" xbl2="20" ybl2="12" xtr2="12" ytr2="5" xbr2="12" ybr2="14"/>'
        '<skeleton label="body"><points label="knee" points="3,3"/></skeleton>'
    )
    data = folder(tmp_path, shapes)
    record = data.record("a")
    assert record.boxes.tolist() == [[6, 4, 30, 20], [6, 4, 30, 20], [15, 17, 25, 23], [2, 3, 7, 9], [5, 4, 20, 17]]
    assert (record.classes, record.declared) == (["cat", "dog", "cat", "cat", "cat"], (40, 60))
    assert [(data.record(name).annotated, len(data.record(name).boxes)) for name in "bc"] == [(True, 0), (False, 0)]
    assert data.box_classes == ("cat", "dog")
    assert [finding.detail for finding in data.data_report] == ["points eye", "skeleton body"]


def test_a_turned_shape_has_the_box_around_the_turned_one(tmp_path: Path) -> None:
    ellipse = '<ellipse label="cat" cx="20" cy="20" rx="5" ry="3" rotation="90"/>'
    shapes = BOX.replace("/>", ' rotation="90.0"/>') + ellipse
    np.testing.assert_allclose(
        folder(tmp_path, shapes).record("a").boxes, [[10, 0, 26, 24], [17, 15, 23, 25]], atol=1e-9
    )


@pytest.mark.parametrize("shape", [BOX.replace('"4"', '"x"'), BOX.replace('xbr="30"', ""), BOX.replace('"4"', '"nan"')])
def test_a_shape_without_a_box_is_refused_or_skipped(tmp_path: Path, shape: str) -> None:
    with pytest.raises(ValueError, match="a box of 'a.jpg' has label=cat, .*no box of numbers.*on_bad_box: skip"):
        folder(tmp_path, shape)
    data = folder(tmp_path, shape, on_bad_box="skip")
    assert (len(data.record("a").boxes), data.data_report.images("bad_box")) == (0, ["a.jpg"])


def test_files_of_another_kind_say_what_to_export(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no label.*on_unknown_class: skip"):
        folder(tmp_path, BOX.replace('"cat"', '""'), box_classes=["cat"])
    with pytest.raises(ValueError, match="no box or polygon with a label"):
        folder(tmp_path, "")
    for text, held in (("<annotations><track/></annotations>", "tracks of a video"), ("<x/>", "<x> without <image>")):
        (tmp_path / "annotations.xml").write_text(text)
        with pytest.raises(ValueError, match=f"holds {held}. Export it as CVAT for images"):
            CVATFolder(str(tmp_path))
    (tmp_path / "annotations.xml").write_text("<annotations>")
    with pytest.raises(ValueError, match=r"not valid XML \(no element.*\)\. Correct it, or set another file in `ann"):
        CVATFolder(str(tmp_path))
    with pytest.raises(ValueError, match="no CVAT file .*Correct `annotations` or `root`"):
        CVATFolder(str(tmp_path), annotations="x.xml")
    (tmp_path / "annotations.xml").write_text("<annotations><image/></annotations>")
    with pytest.raises(ValueError, match="<image> 1 has no name"):
        CVATFolder(str(tmp_path), ["cat"]).names()


def test_one_large_file_for_all_pictures_is_not_taken_for_voc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder(tmp_path, BOX)
    assert recognise(tmp_path).class_path == "CVATFolder"
    monkeypatch.setattr(voc, "_MOST_BYTES", 100)
    assert recognise(tmp_path).class_path == "CVATFolder"
