"""Evaluation: how good a trained model is, on images it is given."""

from collections.abc import Callable

import torch
from torch import Tensor


@torch.no_grad()
def squared_error(reconstruct: Callable[[Tensor], Tensor], x: Tensor) -> float:
    """The mean over images `(N, C, H, W)` of ‖x - reconstruct(x)‖², summed over the pixels; a number without a unit.

    `reconstruct` is any function from images to images of the same shape, such as a model's method of that name. Raises
    ValueError when it gives another shape.
    """
    y = reconstruct(x)
    if y.shape != x.shape:
        raise ValueError(f"The reconstructions must have the images' shape {tuple(x.shape)}; got {tuple(y.shape)}.")
    return (x - y).square().flatten(1).sum(1).mean().item()
