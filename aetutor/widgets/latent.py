"""Explorers of variational autoencoders: the latent plane, the posteriors p and q, the likelihoods, the style."""

from collections.abc import Mapping
from functools import lru_cache

import ipywidgets
import torch
from torch import Tensor

from aetutor import doors
from aetutor.evidence import Evidence, log_joint, log_px_quadrature
from aetutor.plots import code_map, density
from aetutor.widgets.base import Explorer
from aetutor.widgets.controls import Thumbnails, names, slider
from aetutor.widgets.images import called, check_images

MAP_SIDE = 280  # screen pixels along each side of the map of codes
POINTS = 42  # codes along each side of a posterior's picture: each takes four screen pixels, an MNIST pixel six
WIDE_SIDE = 168  # of pictures whose title or number is long
IMAGE_SIDE, CLASS_SIDE = 224, 84  # of the style explorer: the image is as high as two rows of classes


class LatentExplorer(Explorer):
    """Move a code over the plane: what it decodes to, and where it lies among the codes of images.

    Controls: a slider for each of z_1 and z_2. Beneath the pictures stand p(z), and which image's code is the nearest.

    Args:
        model: a `VAE` with two latent dimensions.
        x, y: images (N, C, H, W) and their labels (N,), to be drawn on the map at the means of their q(z|x).
        reach: sliders and the map go from -reach to reach.

    Raises ValueError for a model with other than two dimensions, or without images.
    """

    def __init__(self, model, x: Tensor, y: Tensor, reach: float = 3.0):
        check_plane(model, x, y)
        doors.number("reach", reach, 0, above=True)
        with torch.no_grad():
            self.codes = model.encode(x).mean
        self.model, self.labels, self.reach = model, y, reach
        self.map = code_map(self.codes, y, reach, MAP_SIDE)
        sliders = {name: slider(-reach, reach, 0.0, 0.1, name) for name in ("z1", "z2")}
        super().__init__(sliders, {"decoded": MAP_SIDE, "test codes, and yours": MAP_SIDE})

    @torch.no_grad()
    def pictures(self, z1: float, z2: float) -> dict[str, Tensor]:
        """name -> (C, H, W): the mean of p(x|z), and the map with a cross at z."""
        z = self._code(z1, z2)
        return {"decoded": self.model.decode(z).mean, "test codes, and yours": crossed(self.map, z, self.reach)}

    def captions(self, pictures: dict[str, Tensor], z1: float, z2: float) -> dict[str, str]:
        """The prior's density p(z) beneath what z decodes to; beneath the map the nearest code on it."""
        z = self._code(z1, z2)
        distance, nearest = (self.codes - z).norm(dim=1).min(0)
        return {
            "decoded": f"p(z) = {self.model.prior().log_prob(z).exp():.4f}",
            "test codes, and yours": f"nearest: a {self.labels[nearest]}, {distance:.2f} away",
        }

    def readout_text(self, pictures: dict[str, Tensor], z1: float, z2: float) -> str:
        """z, and what the map shows."""
        return f"z = ({z1:.1f}, {z2:.1f}): the cross on the map, among the codes of {len(self.codes)} images."

    def _code(self, z1, z2):
        return self.codes.new_tensor([z1, z2])


