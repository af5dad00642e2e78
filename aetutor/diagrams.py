"""Diagrams of the four models, with example images: tensors in, a matplotlib `Axes` out.

A solid arrow is a function, a dashed one a random draw. The colours are those of `plots`: data, encoder, code, decoder.
The thick grey arrow is what the loss compares.
"""

import torch
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from torch import Tensor

from aetutor.plots import CODE, DATA, DECODER, ENCODER, TRUTH, WIDE, _array, _axes, tile

SIDE = 1.5  # of an image; the canvas is 12 wide, and all functions stand at height 2


def autoencoder(x: Tensor, z: Tensor, x_hat: Tensor, ax: Axes | None = None) -> Axes:
    """x `(C, H, W)` -> encoder -> code z `(K,)` -> decoder -> x_hat `(C, H, W)`, and the loss between the images."""
    ax = _canvas(ax)
    _image(ax, x, 0.9, f"image $x$\n{_size(x)}")
    _network(ax, 2.4, 4.6, "encoder\n$f_\\phi$", ENCODER)
    _code(ax, 5.9, z, f"code $z$\n$K$ = {z.numel()} numbers")
    _network(ax, 7.2, 9.4, "decoder\n$g_\\theta$", DECODER)
    _image(ax, x_hat, 10.9, f"copy $\\hat{{x}}$\n{_size(x)}")
    for start, end in ((1.7, 2.4), (4.6, 5.3), (6.5, 7.2), (9.4, 10.1)):
        _arrow(ax, (start, 2), (end, 2))
    _loss(ax, 10.9, 0.9, "loss: compare the copy with the original")
    return ax


def denoising(x: Tensor, x_tilde: Tensor, z: Tensor, x_hat: Tensor, ax: Axes | None = None) -> Axes:
    """x -> a random corruption x_tilde -> code z -> x_hat; the loss goes back to the clean x, not to x_tilde."""
    ax = _canvas(ax)
    _image(ax, x, 0.8, "clean image $x$")
    _image(ax, x_tilde, 3.5, "corrupted $\\tilde{x}$")
    _network(ax, 4.7, 6.3, "encoder\n$f_\\phi$", ENCODER)
    _code(ax, 7.2, z, f"code $z$, $K$ = {z.numel()}")
    _network(ax, 8.1, 9.7, "decoder\n$g_\\theta$", DECODER)
    _image(ax, x_hat, 11.0, "restored $\\hat{x}$")
    _arrow(ax, (1.6, 2), (2.7, 2), random=True)
    ax.text(2.15, 2.2, "$q_D(\\tilde{x}\\mid x)$", ha="center", va="bottom")
    for start, end in ((4.3, 4.7), (6.3, 6.7), (7.7, 8.1), (9.7, 10.2)):
        _arrow(ax, (start, 2), (end, 2))
    _loss(ax, 11.0, 0.8, "loss: compare with the clean image")
    return ax


def vae(x: Tensor, mu: Tensor, sigma: Tensor, x_hat: Tensor, ax: Axes | None = None) -> Axes:
    """x -> encoder -> mu, sigma `(K,)` -> z = mu + sigma·eps, eps random -> decoder -> x_hat, and the ELBO's terms."""
    ax = _canvas(ax, low=0.1, high=4.1)
    _vae_parts(ax, x, mu, sigma, x_hat, top=4.0)
    return ax


def cvae(x: Tensor, label: int, mu: Tensor, sigma: Tensor, x_hat: Tensor, ax: Axes | None = None) -> Axes:
    """As `vae`, with the one-hot vector e_y of the label entering at both places: beside the pixels, and beside z."""
    ax = _canvas(ax, low=0.1, high=4.9)
    _vae_parts(ax, x, mu, sigma, x_hat, top=4.8, given="z, y")
    for place, what in ((2.55, "beside the pixels"), (8.55, "beside $z$")):
        ax.text(place, 3.75, f"$e_y$, label {label}\n{what}", ha="center", va="center", color=TRUTH)
        _arrow(ax, (place, 3.4), (place, 2.75), colour=TRUTH)
    return ax


