"""Plots: tensors in, matplotlib `Axes` out. Nothing here trains a model.

One style: `show` gives all texts one size, labels curves at their ends, and displays the picture at double resolution.
Lines differ in colour, dash and marker, so that they can be told apart in grey; the colours of lines are Okabe and
Ito's, those of classes Paul Tol's, which colour-blind readers tell apart.
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
from matplotlib.colors import LinearSegmentedColormap, Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from matplotlib.patches import Ellipse, Rectangle
from matplotlib.ticker import MaxNLocator
from PIL import Image
from torch import Tensor

from aetutor import doors
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
    "#332288",
    "#88CCEE",
    "#44AA99",
    "#117733",
    "#999933",
    "#DDCC77",
    "#CC6677",
    "#882255",
    "#AA4499",
    "#7F7F7F",
]
# what a colour stands for, in diagrams and where a line is one of these; in greyscale they are ten steps apart or so
DATA, ENCODER, CODE, DECODER, TRUTH = "#404040", "#005E99", "#E69F00", "#1AA67B", "#CC5500"
SIGNED = LinearSegmentedColormap.from_list("signed", ["#08306B", "#FFFFFF", "#E34A33"], N=257)  # 0.5 is white
REFERENCE = "#707070"  # of lines that say where something would be
SCREEN = 96  # pixels of a screen to an inch of a figure: a figure 8 inches wide is shown 768 pixels wide
TEXT = 9.5  # points, in every figure
NARROW, MIDDLE, WIDE = 3.8, 5.8, 7.8  # inches, the widths of figures; a grid of images may be narrower
THUMBNAIL = 14.4  # points, the height of an image that names a row or a column of a table
GAP = 2  # pixels between two images of a grid
TEXT_LINE = 10  # pixels of a grid, for a line of text


def show(ax, caption: str, alt: str) -> None:
    """Display the figure that `ax` (an Axes or a Figure) belongs to as PNG, its caption below it, and close it.

    `alt` describes the picture to a reader who cannot see it. It travels as the output's `alt` metadata, as its plain
    text, and, since JupyterLab shows neither, folded under the caption. The picture has twice the pixels of its width
    on the screen.
    """
    figure = ax.figure if isinstance(ax, Axes) else ax
    if not isinstance(figure, Figure):
        raise TypeError(f"show takes matplotlib Axes, or their Figure; got {doors.kind_of(ax)}.")
    _finish(figure)
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=2 * SCREEN, bbox_inches="tight", facecolor="white")
    plt.close(figure)
    _display(_few_colours(png), 2, caption, alt)


def show_animation(axes: Sequence[Axes], caption: str, alt: str, seconds: float = 0.8) -> None:
    """As `show`, for Axes in figures of their own and of one size: a PNG that shows one after the other, endlessly.

    Where only still pictures are shown, the first of them stands. For the file's sake, the resolution is the screen's.
    """
    frames = []
    for ax in axes:
        _finish(ax.figure)
        png = io.BytesIO()
        ax.figure.savefig(png, format="png", dpi=SCREEN, facecolor="white")
        plt.close(ax.figure)
        frames.append(Image.open(png).convert("RGB"))
    durations = [1000 * seconds] * (len(frames) - 1) + [3000 * seconds]
    png = io.BytesIO()
    frames[0].save(png, "png", save_all=True, append_images=frames[1:], duration=durations)
    _display(png, 1, caption, alt)


def _finish(figure: Figure) -> None:
    for ax in figure.axes:
        _style(ax)
        _label_lines(ax)


def _style(ax: Axes) -> None:
    """One size of text, and no more frame than is needed."""
    for text in (ax.title, ax.xaxis.label, ax.yaxis.label, *ax.texts):
        text.set_fontsize(TEXT)
    ax.tick_params(labelsize=TEXT - 1)
    ax.spines[["top", "right"]].set_visible(False)


def _label_lines(ax: Axes) -> None:
    """The name of each line at its right end, in its colour, one above the other where two would collide."""
    lines = [line for line in ax.lines if line.get_gid() == "labelled"]
    ax.get_xlim(), ax.get_ylim()  # the limits are computed when they are asked for, and transData with them
    heights = np.array([_height_at_the_end(line) for line in lines])
    apart = 1.35 * TEXT / 72 / (ax.get_position().height * ax.figure.get_figheight())  # a line of text in Axes' heights
    for line, height in zip(lines, spread(heights.clip(0, 1), apart), strict=True):
        name = f"× {line.get_label()}" if line.get_marker() == "x" else line.get_label()
        beside = {"xytext": (6, 0), "textcoords": "offset points", "xycoords": "axes fraction"}  # points
        ax.annotate(name, (1, height), **beside, color=_ink(line.get_color()), va="center", fontsize=TEXT)


def _ink(colour) -> tuple[float, ...]:
    """A line's colour, as dark as small letters on white must be: with a contrast of 4.5 at least (WCAG)."""
    rgb = np.array(to_rgb(colour))
    while 1.05 / (_luminance(rgb) + 0.05) < 4.5:
        rgb *= 0.97
    return tuple(rgb.tolist())


