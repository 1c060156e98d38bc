"""Any timm network as a backbone, with a feature pyramid on top. Needs the extra `timm`.

Levels: `c2` to `c5` (maps of the network at stride 4, 8, 16, 32) and `p2` to `p5` (the same strides, equal width).
"""

from torch import Tensor

from mtl.backbones.backbone import Backbone, only_input
from mtl.backbones.image.pyramid import STRIDES, Pyramid, check_levels, needed_inputs
from mtl.errors import did_you_mean, import_optional
from mtl.features import Features
from mtl.task import IMAGE, Inputs


class TimmBackbone(Backbone):
    """A timm network with `features_only=True`.

    Args:
        inputs: what the data module declares; one image.
        name: name of the network as timm lists it, for example `resnet18` or `swin_tiny_patch4_window7_224`.
        pretrained: load timm's weights (downloaded on first use).
        levels: levels to return, any of `c2` to `c5` and `p2` to `p5`.
        pyramid_channels: channels of each `p*` level.
        frozen_norm: freeze statistics and factors of all batch norms; for pretrained weights and few images per
            process.
        image_size: height and width of the images, for networks with a fixed input size (most transformers).

    Raises:
        ImportError: if timm is not installed.
        ValueError: if the network or a level does not exist.
        RuntimeError: if the weights cannot be downloaded.
    """

    def __init__(
        self,
        inputs: Inputs = IMAGE,
        name: str = "resnet18",
        pretrained: bool = False,
        levels: tuple[str, ...] = ("p3", "p4", "p5", "c5"),
        pyramid_channels: int = 128,
        frozen_norm: bool = False,
        image_size: int | None = None,
    ) -> None:
        super().__init__()
        check_levels(levels)
        timm = import_optional("timm", "timm")
        if not timm.is_model(name):
            raise ValueError(
                f"timm has no network {name!r}.{did_you_mean(name, timm.list_models())} "
                "`timm.list_models('*resnet*')` lists matching names."
            )
        image = only_input(inputs, "image", "TimmBackbone")
        self.inputs = (image.name,)
        size = {"in_chans": image.channels} | ({"img_size": image_size} if image_size else {})
        info = timm.create_model(name, features_only=True, **size).feature_info
        indices = {stride: index for index, stride in enumerate(info.reduction())}
        channels = {f"c{n}": info.channels()[indices[s]] for n, s in STRIDES.items() if s in indices}
        self.needed = needed_inputs(levels, channels, name)
        wanted = [indices[STRIDES[int(level[1])]] for level in self.needed]
        try:
            self.network = timm.create_model(
                name, pretrained=pretrained, features_only=True, out_indices=wanted, **size
            )
        except OSError as error:  # no network, disk full, refused by the server
            raise RuntimeError(
                f"weights of {name} cannot be downloaded ({error}). Set `pretrained: false` to train from random "
                "weights, or fill timm's cache on a machine with internet access and set HF_HUB_OFFLINE=1."
            ) from error
        if frozen_norm:
            # timm's function, because its norms contain the activation
            self.network = import_optional("timm.layers", "timm").freeze_batch_norm_2d(self.network)
        # some transformers output channels last
        self.channels_last = getattr(self.network, "output_fmt", "NCHW") == "NHWC"
        self.pretrained = pretrained
        self.pyramid = Pyramid(channels, levels, pyramid_channels, name)
        self.spec = self.pyramid.spec

    def forward(self, image: Tensor) -> Features:
        maps = self.network(image)
        if self.channels_last:
            maps = [value.permute(0, 3, 1, 2) for value in maps]
        features: Features = self.pyramid(dict(zip(self.needed, maps, strict=True)))
        return features
