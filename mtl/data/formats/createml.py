"""CreateML JSON: one file for all pictures, or one for each split."""

from collections.abc import Mapping, Sequence
from typing import Any

from mtl.data.folder.annotations import Checks
from mtl.data.folder.files.createml_json import Origin, createml_entries, read_createml
from mtl.data.folder.findings import DataReport
from mtl.data.formats.format import FolderFormat, Listing, Part, file_of_each_split, sample
from mtl.data.formats.lists import files_of_all, part_of_lists
from mtl.data.formats.picture_column import last_part, pictures_by_name
from mtl.data.images import read_header

_TRIED = 200
_DEFAULTS = {"annotations": "annotations.json", "images": "images"}


class CreateML(FolderFormat):
    """JSON files with a list of objects, each with `image` and `annotations`."""

    gives = "objects"
    order = 3

    def find(self, files: Listing) -> Part | None:
        known = pictures_by_name(files)
        found: dict[str, list[tuple[str, Any]]] = {}
        for name in files_of_all(files, ".json", known):
            try:
                entries = createml_entries(files.root / name)
            except ValueError:
                continue
            if any(last_part(picture) in known for picture, _ in entries) and any(boxes for _, boxes in entries):
                found[name] = entries
        if not found:
            return None
        chosen = file_of_each_split({name: len(entries) for name, entries in found.items()})
        more = {"origin": "top_left"} if _origin(files, list(chosen.values()), known) == "top_left" else {}
        lists = {name: [last_part(picture) for picture, _ in entries] for name, entries in found.items()}
        words = ("CreateML JSON", "CreateML JSON files")
        return part_of_lists(files, lists, chosen, words, _DEFAULTS, "CreateMLFolder", more)


def _origin(files: Listing, names: Sequence[str], known: Mapping[str, str]) -> Origin:
    """What x and y of the boxes are: the corner if only so the boxes are in their pictures."""
    outside: dict[Origin, int] = {"center": 0, "top_left": 0}
    checks, report = Checks((), on_bad_box="skip", on_unknown_class="skip"), DataReport("")
    for origin in outside:
        for name in names:
            for one in sample(read_createml(files.root / name, origin, "px", checks, report), _TRIED):
                try:
                    header = read_header(files.root / known[last_part(one.file_name)])
                except (KeyError, ValueError):
                    continue
                for x0, y0, x1, y1 in one.boxes:
                    outside[origin] += min(x0, y0) < -1 or x1 > header.width + 1 or y1 > header.height + 1
    return "top_left" if outside["center"] > 0 == outside["top_left"] else "center"
