"""What a check of a data set finds: in single samples, between splits, in the report of a loader."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, islice
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from mtl.data.picture_hash import near_pairs
from mtl.data.split_leaks import split_leaks
from mtl.targets.target import target_of
from mtl.task import Inputs, Task

Place = tuple[str, int]  # split, index of the sample
Level = Literal["error", "warning", "note"]
# of 256 bits: a copy that was compressed anew; and another shot of the same scene, as bccd's known pair (23 bits) and
# the pairs of playing_cards (34 to 37), beside which bccd has no pair between splits below 70
COPY_BITS, SIMILAR_BITS = 10, 40
_MOST_PAIRS = 1000  # of two splits; pictures with one background are all alike
_OFF = 2.0  # times the usual proportions
_TINY = 4.0  # times smaller than usual
_COVERS = 0.95  # share of the picture
# kinds of a loader's report that are wrong, and those that only inform
_ERRORS = ("in_two_splits",)
_WAYS_OUT = {
    "bad_image": "on_bad_image: skip leaves it out",
    "bad_map": "on_bad_image: skip leaves it out",
    "box_outside": "on_bad_box: clip keeps the part inside, skip leaves it out",
    "bad_box": "on_bad_box: skip leaves it out",
    "unknown_class": "add it to box_classes, or on_unknown_class: skip leaves it out",
}
_BLANKS = re.compile(r"[\s_-]+")
_FEWEST_LETTERS = 3  # `a` and `A` are letters of an alphabet
_NOTES = ("name_differs", "no_row", "in_no_split", "not_rgb", "no_objects", "no_annotation", "exif_orientation")


@dataclass(frozen=True)
class Finding:
    """Something that should be looked at.

    Args:
        level: `error` for what makes training or its numbers wrong, `warning`, or `note` for what only informs.
        kind: type of finding, one word such as `near_duplicate`.
        text: what was found.
        places: the samples concerned, as split and index.
        said: the box that a run says instead of the labels: `task`, `label`, `score`, and `box` in px of the input.
    """

    level: Level
    kind: str
    text: str
    places: tuple[Place, ...] = ()
    said: Mapping[str, Any] | None = None


def names_of(dataset: Any) -> list[str]:
    """The names of all samples, where the data set keeps names; else an empty list.

    Args:
        dataset: the data set.
    """
    names = getattr(getattr(dataset, "annotations", None), "names", None)
    if names is None:
        return []
    return [name.decode(errors="replace") if isinstance(name, bytes) else str(name) for name in names]


def of_report(report: Iterable[Any], tasks: Iterable[str], names: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
    """What a loader of files has reported.

    Args:
        report: its findings.
        tasks: names of the tasks; that some have no label is counted elsewhere.
        names: names of the samples, by split.
    """
    places = {(split, name): index for split, listed in names.items() for index, name in enumerate(listed)}
    told = (*_NOTES, *(f"no_{task}" for task in tasks))
    for one in report:
        refused = one.action == "refused"
        level: Level = "error" if refused or one.kind in _ERRORS else "note" if one.kind in told else "warning"
        splits = [one.split] if one.split else list(names)
        found = tuple((split, places[split, one.image]) for split in splits if (split, one.image) in places)
        where = " ".join(part for part in (one.split, one.image, one.detail) if part)
        done = f"fit refuses it; {_WAYS_OUT[one.kind]}" if refused else one.action
        yield Finding(level, one.kind, f"{where} ({done})", found)


def of_copies(hashes: Mapping[str, Mapping[int, Tensor]], names: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
    """Pictures that look alike: between splits, and copies within one.

    Args:
        hashes: perceptual hash by split and index.
        names: names of the samples, by split.
    """
    filled = [split for split in hashes if hashes[split]]
    for first, second in [*combinations(filled, 2), *((split, split) for split in filled)]:
        sides = [torch.stack(list(hashes[split].values())) for split in (first, second)]
        keys = [list(hashes[split]) for split in (first, second)]
        within = first == second
        found = near_pairs(sides[0], sides[1], COPY_BITS if within else SIMILAR_BITS)
        listed = ((keys[0][i], keys[1][j], bits) for i, j, bits in found if not within or i < j)
        for i, j, bits in sorted(islice(listed, _MOST_PAIRS), key=lambda pair: pair[2]):
            pair = (f"{first} {_named(names, first, i)}", f"{second} {_named(names, second, j)}")
            text, places = f"{pair[0]} and {pair[1]} ({bits} of 256 bits differ)", ((first, i), (second, j))
            if within:
                yield Finding("warning", "copy_in_split", text, places)
            elif bits <= COPY_BITS:
                yield Finding("error", "near_duplicate", text, places)
            else:
                yield Finding("warning", "similar", text, places)


def of_leaks(splits: Mapping[str, Any], inputs: Inputs) -> Iterator[Finding]:
    """Recordings, sentences and picture files that are in two splits.

    Args:
        splits: data sets by split.
        inputs: of their samples.
    """
    for leak in split_leaks(splits, inputs):
        places = [place for here, there in leak.pairs for place in ((leak.first, here), (leak.second, there))]
        yield Finding("error" if leak.exact else "warning", "in_two_splits", leak.text, tuple(places))


def of_sizes(dataset: Any, split: str) -> Iterator[Finding]:
    """Pictures whose size is unlike the others, and boxes that cover a whole picture.

    Args:
        dataset: a data set of picture files; others have no finding.
        split: its split.
    """
    known: Any = getattr(dataset, "annotations", None)
    sizes_N2, names = getattr(known, "sizes", None), names_of(dataset)
    if sizes_N2 is None or not len(sizes_N2):
        return
    proportions, areas = sizes_N2[:, 1] / sizes_N2[:, 0], np.sqrt(sizes_N2.prod(1).astype(float))
    # a picture that was turned by a quarter has the same proportions
    off = np.abs(np.log(np.maximum(proportions, 1 / proportions) / np.median(np.maximum(proportions, 1 / proportions))))
    for index in np.flatnonzero((off > np.log(_OFF)) | (areas < np.median(areas) / _TINY)).tolist():
        height, width = sizes_N2[index].tolist()
        usual = "x".join(str(int(side)) for side in np.median(sizes_N2, 0)[::-1])
        yield Finding(
            "warning", "odd_size", f"{split} {names[index]}: {width}x{height}, usual {usual}", ((split, index),)
        )
    shares = (known.boxes[:, 2:] - known.boxes[:, :2]).prod(1) / sizes_N2.prod(1).repeat(np.diff(known.offsets))
    for row in np.flatnonzero(shares > _COVERS).tolist():
        index = int(np.searchsorted(known.offsets, row, side="right")) - 1
        text = f"{split} {names[index]}: a box covers {shares[row]:.0%} of the picture"
        yield Finding("warning", "covers_all", text, ((split, index),))


def _named(names: Mapping[str, Sequence[str]], split: str, index: int) -> str:
    return names[split][index] if names.get(split) else f"sample {index}"


def of_class_names(tasks: Mapping[str, Task]) -> Iterator[Finding]:
    """Classes that may be one, as `stop sign` and `Stop_Sign`.

    Args:
        tasks: what the data declares.
    """
    for name, task in tasks.items():
        known: dict[str, str] = {}
        # the words of a language may be written in two ways
        for cls in () if target_of(task).open_names else task.class_names:
            plain = _BLANKS.sub("", cls.casefold())
            other = known.setdefault(plain, cls)
            if other != cls and sum(letter.isalpha() for letter in plain) >= _FEWEST_LETTERS:
                yield Finding("warning", "spelled_twice", f"task {name!r}: classes {other!r} and {cls!r} may be one")