def _luminance(rgb: np.ndarray) -> float:
    """The relative luminance of an sRGB colour `(3,)`: 0 for black, 1 for white."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def _height_at_the_end(line: Line2D) -> float:
    """Where a line ends or leaves the Axes on the right: 0 is their lower edge, 1 their upper one."""
    places = (line.axes.transData - line.axes.transAxes).transform(line.get_xydata())
    x, y = places[np.isfinite(places).all(1)].T
    order = np.argsort(x)
    return np.interp(1, x[order], y[order])


def spread(heights: np.ndarray, apart: float) -> np.ndarray:
    """Heights moved as little as need be: `apart` from each other at least, and all in [0, 1] if they fit."""
    order = np.argsort(heights)
    placed = heights[order].copy()
    for _ in range(50):
        gaps = np.diff(placed)
        for i in np.flatnonzero(gaps < apart - 1e-6):
            push = (apart - (placed[i + 1] - placed[i])) / 2
            placed[i], placed[i + 1] = placed[i] - push, placed[i + 1] + push
    ladder = apart * np.arange(len(placed))
    placed = ladder + (placed - ladder).clip(0, max(0, 1 - ladder[-1])) if len(placed) else placed
    result = np.empty_like(placed)
    result[order] = placed
    return result


def _few_colours(png: io.BytesIO) -> io.BytesIO:
    """The same picture in a smaller file: grey where it is grey, else 256 colours."""
    picture = Image.open(png).convert("RGB")
    pixels = np.asarray(picture)
    grey = (pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 0] == pixels[..., 2]).all()
    small = io.BytesIO()
    (picture.convert("L") if grey else picture.quantize(256, kmeans=1)).save(small, "png")
    return small


def _display(png: io.BytesIO, density: int, caption: str, alt: str) -> None:
    """A picture with `density` pixels to a pixel of the screen, and its caption."""
    from IPython.display import Markdown, display

    width = Image.open(png).width // density
    picture = {"image/png": png.getvalue(), "text/plain": f"Figure: {alt}"}
    display(picture, raw=True, metadata={"image/png": {"alt": alt, "width": width}})
    display(Markdown(f"*{caption}*\n\n<details><summary>Description</summary>\n\n{alt}\n\n</details>"))


def tile(images: Tensor, columns: int) -> np.ndarray:
    """Images `(N, C, H, W)` -> one picture `(H', W')` or `(H', W', 3)` in [0, 1], white gaps between the images."""
    images, columns = unit_images(images), doors.whole_number("columns", columns)
    rows = -(-len(images) // columns)
    empty = images.new_ones(rows * columns - len(images), *images.shape[1:])
    framed = torch.nn.functional.pad(torch.cat([images, empty]), (0, GAP, 0, GAP), value=1.0)
    grid = framed.unflatten(0, (rows, columns)).permute(0, 3, 1, 4, 2).flatten(2, 3).flatten(0, 1)
    return grid[:-GAP, :-GAP].squeeze(-1).numpy()


def image_grid(images: Tensor, columns: int = 10, ax: Axes | None = None) -> Axes:
    """Images `(N, C, H, W)`, bytes or floats in [0, 1], row by row. White ink on black, as the data has it."""
    picture = tile(images, columns)
    width = min(picture.shape[1] / 45, WIDE)
    ax = ax or _axes(width, width * picture.shape[0] / picture.shape[1])
    ax.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    ax.set_axis_off()
    return ax


def image_rows(
    rows: Mapping[str, Tensor],
    ax: Axes | None = None,
    heads: Sequence[str] = (),
    framed: Mapping[str, Tensor] = MappingProxyType({}),
    beneath: Mapping[str, Sequence[object]] = MappingProxyType({}),
) -> Axes:
    """One labelled row for each entry: label -> images `(N, C, H, W)` in [0, 1], the same N in all rows.

    `heads` stand above the N columns. `framed` draws a frame round images of a row: label -> `(N,)` booleans;
    `beneath` writes a text or a number under each image of a row: label -> N of them.
    """
    doors.mapping("rows", rows, "label -> images")
    if len({images.shape for images in rows.values()}) != 1:
        shapes = {label: tuple(images.shape) for label, images in rows.items()}
        raise ValueError(f"All rows must have the same number and shape of images; got {shapes}.")
    columns, _, height, _ = next(iter(rows.values())).shape
    line = TEXT_LINE if beneath else 0
    every = torch.cat([unit_images(images) for images in rows.values()])
    ax = image_grid(torch.nn.functional.pad(every, (0, 0, 0, line), value=1.0), columns, ax)
    ax.set_axis_on()
    for spine in ax.spines.values():
        spine.set_visible(False)
    below, width = height + line + GAP, every.shape[3] + GAP  # from an image to the next
    ax.set_yticks([below * i + height / 2 for i in range(len(rows))], list(rows))
    ax.set_xticks([width * i + (width - GAP) / 2 for i in range(len(heads))], heads)
    ax.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    for row, label in enumerate(rows):
        for column in np.flatnonzero(_array(framed.get(label, ()))):
            corner = (width * column - 1.5, below * row - 1.5)
            ax.add_patch(
                Rectangle(corner, width, height + GAP, fill=False, edgecolor=TRUTH, linewidth=2, clip_on=False)
            )
        for column, text in enumerate(beneath.get(label, ())):
            place = (width * column + (width - GAP) / 2 - 0.5, below * row + height + line / 2)
            ax.text(*place, str(text), ha="center", va="center")
    return ax


def signed_rows(rows: Mapping[str, Tensor], ax: Axes | None = None) -> Axes:
    """As `image_rows`, for images `(N, 1, H, W)` with both signs: 0 is white, red above it, blue below.

    Each image is scaled by its largest entry.
    """
    coloured = {}
    for label, images in doors.mapping("rows", rows, "label -> images").items():
        images = torch.as_tensor(_array(images)).double()
        largest = images.abs().amax((1, 2, 3), keepdim=True).clamp(min=1e-300)
        colours = SIGNED((0.5 + images / (2 * largest)).squeeze(1).numpy())[..., :3]
        coloured[label] = torch.from_numpy(colours).permute(0, 3, 1, 2)
    return image_rows(coloured, ax)


def curves(
    x,
    ys: Mapping[str, object],
    xlabel: str,
    ylabel: str,
    ax: Axes | None = None,
    markers: bool = False,
    points: Mapping[str, object] = MappingProxyType({}),
    colours: Mapping[str, str] = MappingProxyType({}),
    levels: Mapping[str, float] = MappingProxyType({}),
    marks: Mapping[str, float] = MappingProxyType({}),
) -> Axes:
    """Lines over common x values `(M,)`: label -> y values `(M,)`, each with a colour and a dash of its own.

    `points` are drawn as crosses without a line: measured values, to lie beside computed curves. `colours` gives the
    lines it names the colour of a role, as in `{"decoder": plots.DECODER}`. `levels` are horizontal grey lines, such
    as a floor: label -> y; `marks` are vertical ones: label -> x, the label above. With more than one line, `show`
    writes each name at its line's end.
    """
    ax = ax or _axes(MIDDLE, 3.4)
    for (label, y), (colour, dash, marker) in zip(ys.items(), cycle(STYLES), strict=False):
        style = {"color": colours.get(label, colour), "linestyle": dash, "marker": marker if markers else None}
        ax.plot(_array(x), _array(y), label=label, **style)
    for label, y in points.items():
        ax.plot(_array(x), _array(y), "x", color="black", markersize=8, label=label)
    for label, y in levels.items():
        ax.axhline(y, color=REFERENCE, linewidth=1, zorder=1, label=label)
    ax.autoscale_view()  # the levels included
    if len(ax.lines) > 1:
        for line in ax.lines:
            line.set_gid("labelled")
    for label, place in marks.items():
        ax.axvline(place, color=REFERENCE, linewidth=1, zorder=1)
        ax.annotate(label, (place, 1), xycoords=ax.get_xaxis_transform(), ha="center", va="bottom", color=REFERENCE)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.grid(alpha=0.3, linewidth=0.6)
    return ax


def history(run, ax: Axes | None = None) -> Axes:
    """The losses of a `training.History` over its epochs."""
    if not hasattr(run, "train_loss"):
        raise TypeError(f"history draws what fit returns, a History; got {doors.kind_of(run)}.")
    losses = {"training": run.train_loss, "validation": run.validation_loss}
    lines, few = {name: values for name, values in losses.items() if values}, run.epochs <= 20
    ax = curves(range(1, run.epochs + 1), lines, "epoch", "mean loss [nats]", ax, markers=few)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    return ax


def code_scatter(
    codes,
    labels,
    ax: Axes | None = None,
    title: str = "",
    reach: float | None = None,
    prior: bool = False,
    decoded: Tensor | None = None,
    names: bool = True,
) -> Axes:
    """Two-dimensional codes `(N, 2)` with labels `(N,)`: dots, a colour for each class, its label where it is densest.

    Without labels (None) the dots are grey; `names=False` leaves out the labels in the picture.
    `reach` fixes both axes to -reach … reach, so that several figures can be compared; `prior` draws the circles of
    N(0, I) at one and two standard deviations; `decoded` are images `(side², C, H, W)` of a grid over the square of
    `reach`, the uppermost row first, to lie pale beneath the dots. Raises ValueError for codes of another number of
    dimensions, labels of another number, and decoded images without a reach.
    """
    if decoded is not None and not reach:
        raise ValueError("Decoded images need the reach of the square that they were decoded on: reach=….")
    ax = ax or _axes(MIDDLE, MIDDLE)
    if decoded is not None:
        pale = 1 - 0.3 * _mosaic(decoded, round(len(decoded) ** 0.5))
        ax.imshow(pale, cmap="gray", vmin=0, vmax=1, extent=(-reach, reach, -reach, reach))
    if labels is None:
        ax.plot(*_array(codes).T, ".", color=REFERENCE, markersize=3)
    else:
        _draw_codes(codes, labels, ax, size=9, names=names)
    ax.set(xlabel="$z_1$", ylabel="$z_2$", title=title)
    if reach:
        ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    if prior:
        for radius in (1, 2):
            ax.add_patch(
                Ellipse((0, 0), 2 * radius, 2 * radius, fill=False, color="black", linewidth=1, linestyle="--")
            )
    ax.grid(alpha=0.3, linewidth=0.6)
    return ax


def code_map(codes, labels, reach: float, side: int) -> Tensor:
    """`code_scatter` without a frame, as a picture `(3, side, side)` of the square from -reach to reach."""
    inches = (side + 0.01) / 100  # a hundredth of a pixel more: the number of pixels is rounded down
    figure = Figure(figsize=(inches, inches), dpi=100)
    ax = figure.add_axes((0, 0, 1, 1))
    _draw_codes(codes, labels, ax, size=5)
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach))
    ax.set_axis_off()
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    picture = np.asarray(canvas.buffer_rgba())[..., :3].copy()
    return torch.from_numpy(picture).permute(2, 0, 1) / 255


def _draw_codes(codes, labels, ax: Axes, size: float, names: bool = True) -> None:
    """A dot for each code, `size` points² large; with `names` the label of each class where its codes are densest."""
    points, labels = _array(codes), _array(labels)
    if points.ndim != 2 or points.shape[1] != 2 or labels.shape != points.shape[:1]:
        raise ValueError(
            f"A map of codes takes two-dimensional codes (N, 2) and a label for each, (N,); got {points.shape} and "
            f"{labels.shape}{': choose two dimensions, as in codes[:, :2]' if points.shape[1:] > (2,) else ''}."
        )
    for label in np.unique(labels).tolist():
        colour, of_class = DIGIT_COLOURS[int(label) % len(DIGIT_COLOURS)], points[labels == label]
        ax.scatter(*of_class.T, s=size, color=colour, alpha=0.75, linewidths=0)
        disc = {"boxstyle": "circle,pad=0.15", "facecolor": "white", "edgecolor": colour, "linewidth": 1.8}
        if names:
            ax.text(*_densest(of_class), f"{label:g}", size=TEXT, bbox=disc, ha="center", va="center", clip_on=True)


def _densest(points: np.ndarray) -> np.ndarray:
    """The one of the points `(N, 2)` (of 300 at most) whose tenth neighbour is nearest: where a label stands best."""
    some = points[:300]
    distances = np.sort(np.linalg.norm(some[:, None] - some[None], axis=2), axis=1)
    return some[distances[:, min(10, len(some) - 1)].argmin()]


def manifold(images: Tensor, side: int, extent: tuple[float, float, float, float], ax: Axes | None = None) -> Axes:
    """Images `(side², C, H, W)`, decoded at a grid over (left, right, bottom, top) of the plane of codes, in place.

    The first row of images is the uppermost.
    """
    ax = ax or _axes(MIDDLE, MIDDLE)
    ax.imshow(_mosaic(images, side), cmap="gray", vmin=0, vmax=1, extent=extent, aspect="auto")
    ax.set(xlabel="$z_1$", ylabel="$z_2$")
    return ax


def _mosaic(images: Tensor, side: int) -> np.ndarray:
    """Images `(side², C, H, W)` -> one picture, row by row without gaps."""
    if len(images) != side**2:
        raise ValueError(f"A manifold of side {side} takes {side**2} images; got {len(images)}.")
    rows = unit_images(images).unflatten(0, (side, side)).permute(0, 3, 1, 4, 2).flatten(2, 3).flatten(0, 1)
    return rows.squeeze(-1).numpy()


def pca_picture(points: Tensor, mean: Tensor, direction: Tensor, ax: Axes | None = None) -> Axes:
    """Points `(N, 2)`, the line through `mean` `(2,)` along `direction` `(2,)`, and each point's projection on it."""
    ax = ax or _axes(NARROW, NARROW)
    direction = direction / direction.norm()
    along = (points - mean) @ direction
    feet = mean + along[:, None] * direction
    for point, foot in zip(_array(points), _array(feet), strict=True):
        ax.plot(*zip(point, foot, strict=True), color=TRUTH, linewidth=0.7)
    ends = _array(mean + torch.stack([along.min(), along.max()])[:, None] * direction * 1.05)
    ax.plot(*ends.T, color=CODE, linewidth=2)
    ax.plot(*_array(points).T, ".", color=DATA, markersize=5)
    ax.set(aspect="equal")
    return ax


