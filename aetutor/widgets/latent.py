"""Explorers of variational autoencoders: the latent plane, a posterior and its guess, the likelihoods, the style."""

from collections.abc import Mapping

import ipywidgets
import numpy as np
import torch
from torch import Tensor

from aetutor.evidence import Evidence, log_joint, log_px_quadrature
from aetutor.plots import code_map, density, tile
from aetutor.widgets.base import Explorer

SIDE = 280  # pixels along each side of the map of codes
POINTS = 48  # along each side of a posterior's picture
ZOOM = 3  # screen pixels along each side of a pixel, in the picture of all classes


class LatentExplorer(Explorer):
    """Move a code over the plane: what it decodes to, and where it lies among the codes of images.

    Args:
        model: a `VAE` with two latent dimensions.
        x, y: images (N, C, H, W) and their labels (N,), to be drawn on the map at the means of their q(z|x).
        reach: the sliders and the map go from -reach to reach.

    Raises ValueError for a model with other than two dimensions, or without images.
    """

    def __init__(self, model, x: Tensor, y: Tensor, reach: float = 3.0):
        _check(model, x, y)
        with torch.no_grad():
            self.codes = model.encode(x).mean
        self.model, self.labels, self.reach = model, y, reach
        self.map = code_map(self.codes, y, reach, SIDE)
        super().__init__(
            {
                name: ipywidgets.FloatSlider(0.0, min=-reach, max=reach, step=0.1, description=name)
                for name in ("z1", "z2")
            },
            ["decoded", "test codes, and yours"],
        )

    @torch.no_grad()
    def pictures(self, z1: float, z2: float) -> dict[str, Tensor]:
        """name -> (C, H, W): the mean of p(x|z), and the map with a cross at z."""
        codes_map = self.map.clone()
        column, row = (round((1 + sign * z / self.reach) / 2 * (SIDE - 1)) for sign, z in ((1, z1), (-1, z2)))
        codes_map[:, row], codes_map[:, :, column] = 0.0, 0.0
        return {"decoded": self.model.decode(self._code(z1, z2)).mean, "test codes, and yours": codes_map}

    def readout_text(self, pictures: dict[str, Tensor], z1: float, z2: float) -> str:
        """p(z), and the nearest code on the map."""
        z = self._code(z1, z2)
        distance, nearest = (self.codes - z).norm(dim=1).min(0)
        density = self.model.prior().log_prob(z).exp()
        return (
            f"z = ({z1:.1f}, {z2:.1f}): p(z) = {density:.4f}. The nearest test code is that of a "
            f"{self.labels[nearest]}, {distance:.2f} away."
        )

    def _code(self, z1, z2):
        return self.codes.new_tensor([z1, z2])


