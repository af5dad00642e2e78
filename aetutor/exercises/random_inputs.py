"""The random float64 numbers of which the exercises make their inputs."""

import torch
from torch import Tensor


def normal(generator: torch.Generator, *shape: int) -> Tensor:
    """Standard normal numbers."""
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def uniform(generator: torch.Generator, *shape: int) -> Tensor:
    """Numbers between 0 and 1, each as likely as the other."""
    return torch.rand(*shape, generator=generator, dtype=torch.float64)


def number(generator: torch.Generator, low: float, high: float) -> float:
    """One number between low and high."""
    return low + (high - low) * uniform(generator, 1).item()


def levels(generator: torch.Generator, count: int) -> Tensor:
    """Log-probabilities of so many images, so low that exp of them is 0: near -910, and the last near -1910, so that no
    shift common to all saves them."""
    return -900 - 20 * uniform(generator, count) - 1000 * (torch.arange(count) == count - 1)
