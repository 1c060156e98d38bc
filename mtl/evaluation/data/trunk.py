"""Where the trunk of a new config comes from: from scratch, from a network of torchvision, from a run of yours."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mtl.backbones.backbone import Backbone
from mtl.config.merge import read_config
from mtl.inputs.image import image_of

_FETCHED: Mapping[str, Any] = {"weights": None, "pretrained": False}  # arguments that download what a run has
_WAYS = "--trunk takes a network of torchvision, such as resnet18, or the folder of a run"


@dataclass(frozen=True)
class Trunk:
    """A backbone as a config names it.

    Args:
        class_path: its class.
        init_args: its arguments.
        levels: what it gives to heads.
        remark: what the config says about it.
        learning_rate: as the config writes it.
        run: folder of the run whose weights it starts from.
    """

    class_path: str = "ResidualFPN"
    init_args: Mapping[str, Any] = field(default_factory=lambda: {"width": 16, "pyramid_width": 32, "blocks": 2})
    levels: tuple[str, ...] = ("c4", "p2")
    remark: str = "from scratch; small enough for a CPU"
    learning_rate: str = "4e-3"
    run: Path | None = None

    def heads(self, proposed: Mapping[str, tuple[str, dict[str, Any]]]) -> dict[str, tuple[str, dict[str, Any]]]:
        """The same heads; one that names a level which is not there chooses its levels itself.

        Args:
            proposed: class and arguments of each task's head.
        """
        return {
            name: (head, {k: v for k, v in arguments.items() if k != "levels" or set(v) <= set(self.levels)})
            for name, (head, arguments) in proposed.items()
        }


SCRATCH = Trunk()


def trunk_of(place: str) -> Trunk:
    """The trunk that a user names.

    Args:
        place: folder of a run, or name of a network of torchvision.

    Raises:
        ValueError: if it is neither, and for a run that reads anything but pictures.
    """
    from mtl.backbones.image.torchvision_network import build_network  # of all of a model, which `new` does without
    from mtl.evaluation.load import load_run

    run = Path(place)
    if not run.exists():
        try:
            build_network(place, None)
        except ValueError as error:
            raise ValueError(f"there is no folder {place!r}, and {error} {_WAYS}.") from error
        arguments = {"name": place, "weights": "DEFAULT", "levels": list(SCRATCH.levels)}
        remark = "trained on ImageNet; downloaded once"
        return Trunk("TorchvisionBackbone", arguments, remark=remark, learning_rate="1e-3")
    if not (run / "config.yaml").is_file():
        raise ValueError(f"{place!r} has no config.yaml, so it is no run. {_WAYS}.")
    model = load_run(run).model
    if len(model.inputs) != 1 or image_of(model.inputs) is None:
        raise ValueError(
            f"the run {place!r} reads {', '.join(model.inputs)}; pictures need the trunk of a run of one picture."
        )
    backbone = read_config([run / "config.yaml"]).get(("model", "backbone"))
    arguments = {key: _FETCHED.get(key, value) for key, value in (backbone.get("init_args") or {}).items()}
    levels = next(part.spec.channels for part in model.trunk.modules() if isinstance(part, Backbone))
    return Trunk(backbone["class_path"], arguments, tuple(levels), "as in the run below", run=run)
