"""Plots: tensors in, matplotlib `Axes` out. Nothing here trains a model.

Lines differ in colour, dash and marker, so that they can be told apart in grey; the colours are Okabe and Ito's, which
colour-blind readers tell apart.
"""

import io
from collections.abc import Mapping, Sequence
from itertools import cycle
from types import MappingProxyType

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse
from matplotlib.ticker import MaxNLocator
from PIL import Image
from torch import Tensor

from aetutor.data import unit_images

STYLES = [
    ("#0072B2", "-", "o"),
    ("#D55E00", "--", "s"),
    ("#009E73", "-.", "^"),
    ("#CC79A7", ":", "D"),
    ("#000000", (0, (5, 1)), "v"),
    ("#E69F00", (0, (3, 1, 1, 1)), "P"),
]
DIGIT_COLOURS = [
    "#000000",
    "#E69F00",
    "#56B4E9",
    "#009E73",
    "#B8860B",
    "#0072B2",
    "#D55E00",
    "#CC79A7",
    "#7F7F7F",
    "#7B1FA2",
]
GAP = 2  # pixels between two images of a grid


def show(ax, caption: str, alt: str) -> None:
    """Display the figure that `ax` (an Axes or a Figure) belongs to as PNG, its caption below it, and close it.

    `alt` describes the picture to a reader who cannot see it. It travels as the output's `alt` metadata, as its plain
    text, and, since JupyterLab shows neither, folded under the caption.
    """
    figure = ax.figure if isinstance(ax, Axes) else ax
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=110, bbox_inches="tight", facecolor="white")
    plt.close(figure)
    _display(png, caption, alt)


def show_animation(axes: Sequence[Axes], caption: str, alt: str, seconds: float = 0.8) -> None:
    """As `show`, for Axes in figures of their own and of one size: a PNG that shows one after the other, endlessly.

    Where only still pictures are shown, the first of them stands.
    """
    frames = []
    for ax in axes:
        png = io.BytesIO()
        ax.figure.savefig(png, format="png", dpi=70, facecolor="white")
        plt.close(ax.figure)
        frames.append(Image.open(png).convert("RGB"))
    durations = [1000 * seconds] * (len(frames) - 1) + [3000 * seconds]
    png = io.BytesIO()
    frames[0].save(png, "png", save_all=True, append_images=frames[1:], duration=durations)
    _display(png, caption, alt)


def _display(png: io.BytesIO, caption: str, alt: str) -> None:
    from IPython.display import Markdown, display

    picture = {"image/png": png.getvalue(), "text/plain": f"Figure: {alt}"}
    display(picture, raw=True, metadata={"image/png": {"alt": alt}})
    display(Markdown(f"*{caption}*\n\n<details><summary>Description</summary>\n\n{alt}\n\n</details>"))