def density(
    log_density: Tensor,
    square: tuple[float, float, float, float],
    mu: Tensor,
    sigma: Tensor,
    ax: Axes | None = None,
    nats: float | None = None,
) -> Axes:
    """A density over a square of the plane as shades, `(P, P)` log values with z_1 along the rows, white its peak.

    Over it the ellipses of a Gaussian with mean `mu` and standard deviations `sigma`, both `(2,)`, at one and two of
    them. `square` is (left, right, bottom, top). With `nats` the shades are those of the log density: black is so many
    nats below the peak.
    """
    ax = ax or _axes(NARROW, NARROW)
    below = log_density - log_density.max()
    shades = _array((1 + below / nats).clamp(min=0) if nats else below.exp())
    ax.imshow(shades.T, cmap="gray", origin="lower", extent=square, aspect="auto")
    for times in (1, 2):
        width, height = (2 * times * sigma).tolist()
        ax.add_patch(Ellipse(mu.tolist(), width, height, fill=False, edgecolor="#E69F00", linewidth=1.6))
    ax.set(xlim=square[:2], ylim=square[2:], xlabel="$z_1$", ylabel="$z_2$", aspect="equal")
    return ax


def table_image(
    table: Tensor, labels: Sequence[str] | Tensor, xlabel: str, ylabel: str, ax: Axes | None = None
) -> Axes:
    """A square table `(M, M)` of numbers 0 or larger as shades, 0 white.

    `labels` name the rows and the columns: texts, or small images `(M, 1, H, W)`.
    """
    ax = ax or _axes(MIDDLE, MIDDLE)
    ax.imshow(_array(table), cmap="Greys", vmin=0)
    names = [""] * len(labels) if isinstance(labels, Tensor) else labels
    ax.set_xticks(range(len(labels)), names, rotation=90, family="monospace")
    ax.set_yticks(range(len(labels)), names, family="monospace")
    ax.set_xlabel(xlabel, labelpad=18 if isinstance(labels, Tensor) else None)
    ax.set_ylabel(ylabel, labelpad=18 if isinstance(labels, Tensor) else None)
    if isinstance(labels, Tensor):
        for i, image in enumerate(labels):
            picture = np.pad(np.kron(tile(image[None], 1), np.ones((7, 7))), 1, constant_values=0.6)
            for place, side in (((i, -0.012), "x"), ((-0.012, i), "y")):
                axes = ax.get_xaxis_transform() if side == "x" else ax.get_yaxis_transform()
                alignment = (0.5, 1.0) if side == "x" else (1.0, 0.5)
                thumbnail = OffsetImage(
                    picture, zoom=THUMBNAIL / len(picture), cmap="gray", norm=Normalize(0, 1), interpolation="nearest"
                )
                ax.add_artist(
                    AnnotationBbox(thumbnail, place, xycoords=axes, frameon=False, pad=0, box_alignment=alignment)
                )
    return ax


