"""COCO JSON: one file for all pictures, or one for each split."""

import json
from collections import Counter
from pathlib import PurePosixPath
from typing import Any

from mtl.data.folder.files.text_files import read_text
from mtl.data.folder.picture_names import plain_name
from mtl.data.formats.format import (
    FolderFormat,
    Listing,
    Part,
    common_folder,
    file_of_each_split,
    sample,
    split_of,
    splits_text,
)

_KEYS = ("images", "annotations", "categories")
_TRIED = 50


class COCO(FolderFormat):
    """JSON files with the lists `images`, `annotations` (with `bbox` or `segmentation`) and `categories`."""

    gives = "objects"
    order = 1

    def hint(self, files: Listing) -> str:
        names = files.of_type(".json")[:_TRIED]
        for name in names:
            try:
                json.loads(read_text(files.root / name))
            except (json.JSONDecodeError, RecursionError) as error:
                return f"{name} is damaged, or no JSON ({error}): export it again, if it holds the annotations."
            except ValueError as error:
                return str(error)
        if not names:
            return ""
        return f"{names[0]} is JSON of another kind: export the annotations as COCO JSON, if they are in it."

    def find(self, files: Listing) -> Part | None:
        documents = {name: found for name in files.of_type(".json") if (found := _read(files, name)) is not None}
        if not documents:
            return None
        # keypoints of persons lie beside instances; the file with the most classes is meant
        ranked = sorted(documents, key=lambda name: (-len(documents[name]["categories"]), name))
        if len(chosen := file_of_each_split({name: -place for place, name in enumerate(ranked)})) == 1:
            chosen = {"": max(ranked, key=lambda name: len(documents[name]["images"]))}
        notes = tuple(f"{name} is another COCO file; it is not used." for name in ranked if name not in chosen.values())
        folders = {split: _folder(documents[name], name, files) for split, name in chosen.items()}
        arguments: dict[str, Any] = {
            "annotations": chosen.get("", chosen),
            "images": folders if len(set(folders.values())) > 1 else next(iter(folders.values())),
        }
        if arguments["images"] == "images":
            del arguments["images"]
        text = splits_text("COCO JSON", "COCO JSON files", chosen)
        return Part(text, arguments, {"boxes": "detection"}, "COCOFolder", notes=notes)


def _read(files: Listing, name: str) -> dict[str, Any] | None:
    try:
        document = json.loads(read_text(files.root / name))
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or not all(isinstance(document.get(key), list) for key in _KEYS):
        return None
    boxes = any(isinstance(one, dict) and ("bbox" in one or "segmentation" in one) for one in document["annotations"])
    return document if boxes and document["images"] else None


def _folder(document: dict[str, Any], name: str, files: Listing) -> str:
    """The folder to which `file_name` is relative: the one that most pictures are found in."""
    wanted = sample(
        (plain_name(str(one.get("file_name"))) for one in document["images"] if isinstance(one, dict)), _TRIED
    )
    ends: dict[str, list[str]] = {}
    for picture in files.pictures:
        ends.setdefault(PurePosixPath(picture).name, []).append(picture)
    own, split = PurePosixPath(name).parent.as_posix(), split_of(name)
    votes: Counter[str] = Counter()
    for text in wanted:
        for picture in ends.get(PurePosixPath(text).name, []):
            if picture == text or picture.endswith(f"/{text}"):
                folder = picture.removesuffix(text).rstrip("/") or "."
                # pictures of one name in several folders: those beside the JSON, or of its split
                votes[folder] += 4 + 2 * (folder == own) + (split is not None and split_of(folder) == split)
    if votes:
        return votes.most_common(1)[0][0]
    # names of another machine, as `C:\\data\\a.jpg`: pictures that are called alike
    alike = [picture for text in wanted for picture in ends.get(PurePosixPath(text).name, [])]
    return common_folder(alike) if alike else "images"
