"""COCO JSON: one file for all pictures, or one for each split."""

import json
from collections import Counter
from pathlib import PurePosixPath
from typing import Any

from mtl.data.folder.files.text_files import read_text
from mtl.data.folder.picture_names import plain_name
from mtl.data.formats.format import SPLIT_WORDS, FolderFormat, Listing, Part, common_folder, sample, split_of

_KEYS = ("images", "annotations", "categories")
_TRIED = 50


class COCO(FolderFormat):
    """JSON files with the lists `images`, `annotations` (with `bbox` or `segmentation`) and `categories`."""

    gives = "objects"
    order = 1

    def hint(self, files: Listing) -> str:
        for name in files.of_type(".json")[:_TRIED]:
            try:
                document = json.loads(read_text(files.root / name))
            except (ValueError, RecursionError):
                continue
            kind = "labelme" if isinstance(document, dict) and "shapes" in document else ""
            if isinstance(document, list) and document and isinstance(document[0], dict) and "image" in document[0]:
                kind = "CreateML"
            if kind:
                return f"{name} is a {kind} file: export or convert the annotations to COCO JSON, VOC or YOLO."
        return ""

    def find(self, files: Listing) -> Part | None:
        documents = {name: found for name in files.of_type(".json") if (found := _read(files, name)) is not None}
        if not documents:
            return None
        # keypoints of persons lie beside instances; the file with the most classes is meant
        ranked = sorted(documents, key=lambda name: (-len(documents[name]["categories"]), name))
        splits: dict[str, str] = {}
        for name in ranked:
            if (split := split_of(name)) is not None:
                splits.setdefault(split, name)
        if "train" in splits and len(splits) > 1:
            chosen = {split: splits[split] for split in SPLIT_WORDS if split in splits}
        else:
            chosen = {"": max(ranked, key=lambda name: len(documents[name]["images"]))}
        notes = tuple(f"{name} is another COCO file; it is not used." for name in ranked if name not in chosen.values())
        folders = {split: _folder(documents[name], name, files) for split, name in chosen.items()}
        arguments: dict[str, Any] = {
            "annotations": chosen.get("", chosen),
            "images": folders if len(set(folders.values())) > 1 else next(iter(folders.values())),
        }
        if arguments["images"] == "images":
            del arguments["images"]
        text = "COCO JSON" if "" in chosen else f"COCO JSON files for {', '.join(chosen)}"
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
