"""Any torchvision classification network as a backbone, with a feature pyramid on top.

Levels: `c2` to `c5` (maps of the network at stride 4, 8, 16, 32) and `p2` to `p5` (the same strides, equal width).
Its stages end at the maps; a network whose later stages read more than the map before them is one piece.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Self, TypeVar

import torch
from torch import Tensor, fx, nn
from torchvision import models
from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names
from torchvision.ops import FrozenBatchNorm2d

from mtl.backbones.backbone import StagedBackbone, State, only_input, run_stages
from mtl.backbones.image.pyramid import STRIDES, Pyramid, check_levels, needed_inputs
from mtl.backbones.pretrained import over_channels, pretrained_wanted
from mtl.errors import did_you_mean
from mtl.features import Features, FeatureSpec
from mtl.task import IMAGE, Inputs

M = TypeVar("M", bound=nn.Module)
_PROBE = (96, 128)  # height and width of the probe image


class TorchvisionBackbone(StagedBackbone):
    """A torchvision classification network, split where its stride changes.

    One run on an empty image determines the ends of the stages, so all convolutional networks work: ResNet, MobileNet,
    EfficientNet, ConvNeXt, RegNet, DenseNet and others.

    Args:
        inputs: what the data module declares; one image.
        name: name of the network as torchvision lists it, for example `resnet50` or `convnext_tiny`.
        weights: null for random weights, `DEFAULT` for the best pretrained ones (downloaded on first use), or the
            name of a set of weights such as `IMAGENET1K_V1`.
        levels: levels to return, any of `c2` to `c5` and `p2` to `p5`.
        pyramid_channels: channels of each `p*` level.
        frozen_norm: freeze statistics and factors of all batch norms; for pretrained weights and few images per
            process.

    Raises:
        ValueError: if the network, the weights or a level do not exist.
        RuntimeError: if the weights cannot be downloaded.
    """

    def __init__(
        self,
        inputs: Inputs = IMAGE,
        name: str = "resnet18",
        weights: str | None = None,
        levels: tuple[str, ...] = ("p3", "p4", "p5", "c5"),
        pyramid_channels: int = 128,
        frozen_norm: bool = False,
    ) -> None:
        super().__init__()
        check_levels(levels)
        image = only_input(inputs, "image", "TorchvisionBackbone")
        self.inputs = (image.name,)
        self.name = name
        network = build_network(name, weights)
        if image.channels != 3:
            widen_first_layer(network, image.channels)
        if frozen_norm:
            _freeze_norms(network)
        ends = _stage_ends(network, name, image.channels)
        channels = {level: width for level, (_, width) in ends.items()}
        needed = needed_inputs(levels, channels, name)
        deepest = max(needed)
        channels_of = {level: width for level, width in channels.items() if level <= deepest}
        split = _split(network, {level: ends[level][0] for level in channels_of})
        self.one_piece = split is None
        self.network = nn.ModuleList(split) if split is not None else create_feature_extractor(
            network, {ends[level][0]: level for level in needed}, suppress_diff_warning=True
        )  # fmt: skip
        self.stage_spec = FeatureSpec(channels_of, {level: STRIDES[int(level[1])] for level in channels_of})
        self.pretrained = weights is not None
        self.pyramid = Pyramid(channels, levels, pyramid_channels, name)
        self.spec = self.pyramid.spec

    @property
    def title(self) -> str:
        return f"TorchvisionBackbone of {self.name}"

    def stages(self) -> Sequence[nn.Module]:
        return [] if self.one_piece else list(self.network.children())

    def finish(self, outputs: Sequence[State]) -> Features:
        maps = {level: values for level, (values, _) in zip(self.stage_spec.channels, outputs, strict=True)}
        features: Features = self.pyramid(maps)
        return features

    def forward(self, *inputs: Tensor) -> Features:
        (image,) = inputs
        if not self.one_piece:
            return self.finish(run_stages(self.stages(), (image, None)))
        features: Features = self.pyramid(self.network(image))
        return features

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return _twin(self, memo)


class _Stage(nn.Module):
    """A part of a network, as a graph."""

    def __init__(self, body: fx.GraphModule) -> None:
        super().__init__()
        self.body = body.train()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.body(x)
        return out

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return _twin(self, memo)


def _twin(module: M, memo: dict[int, Any]) -> M:
    """A copy in the same modes; copying a graph alone sets it to training, and an average would update statistics."""
    twin = type(module).__new__(type(module))
    memo[id(module)] = twin
    twin.__dict__ = copy.deepcopy(module.__dict__, memo)
    modes = {name: part.training for name, part in module.named_modules()}
    for name, part in twin.named_modules():
        part.training = modes.get(name, module.training)
    return twin


def build_network(name: str, weights: str | None, **options: Any) -> nn.Module:
    """A classification network of torchvision.

    Args:
        name: as torchvision lists it.
        weights: name of a set of pretrained weights; null for random ones.
        options: further arguments of torchvision's builder.

    Raises:
        ValueError: for an unknown network or set of weights.
        RuntimeError: if the weights cannot be downloaded.
    """
    known = models.list_models(module=models)
    if name not in known:
        raise ValueError(
            f"torchvision has no classification network {name!r}.{did_you_mean(name, known)} "
            "`torchvision.models.list_models(module=torchvision.models)` lists them."
        )
    if weights is not None:
        sets = ["DEFAULT", *models.get_model_weights(name).__members__]
        if weights not in sets:
            raise ValueError(
                f"{name} has no weights {weights!r}; weights are {', '.join(dict.fromkeys(sets))}, and null for random "
                f"weights.{did_you_mean(weights, sets)}"
            )
    if weights is not None and not pretrained_wanted():
        return _with_random_weights(name, options)
    try:
        network: nn.Module = models.get_model(name, weights=weights, **options)
    except OSError as error:  # no network, disk full, refused by the server
        raise RuntimeError(
            f"weights {weights!r} of {name} cannot be downloaded ({error}). Set `weights: null` to train from random "
            "weights, or copy the file from a machine with internet access into the folder checkpoints/ of "
            f"{torch.hub.get_dir()} (set by TORCH_HOME)."
        ) from error
    return network


def _with_random_weights(name: str, options: dict[str, Any]) -> nn.Module:
    """The layers that a network has with pretrained weights, where torchvision builds other ones without."""
    if name == "googlenet":
        options = {"aux_logits": False, "init_weights": False} | options
    network: nn.Module = models.get_model(name, weights=None, **options)
    if hasattr(network, "transform_input"):
        setattr(network, "transform_input", True)  # noqa: B010, a plain attribute
    return network


def widen_first_layer(network: nn.Module, channels: int) -> None:
    """Let the first convolution take images of another number of channels; pretrained filters are averaged.

    Args:
        network: a network for three channels, changed in place.
        channels: channels of the images.

    Raises:
        ValueError: if its first layer is no convolution over the image.
    """
    name, first = next(((n, m) for n, m in network.named_modules() if isinstance(m, nn.Conv2d)), ("", None))
    if first is None or first.in_channels != 3 or first.groups != 1:
        raise ValueError(f"{type(network).__name__} does not begin with a convolution over three channels.")
    made = nn.Conv2d(
        channels, first.out_channels, first.kernel_size, first.stride, first.padding, first.dilation,  # type: ignore[arg-type]
        bias=first.bias is not None,
    )  # fmt: skip
    with torch.no_grad():
        made.weight.copy_(over_channels(first.weight, channels))
        if first.bias is not None and made.bias is not None:
            made.bias.copy_(first.bias)
    parent, _, leaf = name.rpartition(".")
    setattr(network.get_submodule(parent), leaf, made)


def _stage_ends(network: nn.Module, name: str, image_channels: int) -> dict[str, tuple[str, int]]:
    """The last block at every stride: level -> (node, channels)."""
    try:
        training, evaluation = get_graph_node_names(network, suppress_diff_warning=True)
        nodes = [node for node in evaluation if node in set(training)]
        probe = create_feature_extractor(network, nodes, suppress_diff_warning=True).eval()
        with torch.no_grad():
            maps = probe(torch.zeros(1, image_channels, *_PROBE))
    except (AssertionError, RuntimeError, torch.fx.proxy.TraceError) as error:
        raise ValueError(
            f"{name} needs images of one fixed size or cannot be traced ({error}); use a convolutional network, "
            "or TimmBackbone."
        ) from error
    finally:
        network.train()
    # take ends of blocks: the last node at a stride may be inside the next block, which widens before it strides
    ends: dict[str, tuple[str, str, int]] = {}
    for node, value in maps.items():
        for number, stride in STRIDES.items():
            size = tuple(side // stride for side in _PROBE)
            if isinstance(value, Tensor) and value.ndim == 4 and value.shape[2:] == size:
                ends[".".join(node.split(".")[:2])] = (f"c{number}", node, value.shape[1])
    return {level: (node, width) for level, node, width in ends.values()}


def _split(network: nn.Module, ends: Mapping[str, str]) -> list[nn.Module] | None:
    """The network in stages that end at these nodes; None if one reads more than the output of the one before."""
    whole = create_feature_extractor(network, {node: level for level, node in ends.items()}, suppress_diff_warning=True)
    training, evaluation = whole.train_graph, whole.eval_graph
    if [(n.op, str(n.target)) for n in training.nodes] != [(n.op, str(n.target)) for n in evaluation.nodes]:
        return None
    output = next(node for node in training.nodes if node.op == "output")
    last = list(output.args[0].values())
    stages: list[nn.Module] = []
    graph, here = fx.Graph(), {}  # of one stage: node of the whole -> its own
    for node in training.nodes:
        if node.op == "output":
            break
        if node.op == "placeholder":
            here[node] = graph.placeholder("x")
            continue
        for used in node.all_input_nodes:
            if used not in here and used.op == "get_attr":
                here[used] = graph.node_copy(used)
        if any(used not in here for used in node.all_input_nodes):
            return None
        here[node] = graph.node_copy(node, here.__getitem__)
        if node is last[len(stages)]:
            graph.output(here[node])
            stages.append(_Stage(fx.GraphModule(whole, graph)))
            graph = fx.Graph()
            here = {node: graph.placeholder("x")}
            if len(stages) == len(last):
                break
    return stages


def _freeze_norms(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            frozen = FrozenBatchNorm2d(child.num_features, eps=child.eps)
            frozen.load_state_dict(child.state_dict())
            setattr(module, name, frozen)
        else:
            _freeze_norms(child)
