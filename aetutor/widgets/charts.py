"""The small chart below an explorer's pictures: its lines are drawn once, the dots on them at each move."""

import io
from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image, ImageDraw

from aetutor.plots import STYLES, spread
from aetutor.widgets.base import CHART_WIDTH

HEIGHT = 190  # as displayed; drawn with twice as many pixels
SHADES = 64  # colours of the picture, so that its PNG is small and soon made
AXES = (0.09, 0.23, 0.65, 0.73)  # left, bottom, width and height, as shares of the chart
APART = 0.13  # of the axes' height, from one name to the next
DOT = 10  # pixels from a dot's centre to its edge


class Chart:
    """A line for each method over the same M values of x, with its name at its right end.

    Args:
        x: the values along the horizontal axis, from left to right.
        ys: name -> M values; where one is infinite the line has a gap.
        xlabel, ylabel: what the axes show.
        ticks: the words at the values of x, M of them; without them numbers stand where they are round.
    """

    def __init__(self, x: Sequence[float], ys: Mapping[str, Sequence[float]], xlabel: str, ylabel: str, ticks=None):
        figure = Figure(figsize=(CHART_WIDTH / 100, HEIGHT / 100), dpi=200)
        canvas, ax = FigureCanvasAgg(figure), figure.add_axes(AXES)
        self.colours = {name: colour for name, (colour, *_) in zip(ys, cycle(STYLES), strict=False)}
        finite = {name: np.where(np.isfinite(y), y, np.nan) for name, y in ys.items()}
        for (name, y), (_, dash, _) in zip(finite.items(), cycle(STYLES), strict=False):
            ax.plot(x, y, color=self.colours[name], linestyle=dash, linewidth=1.5)
        ax.set_xlabel(xlabel, fontsize=8)
        ax.set_ylabel(ylabel, fontsize=8)
        ax.tick_params(labelsize=8)
        ax.spines[["top", "right"]].set_visible(False)
        if ticks:
            ax.set_xticks(x, ticks)
        ax.autoscale_view()
        ends = [ax.transLimits.transform((0, [0.0, *y[np.isfinite(y)]][-1]))[1] for y in finite.values()]
        for name, height in zip(ys, spread(np.array(ends), APART), strict=True):
            ax.text(1.02, height, name, color=self.colours[name], fontsize=8, va="center", transform=ax.transAxes)
        canvas.draw()
        self.picture = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB").quantize(SHADES)
        self.to_pixels = ax.transData.frozen()

    def dotted(self, x: float, ys: Mapping[str, float]) -> bytes:
        """The chart with a dot for each method at x and its y, as PNG; at an infinite y there is none."""
        picture = self.picture.copy()
        pen = ImageDraw.Draw(picture)
        for name, y in ys.items():
            if np.isfinite(y):
                right, up = self.to_pixels.transform((x, y))
                down = picture.height - up
                box = (right - DOT, down - DOT, right + DOT, down + DOT)
                pen.ellipse(box, fill=self.colours[name], outline="white", width=2)
        buffer = io.BytesIO()
        picture.save(buffer, "png", compress_level=3)
        return buffer.getvalue()
