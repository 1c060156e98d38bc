"""YOLO: a text file for each picture, in `labels` beside `images` or beside the picture, and `data.yaml`."""

from pathlib import PurePosixPath

from mtl.data.folder.files.yolo_files import describe_yolo, label_file, read_objects
from mtl.data.formats.format import FolderFormat, Listing, Part, common_folder, sample

_TRIED = 200
_LARGEST_SHARE = 2.0  # a box may reach over the edge of its picture


class YOLO(FolderFormat):
    """Text files with lines `class cx cy width height`, or polygons."""

    gives = "objects"
    order = 2

    def hint(self, files: Listing) -> str:
        stems = {PurePosixPath(name).stem for name in files.pictures}
        near = [name for name in files.of_type(".txt") if PurePosixPath(name).stem in stems]
        found = {name: objects for name in sample(near, _TRIED) if (objects := read_objects(files.root / name))}
        of_boxes = [name for name, objects in found.items() if any(map(_is_box, objects))]
        if not of_boxes:
            wrong = next((box for objects in found.values() for _, box in objects if isinstance(box, str)), "")
            return f"{wrong}: text of another kind. Export the annotations as YOLO, VOC or COCO JSON." if wrong else ""
        return (
            f"{of_boxes[0]} looks like YOLO, but such files lie in folders called labels beside folders called images, "
            "or beside their pictures: rename or move the folders."
        )

    def find(self, files: Listing) -> Part | None:
        tried = [label_file(files.root / name, files.root) for name in sample(files.pictures, _TRIED)]
        found = [read_objects(file) for file in tried if file.is_file()]
        boxes = [index for objects in found for index, box in objects if not isinstance(box, str)]
        lines = sum(len(objects) for objects in found)
        if not boxes or len(boxes) < lines / 2:
            return None
        known = describe_yolo(files.root)
        notes = []
        if known.file is None or not known.names:
            notes.append("no data.yaml or classes.txt names the classes: they are called by their numbers.")
        pictures = [name for name in files.pictures if label_file(files.root / name, files.root).is_file()]
        folder = common_folder(pictures)
        arguments = {} if folder == "." else {"images": folder}
        if known.file is not None and known.file.parent != files.root and known.file.suffix in (".yaml", ".yml"):
            arguments["data_yaml"] = known.file.relative_to(files.root).as_posix()
        text = f"YOLO text files{f' with {known.file.name}' if known.file else ''}"
        return Part(text, arguments, {"boxes": "detection"}, "YOLOFolder", notes=tuple(notes))


def _is_box(found: tuple[int, tuple[float, float, float, float] | str]) -> bool:
    index, box = found
    return index >= 0 and not isinstance(box, str) and max(box) < _LARGEST_SHARE
