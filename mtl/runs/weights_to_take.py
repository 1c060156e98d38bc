"""`WeightsToTake`: weights of another run or of a plain file, copied into a model; logs what was copied and what not.

Shapes: O filters, I channels of their input.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from mtl.backbones.pretrained import over_channels
from mtl.errors import did_you_mean
from mtl.runs.class_rows import class_names_of, rows_of_heads
from mtl.runs.weight_names import matched_names

log = logging.getLogger(__name__)
_TRUNK, _BACKBONE = "trunk.", "trunk.backbone."  # of a model of hard sharing
_LISTED = 4  # names in a message


class WeightsToTake:
    """Tensors of a file, and the parts of the model that are to take them.

    Args:
        path: the file, for messages.
        stored: its tensors by name.
        state: what else a checkpoint of a training loop holds.
        parts: parts of the model by their dotted names.
    """

    def __init__(self, path: Path, stored: dict[str, Tensor], state: Mapping[str, Any], parts: Sequence[str]) -> None:
        self.path = path
        self.parts = list(parts)
        self.classes = class_names_of(state)
        settings = state.get("hyper_parameters")
        self.settings = settings if isinstance(settings, Mapping) else {}
        self.weights, self.is_of_run = _unwrapped(stored)
        self.in_backbone: set[str] = set()  # parts that the backbone has taken

    def load_backbone(self, backbone: nn.Module, image_channels: Collection[int] = ()) -> bool:
        """Copy the weights of a trunk into a backbone, before an architecture copies it and changes its names.

        Args:
            backbone: the backbone alone.
            image_channels: channels of the pictures that it takes.

        Returns:
            Whether it was done: not for weights of a trunk that an architecture has changed, nor without such a part.

        Raises:
            ValueError: if no tensor has the same name and shape.
        """
        own = backbone.state_dict()
        names = self._names_of_backbone(own)
        for part in self.parts:
            if (part + ".").startswith(_BACKBONE) or part == _TRUNK[:-1]:
                inside = (part + ".").removeprefix(_BACKBONE) if part != _TRUNK[:-1] else ""
                there = {name: names[name] for name in own if name in names and (name + ".").startswith(inside)}
                if there:
                    wanted = {_BACKBONE + name: own[name] for name in own if (name + ".").startswith(inside)}
                    found = {_BACKBONE + name: self.weights[other] for name, other in there.items()}
                    left = [] if inside or self.is_of_run else sorted(self.weights.keys() - set(there.values()))
                    taken = self._taken(part, wanted, found, {}, left, image_channels)
                    backbone.load_state_dict({n.removeprefix(_BACKBONE): v for n, v in taken.items()}, strict=False)
                    self.in_backbone.add(part)
        return bool(self.in_backbone)

    def load_into(self, model: nn.Module) -> None:
        """Copy every weight and buffer of the parts that has the same name and shape in both models.

        Args:
            model: the model that is about to be trained.

        Raises:
            ValueError: if a part is not in a model, or nothing in it matches.
        """
        ours, taken = model.state_dict(), dict[str, Tensor]()
        for part in self.parts:
            own = {name: ours[name] for name in _of(part, ours)}
            if part in self.in_backbone:
                # what an architecture of the same class has beside the backbone
                same = [name for name in own if name in self.weights and not name.startswith(_BACKBONE)]
                taken |= {name: self.weights[name] for name in same if self.weights[name].shape == own[name].shape}
                continue
            theirs, left = self._theirs(part, own)
            for where, names, weights in (("this model", own, ours), (f"{str(self.path)!r}", theirs, self.weights)):
                if not names:
                    known = _parts(weights)
                    near = did_you_mean(part, known)
                    raise ValueError(f"init_from: {where} has no part {part!r}; it has {', '.join(known)}.{near}")
            self._refuse_other_architecture(part, own, model)
            rows = rows_of_heads(model, own, theirs, self.classes)
            taken |= self._taken(part, own, theirs, rows, left)
        model.load_state_dict(taken, strict=False)

    def _names_of_backbone(self, own: Mapping[str, Tensor]) -> dict[str, str]:
        """Name in a backbone -> name in the file; nothing for a trunk that an architecture has changed."""
        if not self.is_of_run:
            return matched_names(own, self.weights)
        there = {name: _BACKBONE + name for name in own if _BACKBONE + name in self.weights}
        plain = all(name.startswith(_BACKBONE) for name in self.weights if name.startswith(_TRUNK))
        return there if plain or len(there) == len(own) else {}

    def _theirs(self, part: str, own: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
        """The tensors there under the names here, and what is left."""
        if self.is_of_run:
            found = {name: self.weights[name] for name in _of(part, self.weights)}
            return found, [name for name in found if name not in own]
        names = matched_names(own, self.weights)
        return {name: self.weights[there] for name, there in names.items()}, sorted({*self.weights} - {*names.values()})

    def _refuse_other_architecture(self, part: str, own: Mapping[str, Tensor], model: nn.Module) -> None:
        here = type(getattr(model, "trunk", None)).__name__
        there = _class_name(self.settings.get("architecture"))
        shared = [name for name in own if name.startswith(_TRUNK) and not name.startswith("trunk.of_task.")]
        missing = [name for name in shared if name not in self.weights]
        if self.is_of_run and self.settings and part == _TRUNK[:-1] and here != there and missing:
            raise ValueError(
                f"init_from: the trunk of {str(self.path)!r} is one of {there}, and here it is one of {here}, whose "
                f"weights have other names: {len(shared) - len(missing)} of {len(shared)} shared ones are there. Take "
                f"a run without model.architecture, whose trunk starts any architecture, or a run of {here}."
            )

    def _taken(
        self,
        part: str,
        own: Mapping[str, Tensor],
        theirs: Mapping[str, Tensor],
        rows: Mapping[str, Tensor],
        left: Sequence[str],
        image_channels: Collection[int] = (),
    ) -> dict[str, Tensor]:
        """What fits of a part; it is logged, with what does not."""
        same = [name for name in own if name in theirs and theirs[name].shape == own[name].shape]
        fits = {name: theirs[name] for name in same if name not in rows}
        misshapen = [name for name in own if name in theirs and name not in same and name not in rows]
        first = next((name for name in own if own[name].ndim == 4 and own[name].shape[1] in image_channels), "")
        averaged = {}
        if first in misshapen and theirs[first].ndim == 4 and _but_channels(own[first]) == _but_channels(theirs[first]):
            averaged[first] = over_channels(theirs[first], own[first].shape[1])
            misshapen.remove(first)
        taken = {**fits, **averaged, **rows}
        if not taken or (misshapen and taken.keys() == averaged.keys()):
            raise ValueError(
                f"init_from: no weight of part {part!r} has the same name and shape here and in {str(self.path)!r}"
                f"{_shapes(misshapen, own, theirs)}. Take the same backbone with the same widths."
            )
        # another pyramid is a choice; a file of another network is a slip
        few = 2 * len(taken) < len(own) or (bool(misshapen) and not self.is_of_run)
        log.log(
            logging.WARNING if few else logging.INFO,
            "init_from %s: %d of %d tensors of %r taken%s%s%s%s%s%s",
            self.path,
            len(taken),
            len(own),
            part,
            ", and the others start at random" if few else "",
            _listed("; by the names of classes", list(rows)),
            "".join(
                f"; the {theirs[name].shape[1]} channels of {name} averaged for the {own[name].shape[1]} of the "
                "pictures here"
                for name in averaged
            ),
            _listed("; other shape", misshapen),
            _listed("; missing there", [name for name in own if name not in theirs]),
            _listed("; left there", left),
        )
        return taken


def _but_channels(weight_OIhw: Tensor) -> tuple[int, ...]:
    return (weight_OIhw.shape[0], *weight_OIhw.shape[2:])


def _unwrapped(stored: dict[str, Tensor]) -> tuple[dict[str, Tensor], bool]:
    """Weights without what a training loop or DistributedDataParallel put before their names, and whether of a run."""
    before = {name.partition(_TRUNK)[0] for name in stored if f".{name}".find("." + _TRUNK) >= 0}
    for prefix in sorted(before, key=len):
        if any(name.startswith(f"{prefix}heads.") for name in stored):
            return {n.removeprefix(prefix): value for n, value in stored.items() if n.startswith(prefix)}, True
    return stored, False


def _class_name(architecture: Any) -> str:
    named = architecture.get("class_path") if isinstance(architecture, Mapping) else architecture
    return str(named or "HardSharing").rpartition(".")[2]


def _of(part: str, weights: Mapping[str, Tensor]) -> list[str]:
    return [name for name in weights if name == part or name.startswith(f"{part}.")]


def _parts(weights: Mapping[str, Tensor]) -> list[str]:
    """`trunk`, `heads`, and each head."""
    names = [name.split(".") for name in weights]
    return sorted({words[0] for words in names} | {".".join(words[:2]) for words in names if words[0] == "heads"})


def _shapes(names: Sequence[str], ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> str:
    if not names:
        return ""
    name = names[0]
    return f" ({name} is {list(ours[name].shape)} here and {list(theirs[name].shape)} there)"


def _listed(what: str, names: Sequence[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"{what}: {', '.join(names[:_LISTED])}{more}"
