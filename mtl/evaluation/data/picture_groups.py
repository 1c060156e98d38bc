"""Pictures that belong together, so that they stay in one split: copies, near copies, frames of one recording."""

import re
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence

import torch

from mtl.data.folder.annotations import AnnotatedImage
from mtl.data.folder.picture_names import match_names
from mtl.data.images import read_image
from mtl.data.picture_hash import difference_hash, grey, near_pairs

_COPY_BITS, _SIMILAR_BITS = 10, 40  # as in `check`: the same picture compressed anew; another shot of the scene
_MOST_HASHED = 5000
_LARGEST = {_SIMILAR_BITS: 0.1, _COPY_BITS: 0.5}  # share of all pictures in one group; more: all look alike
_ROBOFLOW = re.compile(r"(.+)[_.](?:jpe?g|png|bmp|webp)\.rf\.[0-9a-zA-Z]+$")  # augmented copies of one picture


def picture_groups(
    records: Sequence[AnnotatedImage], pattern: str | None, cells: Mapping[str, str], notes: list[str]
) -> dict[str, Hashable]:
    """The group of every picture that has one.

    Args:
        records: the pictures.
        pattern: regular expression; names with the same first group, or the same match, belong together.
        cells: group of a picture by its name in a table.
        notes: receives what was found.

    Raises:
        ValueError: for a pattern that is no regular expression, or that matches no name.
    """
    names = [record.name for record in records]
    if pattern is not None:
        return _by_pattern(names, pattern, notes)
    if cells:
        matches = match_names(cells, names)
        found: dict[str, Hashable] = {match.name: cells[text] for text, match in matches.items()}
        notes.append(f"{len(set(found.values()))} groups of the table stay together in one split.")
        return found
    copies = {name: match[1] for name in names if (match := _ROBOFLOW.fullmatch(name))}
    if len(set(copies.values())) < len(copies):
        notes.append(f"augmented copies of {len(set(copies.values()))} pictures stay together in one split.")
    return _joined(copies, _near(records, notes))


def _by_pattern(names: Sequence[str], pattern: str, notes: list[str]) -> dict[str, Hashable]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"--group {pattern!r} is no regular expression: {error}.") from error
    matches = {name: match for name in names if (match := compiled.search(name))}
    if not matches:
        raise ValueError(f"--group {pattern!r} matches no picture name; the first one is {names[0]!r}.")
    found: dict[str, Hashable] = {name: match[1] if compiled.groups else match[0] for name, match in matches.items()}
    notes.append(f"{len(set(found.values()))} groups by {pattern!r} stay together in one split.")
    return found


def _near(records: Sequence[AnnotatedImage], notes: list[str]) -> dict[str, Hashable]:
    """Groups of pictures that look alike, by their first member."""
    if len(records) > _MOST_HASHED:
        notes.append(f"more than {_MOST_HASHED} pictures: near copies were not looked for; `check` finds them.")
        return {}
    names, hashes = [], []
    for record in records:
        try:
            image = read_image(record.path, (64, 64))
        except ValueError:
            continue
        grey_HW = grey(image)
        if float(grey_HW.std(correction=0)) > 3:  # all plain pictures look alike
            names.append(record.name)
            hashes.append(difference_hash(grey_HW))
    if not hashes:
        return {}
    stacked = torch.stack(hashes)
    for bits, most in _LARGEST.items():
        first = list(range(len(names)))
        for i, j, _ in near_pairs(stacked, stacked, bits):
            if i < j:
                a, b = _root(first, i), _root(first, j)
                first[max(a, b)] = min(a, b)
        roots = [_root(first, index) for index in range(len(names))]
        sizes = Counter(roots)
        if max(sizes.values()) <= max(2, most * len(names)):
            groups = {names[i]: names[root] for i, root in enumerate(roots) if sizes[root] > 1}
            if groups:
                notes.append(f"{len(groups)} pictures look like another one; each such group stays in one split.")
            return dict(groups)
    notes.append("many pictures look alike, so near copies were not kept together; see `check`.")
    return {}


def _root(first: list[int], index: int) -> int:
    while first[index] != index:
        first[index] = first[first[index]]
        index = first[index]
    return index


def _joined(one: Mapping[str, Hashable], other: Mapping[str, Hashable]) -> dict[str, Hashable]:
    """Groups of both kinds; groups that share a picture, also through a third one, are one."""
    names = list(dict.fromkeys([*other, *one]))
    place = {name: index for index, name in enumerate(names)}
    first = list(range(len(names)))
    for groups in (one, other):
        members: dict[Hashable, int] = {}
        for name, group in groups.items():
            a, b = _root(first, place[name]), _root(first, members.setdefault(group, place[name]))
            first[max(a, b)] = min(a, b)
    return {name: names[_root(first, index)] for name, index in place.items()}
