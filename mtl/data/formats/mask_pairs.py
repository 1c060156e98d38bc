"""Which picture files are masks of which: folders side by side, in each split, or files beside their pictures."""

import os
import re
from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from mtl.data.formats.format import Listing, common_folder, sample

_TRIED = 5  # files of a folder
_TWINS = 0.8  # share of the masks that must have a picture
_END = re.compile(r"[ _.-](mask|seg|label|gt|annotation|groundtruth|labelids)s?$", re.IGNORECASE)
_FOLDER = re.compile(r"mask|label|annot|seg|ground|gt", re.IGNORECASE)


@dataclass(frozen=True)
class Renaming:
    """How the name of a mask follows from the name of its picture, without extensions: both hold a shared part.

    Args:
        starts: what stands before it, of picture and mask.
        ends: what stands behind it.
    """

    starts: tuple[str, str] = ("", "")
    ends: tuple[str, str] = ("", "")


@dataclass(frozen=True)
class MaskPair:
    """A folder of pictures and the folder of their masks.

    Args:
        folder: of the pictures.
        mask_folder: of the masks; perhaps the same.
        renaming: of the files.
        pictures: the pictures of the folder.
        masks: the files of the masks.
    """

    folder: str
    mask_folder: str
    renaming: Renaming
    pictures: tuple[str, ...]
    masks: tuple[str, ...]

    @property
    def suffix(self) -> str:
        """Extension of the masks."""
        return PurePosixPath(self.masks[0]).suffix


def pairs_of(files: Listing, is_mask: Callable[[Path], bool]) -> list[MaskPair]:
    """The folders of pictures that have masks; where names follow several rules, the folders of the first one.

    Args:
        files: all files.
        is_mask: whether a picture file looks like a mask.
    """
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name in files.pictures:
        path = PurePosixPath(name)
        end = _END.search(path.stem)
        groups[path.parent.as_posix(), end[0] if end else ""].append(name)
    looks = {
        group: len(names) > 1 and all(is_mask(files.root / name) for name in sample(names, _TRIED))
        for group, names in groups.items()
    }
    found: dict[tuple[str, str], MaskPair] = {}
    for group, masks in groups.items():
        for other, pictures in groups.items() if looks[group] else ():
            if other == group or other in found or not _may_be_pictures(other, group, looks):
                continue
            renaming = renaming_of(_stems(pictures), _stems(masks))
            if renaming is not None:
                found[other] = MaskPair(other[0], group[0], renaming, tuple(pictures), tuple(masks))
                break
    pairs = list(found.values())
    return [pair for pair in pairs if (pair.renaming, pair.suffix) == (pairs[0].renaming, pairs[0].suffix)]


def _may_be_pictures(folder: tuple[str, str], masks: tuple[str, str], looks: dict[tuple[str, str], bool]) -> bool:
    """Whether these are no masks; drawings look like masks, and then the names must tell."""
    if not looks[folder]:
        return True
    named = [bool(end) or bool(_FOLDER.search(place)) for place, end in (folder, masks)]
    return named == [False, True]


def renaming_of(pictures: Collection[str], masks: Collection[str]) -> Renaming | None:
    """The rule by which most masks have a picture; None without one.

    Args:
        pictures: names without extension.
        masks: names without extension.
    """
    tried = min(masks)
    nearest = max(sorted(pictures), key=lambda name: len(_shared_start(name, tried)))
    shared = _shared_start(nearest, tried)
    behind = _shared_start(min(pictures)[::-1], tried[::-1])[::-1]
    rules = [
        Renaming(),
        Renaming(ends=(nearest[len(shared) :], tried[len(shared) :])),
        Renaming(starts=(min(pictures)[: -len(behind) or None], tried[: -len(behind) or None])),
    ]
    for rule in rules:
        left, right = _shared_parts(pictures, rule, 0), _shared_parts(masks, rule, 1)
        if "" not in left | right and len(left & right) >= _TWINS * len(masks):
            return rule
    return None


def _stems(names: Collection[str]) -> list[str]:
    return [PurePosixPath(name).stem for name in names]


def _shared_start(one: str, other: str) -> str:
    return os.path.commonprefix((one, other))  # noqa: RUF071, letters are meant


def _shared_parts(names: Collection[str], rule: Renaming, which: int) -> set[str]:
    start, end = rule.starts[which], rule.ends[which]
    fitting = [name for name in names if name.startswith(start) and name.endswith(end)]
    return {name[len(start) : len(name) - len(end)] for name in fitting}


def arguments_of(pairs: list[MaskPair]) -> tuple[str, dict[str, Any]]:
    """The folder of the pictures, and where `MapFiles` finds the masks.

    Args:
        pairs: one or more, of one renaming.
    """
    tops = {_without_shared_end(pair.folder, pair.mask_folder) for pair in pairs}
    replace: dict[str, str] = {}
    if len(tops) == 1:
        ((images, folder),) = tops
    else:
        images = common_folder([name for pair in pairs for name in pair.pictures])
        folder = common_folder([name for pair in pairs for name in pair.masks])
        replace = _folders([(_below(pair.folder, images), _below(pair.mask_folder, folder)) for pair in pairs])
    (start, new_start), (end, new_end) = pairs[0].renaming.starts, pairs[0].renaming.ends
    if start or new_start:
        replace[rf"(^|/){re.escape(start)}(?=[^/]*$)"] = rf"\1{new_start}"
    if end:
        replace[f"{re.escape(end)}$"] = new_end
    suffix = ("" if end else new_end) + pairs[0].suffix
    spec: dict[str, Any] = {"folder": folder}
    spec |= {"suffix": suffix} if suffix != ".png" else {}
    return images, spec | ({"replace": replace} if replace else {})


def _folders(pairs: list[tuple[tuple[str, ...], tuple[str, ...]]]) -> dict[str, str]:
    """Expressions that turn the folders of pictures into the folders of their masks."""
    changes = {
        tuple((one, two) for one, two in zip(left, right, strict=True) if one != two)
        for left, right in pairs
        if len(left) == len(right)
    }
    if len(changes) == 1 and all(len(left) == len(right) for left, right in pairs) and len(change := min(changes)) == 1:
        ((one, two),) = change
        if sum(one in left for left, _ in pairs) == sum(left.count(one) for left, _ in pairs):
            return {f"(^|/){re.escape(one)}/": rf"\1{two}/"}
    return {
        f"^{re.escape('/'.join(left))}/": "/".join(right).replace("\\", r"\\") + "/"
        for left, right in sorted(pairs)
        if left != right
    }


def _below(folder: str, top: str) -> tuple[str, ...]:
    return PurePosixPath(folder).relative_to(top).parts


def _without_shared_end(first: str, second: str) -> tuple[str, str]:
    """`images/train` and `masks/train` are `images` and `masks`."""
    left, right = list(PurePosixPath(first).parts), list(PurePosixPath(second).parts)
    while len(left) > 1 and len(right) > 1 and left[-1] == right[-1]:
        left.pop()
        right.pop()
    return PurePosixPath(*left).as_posix(), PurePosixPath(*right).as_posix()
