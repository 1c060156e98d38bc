"""`InitialWeights`: start training from parts of another run's model; logs what was copied and what was not."""

import logging
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor, nn

from mtl.errors import did_you_mean
from mtl.runs.checkpoint_files import checkpoint_file, find_checkpoint, read_weights
from mtl.runs.class_rows import can_be_matched, class_names_of, rows_by_name

log = logging.getLogger(__name__)
_WRAPPERS = ("model.", "module.", "module.model.")  # of the training loop, and of DistributedDataParallel
_FILES = (".ckpt", ".pt", ".pth", ".safetensors")
_LISTED = 4  # names in a message


@dataclass(frozen=True)
class InitialWeights:
    """Which weights to take from which run.

    Heads are matched by the names of their classes: a class that both runs name keeps its weights, whatever its number.

    Args:
        run: folder of a run, whose best checkpoint is taken; a checkpoint file; or a plain file of weights (`.pt`,
            `.pth`, `.safetensors`), of a whole model or of what stands inside one of its parts, such as a backbone of
            torchvision.
        parts: parts of the model by their dotted names: `trunk`, `heads`, `heads.depth`.
    """

    run: str
    parts: list[str] = field(default_factory=lambda: ["trunk"])

    def load_into(self, model: nn.Module) -> None:
        """Copy every weight and buffer of the parts that has the same name and shape in both models.

        Args:
            model: the model that is about to be trained.

        Raises:
            FileNotFoundError: if there is no such run or checkpoint.
            ValueError: if a part is not in a model, or nothing in it matches.
        """
        is_file = self.run.lower().endswith(_FILES) or Path(self.run).is_file()
        path = checkpoint_file(self.run) if is_file else find_checkpoint(self.run)
        stored, state = read_weights(path)
        ours = model.state_dict()
        theirs = _renamed(stored, ours, path)
        classes = class_names_of(state)
        taken: dict[str, Tensor] = {}
        for part in self.parts:
            own, other = _of(part, ours), _of(part, theirs)
            for where, names, weights in (("this model", own, ours), (f"{str(path)!r}", other, theirs)):
                if not names:
                    known = _parts(weights)
                    near = did_you_mean(part, known)
                    raise ValueError(f"init_from: {where} has no part {part!r}; it has {', '.join(known)}.{near}")
            rows = _of_classes(model, own, ours, theirs, classes)
            same = [name for name in own if name in theirs and theirs[name].shape == ours[name].shape]
            fits = [name for name in same if name not in rows]
            misshapen = [name for name in own if name in theirs and name not in same and name not in rows]
            missing = [name for name in own if name not in theirs]
            left = [name for name in other if name not in ours]
            if not fits and not rows:
                raise ValueError(
                    f"init_from: no weight of part {part!r} has the same name and shape here and in {str(path)!r}"
                    f"{_shapes(misshapen, ours, theirs)}. Take the same backbone with the same widths."
                )
            taken |= {name: theirs[name] for name in fits} | rows
            log.info(
                "init_from %s: %d of %d tensors of %r taken%s%s%s%s",
                path,
                len(fits) + len(rows),
                len(own),
                part,
                _listed("; by the names of classes", list(rows)),
                _listed("; other shape", misshapen),
                _listed("; missing there", missing),
                _listed("; left there", left),
            )
        model.load_state_dict(taken, strict=False)


def _of_classes(
    model: nn.Module,
    names: list[str],
    ours: dict[str, Tensor],
    theirs: dict[str, Tensor],
    classes: dict[str, list[str]],
) -> dict[str, Tensor]:
    """Tensors of heads whose classes have other names or another order there, matched by name."""
    found: dict[str, Tensor] = {}
    heads: dict[str, nn.Module] = dict(getattr(model, "heads", nn.ModuleDict()).items())
    for task, head in heads.items():
        own, other = list(getattr(getattr(head, "task", None), "class_names", ())), classes.get(task, [])
        if not own or not other or own == other:
            continue
        tensors = {name: ours[name] for name in names if name.startswith(f"heads.{task}.") and name in theirs}
        if not tensors:
            continue
        if not can_be_matched(tensors, own):
            log.warning(
                "init_from: head %r has a layer as wide as its classes, so its rows are taken by number, not by name.",
                task,
            )
            continue
        if not set(own) & set(other):
            log.warning(
                "init_from: head %r has no class of the same name there (%s).", task, ", ".join(other[:_LISTED])
            )
        for name, value in tensors.items():
            if (rows := rows_by_name(value, theirs[name], own, other)) is not None:
                found[name] = rows
    return found


def _renamed(stored: dict[str, Tensor], ours: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Weights under the names of this model: without what a wrapper put before them, with the part they belong to."""
    for prefix in ("", *_WRAPPERS):
        inner = {name.removeprefix(prefix): value for name, value in stored.items() if name.startswith(prefix)}
        if any(name in ours for name in inner):
            return inner
    ends: dict[str, list[str]] = {}  # what own names end with, and what then stands before it
    for name in ours:
        words = name.split(".")
        for first in range(1, len(words)):
            ends.setdefault(".".join(words[first:]), []).append(".".join(words[:first]) + ".")
    votes = Counter(before for name in stored for before in ends.get(name, ()))
    if not votes:
        return stored
    place, number = votes.most_common(1)[0]
    log.info("init_from %s: %d of %d names of the file belong to %s", path, number, len(stored), place.rstrip("."))
    return {place + name: value for name, value in stored.items()}


def _of(part: str, weights: dict[str, Tensor]) -> list[str]:
    return [name for name in weights if name == part or name.startswith(f"{part}.")]


def _parts(weights: dict[str, Tensor]) -> list[str]:
    """`trunk`, `heads`, and each head."""
    names = [name.split(".") for name in weights]
    return sorted({words[0] for words in names} | {".".join(words[:2]) for words in names if words[0] == "heads"})


def _shapes(names: list[str], ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> str:
    if not names:
        return ""
    name = names[0]
    return f" ({name} is {list(ours[name].shape)} here and {list(theirs[name].shape)} there)"


def _listed(what: str, names: list[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"{what}: {', '.join(names[:_LISTED])}{more}"
