"""`mtl`: one shared network, many tasks. A PyTorch Lightning research template for multi-task learning."""

__version__ = "0.1.0"
