"""Files that list many pictures with their boxes: one for all pictures, or one for each split."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from mtl.data.formats.format import Listing, Part, common_folder, splits_text
from mtl.data.formats.picture_column import last_part


def files_of_all(files: Listing, suffix: str, known: Collection[str]) -> list[str]:
    """Files that may list many pictures: all but those that are called as a picture, which may be thousands.

    Args:
        files: the files of the folder.
        suffix: of the files, with the dot, in small letters.
        known: names of pictures, without folders and extensions.
    """
    return [name for name in files.of_type(suffix) if last_part(name) not in known]


def part_of_lists(
    files: Listing,
    lists: Mapping[str, Collection[str]],
    chosen: Mapping[str, str],
    words: tuple[str, str],
    defaults: Mapping[str, str],
    class_path: str,
    more: Mapping[str, Any],
    notes: Sequence[str] = (),
) -> Part:
    """What a format found, as arguments of a `ListedFolder`.

    Args:
        files: the files of the folder.
        lists: names of the pictures of every file of this format, without folders and extensions.
        chosen: the file of each split, or of split `""` for all pictures.
        words: what one file is, and what several are.
        defaults: of the arguments `annotations` and `images`, which need not be written.
        class_path: the data module.
        more: its other arguments.
        notes: what the user should know.
    """
    listed = {name for file in chosen.values() for name in lists[file]}
    pictures = [name for name in files.pictures if last_part(name) in listed]
    folder = common_folder(pictures)
    inside = [name for name in files.pictures if folder == "." or name.startswith(f"{folder}/")]
    said = [f"{file} is another file of this kind; it is not used." for file in lists if file not in chosen.values()]
    if others := len(inside) - len(pictures):
        said.append(
            f"{others} pictures are not listed and count as not annotated; `not_listed: no_objects` says that they "
            "have no objects."
        )
    places: dict[str, Any] = {"annotations": chosen.get("", dict(chosen)), "images": folder}
    arguments = {key: value for key, value in places.items() if value != defaults[key]} | dict(more)
    return Part(splits_text(*words, chosen), arguments, {"boxes": "detection"}, class_path, notes=(*notes, *said))
