"""Every decoder: the finest level's size, a gradient for every parameter, and each level matters."""

from functools import partial

import pytest
import torch

import mtl.heads  # noqa: F401, imports every decoder
from mtl.discovery import concrete_subclasses
from mtl.features import FeatureSpec
from mtl.heads.decoders.aspp import ASPPDecoder
from mtl.heads.decoders.decoder import Decoder
from mtl.heads.dense.segmentation import SegmentationHead
from mtl.task import Task

SPEC = FeatureSpec({"p3": 8, "p2": 8, "c4": 12}, {"p3": 8, "p2": 4, "c4": 16})
DECODERS = list(concrete_subclasses(Decoder))  # type: ignore[type-abstract]
every_decoder = pytest.mark.parametrize("cls", DECODERS, ids=lambda cls: cls.__name__)


def features() -> dict[str, torch.Tensor]:
    sides = {"p2": 9, "p3": 5, "c4": 3}  # of 34 px: levels that do not halve exactly
    return {level: torch.randn(2, SPEC.channels[level], side, side) for level, side in sides.items()}


def test_four_decoders_are_found() -> None:
    assert [cls.__name__ for cls in DECODERS] == ["ASPPDecoder", "FPNDecoder", "MLPDecoder", "UPerDecoder"]


@every_decoder
def test_gives_its_stride_and_width_and_every_parameter_a_gradient(cls: type[Decoder]) -> None:
    decoder, maps = cls(SPEC, "head 'mask'", None, 16), features()
    found = decoder(maps)
    side = 9 if decoder.stride == 4 else 5
    assert found.shape == (2, 16, side, side)
    found.square().sum().backward()
    assert not [name for name, parameter in decoder.named_parameters() if parameter.grad is None]


@every_decoder
def test_reads_each_of_its_levels(cls: type[Decoder]) -> None:
    levels = ["c4"] if cls is ASPPDecoder else ["c4", "p2", "p3"]
    decoder, maps = cls(SPEC, "head 'mask'", levels, 16).eval(), features()
    for level in levels:
        other = decoder({**maps, level: maps[level] + 1})
        assert not torch.allclose(other, decoder(maps)), level


@every_decoder
def test_trains_on_one_picture(cls: type[Decoder]) -> None:
    # a batch norm over one value of one picture has no variance, and torch refuses it
    one = {level: values[:1] for level, values in features().items()}
    assert cls(SPEC, "head 'mask'")(one).isfinite().all()


@every_decoder
def test_stands_in_a_head(cls: type[Decoder]) -> None:
    head = SegmentationHead(Task("mask", "segmentation", num_classes=3), SPEC, None, 16, partial(cls))
    stride = head.decoder.stride
    assert head.decode(head(features()))["class_map"].shape == (2, *[(36 if stride == 4 else 40)] * 2)


def test_aspp_refuses_two_levels() -> None:
    with pytest.raises(ValueError, match="works on one level; got p2, p3"):
        ASPPDecoder(SPEC, "head 'mask'", ["p2", "p3"])


def test_a_level_that_is_missing_is_named() -> None:
    with pytest.raises(ValueError, match="head 'mask' asks for level 'p5'"):
        ASPPDecoder(SPEC, "head 'mask'", ["p5"])
