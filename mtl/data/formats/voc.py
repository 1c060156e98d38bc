"""Pascal VOC: one XML file for each picture, in a folder of their own or beside the pictures."""

import re
from pathlib import Path, PurePosixPath

from mtl.config.foreign_files import read_small
from mtl.data.formats.format import FolderFormat, Listing, Part, common_folder, sample

_MOST_BYTES = 20_000_000
_TRIED = 20
_ROOT = re.compile(rb"<(\w+:)?annotation[\s>]", re.IGNORECASE)


class VOC(FolderFormat):
    """XML files with `<annotation>` and `<object>`."""

    gives = "objects"

    def find(self, files: Listing) -> Part | None:
        found = [name for name in files.of_type(".xml") if not PurePosixPath(name).name.startswith("_")]
        tried = sample(found, _TRIED)
        mine = [name for name in tried if _is_voc(files.root / name)]
        if not mine or len(mine) < len(tried) / 2:
            return None
        stems = {PurePosixPath(name).stem for name in found}
        pictures = [name for name in files.pictures if PurePosixPath(name).stem in stems] or list(files.pictures)
        arguments = {"images": common_folder(pictures), "annotations": common_folder(found)}
        kept = {name: folder for name, folder in arguments.items() if folder != name}
        return Part("VOC XML files", kept, {"boxes": "detection"}, "VOCFolder")


def _is_voc(file: Path) -> bool:
    try:
        return _ROOT.search(read_small(file, _MOST_BYTES, follow=True)) is not None
    except ValueError:  # far larger than the annotations of one picture
        return False