def tile(images: Tensor, columns: int) -> np.ndarray:
    """Images `(N, C, H, W)` -> one picture `(H', W')` or `(H', W', 3)` in [0, 1], white gaps between the images."""
    images = unit_images(images)
    rows = -(-len(images) // columns)
    empty = images.new_ones(rows * columns - len(images), *images.shape[1:])
    framed = torch.nn.functional.pad(torch.cat([images, empty]), (0, GAP, 0, GAP), value=1.0)
    grid = framed.unflatten(0, (rows, columns)).permute(0, 3, 1, 4, 2).flatten(2, 3).flatten(0, 1)
    return grid[:-GAP, :-GAP].squeeze(-1).numpy()


def image_grid(images: Tensor, columns: int = 10, ax: Axes | None = None) -> Axes:
    """Images `(N, C, H, W)`, bytes or floats in [0, 1], row by row. White ink on black, as the data has it."""
    picture = tile(images, columns)
    ax = ax or _axes(picture.shape[1] / 45, picture.shape[0] / 45)
    ax.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    ax.set_axis_off()
    return ax


def image_rows(rows: Mapping[str, Tensor], ax: Axes | None = None) -> Axes:
    """One labelled row for each entry: label -> images `(N, C, H, W)` in [0, 1], the same N in all rows."""
    if len({images.shape for images in rows.values()}) != 1:
        shapes = {label: tuple(images.shape) for label, images in rows.items()}
        raise ValueError(f"All rows must have the same number and shape of images; got {shapes}.")
    columns, _, height, _ = next(iter(rows.values())).shape
    ax = image_grid(torch.cat([images.cpu() for images in rows.values()]), columns, ax)
    ax.set_axis_on()
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.set_yticks([(height + GAP) * i + height / 2 for i in range(len(rows))], list(rows))
    ax.set_xticks([])
    ax.tick_params(length=0)
    return ax


def curves(
    x,
    ys: Mapping[str, object],
    xlabel: str,
    ylabel: str,
    ax: Axes | None = None,
    markers: bool = False,
    points: Mapping[str, object] = MappingProxyType({}),
) -> Axes:
    """Lines over common x values `(M,)`: label -> y values `(M,)`, each with a colour and a dash of its own.

    `points` are drawn as crosses without a line: measured values, to lie beside computed curves.
    """
    ax = ax or _axes(6, 3.6)
    for (label, y), (colour, dash, marker) in zip(ys.items(), cycle(STYLES), strict=False):
        ax.plot(_array(x), _array(y), color=colour, linestyle=dash, marker=marker if markers else None, label=label)
    for label, y in points.items():
        ax.plot(_array(x), _array(y), "x", color="black", markersize=8, label=label)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.grid(alpha=0.3)
    if len(ys) + len(points) > 1:
        ax.legend(frameon=False, fontsize="small")
    return ax


def history(run, ax: Axes | None = None) -> Axes:
    """The losses of a `training.History` over its epochs."""
    losses = {"training": run.train_loss, "validation": run.validation_loss}
    lines, few = {name: values for name, values in losses.items() if values}, run.epochs <= 20
    ax = curves(range(1, run.epochs + 1), lines, "epoch", "mean loss [nats]", ax, markers=few)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    return ax


def code_scatter(codes, labels, ax: Axes | None = None, title: str = "", reach: float | None = None) -> Axes:
    """Two-dimensional codes `(N, 2)` with their labels `(N,)`, each point drawn as its own digit.

    `reach` fixes both axes to -reach … reach, so that several figures can be compared. Raises ValueError for codes of
    another number of dimensions, and labels of another number.
    """
    ax = ax or _axes(6, 6)
    _draw_codes(codes, labels, ax, size=45, width=0.3)
    ax.set(xlabel="first code $z_1$", ylabel="second code $z_2$", title=title)
    if reach:
        ax.set(xlim=(-reach, reach), ylim=(-reach, reach))
    ax.grid(alpha=0.3)
    return ax


def code_map(codes, labels, reach: float, side: int) -> Tensor:
    """`code_scatter` without a frame, as a picture `(3, side, side)` of the square from -reach to reach."""
    inches = (side + 0.01) / 100  # a hundredth of a pixel more: the number of pixels is rounded down
    figure = Figure(figsize=(inches, inches), dpi=100)
    ax = figure.add_axes((0, 0, 1, 1))
    _draw_codes(codes, labels, ax, size=16, width=0.2)
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach))
    ax.set_axis_off()
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    picture = np.asarray(canvas.buffer_rgba())[..., :3].copy()
    return torch.from_numpy(picture).permute(2, 0, 1) / 255


def _draw_codes(codes, labels, ax: Axes, size: float, width: float) -> None:
    """Each code as its own digit, `size` points² large, with strokes `width` points wide."""
    points, labels = _array(codes), _array(labels)
    if points.ndim != 2 or points.shape[1] != 2 or labels.shape != points.shape[:1]:
        raise ValueError(
            f"A map of codes takes two-dimensional codes (N, 2) and a label for each, (N,); got {points.shape} and "
            f"{labels.shape}{': choose two dimensions, as in codes[:, :2]' if points.shape[1:] > (2,) else ''}."
        )
    for label in np.unique(labels).tolist():
        colour = DIGIT_COLOURS[int(label) % len(DIGIT_COLOURS)]
        ax.scatter(*points[labels == label].T, s=size, marker=f"${label}$", color=colour, linewidths=width)


