"""Which weight of a file is which weight of a module, where both have other words before and between the names."""

from collections import Counter
from collections.abc import Iterable, Mapping

from torch import Tensor

_LEAST_SHARE = 0.1  # of a file's tensors that stand behind a prefix


def matched_names(own: Mapping[str, Tensor], stored: Mapping[str, Tensor]) -> dict[str, str]:
    """Names of a module's tensors in a file that was written for a network inside it, or around it.

    `network.0.body.layer1.0.conv1.weight` is `layer1.0.conv1.weight` of torchvision, and `module.layer1.0.conv1.weight`
    of a wrapper. What stands before the name here may differ in its numbers, as stages do, and in nothing else.

    Args:
        own: tensors of the module by name.
        stored: tensors of the file by name.

    Returns:
        Name here -> name there; nothing where no name and shape matches.
    """
    ends = {name: _ends(name) for name in own}
    best: dict[str, str] = {}
    most = 0
    for prefix in _prefixes(stored):
        inner = {name.removeprefix(prefix): name for name in stored if name.startswith(prefix)}
        found = {}
        for name, tails in ends.items():
            # the longest end first: a short one is found in many places
            place, tail = next(((place, tail) for place, tail in tails if tail in inner), ("", ""))
            if tail:
                found[name] = place, inner[tail]
        names = _of_one_place(found, own, stored)
        number = sum(own[name].shape == stored[there].shape for name, there in names.items())
        if number > most:
            best, most = names, number
    return best


def _of_one_place(
    found: Mapping[str, tuple[str, str]], own: Mapping[str, Tensor], stored: Mapping[str, Tensor]
) -> dict[str, str]:
    """The names behind the place that most tensors stand at, whatever its numbers."""

    def most(place_of: Mapping[str, str]) -> dict[str, str]:
        votes = Counter(place_of[name] for name, (_, there) in found.items() if own[name].shape == stored[there].shape)
        if not votes:
            return {}
        chosen = votes.most_common(1)[0][0]
        return {name: there for name, (_, there) in found.items() if place_of[name] == chosen}

    names = most({name: _without_numbers(place) for name, (place, _) in found.items()})
    if len(set(names.values())) < len(names):  # one tensor for several: `0.weight` stands in every block
        names = most({name: place for name, (place, _) in found.items()})
    return names


def _ends(name: str) -> list[tuple[str, str]]:
    words = name.split(".")
    return [(".".join(words[:first]), ".".join(words[first:])) for first in range(len(words))]


def _without_numbers(place: str) -> str:
    return ".".join("*" if word.isdigit() else word for word in place.split("."))


def _prefixes(names: Iterable[str]) -> list[str]:
    """What stands before many of the names, the shortest first; nothing is one of them."""
    names = list(names)
    count = Counter(place + "." for name in names for place, _ in _ends(name) if place)
    return ["", *sorted((p for p, n in count.items() if n >= _LEAST_SHARE * len(names)), key=lambda p: p.count("."))]