class PosteriorExplorer(Explorer):
    """Choose an image: its posterior p(z|x) beside the encoder's approximation q(z|x), log p(x), ELBO and gap.

    Control: the image by its thumbnail. Beneath p(z|x) stands log p(x), beneath q(z|x) the ELBO.

    Args:
        model: a `VAE` with two latent dimensions.
        x, y: images (N, C, H, W) and their labels (N,).
        evidence: what `log_px_quadrature` gives for these images; without it, it is computed here, once.

    Both pictures show the same square, large enough for p and q, each as bright as its own peak. Raises ValueError for
    a model with other than two dimensions, without images, or evidence of another number of images.
    """

    def __init__(self, model, x: Tensor, y: Tensor, evidence: Evidence | None = None):
        check_plane(model, x, y)
        self.model, self.choices, self.labels = model, x, y
        self.exact = evidence or log_px_quadrature(model, x)
        if len(self.exact.log_px) != len(x):
            raise ValueError(f"evidence must be that of the {len(x)} images; got {len(self.exact.log_px)} values.")
        with torch.no_grad():
            self.q_z = model.encode(x).base_dist
            z = plane((self.q_z.loc.abs() + 4 * self.q_z.scale).max().clamp(min=4).item(), 200, x)
        self.centre, self.half_side = windows(z, log_joint(model, x, z), self.q_z)
        pictures = ["image", "reconstruction", "posterior p(z|x)", "encoder's q(z|x)"]
        super().__init__({"image": Thumbnails(x, y)}, dict.fromkeys(pictures, WIDE_SIDE))

    @torch.no_grad()
    def pictures(self, image: int) -> dict[str, Tensor]:
        """name -> (C, H, W): the image, its reconstruction; p(z|x) and q(z|x) over the square, z_1 to the right."""
        x = self.choices[image : image + 1]
        z, _ = self.square(image)
        densities = posteriors(self.model, x, z, self.q_z.loc[image], self.q_z.scale[image])
        return {"image": x[0], "reconstruction": self.model.reconstruct(x)[0]} | densities

    def square(self, image: int, points: int = POINTS) -> tuple[Tensor, tuple[float, float, float, float]]:
        """The codes of an image's square, `(points², 2)`, z_1 first, and its (left, right, bottom, top)."""
        z = self.centre[image] + self.half_side[image] * plane(1.0, points, self.centre)
        (left, bottom), (right, top) = z[0].tolist(), z[-1].tolist()
        return z, (left, right, bottom, top)

    @torch.no_grad()
    def plot(self, image: int, ax=None):
        """The same as a static figure: the posterior in shades, q(z|x) as ellipses; returns the matplotlib Axes."""
        z, square = self.square(image, 120)
        log_density = log_joint(self.model, self.choices[image : image + 1], z).view(120, 120)
        ax = density(log_density, square, self.q_z.loc[image], self.q_z.scale[image], ax)
        ax.set_title(f"a {self.labels[image]}, gap {self.exact.log_px[image] - self.exact.elbo[image]:.1f} nats")
        return ax

    def captions(self, pictures: dict[str, Tensor], image: int) -> dict[str, str]:
        """What the image is, its reconstruction's squared error, log p(x) and the ELBO."""
        error = (pictures["image"] - pictures["reconstruction"]).square().sum()
        return {
            "image": called(image, self.labels),
            "reconstruction": f"squared error {error:.1f}",
            "posterior p(z|x)": f"log p(x) = {self.exact.log_px[image]:.2f} nats",
            "encoder's q(z|x)": f"ELBO = {self.exact.elbo[image]:.2f} nats",
        }

    def readout_text(self, pictures: dict[str, Tensor], image: int) -> str:
        """The gap, and where the square lies."""
        gap = self.exact.log_px[image] - self.exact.elbo[image]
        (z1, z2), side = self.centre[image].tolist(), 2 * self.half_side[image].item()
        return (
            f"Gap: log p(x) − ELBO = {gap:.2f} nats. Both squares are {side:.2f} wide, around ({z1:.2f}, {z2:.2f}) in "
            "the plane of codes."
        )


