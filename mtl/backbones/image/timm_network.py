"""Any timm network as a backbone, with a feature pyramid on top. Needs the extra `timm`.

Levels: `c2` to `c5` (maps of the network at stride 4, 8, 16, 32) and `p2` to `p5` (the same strides, equal width). A
plain vision transformer has one stride, and gives `c4` (for patches of 16). Stages end where timm's features do; in a
transformer they are sequences of tokens, with the class token in front. Networks that timm runs in another way are one
piece.
"""

from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from mtl.backbones.backbone import StagedBackbone, State, only_input, run_stages
from mtl.backbones.image.pyramid import STRIDES, Pyramid, check_levels, needed_inputs
from mtl.backbones.pretrained import pretrained_wanted
from mtl.errors import did_you_mean, import_optional
from mtl.features import Features, FeatureSpec, Layout
from mtl.task import IMAGE, Inputs

_GROUPS = 4  # stages of a transformer behind its embedding
_PROBE = 64  # side of the probe image


class TimmBackbone(StagedBackbone):
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
        self.inputs, self.name, self.image = (image.name,), name, (image.channels, image_size or _PROBE)
        size = {"in_chans": image.channels} | ({"img_size": image_size} if image_size else {})
        try:
            info = timm.create_model(name, features_only=True, **size).feature_info
        except TypeError as error:
            if not image_size:
                raise
            raise ValueError(
                f"{name} cannot be built for image_size={image_size} ({error}). Leave image_size out: it is for "
                "transformers of one size."
            ) from error
        # the last one of a stride, by its own index: a transformer's levels are its last blocks
        outputs = {entry["reduction"]: entry for entry in info.get_dicts()}
        channels = {f"c{n}": outputs[s]["num_chs"] for n, s in STRIDES.items() if s in outputs}
        self.needed = needed_inputs(levels, channels, name)
        wanted = [outputs[STRIDES[int(level[1])]]["index"] for level in self.needed]
        try:
            load = pretrained and pretrained_wanted()
            network = timm.create_model(name, pretrained=load, features_only=True, out_indices=wanted, **size)
        except OSError as error:  # no network, disk full, refused by the server
            raise RuntimeError(
                f"weights of {name} cannot be downloaded ({error}). Set `pretrained: false` to train from random "
                "weights, or fill timm's cache on a machine with internet access and set HF_HUB_OFFLINE=1."
            ) from error
        if frozen_norm:
            # timm's function, because its norms contain the activation
            network = import_optional("timm.layers", "timm").freeze_batch_norm_2d(network)
        # some transformers output channels last
        self.channels_last = getattr(network, "output_fmt", "NCHW") == "NHWC"
        self.pretrained = pretrained
        deepest = max(self.needed)
        kept = {level: width for level, width in channels.items() if level <= deepest}
        strides = {level: STRIDES[int(level[1])] for level in kept}
        layout: Layout = "map"
        ends = {outputs[stride]["module"].replace(".", "_"): level for level, stride in strides.items()}
        features = import_optional("timm.models._features", "timm")
        vit = import_optional("timm.models.vision_transformer", "timm").VisionTransformer
        if isinstance(network, features.FeatureListNet):
            self.network: nn.Module = nn.ModuleList(_chains(network, ends, self.channels_last))
        elif isinstance(network, features.FeatureGetterNet) and isinstance(network.model, vit) and _is_plain(network):
            self.network = nn.ModuleList(_of_transformer(network.model))
            (level,), layout = self.needed, "sequence"
            kept = {f"s{index}": kept[level] for index in range(len(self.network))}
            strides = dict.fromkeys(kept, strides[level])
            self.grid, self.prefix = network.model.patch_embed.grid_size, network.model.num_prefix_tokens
        else:
            self.network = network
        self.stage_spec = FeatureSpec(kept, strides, dict.fromkeys(kept, layout))
        self.pyramid = Pyramid(channels, levels, pyramid_channels, name)
        self.spec = self.pyramid.spec

    @property
    def title(self) -> str:
        return f"TimmBackbone of {self.name}"

    def stages(self) -> Sequence[nn.Module]:
        return list(self.network) if isinstance(self.network, nn.ModuleList) else []

    def skippable(self) -> list[nn.Module]:
        """Blocks of a sequence that keep its shape, as a probe image shows."""
        sizes: dict[int, bool] = {}
        sequences = [m for stage in self.stages() for m in stage.modules() if isinstance(m, nn.Sequential)]
        blocks = [block for sequence in sequences for block in sequence if not isinstance(block, nn.Sequential)]

        def see(module: nn.Module, given: tuple[Tensor, ...], out: Tensor) -> None:
            sizes[id(module)] = len(given) == 1 and given[0].shape == out.shape

        hooks = [block.register_forward_hook(see) for block in blocks if any(True for _ in block.parameters())]
        modes = {module: module.training for module in self.modules()}
        try:
            with torch.no_grad():
                self.eval()(torch.zeros(1, self.image[0], self.image[1], self.image[1]))
        finally:
            for module, mode in modes.items():
                module.training = mode
            for hook in hooks:
                hook.remove()
        alike = [block for block in blocks if sizes.get(id(block)) and len(list(block.children())) > 1]
        inside = {id(part) for block in alike for part in block.modules() if part is not block}
        return [block for block in alike if id(block) not in inside]

    def finish(self, outputs: Sequence[State]) -> Features:
        if self.stage_spec.of("sequence"):
            cells = outputs[-1][0][:, self.prefix :]
            maps = {self.needed[0]: cells.transpose(1, 2).unflatten(2, self.grid).contiguous()}
        else:
            maps = {level: values for level, (values, _) in zip(self.stage_spec.channels, outputs, strict=True)}
        features: Features = self.pyramid(maps)
        return features

    def forward(self, *inputs: Tensor) -> Features:
        (image,) = inputs
        if stages := self.stages():
            return self.finish(run_stages(stages, (image, None)))
        maps = self.network(image)
        if self.channels_last:
            maps = [value.permute(0, 3, 1, 2) for value in maps]
        features: Features = self.pyramid(dict(zip(self.needed, maps, strict=True)))
        return features


