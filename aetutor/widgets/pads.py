"""Explorers of what is drawn by hand: noise and its removal, the posterior, the style. They need anywidget."""

import base64
from collections.abc import Mapping
from pathlib import Path

import ipywidgets
import torch
from torch import Tensor

from aetutor import doors
from aetutor.data import binarize
from aetutor.drawing import as_mnist
from aetutor.evaluation import Denoiser
from aetutor.evidence import log_px_quadrature
from aetutor.objectives import gaussian_kl
from aetutor.plots import code_map
from aetutor.widgets.base import Explorer, png
from aetutor.widgets.controls import names
from aetutor.widgets.frozen import model
from aetutor.widgets.images import PSNR, check_methods, decibels, noise_controls, restore, sides
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
STYLES = "Your digit's style in every class y. Beneath each: log p(x|z, y) of your digit, in nats."
DRAW = "Draw a digit in the black square, with the mouse or a finger."


class DrawPad(Explorer):
    """Draw a digit with the mouse or a finger: it is centred as MNIST's are, made noisy, and restored by each method.

    Controls: the drawing; the kind of noise as a row of buttons; its level; a button that draws new noise. Beneath each
    picture stands its PSNR.

    Args:
        methods: name -> a function as in `NoiseExplorer`, or a trained model for each kind of noise, {kind: model}.
        device: where the methods compute.

    Raises ImportError, with what to install, where there is no anywidget.
    """

    def __init__(self, methods: Mapping[str, Denoiser | Mapping[str, torch.nn.Module]], device="cpu"):
        doors.mapping("methods", methods, "name -> a function, or {kind of noise: trained model}")
        self.models = {name: method for name, method in methods.items() if isinstance(method, Mapping)}
        self.methods, self.device = methods | {name: by_kind(models) for name, models in self.models.items()}, device
        check_methods(self.methods)
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

    def in_page(self) -> dict:
        """The trained models: a page shows the methods that are given by them. Raises ValueError if there are none."""
        if not self.models:
            raise ValueError(
                "A page can compute methods that are given as {kind: model}, kind of noise -> trained model; got only "
                f"functions: {', '.join(self.methods)}."
            )
        packed = {name: {kind: model(m) for kind, m in models.items()} for name, models in self.models.items()}
        panels = ["clean", "noisy", *packed]
        return {"pad": "DrawPad", "panels": panels, "networks": packed, "draw": DRAW, "readout": PSNR}


class PosteriorPad(Explorer):
    """Draw a digit: where its code lies among those of images, its posterior beside the encoder's, and its copy.

    Control: the drawing, which is centred as MNIST's digits are, and binarised. Beneath the posterior stands log p(x),
    beneath q(z|x) the ELBO.

    Args:
        vae: a `VAE` with two latent dimensions, for images (1, 28, 28).
        x, y: images (N, 1, 28, 28) and their labels (N,), to be drawn on the map at the means of their q(z|x).
        reach: the map goes from -reach to reach.

    Raises ValueError for a model with other than two dimensions, or without images; ImportError, with what to install,
    where there is no anywidget.
    """

    def __init__(self, vae, x: Tensor, y: Tensor, reach: float = 3.0):
        check_plane(vae, x, y)
        self.model, self.labels, self.reach, self.like = vae, y, reach, x
        with torch.no_grad():
            self.codes, self.grid = vae.encode(x).mean, plane(4.5, 120, x)
            self.p_x, self.log_prior = vae.decode(self.grid), vae.prior().log_prob(self.grid)
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

    def in_page(self) -> dict:
        """The model and the map: a page shows where the drawing lies, and its copy, but no densities."""
        return {
            "pad": "PosteriorPad",
            "panels": ["your digit", "copy", "test codes, and yours"],
            "model": model(self.model),
            "map": base64.b64encode(png(self.map, 1)).decode(),
            "reach": self.reach,
            "codes": [[round(number, 4) for number in code] for code in self.codes.tolist()],
            "labels": self.labels.tolist(),
            "draw": DRAW,
            "readout": "The cross on the map is the mean of q(z|x). In the notebook the pad shows the densities, too.",
        }


class StylePad(Explorer):
    """Draw a digit: its style z, the mean of q(z|x, y), drawn in every class.

    Controls: the drawing, which is centred as MNIST's digits are, and binarised; the label y that the encoder is told,
    which with "guess" is the one with the largest ELBO (at the mean of q). Beneath each class stands log p(x|z, y).

    Args:
        cvae: a `CVAE` for images (1, 28, 28).

    Raises ValueError for a model without labels; ImportError, with what to install, where there is no anywidget.
    """

    def __init__(self, cvae):
        if not getattr(cvae, "num_classes", 0):
            raise ValueError(f"The pad needs a CVAE, a model with labels; got {type(cvae).__name__}.")
        self.model, self.classes = cvae, torch.arange(cvae.num_classes, device=cvae.prior().mean.device)
        labels = names(["guess", *range(cvae.num_classes)], "its label")
        of_classes = dict.fromkeys(map(str, range(cvae.num_classes)), CLASS_SIDE)
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
        return STYLES

    def in_page(self) -> dict:
        """The model, which a page runs as it is. Raises ValueError for pixels that are not binary."""
        if self.model.likelihood.name != "bernoulli":
            raise ValueError(f"In a page the pad takes a Bernoulli likelihood; got {self.model.likelihood.name}.")
        return {
            "pad": "StylePad",
            "panels": list(self.sides),
            "model": model(self.model),
            "classes": len(self.classes),
            "draw": DRAW,
            "readout": STYLES,
        }


def by_kind(models: Mapping[str, torch.nn.Module]) -> Denoiser:
    """The function that restores by the model for the kind of noise. Its KeyError names a kind without a model."""
    return lambda x, kind, level: models[kind].reconstruct(x)


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
