"""What architectures that work inside a backbone need: its stages, what is left without them, layers for a layout."""

import copy
from collections.abc import Iterable, Mapping, Sequence

from torch import Tensor, nn

from mtl.backbones.backbone import Backbone, StagedBackbone, State, reads_back
from mtl.discovery import concrete_subclasses
from mtl.features import MASK, Features, FeatureSpec, Layout


def staged(backbone: Backbone, who: str, together: bool = False) -> StagedBackbone:
    """The backbone, if it runs in stages.

    Args:
        backbone: the backbone.
        who: who asks, for the message.
        together: whether the architecture runs all stages one after the other, so that a stage may read earlier ones.

    Raises:
        ValueError: naming backbones that do.
    """
    if not isinstance(backbone, StagedBackbone) or not backbone.stages():
        known = [cls.__name__ for cls in concrete_subclasses(StagedBackbone)]  # type: ignore[type-abstract]
        raise ValueError(
            f"{who} works on the stages of a backbone, and {backbone.title} is one piece. "
            f"Backbones in stages: {', '.join(known)}."
        )
    if not together and any(reads_back(stage) for stage in backbone.stages()):
        raise ValueError(
            f"{who} runs single stages of a backbone, and stages of {backbone.title} also read what earlier ones gave. "
            "Take a backbone whose stages form a chain, or an architecture that runs the trunk as a whole."
        )
    return backbone


def without_stages(backbone: StagedBackbone, stages: Iterable[nn.Module]) -> StagedBackbone:
    """A copy of a backbone without some of its stages: what is left begins, runs the other stages and finishes.

    Args:
        backbone: the backbone.
        stages: stages that become identities.
    """
    return copy.deepcopy(backbone, {id(stage): nn.Identity() for stage in stages})


def begin(backbone: StagedBackbone, prepared: Mapping[str, Tensor]) -> State:
    """What the first stage gets.

    Args:
        backbone: the backbone.
        prepared: what the kinds of inputs made of a batch.
    """
    return backbone.begin(*(prepared[name] for name in backbone.inputs))


def as_features(states: Sequence[State], levels: Iterable[str]) -> Features:
    """Outputs of stages as tensors of a cut.

    Args:
        states: the outputs.
        levels: a name for each.
    """
    named = list(zip(levels, states, strict=True))
    masks = {level + MASK: mask for level, (_, mask) in named if mask is not None}
    return {level: values for level, (values, _) in named} | masks


def as_states(features: Features, levels: Iterable[str]) -> list[State]:
    """The outputs of stages from what `as_features` made of them.

    Args:
        features: the cut.
        levels: the name of each.
    """
    return [(features[level], features.get(level + MASK)) for level in levels]


def spec_of(places: Mapping[str, str], spec: FeatureSpec) -> FeatureSpec:
    """A spec with the levels of another one under new names.

    Args:
        places: new name -> level of `spec`.
        spec: the other one.
    """
    return FeatureSpec(
        {place: spec.channels[level] for place, level in places.items()},
        {place: spec.strides[level] for place, level in places.items()},
        {place: spec.layouts[level] for place, level in places.items()},
    )


def join(*specs: FeatureSpec) -> FeatureSpec:
    """One spec with the levels of several.

    Args:
        specs: the specs.
    """
    out = FeatureSpec({})
    for spec in specs:
        out = FeatureSpec(out.channels | spec.channels, out.strides | spec.strides, out.layouts | spec.layouts)
    return out


def pointwise(layout: Layout, before: int, after: int, bias: bool = True) -> nn.Module:
    """A linear layer over the channels of each cell.

    Args:
        layout: where the channels are.
        before: channels that it takes.
        after: channels that it gives.
        bias: whether it adds one.
    """
    return nn.Conv2d(before, after, 1, bias=bias) if layout == "map" else nn.Linear(before, after, bias)


def norm(layout: Layout, channels: int) -> nn.Module:
    """A batch norm for maps; a layer norm for sequences, whose padding must not count, and for vectors.

    Args:
        layout: the layout.
        channels: number of channels.
    """
    return nn.BatchNorm2d(channels) if layout == "map" else nn.LayerNorm(channels)


def by_channel(values_C: Tensor, layout: Layout) -> Tensor:
    """A vector over channels in a shape that multiplies a level.

    Args:
        values_C: [C], or [B,C] for each sample.
        layout: layout of the level.
    """
    if layout == "map":
        return values_C[..., None, None]
    return values_C[:, None] if layout == "sequence" and values_C.ndim > 1 else values_C


def masked_mean(values: Tensor, mask: Tensor | None, layout: Layout) -> Tensor:
    """Mean over the real cells of each sample, [B,C].

    Args:
        values: a level.
        mask: which cells are real; all by default.
        layout: its layout.
    """
    if layout == "vector":
        return values
    cells = (2, 3) if layout == "map" else (1,)
    if mask is None:
        return values.mean(cells)
    here = mask.unsqueeze(1 if layout == "map" else -1)
    return (values * here).sum(cells) / here.sum(cells).clamp(min=1)
