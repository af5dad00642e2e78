"""The evidence log p(x) of latent-variable models: exactly on a plane of codes, by importance sampling elsewhere; the
gap to the ELBO; the posterior on a grid."""

from collections.abc import Iterator
from math import log
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent

from aetutor import doors
from aetutor.data import Labels, check_images, labels_of
from aetutor.distributions import validation
from aetutor.objectives import Model, log_importance_weights, log_prior, posterior
from aetutor.quadrature import Guess, log_integrals

CODES = 5_000  # decoded at a time: 16 MB for 784 pixels, which a processor keeps near
IMAGES, DRAWS = 50, 100  # whose importance weights are computed at a time


class Evidence(NamedTuple):
    """log p(x) of each image and its ELBO, `(B,)` in nats, by the same quadrature; and how far both moved last."""

    log_px: Tensor
    elbo: Tensor
    error: Tensor


@torch.no_grad()
def log_likelihoods(model: Model, x: Tensor, z: Tensor, y: Labels | None = None) -> Tensor:
    """log p(x|z) for all pairs of images and codes: `(B, C, H, W)` and `(G, K)` -> `(B, G)` nats.

    For a conditional model log p(x|z, y): `y` has a label for each code, `(G,)`. Raises ValueError for images that the
    likelihood does not take, and labels that the model does not take, or too few or too many labels.
    """
    check_images(x)
    _check_codes(x, z)
    y = None if y is None else labels_of(z, y, "a code")
    _check_pixels(model, x, z, y)
    return _table(model, x, z, y)


@torch.no_grad()
def log_joint(model: Model, x: Tensor, z: Tensor, y: Labels | None = None) -> Tensor:
    """log p(x, z) = log p(x|z) + log p(z) for all pairs: `(B, C, H, W)` and `(G, K)` -> `(B, G)` nats.

    For a conditional model log p(x, z|y): `y` has a label for each image, `(B,)`. Raises ValueError as
    `log_likelihoods` does.
    """
    check_images(x)
    _check_codes(x, z)
    y = None if y is None else labels_of(x, y)
    _check_pixels(model, x, z, None if y is None else y[:1])
    return _log_joint(model, x, z, y)


@torch.no_grad()
def log_px_importance(model: Model, x: Tensor, samples: int, y: Labels | None = None) -> Tensor:
    """log p(x) by importance sampling from q(z|x), images `(N, C, H, W)` -> `(N,)` nats, in bounded memory.

    The importance-weighted bound with many samples: on average too low, and by much where q misses a part of the
    posterior. With labels y `(N,)`, of a conditional model, it is log p(x|y). Source: Burda et al. 2016; notebook 03,
    equation 3.15. Raises ValueError for images or labels that the model does not take, and samples below 1.
    """
    doors.whole_number("samples", samples)
    y, _ = _enter(model, x, y)
    parts = []
    for image, label in _batches(x, y, IMAGES):
        total = image.new_full((len(image),), -torch.inf)
        for start in range(0, samples, DRAWS):
            log_w = log_importance_weights(model, image, label, min(DRAWS, samples - start))
            total = torch.logaddexp(total, log_w.logsumexp(0))
        parts.append(total - log(samples))
    return torch.cat(parts)


@torch.no_grad()
def log_px_quadrature(model: Model, x: Tensor, y: Labels | None = None, tolerance: float = 0.01) -> Evidence:
    """log p(x) = log ∫ p(x|z) p(z) dz and the ELBO by sums over a grid, for models with two latent dimensions.

    Images `(N, C, H, W)` -> `(N,)` nats each; with labels y `(N,)`, of a conditional model, log p(x|y). `error` is how
    far log p(x) and the ELBO moved when the grid's step was last halved, at most `tolerance`. The gap between them is
    never negative, except that a q(z|x) narrower than 1/64 has its ELBO from a grid of its own, whose error `tolerance`
    does not hold. Source: notebook 03, section 1. Raises ValueError for other numbers of latent dimensions, images or
    labels that the model does not take, or a tolerance that is not positive, and RuntimeError when the grid cannot be
    fine or wide enough.
    """
    doors.number("tolerance, how many nats the answer may be off,", tolerance, 0, above=True)
    y, q_z = _enter(model, x, y)
    _check_plane(q_z)

    def log_f(z: Tensor, rows: Tensor) -> Tensor:
        return _log_joint(model, x[rows], z, None if y is None else y[rows])

    return Evidence(*log_integrals(log_f, Guess(q_z.mean, q_z.base_dist.log_var), tolerance))


