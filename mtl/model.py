"""`MultiTaskModel`: one backbone, a dict of heads. A plain module: it runs, and is exported, without Lightning.

Shapes: B images, H x W pixels.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mtl.backbones.backbone import Backbone
from mtl.balancing.engine.junction import Junction
from mtl.balancing.engine.partition import Partition, partition
from mtl.batch import Batch
from mtl.features import Features
from mtl.heads.head import Head, Outputs
from mtl.metrics.task_metrics import Predictions

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class MultiTaskModel(nn.Module):
    """A shared backbone and one head for each task.

    Args:
        backbone: image -> feature maps.
        heads: the heads by task name.
        image_mean: mean of every channel of an image in 0..1.
        image_std: standard deviation of every channel of an image in 0..1.

    Raises:
        ValueError: without any head, or if a head stands under another name than its task's.
    """

    image_mean: Tensor
    image_std: Tensor

    def __init__(
        self,
        backbone: Backbone,
        heads: Mapping[str, Head],
        image_mean: Sequence[float] = IMAGENET_MEAN,
        image_std: Sequence[float] = IMAGENET_STD,
    ) -> None:
        super().__init__()
        if not heads:
            raise ValueError("a model needs at least one head; give `heads` one entry for each task to learn.")
        for name, head in heads.items():
            if head.task.name != name:
                raise ValueError(f"head {name!r} was built for task {head.task.name!r}; give it that name.")
            if hasattr(nn.ModuleDict, name):
                raise ValueError(f"a task cannot be named {name!r}: torch.nn.ModuleDict uses that word itself.")
        self.backbone = backbone
        self.heads = nn.ModuleDict(heads)
        self.junction = Junction()
        # not persistent: they are settings, and a checkpoint keeps settings elsewhere
        self.register_buffer("image_mean", torch.tensor(image_mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("image_std", torch.tensor(image_std).view(-1, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> dict[str, Outputs]:
        """Raw outputs of every head.

        Args:
            image: uint8 in 0..255 or float in 0..1, [B,3,H,W].
        """
        views = self.junction(self.features(image), list(self.heads))
        # a junction may leave heads out of a training step
        return {name: self.heads[name](view) for name, view in views.items()}

    def features(self, image: Tensor) -> Features:
        """The shared features alone.

        Args:
            image: uint8 in 0..255 or float in 0..1, [B,3,H,W].
        """
        if image.dtype == torch.uint8:
            image = image.to(self.image_mean.dtype) / 255
        features: Features = self.backbone((image - self.image_mean) / self.image_std)
        return features

    def partition(self) -> Partition:
        """The parameters by owner: those of each head, and those that all tasks share."""
        shared = [module for module in self.children() if module is not self.heads]
        return partition(shared, {name: [head] for name, head in self.heads.items()})

    def head(self, name: str) -> Head:
        """The head of one task.

        Args:
            name: the task's name.
        """
        head = self.heads[name]
        assert isinstance(head, Head)
        return head

    def losses(self, outputs: Mapping[str, Outputs], batch: Batch) -> dict[str, Tensor]:
        """One scalar loss for each task.

        Args:
            outputs: what `forward` returned.
            batch: the batch it was computed from.
        """
        return {name: self.head(name).loss(out, batch) for name, out in outputs.items()}

    def decode(self, outputs: Mapping[str, Outputs]) -> dict[str, Predictions]:
        """Predictions of every task, in pixels of the network's input.

        Args:
            outputs: what `forward` returned.
        """
        return {name: self.head(name).decode(out) for name, out in outputs.items()}

    @torch.inference_mode()
    def predict(self, image: Tensor) -> dict[str, Predictions]:
        """`forward` and `decode` without gradients.

        Args:
            image: uint8 in 0..255 or float in 0..1, [B,3,H,W].
        """
        return self.decode(self(image))
