"""LabelMe: one JSON file for each picture, in a folder of their own or beside the pictures."""

from pathlib import PurePosixPath

from mtl.data.folder.files.labelme_json import labelme_document
from mtl.data.formats.format import FolderFormat, Listing, Part, common_folder, sample

_TRIED = 20


class LabelMe(FolderFormat):
    """JSON files with the list `shapes`, called as their pictures."""

    gives = "objects"
    order = 3

    def hint(self, files: Listing) -> str:
        name = next((name for name in files.of_type(".json")[:_TRIED] if _is_labelme(files, name)), None)
        if name is None:
            return ""
        return f"{name} is a LabelMe file, but no picture is called {PurePosixPath(name).stem}: name both alike."

    def find(self, files: Listing) -> Part | None:
        stems = {PurePosixPath(name).stem for name in files.pictures}
        found = [name for name in files.of_type(".json") if PurePosixPath(name).stem in stems]
        tried = sample(found, _TRIED)
        mine = [name for name in tried if _is_labelme(files, name)]
        if not mine or len(mine) < len(tried) / 2:
            return None
        named = {PurePosixPath(name).stem for name in found}
        pictures = [name for name in files.pictures if PurePosixPath(name).stem in named]
        arguments = {"images": common_folder(pictures), "annotations": common_folder(found)}
        kept = {name: folder for name, folder in arguments.items() if folder != name}
        return Part("LabelMe JSON files", kept, {"boxes": "detection"}, "LabelMeFolder")


def _is_labelme(files: Listing, name: str) -> bool:
    try:
        labelme_document(files.root / name)
    except ValueError:
        return False
    return True