class _Chain(nn.Sequential):
    """Some children of a network; maps come and go with channels first."""

    turned: tuple[bool, bool]

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 2, 3, 1) if self.turned[0] else x
        for module in self:
            x = module(x)
        return x.permute(0, 3, 1, 2) if self.turned[1] else x


def _chains(network: Any, ends: dict[str, str], channels_last: bool) -> list[nn.Module]:
    """The children of a network that timm runs one after the other, up to each of the ends."""
    stages: list[nn.Module] = []
    part: OrderedDict[str, nn.Module] = OrderedDict()
    for name, child in network.items():
        part[name] = child
        if name in ends:
            chain = _Chain(part)
            chain.turned = channels_last and bool(stages), channels_last
            stages.append(chain)
            part = OrderedDict()
    return stages


def _is_plain(network: Any) -> bool:
    return not network.norm and not getattr(network.model, "dynamic_img_size", False)


class _Embedding(nn.Module):
    """What a transformer does before its blocks."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model  # without its blocks

    def forward(self, image: Tensor) -> Tensor:
        model: Any = self.model
        out: Tensor = model.norm_pre(model.patch_drop(model._pos_embed(model.patch_embed(image))))
        return out


def _of_transformer(model: Any) -> list[nn.Module]:
    blocks = list(model.blocks)
    model.blocks = nn.Identity()
    ends = [len(blocks) * group // _GROUPS for group in range(_GROUPS + 1)]
    groups = [blocks[first:last] for first, last in pairwise(ends)]
    return [_Embedding(model), *(nn.Sequential(*group) for group in groups if group)]
