"""Explorers of what is drawn by hand: noise and its removal, the posterior, the style. They need anywidget."""

from collections.abc import Mapping
from pathlib import Path

import ipywidgets
import torch
from torch import Tensor

from aetutor.data import binarize
from aetutor.drawing import as_mnist
from aetutor.evaluation import Denoiser
from aetutor.evidence import log_px_quadrature
from aetutor.objectives import gaussian_kl
from aetutor.plots import code_map
from aetutor.widgets.base import Explorer
from aetutor.widgets.controls import names
from aetutor.widgets.images import PSNR, decibels, noise_controls, restore, sides
from aetutor.widgets.latent import (
    CLASS_SIDE,
    IMAGE_SIDE,
    POINTS,
    check_plane,
    crossed,
    five_in_a_row,
    plane,
    posteriors,
    windows,
)

SMALL_MAP = 224  # screen pixels along each side of the map of codes, so that five pictures stand in a row
DRAW = "Draw a digit in the black square, with the mouse or a finger."


class DrawPad(Explorer):
    """Draw a digit with the mouse or a finger: it is centred as MNIST's are, made noisy, and restored by each method.

    Controls: the drawing; the kind of noise as a row of buttons; its level; a button that draws new noise. Beneath each
    picture stands its PSNR.

    Args:
        methods: as in `NoiseExplorer`, for images (1, 1, 28, 28).
        device: where the methods compute.

    Raises ImportError, with what to install, where there is no anywidget.
    """

    def __init__(self, methods: Mapping[str, Denoiser], device="cpu"):
        self.methods, self.device = methods, device
        super().__init__({"drawing": canvas()} | noise_controls(), sides(["clean", "noisy", *methods]))

    def pictures(self, drawing: bytes, kind: str, level: float, noise: int = 0) -> dict[str, Tensor]:
        """name -> (1, 28, 28), from the drawing's grey values: a square, row by row, a byte each."""
        x = drawn(drawing).to(self.device)[None]
        return restore(x, self.methods, kind, level, seed=noise)

    def captions(self, pictures: dict[str, Tensor], drawing: bytes, **settings) -> dict[str, str]:
        """The PSNR of the noisy and of each restored image; before the first stroke nothing."""
        return {"clean": "your drawing"} | decibels(pictures) if any(drawing) else dict.fromkeys(pictures, "")

    def readout_text(self, pictures: dict[str, Tensor], drawing: bytes, **settings) -> str:
        """What PSNR is; before the first stroke, what to do."""
        return PSNR if any(drawing) else DRAW


class PosteriorPad(Explorer):
    """Draw a digit: where its code lies among those of images, its posterior beside the encoder's, and its copy.

    Control: the drawing, which is centred as MNIST's digits are, and binarised. Beneath the posterior stands log p(x),
    beneath q(z|x) the ELBO.

    Args:
        model: a `VAE` with two latent dimensions, for images (1, 28, 28).
        x, y: images (N, 1, 28, 28) and their labels (N,), to be drawn on the map at the means of their q(z|x).
        reach: the map goes from -reach to reach.

    Raises ValueError for a model with other than two dimensions, or without images; ImportError, with what to install,
    where there is no anywidget.
    """

    def __init__(self, model, x: Tensor, y: Tensor, reach: float = 3.0):
        check_plane(model, x, y)
        self.model, self.labels, self.reach, self.like = model, y, reach, x
        with torch.no_grad():
            self.codes, self.grid = model.encode(x).mean, plane(4.5, 120, x)
            self.p_x, self.log_prior = model.decode(self.grid), model.prior().log_prob(self.grid)
        self.map = code_map(self.codes, y, reach, SMALL_MAP)
        images, densities = dict.fromkeys(["your digit", "copy"], 4 * 28), ["posterior p(z|x)", "encoder's q(z|x)"]
        super().__init__(
            {"drawing": canvas()}, images | {"test codes, and yours": SMALL_MAP} | dict.fromkeys(densities, 3 * POINTS)
        )

    @torch.no_grad()
    def pictures(self, drawing: bytes) -> dict[str, Tensor]:
        """name -> (C, H, W): the digit and its copy, the map with a cross at the mean of q(z|x), and p(z|x) and q(z|x)
        over a square that holds both."""
        x = binarize(drawn(drawing)).to(self.like)[None]
        if not x.any():
            black = x.new_zeros(1, POINTS, POINTS)
            return dict.fromkeys(self.sides, black) | {"test codes, and yours": self.map}
        q_z = self.model.encode(x).base_dist
        log_joint = (self.p_x.log_prob(x) + self.log_prior)[None]
        centre, half_side = windows(self.grid, log_joint, q_z)
        densities = posteriors(self.model, x, centre + half_side * plane(1.0, POINTS, x), q_z.loc, q_z.scale)
        own = {"your digit": x[0], "copy": self.model.reconstruct(x)[0]}
        return own | {"test codes, and yours": crossed(self.map, q_z.loc[0], self.reach)} | densities

    def captions(self, pictures: dict[str, Tensor], drawing: bytes) -> dict[str, str]:
        """log p(x), the ELBO, and the class of the nearest code; before the first stroke nothing."""
        x = pictures["your digit"][None]
        if not x.any():
            return dict.fromkeys(self.sides, "")
        exact = log_px_quadrature(self.model, x)
        with torch.no_grad():
            distance, nearest = (self.codes - self.model.encode(x).mean).norm(dim=1).min(0)
        return {
            "your digit": "centred",
            "copy": "the mean",
            "test codes, and yours": f"nearest: a {self.labels[nearest]}, {distance:.2f} away",
            "posterior p(z|x)": f"log p(x) = {exact.log_px.item():.1f}",
            "encoder's q(z|x)": f"ELBO = {exact.elbo.item():.1f}",
        }

    def readout_text(self, pictures: dict[str, Tensor], drawing: bytes) -> str:
        """What the pictures show; before the first stroke, what to do."""
        if not pictures["your digit"].any():
            return DRAW
        return (
            "Both spots lie in one square of the plane, enlarged: the codes that may have made your digit, and those "
            "that the encoder proposes. log p(x) and ELBO are in nats."
        )


