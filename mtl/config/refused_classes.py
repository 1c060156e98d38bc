"""Callbacks and plugins of Lightning that cannot work with a multi-task run, each with the way out.

They are refused by name at the start: when a config names them, and when a trainer that holds one begins.
"""

from collections.abc import Mapping

REFUSED: Mapping[str, str] = {
    "BackboneFinetuning": (
        "it wants `module.backbone`, and sets learning rates that the schedule sets too. Take the callback "
        "FreezeParts, with parts: [backbone] and epochs: N; optim.lr_factors: {backbone: 0.1} sets the rate"
    ),
    "BatchSizeFinder": (
        "its trial steps move the state of balancing methods, and the schedule keeps the number of steps of the batch "
        "size before. Set data.batch_size, and try one with --trainer.max_steps 2"
    ),
    "HalfPrecision": (
        "it rounds true boxes to 16 bits (501.3 to 502). Set trainer.precision to bf16-mixed or 16-mixed, which keep "
        "boxes and weights in 32 bits"
    ),
    "LearningRateFinder": (
        "it wants `module.lr`, and the learning rate is an argument of the optimiser. Add the preset "
        "`--config presets/lr_range.yaml`, which draws the loss over the rate, or let `python -m mtl sweep` find one"
    ),
    "ModelPruning": (
        "it renames parameters, so that checkpoints no longer fit the model. Prune the exported model, or export with "
        "`python -m mtl export --quantize int8`"
    ),
    "StochasticWeightAveraging": (
        "its average is neither validated nor saved as best.ckpt, and it takes the schedule away. Take the callback "
        "EMA, whose average is what is validated, saved and tested"
    ),
    "WeightAveraging": (
        "the test of the best checkpoint would see the weights in training. Take the callback EMA, whose average is "
        "what is validated, saved and tested"
    ),
    "EMAWeightAveraging": (
        "the test of the best checkpoint would see the weights in training. Take the callback EMA, whose average is "
        "what is validated, saved and tested"
    ),
}
LIGHTNING = ("lightning.pytorch", "pytorch_lightning")


def why_refused(class_path: str) -> str | None:
    """Why a class of Lightning cannot be used, and the way out; None if it can, or is nothing of Lightning.

    Args:
        class_path: dotted path of a class.
    """
    module, _, name = class_path.rpartition(".")
    return REFUSED.get(name) if module.startswith(LIGHTNING) else None