class PosteriorExplorer(Explorer):
    """Pick an image: its true posterior p(z|x) beside the encoder's guess q(z|x), log p(x), ELBO and gap.

    Args:
        model: a `VAE` with two latent dimensions.
        x, y: images (N, C, H, W) and their labels (N,).
        evidence: what `log_px_quadrature` gives for these images; without it, it is computed here, once.

    Both pictures show the same square, large enough for posterior and guess, each as bright as its own peak. Raises
    ValueError for a model with other than two dimensions, without images, or evidence of another number of images.
    """

    def __init__(self, model, x: Tensor, y: Tensor, evidence: Evidence | None = None):
        _check(model, x, y)
        self.model, self.choices, self.labels = model, x, y
        self.exact = evidence or log_px_quadrature(model, x)
        if len(self.exact.log_px) != len(x):
            raise ValueError(f"evidence must be that of the {len(x)} images; got {len(self.exact.log_px)} values.")
        with torch.no_grad():
            self.q_z = model.encode(x).base_dist
        self.centre, self.half_side = _windows(model, x, self.q_z)
        super().__init__(
            {"image": ipywidgets.IntSlider(0, 0, len(x) - 1, description="image")},
            ["image", "reconstruction", "posterior p(z|x)", "guess q(z|x)"],
        )

    @torch.no_grad()
    def pictures(self, image: int) -> dict[str, Tensor]:
        """name -> (C, H, W): the image, its reconstruction; posterior and guess over the square, z_1 to the right."""
        x, q_z = self.choices[image : image + 1], self.q_z
        z, _ = self.square(image)
        guess = -((z - q_z.loc[image]) / q_z.scale[image]).square().sum(1) / 2
        return {
            "image": x[0],
            "reconstruction": self.model.reconstruct(x)[0],
            "posterior p(z|x)": _shades(log_joint(self.model, x, z)[0]),
            "guess q(z|x)": _shades(guess),
        }

    def square(self, image: int, points: int = POINTS) -> tuple[Tensor, tuple[float, float, float, float]]:
        """The codes of an image's square, `(points², 2)`, z_1 first, and its (left, right, bottom, top)."""
        axis = torch.linspace(-1, 1, points, dtype=self.centre.dtype, device=self.centre.device)
        z = self.centre[image] + self.half_side[image] * torch.cartesian_prod(axis, axis)
        (left, bottom), (right, top) = z[0].tolist(), z[-1].tolist()
        return z, (left, right, bottom, top)

    @torch.no_grad()
    def plot(self, image: int, ax=None):
        """The same as a static figure: the posterior in shades, the guess as ellipses; returns the matplotlib Axes."""
        z, square = self.square(image, 120)
        log_density = log_joint(self.model, self.choices[image : image + 1], z).view(120, 120)
        ax = density(log_density, square, self.q_z.loc[image], self.q_z.scale[image], ax)
        ax.set_title(f"a {self.labels[image]}, gap {self.exact.log_px[image] - self.exact.elbo[image]:.1f} nats")
        return ax

    def readout_text(self, pictures: dict[str, Tensor], image: int) -> str:
        """log p(x), the ELBO and the gap between them; where the square lies."""
        log_px, bound = self.exact.log_px[image].item(), self.exact.elbo[image].item()
        (z1, z2), side = self.centre[image].tolist(), 2 * self.half_side[image].item()
        return (
            f"Image {image}, a {self.labels[image]}: log p(x) = {log_px:.2f}, ELBO = {bound:.2f}, gap "
            f"{log_px - bound:.2f} nats. The square is {side:.2f} wide, around ({z1:.2f}, {z2:.2f})."
        )


class LikelihoodExplorer(Explorer):
    """Choose a likelihood and an image: the mean of p(x|z), a sample from it, and the β that its σ amounts to.

    Args:
        models: name -> a trained `VAE`.
        x: images (N, C, H, W) that all of them take.

    z is the mean of q(z|x); an image's sample is drawn with the same random numbers each time. Raises ValueError
    without models or images.
    """

    def __init__(self, models: Mapping[str, torch.nn.Module], x: Tensor):
        if not models or len(x) == 0 or not x.is_floating_point():
            raise ValueError(
                f"The explorer needs one model or more, and one float image or more; got {len(models)} "
                f"models and {len(x)} images in {x.dtype}."
            )
        self.models, self.choices = models, x
        wide = ipywidgets.Layout(width="420px")
        super().__init__(
            {
                "likelihood": ipywidgets.SelectionSlider(options=list(models), description="likelihood", layout=wide),
                "image": ipywidgets.IntSlider(0, 0, len(x) - 1, description="image"),
            },
            ["image", "mean of p(x|z)", "sample from p(x|z)"],
        )

    @torch.no_grad()
    def pictures(self, likelihood: str, image: int) -> dict[str, Tensor]:
        """name -> (C, H, W): the image, and mean and sample of p(x|z)."""
        x, model = self.choices[image], self.models[likelihood]
        p_x = model.decode(model.encode(x).mean)
        with torch.random.fork_rng():
            torch.manual_seed(image)
            sample = p_x.sample()
        return {"image": x, "mean of p(x|z)": p_x.mean, "sample from p(x|z)": sample}

    def readout_text(self, pictures: dict[str, Tensor], likelihood: str, image: int) -> str:
        """The likelihood's σ and β = σ², and the mean squared errors of mean and sample."""
        sigma = self.models[likelihood].sigma
        implied = f"σ = {sigma:.3f}, implied β = σ² = {sigma**2:.4f}" if sigma else "no single σ, so no implied β"
        mean, sample = ((pictures["image"] - picture).square().mean() for picture in list(pictures.values())[1:])
        return (
            f"{likelihood}, image {image}: {implied}. Mean squared error of a pixel: {mean:.4f} by the mean, "
            f"{sample:.4f} by the sample."
        )