class StylePad(Explorer):
    """Draw a digit: its style z, the mean of q(z|x, y), drawn in every class.

    Controls: the drawing, which is centred as MNIST's digits are, and binarised; the label y that the encoder is told,
    which with "guess" is the one with the largest ELBO (at the mean of q). Beneath each class stands log p(x|z, y).

    Args:
        model: a `CVAE` for images (1, 28, 28).

    Raises ValueError for a model without labels; ImportError, with what to install, where there is no anywidget.
    """

    def __init__(self, model):
        if not getattr(model, "num_classes", 0):
            raise ValueError(f"The pad needs a CVAE, a model with labels; got {type(model).__name__}.")
        self.model, self.classes = model, torch.arange(model.num_classes, device=model.prior().mean.device)
        labels = names(["guess", *range(model.num_classes)], "its label")
        of_classes = dict.fromkeys(map(str, range(model.num_classes)), CLASS_SIDE)
        super().__init__({"drawing": canvas(), "label": labels}, {"your digit": IMAGE_SIDE} | of_classes)
        five_in_a_row(self.panels)

    @torch.no_grad()
    def label_of(self, x: Tensor, label: str | int) -> int:
        """The label itself, or, of an image (1, 1, 28, 28), the one with the largest ELBO."""
        if label != "guess":
            return label
        q_z = self.model.encode(x.expand(len(self.classes), -1, -1, -1), self.classes)
        log_px_z = self.model.decode(q_z.mean, self.classes).log_prob(x)
        return int((log_px_z - gaussian_kl(q_z.mean, q_z.base_dist.log_var)).argmax())

    def pictures(self, drawing: bytes, label: str | int) -> dict[str, Tensor]:
        """name -> (1, 28, 28): the digit, and for each class y, by its number, the mean of p(x|z, y)."""
        x = binarize(drawn(drawing)).to(self.model.prior().mean)[None]
        if not x.any():
            return dict.fromkeys(self.sides, x[0])
        return {"your digit": x[0]} | {str(y): mean for y, mean in enumerate(self.p_x(x, label).mean)}

    @torch.no_grad()
    def p_x(self, x: Tensor, label: str | int):
        """p(x|z, y) for all labels y at the style of x."""
        y = torch.tensor([self.label_of(x, label)], device=x.device)
        z = self.model.encode(x, y).mean
        return self.model.decode(z.expand(len(self.classes), -1), self.classes)

    def captions(self, pictures: dict[str, Tensor], drawing: bytes, label: str | int) -> dict[str, str]:
        """What the digit is taken for, and beneath each class log p(x|z, y); before the first stroke nothing."""
        x = pictures["your digit"][None]
        if not x.any():
            return dict.fromkeys(self.sides, "")
        log_px_z = self.p_x(x, label).log_prob(x)
        taken = {"your digit": f"taken for a {self.label_of(x, label)}"}
        return taken | {str(y): f"{value:.1f}" for y, value in enumerate(log_px_z)}

    def readout_text(self, pictures: dict[str, Tensor], drawing: bytes, label: str | int) -> str:
        """What stands beneath the classes; before the first stroke, what to do."""
        if not pictures["your digit"].any():
            return DRAW
        return "Your digit's style in every class y. Beneath each: log p(x|z, y) of your digit, in nats."


def drawn(drawing: bytes) -> Tensor:
    """A drawing's grey values, a square, row by row, a byte each -> an image (1, 28, 28) like MNIST's."""
    side = round(len(drawing) ** 0.5)
    grey = torch.frombuffer(bytearray(drawing), dtype=torch.uint8).view(side, side) if side else torch.zeros(1, 1)
    return as_mnist(grey.float() / 255)


def canvas() -> ipywidgets.Widget:
    """The drawing area, a widget whose `value` is the drawing's grey values as bytes."""
    try:
        import anywidget
        import traitlets
    except ImportError as error:
        raise ImportError(
            "A drawing pad needs the package anywidget, which is not installed here: run "
            "`pip install anywidget` in this environment and restart the kernel."
        ) from error

    class Canvas(anywidget.AnyWidget):
        _esm = Path(__file__).with_name("drawpad.js")
        description = "the drawing"
        value = traitlets.Bytes(b"").tag(sync=True, from_json=lambda value, _widget: bytes(value))  # of a memoryview

    return Canvas()
