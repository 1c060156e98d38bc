"""Gramian and weighted sum of K gradients of the same tensor, block by block, without copying all gradients.

One block of each task's gradient is stacked, used while it is in the cache, and dropped. Time for Gramian and weighted
sum of a 64 x 32 x 32 and a 512 x 4 x 4 map (ResNet-18 with a pyramid at 128 px), 32 samples, float32, in ms on one
thread of an idle CPU for K = 2 / 4 / 8 / 16 (channels-last in brackets):
    this file                         7.3 / 8.5 / 17 / 36   (4.8 / 8.1 / 16 / 35)
    the same, all sums in float32     3.5 / 6.6 / 16 / 33   (3.7 / 6.5 / 15 / 32), which loses digits: see `_products`
    all rows stacked, two products    14 / 26 / 88 / 156    (8.1 / 49 / 100 / 207), and a copy of the K gradients
    stacked level by level            3.0 / 20 / 50 / 85    (7.0 / 33 / 65 / 131), and the same copy
    a dot product for each pair       2.0 / 6.3 / 19 / 64   (5.8 / 28 / 34 / 121), no copy
Blocks of 2^14 to 2^17 values are equally fast; blocks of 2^19 values take 1.5 times as long.
Shapes: K tasks, N values of a block, P values of a gradient.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

_CPU_BLOCK = 1 << 16  # values per row of a block: K rows fit into the cache
_GPU_BLOCK = 1 << 22  # a GPU prefers few large kernels
_PIECE = 256  # values summed in float32

Rows = Sequence[Tensor | None]  # the gradient of one tensor for each of K tasks; `None` counts as zero


def gramian(rows: Rows) -> Tensor:
    """Inner products of K gradients of one tensor, [K,K] in float64 (float32 on a device without it).

    Args:
        rows: K gradients of one shape; at least one is a tensor.
    """
    like, order = _layout(rows)
    tasks = [task for task, row in enumerate(rows) if row is not None]
    total_KK = torch.zeros(len(rows), len(rows), dtype=exact_dtype(like), device=like.device)
    with full_precision():
        for block in _blocks(like, order):
            if len(tasks) == 1:
                values = _part(rows[tasks[0]], like, order, block).flatten().to(_work_dtype(like))
                total_KK[tasks[0], tasks[0]] += _products(values[None])[0, 0]
            else:
                total_KK += _products(_stack(rows, like, order, block))
    return total_KK


def weighted_sum(rows: Rows, weights_K: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """The weighted sum of K gradients of one tensor, in their memory layout.

    Args:
        rows: K gradients of one shape; at least one is a tensor.
        weights_K: one weight per gradient, [K].
        dtype: dtype of the sum; the gradients' dtype by default.
    """
    like, order = _layout(rows)
    tasks = [task for task, row in enumerate(rows) if row is not None]
    weights_K = weights_K.to(_work_dtype(like))
    out = torch.empty([like.shape[dim] for dim in order], dtype=dtype or like.dtype, device=like.device)
    with full_precision():
        for block in _blocks(like, order):
            if len(tasks) == 1:
                out[block] = _part(rows[tasks[0]], like, order, block) * weights_K[tasks[0]]
            else:
                out[block] = (weights_K @ _stack(rows, like, order, block)).view_as(out[block])
    return out.permute([order.index(dim) for dim in range(len(order))])


def gramian_of_matrix(rows_KP: Tensor) -> Tensor:
    """Inner products of the rows of a matrix, [K,K] in float64 (float32 on a device without it).

    Args:
        rows_KP: one gradient per task, [K,P].
    """
    total_KK = torch.zeros(len(rows_KP), len(rows_KP), dtype=exact_dtype(rows_KP), device=rows_KP.device)
    with full_precision():
        for block_KN in rows_KP.split(_block_length(rows_KP), dim=1):
            total_KK += _products(block_KN)
    return total_KK


def weighted_sum_of_matrix(rows_KP: Tensor, weights_K: Tensor) -> Tensor:
    """The weighted sum of the rows of a matrix, [P]; overwrites the first row, so the matrix is invalid afterwards.

    Args:
        rows_KP: one gradient per task, [K,P].
        weights_K: one weight per row, [K].
    """
    with full_precision():
        for block_KN in rows_KP.split(_block_length(rows_KP), dim=1):
            block_KN[0] = weights_K.to(rows_KP.dtype) @ block_KN
    return rows_KP[0]


def exact_dtype(like: Tensor) -> torch.dtype:
    """The dtype for a Gramian: float64, or float32 on a device without it.

    Args:
        like: a tensor on the device.
    """
    return torch.float32 if like.device.type == "mps" else torch.float64


@contextmanager
def full_precision() -> Iterator[None]:
    """Multiply float32 matrices in float32: with TF32, which users enable for speed, a Gramian has only 3 digits."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _products(block_KN: Tensor) -> Tensor:
    """Inner products of the rows of a block, [K,K]: pieces are summed in float32, their sums in float64.

    A float32 matrix product may add values one by one. For similar values, as in the gradient of a mean, the sum of
    80,000 values loses 3 more digits than sums of pieces do (1e-4 against 2e-7 of the norms, measured).
    """
    num_pieces = block_KN.shape[1] // _PIECE
    pieces_KMN = block_KN[:, : num_pieces * _PIECE].reshape(len(block_KN), num_pieces, _PIECE)
    rest_KN = block_KN[:, num_pieces * _PIECE :]
    pieces_MKN = pieces_KMN.transpose(0, 1)
    return torch.bmm(pieces_MKN, pieces_MKN.mT).sum(0, dtype=exact_dtype(block_KN)) + rest_KN @ rest_KN.T


def _layout(rows: Rows) -> tuple[Tensor, list[int]]:
    """A gradient that represents all, and its dimensions in memory order, which keeps channels-last."""
    dense = [row for row in rows if row is not None]
    # a pooling head returns an expanded gradient (stride 0), which has no memory layout
    like = next((row for row in dense if 0 not in row.stride()), dense[0])
    return like, sorted(range(like.ndim), key=lambda dim: like.stride()[dim], reverse=True)


def _blocks(like: Tensor, order: Sequence[int]) -> Iterator[slice]:
    first = like.shape[order[0]]
    length = max(1, _block_length(like) * first // max(1, like.numel()))
    for start in range(0, first, length):
        yield slice(start, start + length)


def _block_length(like: Tensor) -> int:
    return _CPU_BLOCK if like.device.type == "cpu" else _GPU_BLOCK


def _work_dtype(like: Tensor) -> torch.dtype:
    return torch.promote_types(like.dtype, torch.float32)


def _part(row: Tensor | None, like: Tensor, order: Sequence[int], block: slice) -> Tensor:
    if row is None:
        row = like.new_zeros(()).expand(like.shape)
    return row.permute(*order)[block]


def _stack(rows: Rows, like: Tensor, order: Sequence[int], block: slice) -> Tensor:
    parts = [_part(row, like, order, block) for row in rows]
    return torch.stack(parts).flatten(1).to(_work_dtype(like))
