"""Splits in which every label has its share, and whose groups (frames of a video, near copies) stay together.

Labels are served in the order of their rarity: each group that holds the rarest open label goes to the split that lacks
most of it, ties to the split that lacks most pictures. Where the paper takes one sample at a time, this takes a group.
Source: Sechidis, Tsoumakas, Vlahavas, "On the Stratification of Multi-Label Data", ECML PKDD 2011, algorithm 1.
"""

from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence

import numpy as np

from mtl.data.folder.splits import SPLITS, check_fractions


def stratified_splits(
    labels: Mapping[str, Sequence[Hashable]],
    fractions: Sequence[float],
    groups: Mapping[str, Hashable] | None = None,
    seed: int = 0,
) -> dict[str, list[str]]:
    """Splits of pictures, equal on every machine.

    Args:
        labels: what every picture shows, by its name; a label counts once for each time it stands there.
        fractions: shares of train, val and, optionally, test; their sum is at most 1.
        groups: pictures of one value are never divided; a picture without one is alone.
        seed: of the order among equals.

    Raises:
        ValueError: if the shares are wrong, or there are fewer groups than splits.
    """
    check_fractions(fractions)
    members: dict[Hashable, list[str]] = defaultdict(list)
    for name in sorted(labels):
        members[("group", groups[name]) if groups and name in groups else ("alone", name)].append(name)
    splits = SPLITS[: len(fractions)]
    if len(members) < len(splits):
        raise ValueError(
            f"{len(labels)} pictures in {len(members)} groups cannot be divided into {len(splits)} splits. Add "
            "pictures, give fewer fractions, or a group that divides the pictures further."
        )
    keys = list(members)
    order = [keys[index] for index in np.random.default_rng(seed).permutation(len(keys))]
    held = {key: Counter(label for name in members[key] for label in labels[name]) for key in order}
    total: Counter[Hashable] = sum(held.values(), Counter())
    shares = dict(zip(splits, fractions, strict=True))
    lacks = {split: {label: share * number for label, number in total.items()} for split, share in shares.items()}
    rooms = {split: share * len(labels) for split, share in shares.items()}
    chosen: dict[str, list[str]] = {split: [] for split in splits}
    left = dict.fromkeys(order)

    def place(key: Hashable, label: Hashable | None) -> None:
        wanted = max(splits, key=lambda split: (lacks[split].get(label, 0.0), rooms[split], -splits.index(split)))
        chosen[wanted] += members[key]
        rooms[wanted] -= len(members[key])
        for each, number in held[key].items():
            lacks[wanted][each] -= number
        del left[key]

    while left:
        open_labels = Counter(label for key in left for label in held[key])
        if not open_labels:
            break
        rarest = min(open_labels, key=lambda label: (open_labels[label], str(label)))
        # the largest groups first: the small ones fill the gaps
        mine = sorted((key for key in left if rarest in held[key]), key=lambda key: -len(members[key]))
        for key in mine:
            place(key, rarest)
    for key in sorted(left, key=lambda key: -len(members[key])):
        place(key, None)
    return {split: sorted(names) for split, names in _none_empty(chosen, members).items()}


def _none_empty(chosen: dict[str, list[str]], members: Mapping[Hashable, list[str]]) -> dict[str, list[str]]:
    """Few pictures may leave a split empty: it gets the smallest group of the largest split."""
    for split in chosen:
        if not chosen[split]:
            most = max(chosen, key=lambda other: len(chosen[other]))
            inside = [names for names in members.values() if set(names) <= set(chosen[most])]
            if len(inside) > 1:
                moved = min(inside, key=lambda names: (len(names), names))
                chosen[split] = list(moved)
                chosen[most] = [name for name in chosen[most] if name not in moved]
    return chosen