@torch.no_grad()
def posterior_grid(
    model: Model, x: Tensor, y: Labels | None = None, radius: float = 4.0, points: int = 200
) -> tuple[Tensor, Tensor]:
    """The true posterior p(z|x) on a square, for models with two latent dimensions.

    Images `(N, C, H, W)` -> (axis `(P,)`, log densities `(N, P, P)` in nats, z_1 along the rows): from -radius to
    radius; with labels y `(N,)`, of a conditional model, p(z|x, y). It is log p(x|z) + log p(z) - log p(x), the last by
    `log_px_quadrature`: a density, also where the posterior is narrower than the step or lies outside the square.
    Raises that function's errors, and ValueError for fewer than two points or a radius that is not positive.
    """
    doors.whole_number("points", points, 2)
    doors.number("radius, half a side of the square,", radius, 0, above=True)
    log_px = log_px_quadrature(model, x, y).log_px
    axis = torch.linspace(-radius, radius, points, dtype=x.dtype, device=x.device)
    y = None if y is None else labels_of(x, y)
    joint = _log_joint(model, x, torch.cartesian_prod(axis, axis), y)
    return axis, joint.view(len(x), points, points) - log_px[:, None, None]


@torch.no_grad()
def active_units(model: Model, x: Tensor, y: Labels | None = None, threshold: float = 0.01) -> int:
    """How many latent dimensions carry information: those whose posterior mean varies over the images.

    A unit counts where the variance of mu_k over images x `(N, C, H, W)` is above `threshold`. A conditional model is
    given the labels y `(N,)`. Source: Burda et al. 2016, section 5. Raises ValueError for fewer than two images, for
    images or labels that the model does not take, and for a threshold below 0.
    """
    q_z = _posterior(model, x, y)
    if len(x) < 2:
        raise ValueError("active_units compares images with each other: it takes two or more; got 1.")
    doors.number("threshold, a variance,", threshold, 0)
    return int((q_z.mean.var(0) > threshold).sum())


def _enter(model: Model, x: Tensor, y: Labels | None) -> tuple[Tensor | None, Independent]:
    """The door: labels as a tensor, and q(z|x), once images, labels and pixels are seen to fit the model."""
    q_z = _posterior(model, x, y)
    y = None if y is None else labels_of(x, y)
    _check_pixels(model, x, q_z.mean, y)
    return y, q_z


def _posterior(model: Model, x: Tensor, y: Labels | None) -> Independent:
    """q(z|x), once the images and q are seen to be finite."""
    check_images(x)
    q_z = posterior(model, x, y)
    if not (q_z.mean.isfinite() & q_z.variance.isfinite()).all():
        raise ValueError(f"{type(model).__name__} gives a q(z|x) that is not finite: it has diverged.")
    return q_z


def _check_pixels(model: Model, x: Tensor, z: Tensor, y: Tensor | None) -> None:
    """Raise the likelihood's own ValueError for images that it does not take: all of them, given one code."""
    with validation(True):
        model.decode(z[:1], None if y is None else y[:1]).log_prob(x)


def _check_codes(x: Tensor, z: Tensor) -> None:
    doors.tensor("z", z, "codes (G, K)")
    if z.dim() != 2 or len(z) == 0 or z.dtype != x.dtype or not z.isfinite().all():
        raise ValueError(
            f"Codes must be finite, in the dtype of the images, {x.dtype}, of shape (G, K), G at least 1; got "
            f"{z.dtype} of shape {tuple(z.shape)}."
        )


def _check_plane(q_z: Independent) -> None:
    if q_z.event_shape != (2,):
        raise ValueError(
            f"The quadrature works in two latent dimensions; this model has {q_z.event_shape[0]}: use "
            "log_px_importance."
        )


def _log_joint(model: Model, x: Tensor, z: Tensor, y: Tensor | None) -> Tensor:
    """`log_joint` without its checks."""
    if y is None:
        return _table(model, x, z) + log_prior(z)
    table = x.new_empty(len(x), len(z))
    for label in y.unique():
        table[y == label] = _table(model, x[y == label], z, label.expand(len(z)))
    return table + log_prior(z)


def _table(model: Model, x: Tensor, z: Tensor, y: Tensor | None = None) -> Tensor:
    """log p(x|z) of all pairs, `(B, G)`; y has a label for each code."""
    return torch.cat([_pairs(model.decode(code, label), x) for code, label in _batches(z, y, CODES)], dim=1)


def _pairs(p_x: Distribution, x: Tensor) -> Tensor:
    """log p of all pairs: by products of matrices where the distribution can, else image by image."""
    table = getattr(getattr(p_x, "base_dist", None), "log_prob_table", None)
    return table(x) if table else torch.stack([p_x.log_prob(image) for image in x])


def _batches(x: Tensor, y: Tensor | None, size: int) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Pairs of images, or codes, and their labels, `size` at a time; None for labels that are not given."""
    labels = [None] * -(-len(x) // size) if y is None else y.split(size)
    return zip(x.split(size), labels, strict=True)
