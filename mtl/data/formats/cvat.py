"""CVAT XML: one file for all pictures, or one for each split."""

from mtl.data.folder.files.cvat_xml import VideoTracksError, cvat_images
from mtl.data.formats.format import FolderFormat, Listing, Part, file_of_each_split
from mtl.data.formats.lists import files_of_all, part_of_lists
from mtl.data.formats.picture_column import last_part, pictures_by_name

_DEFAULTS = {"annotations": "annotations.xml", "images": "images"}


class CVAT(FolderFormat):
    """XML files with `<annotations>` and `<image>`, as "CVAT for images" is."""

    gives = "objects"
    order = 3

    def hint(self, files: Listing) -> str:
        for name in files.of_type(".xml"):
            try:
                cvat_images(files.root / name)
            except ValueError as error:
                # an error with a cause is about a damaged file; files of other kinds say nothing about CVAT
                if error.__cause__ is not None or isinstance(error, VideoTracksError):
                    return str(error)
        return ""

    def find(self, files: Listing) -> Part | None:
        known = pictures_by_name(files)
        found: dict[str, list[str]] = {}
        for name in files_of_all(files, ".xml", known):
            try:
                listed = [last_part(image.get("name") or "") for image in cvat_images(files.root / name)]
            except ValueError:
                continue
            if any(one in known for one in listed):
                found[name] = listed
        if not found:
            return None
        chosen = file_of_each_split({name: len(listed) for name, listed in found.items()})
        return part_of_lists(files, found, chosen, ("CVAT XML", "CVAT XML files"), _DEFAULTS, "CVATFolder", {})
