"""Digits drawn by hand, or by a program, made like MNIST's."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from aetutor import doors


def as_mnist(drawing: Tensor) -> Tensor:
    """A drawing `(H, W)` of any size, floats in [0, 1], 0 where there is no ink -> an image `(1, 28, 28)` like MNIST's.

    What MNIST's makers did (LeCun et al. 1998, section III.A): the ink's box is scaled to fit into 20 × 20 pixels, and
    its centre of mass is put into the middle. No ink gives a black image. Raises ValueError for another shape or dtype.
    """
    doors.tensor("drawing", drawing, "a drawing (H, W)")
    if drawing.dim() != 2 or not drawing.is_floating_point() or not drawing.isfinite().all():
        raise ValueError(
            f"A drawing is a float tensor (H, W); got {drawing.dtype} of shape "
            f"{tuple(drawing.shape)}{'' if drawing.isfinite().all() else ', with NaN or infinity'}."
        )
    image = torch.zeros(1, 28, 28, device=drawing.device)
    inked = (drawing > 0).nonzero()
    if len(inked) == 0:
        return image
    (top, left), (bottom, right) = inked.min(0).values.tolist(), (inked.max(0).values + 1).tolist()
    box = drawing[None, None, top:bottom, left:right].float()
    size = [max(1, round(20 * side / max(box.shape))) for side in box.shape[2:]]
    small = torch.nn.functional.interpolate(box, size=size, mode="bilinear", antialias=True)[0, 0].clamp(0, 1)
    # along each axis: the corner that puts the centre of mass into pixel 14 (counted from 0), as far as the box fits in
    corner = []
    for axis, side in enumerate(size):
        centre = (small.sum(1 - axis) @ (torch.arange(side, device=small.device) + 0.5)).item() / small.sum().item()
        corner.append(min(max(round(14.5 - centre), 0), 28 - side))
    image[0, corner[0] : corner[0] + size[0], corner[1] : corner[1] + size[1]] = small
    return image


def from_strokes(*strokes: Sequence[tuple[float, float]], width: int = 9) -> Tensor:
    """Strokes, each a list of points (right, down) on a pad of 112 × 112 pixels -> an image `(1, 28, 28)`.

    Draws by program what the `DrawPad` draws by hand, and centres it by `as_mnist`.
    """
    from PIL import Image, ImageDraw

    pad = Image.new("L", (112, 112))
    for stroke in strokes:
        ImageDraw.Draw(pad).line(list(stroke), fill=255, width=width, joint="curve")
    return as_mnist(torch.from_numpy(np.array(pad)).float() / 255)
