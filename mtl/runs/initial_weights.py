"""`InitialWeights`: start training from parts of another run's model; logs what was copied and what was not."""

import logging
from dataclasses import dataclass, field

from torch import Tensor, nn

from mtl.errors import did_you_mean
from mtl.runs.checkpoint_files import checkpoint_file, find_checkpoint, read_checkpoint

log = logging.getLogger(__name__)
_PREFIX = "model."  # of the model in the state of the training loop
_LISTED = 4  # names in a message


@dataclass(frozen=True)
class InitialWeights:
    """Which weights to take from which run.

    Args:
        run: folder of a run, whose best checkpoint is taken, or a checkpoint file.
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
        path = checkpoint_file(self.run) if self.run.endswith(".ckpt") else find_checkpoint(self.run)
        stored = read_checkpoint(path)["state_dict"]
        theirs = {name.removeprefix(_PREFIX): value for name, value in stored.items() if name.startswith(_PREFIX)}
        ours = model.state_dict()
        taken: dict[str, Tensor] = {}
        for part in self.parts:
            own, other = _of(part, ours), _of(part, theirs)
            for where, names, weights in (("this model", own, ours), (f"{str(path)!r}", other, theirs)):
                if not names:
                    known = _parts(weights)
                    near = did_you_mean(part, known)
                    raise ValueError(f"init_from: {where} has no part {part!r}; it has {', '.join(known)}.{near}")
            fits = [name for name in own if name in theirs and theirs[name].shape == ours[name].shape]
            misshapen = [name for name in own if name in theirs and name not in fits]
            missing = [name for name in own if name not in theirs]
            left = [name for name in other if name not in ours]
            if not fits:
                raise ValueError(
                    f"init_from: no weight of part {part!r} has the same name and shape here and in {str(path)!r}"
                    f"{_shapes(misshapen, ours, theirs)}. Take the same backbone with the same widths."
                )
            taken |= {name: theirs[name] for name in fits}
            log.info(
                "init_from %s: %d of %d tensors of %r taken%s%s%s",
                path,
                len(fits),
                len(own),
                part,
                _listed("; other shape", misshapen),
                _listed("; missing there", missing),
                _listed("; left there", left),
            )
        model.load_state_dict(taken, strict=False)


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