def density(
    log_density: Tensor, square: tuple[float, float, float, float], mu: Tensor, sigma: Tensor, ax: Axes | None = None
) -> Axes:
    """A density over a square of the plane as shades, `(P, P)` log values with z_1 along the rows, white its peak.

    Over it the ellipses of a Gaussian with mean `mu` and standard deviations `sigma`, both `(2,)`, at one and two of
    them. `square` is (left, right, bottom, top).
    """
    ax = ax or _axes(4, 4)
    shades = _array((log_density - log_density.max()).exp())
    ax.imshow(shades.T, cmap="gray", origin="lower", extent=square, aspect="auto")
    for times in (1, 2):
        width, height = (2 * times * sigma).tolist()
        ax.add_patch(Ellipse(mu.tolist(), width, height, fill=False, edgecolor="#E69F00", linewidth=1.6))
    ax.set(xlim=square[:2], ylim=square[2:], xlabel="$z_1$", ylabel="$z_2$")
    return ax


def table_image(table: Tensor, labels: list[str], xlabel: str, ylabel: str, ax: Axes | None = None) -> Axes:
    """A square table `(M, M)` of numbers 0 or larger as shades, 0 white; `labels` name the rows and the columns."""
    ax = ax or _axes(5, 4.6)
    ax.imshow(_array(table), cmap="Greys", vmin=0)
    ax.set_xticks(range(len(labels)), labels, rotation=90, family="monospace", fontsize=8)
    ax.set_yticks(range(len(labels)), labels, family="monospace", fontsize=8)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    return ax


def arrows(points: Tensor, places: Tensor, steps: Tensor, ax: Axes | None = None) -> Axes:
    """A field in the plane: at each of `places` `(M, 2)` an arrow `steps` `(M, 2)`, over `points` `(N, 2)` in grey."""
    ax = ax or _axes(5, 5)
    ax.plot(*_array(points).T, ".", color="#BBBBBB", markersize=2)
    ax.quiver(*_array(places).T, *_array(steps).T, color="#0072B2", angles="xy", scale_units="xy", scale=1, width=0.004)
    ax.set(aspect="equal")
    return ax


def autoencoder_picture(x: Tensor, z: Tensor, x_hat: Tensor, ax: Axes | None = None) -> Axes:
    """The machine at work on one image: x `(C, H, W)` -> encoder -> code z `(K,)` -> decoder -> x_hat `(C, H, W)`."""
    ax = ax or _axes(8, 2.6)
    for image, left, name in ((x, 0.0, "image $x$"), (x_hat, 8.0, "reconstruction $\\hat{x}$")):
        ax.imshow(tile(image[None], 1), cmap="gray", vmin=0, vmax=1, extent=(left, left + 2, 0, 2))
        ax.text(left + 1, -0.25, name, ha="center", va="top")
    for left, right, name in ((2.2, 4.3, "encoder $f_\\phi$"), (7.8, 5.7, "decoder $g_\\theta$")):
        ax.fill([left, right, right, left], [0, 0.6, 1.4, 2], facecolor="#DDE8F0", edgecolor="#0072B2")
        ax.text((left + right) / 2, 1, name, ha="center", va="center")
    ax.imshow(
        _array(z)[None],
        cmap="gray",
        extent=(4.5, 5.5, 0.8, 1.2),
        aspect="auto",
        vmin=-abs(_array(z)).max(),
        vmax=abs(_array(z)).max(),
    )
    ax.text(5, -0.25, f"code $z$: {len(z)} numbers", ha="center", va="top")
    ax.set(xlim=(-0.1, 10.1), ylim=(-0.6, 2.1), aspect="equal")
    ax.set_axis_off()
    return ax


def row(count: int) -> list[Axes]:
    """`count` Axes side by side in one figure."""
    return list(plt.subplots(1, count, figsize=(4.2 * count, 3.9), layout="constrained", squeeze=False)[1][0])


def _axes(width: float, height: float) -> Axes:
    return plt.subplots(figsize=(width, height), layout="constrained")[1]


def _array(values) -> np.ndarray:
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
