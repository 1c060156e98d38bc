"""Inverse depth: one over the distance of every pixel, as a disparity is."""

from mtl.targets.depth import Depth
from mtl.targets.move import Move
from mtl.targets.target import Sample


class InverseDepth(Depth):
    """One over the depth, or a disparity; NaN in pixels without a measurement."""

    kind = "inverse_depth"
    form = "an inverse depth above 0 for every pixel (float32 [H,W], NaN = not measured)"

    def after_geometry(self, sample: Sample, move: Move) -> None:
        self.scale(sample, move.zoom)
