"""Random numbers from a counter: equal on every rank and device and after a resume, without a GPU sync.

A torch generator needs its seed as a Python number, and reading a step counter from a GPU syncs at every step. Here
each number is a hash of (seed, step, position), computed on the counter's device.
Source: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014 (the mixer of SplitMix64).
Shapes: N numbers.
"""

import math

import torch
from torch import Tensor

_MASK = 0xFFFFFFFFFFFFFFFF
_GAMMA = 0x9E3779B97F4A7C15
_MULTIPLIERS = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
_GAMMA_TRIES = 24  # each is accepted with probability above 0.95; all fail with probability below 1e-31


def counter_uniform(seed: int, step: Tensor, num: int, stream: int = 0, dtype: torch.dtype | None = None) -> Tensor:
    """Uniform numbers in the open interval (0, 1), [N].

    Args:
        seed: seed of the run.
        step: integer scalar tensor; the numbers depend on it and are created on its device.
        num: count N.
        stream: distinguishes several draws in one step.
        dtype: dtype of the result; torch's default dtype by default.
    """
    position_N = torch.arange(num, device=step.device)
    key = _mix(step.long() * _signed(_GAMMA) + _signed(_mix_int(seed * 2 + 1) ^ _mix_int(stream + 0x1234567)))
    bits_N = _logical_shift(_mix(key + position_N * _signed(_GAMMA)), 41)  # 23 bits plus 0.5: exact in float32
    return (bits_N.to(dtype or torch.get_default_dtype()) + 0.5) / 2**23


def counter_normal(seed: int, step: Tensor, num: int, stream: int = 0, dtype: torch.dtype | None = None) -> Tensor:
    """Numbers from the standard normal distribution, [N].

    Args:
        seed: seed of the run.
        step: integer scalar tensor.
        num: count N.
        stream: distinguishes several draws in one step.
        dtype: dtype of the result; torch's default dtype by default.
    """
    radius_N, angle_N = counter_uniform(seed, step, 2 * num, stream, dtype).view(2, num)
    return torch.sqrt(-2 * torch.log(radius_N)) * torch.cos(2 * math.pi * angle_N)


def counter_dirichlet(
    seed: int, step: Tensor, concentration_N: Tensor, stream: int = 0, dtype: torch.dtype | None = None
) -> Tensor:
    """A point of the simplex from a Dirichlet distribution, [N].

    Gamma variates by Marsaglia and Tsang (2000), with a fixed number of tries to avoid a GPU sync.

    Args:
        seed: seed of the run.
        step: integer scalar tensor.
        concentration_N: parameters of the distribution, above 0, [N].
        stream: distinguishes several draws in one step.
        dtype: dtype of the result; torch's default dtype by default.
    """
    num = len(concentration_N)
    alpha_N = concentration_N.to(step.device, dtype or torch.get_default_dtype())
    d_N = torch.where(alpha_N < 1, alpha_N + 1, alpha_N) - 1 / 3
    normal_TN = counter_normal(seed, step, _GAMMA_TRIES * num, 3 * stream, dtype).view(_GAMMA_TRIES, num)
    uniform_TN = counter_uniform(seed, step, _GAMMA_TRIES * num, 3 * stream + 1, dtype).view(_GAMMA_TRIES, num)
    v_TN = (1 + normal_TN / (3 * d_N.sqrt())) ** 3
    bound_TN = 0.5 * normal_TN**2 + d_N * (1 - v_TN + torch.log(v_TN.clamp_min(1e-30)))
    accepted_TN = (v_TN > 0) & (torch.log(uniform_TN) < bound_TN)
    first_N = accepted_TN.int().argmax(0)
    log_gamma_N = torch.log(d_N * v_TN.clamp_min(1e-30).gather(0, first_N[None])[0])
    # for a concentration below 1, draw with concentration + 1 and scale down; in logs, as the result may be tiny
    boost_N = torch.log(counter_uniform(seed, step, num, 3 * stream + 2, dtype)) / alpha_N
    return torch.softmax(log_gamma_N + torch.where(alpha_N < 1, boost_N, torch.zeros_like(boost_N)), dim=0)


def mixed_seed(*numbers: int) -> int:
    """One seed from several numbers, in 0..2**63 - 1; similar numbers give unrelated seeds.

    Args:
        numbers: the numbers; their order matters.
    """
    seed = 0
    for number in numbers:
        seed = _mix_int(seed + _GAMMA + number)
    return seed >> 1


def _mix(bits: Tensor) -> Tensor:
    for shift, multiplier in zip((30, 27), _MULTIPLIERS, strict=True):
        bits = (bits ^ _logical_shift(bits, shift)) * _signed(multiplier)
    return bits ^ _logical_shift(bits, 31)


def _mix_int(bits: int) -> int:
    bits &= _MASK
    for shift, multiplier in zip((30, 27), _MULTIPLIERS, strict=True):
        bits = ((bits ^ (bits >> shift)) * multiplier) & _MASK
    return bits ^ (bits >> 31)


def _logical_shift(bits: Tensor, by: int) -> Tensor:
    # >> of a signed integer copies the sign bit; the mask clears the copies
    return (bits >> by) & ((1 << (64 - by)) - 1)


def _signed(bits: int) -> int:
    return bits - (1 << 64) if bits >= 1 << 63 else bits