class LikelihoodExplorer(Explorer):
    """Choose a likelihood and an image: the mean of p(x|z), a sample from it, and the β that its σ amounts to.

    Controls: the image by its thumbnail; the likelihood as a row of buttons. Beneath mean and sample stands their mean
    squared error.

    Args:
        models: name -> a trained `VAE`.
        x: images (N, C, H, W) that all of them take.
        y: their labels (N,), to be shown with them.

    z is the mean of q(z|x); an image's sample is drawn with the same random numbers each time. Raises ValueError
    without models or images, and for labels of another number.
    """

    def __init__(self, models: Mapping[str, torch.nn.Module], x: Tensor, y: Tensor | None = None):
        doors.mapping("models", models, "name -> a trained VAE")
        if not models:
            raise ValueError("The explorer needs one model or more; got none.")
        check_images(x, y)
        self.models, self.choices, self.labels = models, x, y
        super().__init__(
            {"image": Thumbnails(x, y), "likelihood": names(models, "likelihood")},
            dict.fromkeys(["image", "mean of p(x|z)", "sample from p(x|z)"], WIDE_SIDE),
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

    def captions(self, pictures: dict[str, Tensor], likelihood: str, image: int) -> dict[str, str]:
        """What the image is, and the mean squared errors of mean and sample."""
        errors = {name: (pictures["image"] - pictures[name]).square().mean() for name in pictures if name != "image"}
        return {"image": called(image, self.labels)} | {name: f"MSE {error:.4f}" for name, error in errors.items()}

    def readout_text(self, pictures: dict[str, Tensor], likelihood: str, image: int) -> str:
        """The likelihood's σ and β = σ²."""
        sigma = self.models[likelihood].sigma
        implied = f"σ = {sigma:.3f}, implied β = σ² = {sigma**2:.4f}" if sigma else "no single σ, so no implied β"
        return f"{likelihood}: {implied}. MSE is the mean squared error of a pixel."


class StyleExplorer(Explorer):
    """Choose a digit: its style z, the mean of q(z|x, y), drawn in every class; then move z away from there.

    Controls: the image by its thumbnail; two sliders, which move two coordinates of z. Beneath the class y stands
    log p(x|z, y): how probable z and y make the image.

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
            name: slider(-reach, reach, 0.0, 0.1, f"add to z{axis + 1}")
            for name, axis in zip(("first", "second"), self.axes, strict=True)
        }
        self.p_x = lru_cache(1)(self._p_x)  # pictures and captions need the same
        sides = {"image": IMAGE_SIDE} | dict.fromkeys(map(str, range(model.num_classes)), CLASS_SIDE)
        super().__init__({"image": Thumbnails(x, y), **sliders}, sides)
        five_in_a_row(self.panels)

    def style(self, image: int, first: float = 0.0, second: float = 0.0) -> Tensor:
        """z, `(K,)`: the style of an image, moved."""
        z = self.styles[image].clone()
        z[self.axes] += z.new_tensor([first, second])
        return z

    def pictures(self, image: int, first: float = 0.0, second: float = 0.0) -> dict[str, Tensor]:
        """name -> (C, H, W): the image, and for each label y, by its number, the mean of p(x|z, y)."""
        means = self.p_x(image, first, second).mean
        return {"image": self.choices[image]} | {str(label): mean for label, mean in enumerate(means)}

    def captions(
        self, pictures: dict[str, Tensor], image: int, first: float = 0.0, second: float = 0.0
    ) -> dict[str, str]:
        """What the image is, and beneath each class log p(x|z, y)."""
        log_px_z = self.p_x(image, first, second).log_prob(self.choices[image])
        return {"image": called(image, self.labels)} | {str(y): f"{value:.1f}" for y, value in enumerate(log_px_z)}

    def readout_text(self, pictures: dict[str, Tensor], image: int, first: float = 0.0, second: float = 0.0) -> str:
        """The two coordinates of z, and what stands beneath the classes."""
        z = self.style(image, first, second)
        places = ", ".join(f"z{axis + 1} = {z[axis]:.2f}" for axis in self.axes)
        return f"{places}. Beneath each class y: log p(x|z, y) of the image, in nats."

    @torch.no_grad()
    def _p_x(self, image, first, second):
        """p(x|z, y) for all labels y, as one distribution over images `(num_classes, C, H, W)`."""
        classes = torch.arange(self.model.num_classes, device=self.styles.device)
        return self.model.decode(self.style(image, first, second).expand(len(classes), -1), classes)


def five_in_a_row(panels):
    """The first picture, and beside it the others, five in a row."""
    image, *classes = panels.children
    layout = {"flex_flow": "row wrap", "max_width": f"{5 * (CLASS_SIDE + 24)}px"}
    panels.children = image, ipywidgets.HBox(classes, layout=layout)


def check_plane(model, x, y):
    """Raises ValueError for a model with other than two dimensions, without images, or without a label for each."""
    doors.model(model)
    doors.tensor("x", x, "images (N, C, H, W)")
    if model.latent_dim != 2 or len(x) == 0 or len(x) != len(y):
        raise ValueError(
            "The explorer needs a model with two latent dimensions, and images with a label each; got "
            f"{model.latent_dim} dimensions, {len(x)} images and {len(y)} labels."
        )


def plane(reach, points, like):
    """The codes of a square grid from -reach to reach, `(points², 2)`, z_1 first, in the dtype of `like`."""
    axis = torch.linspace(-reach, reach, points, dtype=like.dtype, device=like.device)
    return torch.cartesian_prod(axis, axis)


def windows(z, log_joint, q_z):
    """(centres `(N, 2)`, half sides `(N,)`) of squares that hold four standard deviations of p(z|x) and of q(z|x), and
    all that one can see of p(z|x). `log_joint` is log p(x, z) of N images at the codes z `(G, 2)` of a grid, `(N, G)`.
    """
    weights = log_joint.softmax(1)
    mean = weights @ z
    spread = (weights @ z.square() - mean.square()).clamp(min=(z[1, 1] - z[0, 1]).item() ** 2 / 12).sqrt()
    seen = (log_joint > log_joint.amax(1, keepdim=True) - 5)[..., None]  # a density below e^-5 of the peak is black
    p_low, p_high = torch.where(seen, z, torch.inf).amin(1), torch.where(seen, z, -torch.inf).amax(1)
    low = torch.stack([p_low, mean - 4 * spread, q_z.loc - 4 * q_z.scale]).amin(0)
    high = torch.stack([p_high, mean + 4 * spread, q_z.loc + 4 * q_z.scale]).amax(0)
    return (low + high) / 2, (high - low).amax(1) / 2


def posteriors(model, x, z, mu, sigma):
    """p(z|x) of one image and N(mu, diag sigma²) at the codes z `(POINTS², 2)` of a square, as two pictures."""
    log_q = -((z - mu) / sigma).square().sum(1) / 2
    return {"posterior p(z|x)": _shades(log_joint(model, x, z)[0]), "encoder's q(z|x)": _shades(log_q)}


def _shades(log_density):
    """Log densities on a grid, `(P²,)` with z_1 first -> a picture `(1, P, P)`, z_1 to the right, z_2 upwards."""
    return (log_density - log_density.max()).exp().view(1, POINTS, POINTS).transpose(1, 2).flip(1)


def crossed(codes_map, z, reach):
    """A map of codes `(3, S, S)` with a cross at z `(2,)`; where z lies outside, at the edge."""
    side = codes_map.shape[1] - 1
    place = ((1 + z / reach) / 2 * side).round().clamp(0, side).long()
    picture = codes_map.clone()
    picture[:, side - place[1]], picture[:, :, place[0]] = 0.0, 0.0
    return picture