class StyleExplorer(Explorer):
    """Pick a digit: its style z, the mean of q(z|x, y), drawn in every class; then move z away from there.

    Args:
        model: a `CVAE` with two latent dimensions or more.
        x, y: images (N, C, H, W) and their labels (N,).
        reach: the two sliders add numbers from -reach to reach to two coordinates of z.

    Of a model with more than two, they are the two in which the styles of x vary most. Raises ValueError for a model
    without labels or with one dimension, without images, for labels of another number, or a reach that is not positive.
    """

    def __init__(self, model, x: Tensor, y: Tensor, reach: float = 3.0):
        if not getattr(model, "num_classes", 0) or model.latent_dim < 2 or not reach > 0:
            raise ValueError(
                "The explorer needs a CVAE with two latent dimensions or more, and a reach above 0; got "
                f"{type(model).__name__} with {getattr(model, 'latent_dim', 'no')} and reach={reach}."
            )
        if not isinstance(x, Tensor) or not isinstance(y, Tensor) or len(x) == 0 or y.shape != x.shape[:1]:
            x, y = (tuple(t.shape) if isinstance(t, Tensor) else repr(t) for t in (x, y))
            raise ValueError(f"The explorer needs images (N, C, H, W) and labels (N,), both tensors; got {x} and {y}.")
        with torch.no_grad():
            self.styles = model.encode(x, y).mean
        self.model, self.choices, self.labels = model, x, y
        self.axes = sorted(self.styles.var(0, correction=0).topk(2).indices.tolist())
        sliders = {
            name: ipywidgets.FloatSlider(0.0, min=-reach, max=reach, step=0.1, description=f"add to z{axis + 1}")
            for name, axis in zip(("first", "second"), self.axes, strict=True)
        }
        super().__init__(
            {"image": ipywidgets.IntSlider(0, 0, len(x) - 1, description="image"), **sliders},
            ["image", "its style in every class"],
        )

    def style(self, image: int, first: float = 0.0, second: float = 0.0) -> Tensor:
        """z, `(K,)`: the style of an image, moved."""
        z = self.styles[image].clone()
        z[self.axes] += z.new_tensor([first, second])
        return z

    @torch.no_grad()
    def pictures(self, image: int, first: float = 0.0, second: float = 0.0) -> dict[str, Tensor]:
        """name -> (C, H, W): the image, and the means of p(x|z, y) for all labels y, five in a row."""
        classes = torch.arange(self.model.num_classes, device=self.styles.device)
        p_x = self.model.decode(self.style(image, first, second).expand(len(classes), -1), classes)
        panel = torch.from_numpy(np.atleast_3d(tile(p_x.mean, 5))).permute(2, 0, 1)
        return {
            "image": self.choices[image],
            "its style in every class": panel.repeat_interleave(ZOOM, 1).repeat_interleave(ZOOM, 2),
        }

    @torch.no_grad()
    def readout_text(self, pictures: dict[str, Tensor], image: int, first: float = 0.0, second: float = 0.0) -> str:
        """The two coordinates, and how probable z makes the image under its own label."""
        z, y = self.style(image, first, second), self.labels[image]
        places = ", ".join(f"z{axis + 1} = {z[axis]:.2f}" for axis in self.axes)
        log_px_z = self.model.decode(z, y).log_prob(self.choices[image])
        return f"Image {image}, a {y}: {places}. Under its own label log p(x|z, y) = {log_px_z:.1f} nats."


def _check(model, x, y):
    if model.latent_dim != 2 or len(x) == 0 or len(x) != len(y):
        raise ValueError(
            "The explorer needs a model with two latent dimensions, and images with a label each; got "
            f"{model.latent_dim} dimensions, {len(x)} images and {len(y)} labels."
        )


@torch.no_grad()
def _windows(model, x, q_z):
    """(centres `(N, 2)`, half sides `(N,)`) of squares that hold four standard deviations of p(z|x) and of q(z|x)."""
    reach = (q_z.loc.abs() + 4 * q_z.scale).max().clamp(min=4).item()
    axis = torch.linspace(-reach, reach, 200, dtype=x.dtype, device=x.device)
    z = torch.cartesian_prod(axis, axis)
    weights = log_joint(model, x, z).softmax(1)
    mean = weights @ z
    spread = (weights @ z.square() - mean.square()).clamp(min=(axis[1] - axis[0]).item() ** 2 / 12).sqrt()
    low, high = (torch.stack([mean + 4 * sign * spread, q_z.loc + 4 * sign * q_z.scale]) for sign in (-1, 1))
    low, high = low.amin(0), high.amax(0)
    return (low + high) / 2, (high - low).amax(1) / 2


def _shades(log_density):
    """Log densities on a grid, `(P²,)` with z_1 first -> a picture `(1, P, P)`, z_1 to the right, z_2 upwards."""
    return (log_density - log_density.max()).exp().view(1, POINTS, POINTS).transpose(1, 2).flip(1)