def score_field(
    points: Tensor, sigma: float, places: Tensor, steps: Tensor, ax: Axes | None = None, unit: bool = True
) -> Axes:
    """The map of log q_sigma, the density of `points` `(N, 2)` with Gaussian noise, and arrows over it.

    At each of `places` `(M, 2)` stands an arrow along `steps` `(M, 2)`: all equally long, or with `unit=False` as long
    as the steps are. The map's shades end 12 nats below its peak.
    """
    ax = ax or _axes(NARROW, NARROW)
    (left, bottom), (right, top) = places.min(0).values.tolist(), places.max(0).values.tolist()
    columns, rows = torch.linspace(left, right, 60), torch.linspace(bottom, top, 60)
    grid = torch.cartesian_prod(rows, columns).flip(1)  # row by row, from below
    some = torch.as_tensor(_array(points))[:: max(1, len(points) // 3000)]
    log_q = (-torch.cdist(grid, some.float()).square() / (2 * sigma**2)).logsumexp(1).view(60, 60)
    ax.imshow(
        _array((log_q - log_q.max()).clamp(min=-12)),
        cmap="Oranges",
        vmin=-12,
        vmax=8,  # the peak is no darker than the arrows
        origin="lower",
        extent=(left, right, bottom, top),
    )
    length = 0.8 * (right - left) / len(places) ** 0.5  # a little less than the places of a grid are apart
    _quiver(places, length * torch.nn.functional.normalize(steps, dim=1) if unit else steps, ax)
    ax.set(xticks=[], yticks=[])
    return ax


def _quiver(places: Tensor, steps: Tensor, ax: Axes) -> None:
    ax.quiver(*_array(places).T, *_array(steps).T, color=ENCODER, angles="xy", scale_units="xy", scale=1, width=0.005)
    ax.set(aspect="equal")


def evidence_bar(reconstruction: float, KL: float, gap: float, ax: Axes | None = None) -> Axes:
    """log p(x) = reconstruction − KL + gap, in nats, as three steps: to the ELBO, and from there to log p(x)."""
    ax = ax or _axes(MIDDLE, 2.6)
    bound, evidence = reconstruction - KL, reconstruction - KL + gap
    steps = [
        ("reconstruction", 0, reconstruction, DECODER),
        ("− KL", reconstruction, bound, ENCODER),
        ("+ gap", bound, evidence, TRUTH),
    ]
    for row, (_, start, end, colour) in enumerate(steps):
        ax.barh(-row, end - start, left=start, height=0.6, color=colour)
    for value, name, side in ((bound, "ELBO", "right"), (evidence, "$\\log p(x)$", "left")):
        ax.axvline(value, color="black", linewidth=0.8, linestyle=":")
        aside = (4 if side == "left" else -4, 0)  # points
        text = f"{name} = {value:.1f}".replace("-", "−")
        ax.annotate(text, (value, 0.75), xytext=aside, textcoords="offset points", ha=side, va="bottom")
    names = [f"{name}: {end - start:+.1f}".replace("-", "−") for name, start, end, _ in steps]
    ax.set_yticks([0, -1, -2], names)
    ax.tick_params(axis="y", length=0)
    ends = (0, reconstruction, bound, evidence)
    reach = max(ends) - min(ends)
    ax.set(ylim=(-2.5, 1.3), xlabel="nats", xlim=(min(ends) - 0.4 * reach, max(ends) + 0.03 * reach))
    return ax


def row(count: int) -> list[Axes]:
    """`count` Axes side by side in one figure."""
    doors.whole_number("count", count)
    size = (WIDE, min(3.6, WIDE / count + 0.1))
    return list(plt.subplots(1, count, figsize=size, layout="constrained", squeeze=False)[1][0])


def _axes(width: float, height: float) -> Axes:
    return plt.subplots(figsize=(width, height), layout="constrained")[1]


def _array(values) -> np.ndarray:
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
