"""Evaluation: how good a trained model is, on images it is given."""

from collections.abc import Callable

import torch
from torch import Tensor


@torch.no_grad()
def squared_error(reconstruct: Callable[[Tensor], Tensor], x: Tensor) -> float:
    """The mean over images `(N, C, H, W)` of ‖x - reconstruct(x)‖², summed over the pixels; a number without a unit.

    `reconstruct` is any function from images to images of the same shape, such as a model's method of that name; it is
    called once, with all of them. Raises ValueError when it gives another shape, or for no images, or bytes.
    """
    if len(x) == 0 or not x.is_floating_point():
        raise ValueError(f"squared_error takes one float image or more; got {len(x)} in {x.dtype}.")
    y = reconstruct(x)
    if y.shape != x.shape:
        raise ValueError(f"The reconstructions must have the images' shape {tuple(x.shape)}; got {tuple(y.shape)}.")
    return (x - y).square().flatten(1).sum(1).mean().item()


def psnr(x: Tensor, y: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each image, `(N, C, H, W)` twice -> `(N,)` decibels, for grey values in [0, 1].

    10 log10(1 / mean squared error): 3 dB more is half the squared error; infinite where x and y agree. Raises
    ValueError for images of different shapes.
    """
    if x.shape != y.shape:
        raise ValueError(f"psnr compares images of the same shape; got {tuple(x.shape)} and {tuple(y.shape)}.")
    return -10 * (x - y).square().flatten(1).mean(1).log10()