def _vae_parts(ax: Axes, x: Tensor, mu: Tensor, sigma: Tensor, x_hat: Tensor, top: float, given: str = "z") -> None:
    _image(ax, x, 0.8, "image $x$")
    _network(ax, 2.0, 3.8, "encoder\n$\\phi$", ENCODER)
    _code(ax, 5.0, mu, "", height=2.75)
    ax.text(4.6, 3.1, "$\\mu$", ha="right")
    _code(ax, 5.0, sigma, "", height=1.25)
    ax.text(4.6, 0.9, "$\\sigma$", ha="right", va="top")
    ax.text(6.75, 2, "$z = \\mu + \\sigma\\varepsilon$", ha="center", va="center", color="black", bbox=_box(CODE))
    ax.text(6.75, 0.55, "$\\varepsilon \\sim \\mathcal{N}(0, I)$", ha="center", va="center")
    _arrow(ax, (6.75, 0.8), (6.75, 1.6), random=True)
    _network(ax, 8.0, 9.8, "decoder\n$\\theta$", DECODER)
    _image(ax, x_hat, 11.1, f"$\\hat{{x}}$, mean of $p(x\\mid {given})$")
    _arrow(ax, (1.6, 2), (2.0, 2))
    _arrow(ax, (3.8, 2.3), (4.5, 2.75))
    _arrow(ax, (3.8, 1.7), (4.5, 1.25))
    _arrow(ax, (5.5, 2.75), (6.0, 2.3))
    _arrow(ax, (5.5, 1.25), (6.0, 1.7))
    _arrow(ax, (7.5, 2), (8.0, 2))
    _arrow(ax, (9.8, 2), (10.3, 2))
    # the gradient's way back: from the decoder to z, and from there to mu and sigma, not to eps
    for start, end, bend in (
        ((8.0, 2.4), (7.1, 2.45), 0.3),
        ((6.5, 2.45), (5.6, 2.95), 0.3),
        ((6.5, 1.55), (5.6, 1.05), -0.3),
    ):
        path = f"arc3,rad={bend}"
        ax.add_patch(
            FancyArrowPatch(
                start, end, connectionstyle=path, arrowstyle="->", mutation_scale=9, color=TRUTH, linewidth=0.9
            )
        )
    ax.text(6.8, 2.85, "gradient", color=TRUTH, ha="center")
    panel = (4.25, 0.2), 1.5, 3.1
    ax.add_patch(FancyBboxPatch(*panel, boxstyle="round,pad=0.1", facecolor=ENCODER, alpha=0.1, edgecolor="none"))
    ax.text(5.0, 0.35, "KL to the prior", ha="center", va="center", color=ENCODER)
    _loss(ax, 11.1, 0.8, f"reconstruction: $\\log p(x\\mid {given})$", top)


def _canvas(ax: Axes | None, low: float = 0.95, high: float = 3.7) -> Axes:
    ax = ax or _axes(WIDE, WIDE * (high - low + 0.4) / 12.2)
    ax.set(xlim=(-0.1, 12.1), ylim=(low, high), aspect="equal")
    ax.set_axis_off()
    return ax


def _image(ax: Axes, image: Tensor, centre: float, name: str) -> None:
    half = SIDE / 2
    extent = (centre - half, centre + half, 2 - half, 2 + half)
    ax.imshow(tile(image[None], 1), cmap="gray", vmin=0, vmax=1, extent=extent, interpolation="nearest")
    ax.text(centre, 2 - half - 0.12, name, ha="center", va="top", color=DATA)


def _network(ax: Axes, left: float, right: float, name: str, colour: str) -> None:
    """A trapezium: narrow on the side of the code."""
    tall, low = (1.0, 0.5) if colour == ENCODER else (0.5, 1.0)
    ax.fill([left, right, right, left], [2 - tall, 2 - low, 2 + low, 2 + tall], facecolor=colour, alpha=0.18)
    ax.plot(
        [left, right, right, left, left], [2 - tall, 2 - low, 2 + low, 2 + tall, 2 - tall], color=colour, linewidth=1.2
    )
    ax.text((left + right) / 2, 2, name, ha="center", va="center")


def _code(ax: Axes, centre: float, values: Tensor, name: str, height: float = 2.0) -> None:
    """A strip of cells, a shade for each number (at most 16 are drawn)."""
    values = torch.as_tensor(_array(values)).flatten()[:16].float()
    largest = max(values.abs().max().item(), 1e-9)
    extent = (centre - 0.5, centre + 0.5, height - 0.22, height + 0.22)
    ax.imshow(_array(values)[None], cmap="PuOr_r", vmin=-largest, vmax=largest, extent=extent)
    ax.plot(
        [extent[0], extent[1], extent[1], extent[0], extent[0]],
        [extent[2], extent[2], extent[3], extent[3], extent[2]],
        color=CODE,
        linewidth=1.5,
    )
    ax.text(centre, 2 - SIDE / 2 - 0.12, name, ha="center", va="top")


def _arrow(
    ax: Axes, start: tuple[float, float], end: tuple[float, float], random: bool = False, colour: str = "black"
) -> None:
    style = (0, (3, 2)) if random else "-"
    ax.annotate("", end, start, arrowprops={"arrowstyle": "->", "linestyle": style, "color": colour, "linewidth": 1.2})


def _loss(ax: Axes, start: float, end: float, name: str, top: float = 3.6) -> None:
    """From the copy back to the image it is compared with, along the upper edge."""
    ax.plot([start, start, end], [2.85, top, top], color=DATA, linewidth=1.6)
    ax.annotate("", (end, 2.85), (end, top), arrowprops={"arrowstyle": "->", "color": DATA, "linewidth": 1.6})
    ax.text((start + end) / 2, top - 0.06, name, ha="center", va="center", color=DATA, bbox=_box("white", 1.0))


def _box(colour: str, alpha: float = 0.3) -> dict:
    return {"boxstyle": "round,pad=0.25", "facecolor": colour, "edgecolor": "none", "alpha": alpha}


def _size(x: Tensor) -> str:
    return f"{x.shape[-2]} × {x.shape[-1]} = {x.numel()} pixels"
