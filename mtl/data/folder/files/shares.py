"""Boxes that a source states as shares of the picture's width and height, in pixels."""

from dataclasses import replace

from mtl.data.folder.annotations import AnnotatedImage, Checks
from mtl.data.images import SIDEWAYS, read_header


def in_pixels(record: AnnotatedImage, checks: Checks) -> AnnotatedImage:
    """The record with its boxes in pixels.

    Args:
        record: its boxes are xyxy shares of the upright picture, or of the stored one if `checks` says so.
        checks: whose `boxes_on` says which pixels are meant.

    Returns:
        The record; without boxes if the picture has no header that can be read, which later checks report.
    """
    if not len(record.boxes):
        return record
    try:
        header = read_header(record.path, checks.max_pixels)
    except (ValueError, OSError):
        return replace(record, boxes=record.boxes[:0], classes=[], ignored=frozenset())
    height, width = header.height, header.width
    if checks.boxes_on == "stored" and header.orientation in SIDEWAYS:
        height, width = width, height
    return replace(record, boxes=record.boxes * [width, height, width, height])
