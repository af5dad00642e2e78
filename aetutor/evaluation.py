"""Evaluation: how good a trained model is, on images it is given."""

from collections.abc import Callable, Mapping, Sequence
from math import log
from typing import NamedTuple

import torch
from torch import Tensor

from aetutor import corruption
from aetutor.objectives import check_samples, importance_weights, posterior
from aetutor.probe import Probe, linear_probe
from aetutor.quadrature import batches, check_labels, check_plane, is_narrow, log_joint, narrow_elbo, refine

__all__ = [
    "Evidence",
    "OptimalMemory",
    "Probe",
    "active_units",
    "linear_probe",
    "log_likelihoods",
    "log_px_importance",
    "log_px_quadrature",
    "median_filter",
    "posterior_grid",
    "psnr",
    "psnr_by_level",
    "squared_error",
]

Denoiser = Callable[[Tensor, str, float], Tensor]  # (noisy images (B, C, H, W), kind, level) -> (B, C, H, W)
CODES = 20_000  # decoded at a time: 63 MB for 784 pixels
TINY = 1e-6  # stands for a standard deviation of 0


@torch.no_grad()
def squared_error(reconstruct: Callable[[Tensor], Tensor], x: Tensor) -> float:
    """The mean over images `(N, C, H, W)` of ‖x - reconstruct(x)‖², summed over the pixels; a number without a unit.

    `reconstruct` is any function from images to images of the same shape, such as a model's method of that name; it is
    called once, with all of them. Raises ValueError when it gives another shape, or for no images, or bytes.
    """
    if len(x) == 0 or not x.is_floating_point():
        raise ValueError(f"squared_error takes one float image or more; got {len(x)} in {x.dtype}.")
    x_hat = reconstruct(x)
    if x_hat.shape != x.shape:
        raise ValueError(f"The reconstructions must have the images' shape {tuple(x.shape)}; got {tuple(x_hat.shape)}.")
    return (x - x_hat).square().flatten(1).sum(1).mean().item()


def psnr(x: Tensor, x_hat: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each image, `(N, C, H, W)` twice -> `(N,)` decibels, for grey values in [0, 1].

    10 log10(1 / mean squared error): 3 dB more is half the squared error; infinite where x and x_hat agree.
    Raises ValueError for images of different shapes.
    """
    if x.shape != x_hat.shape:
        raise ValueError(f"psnr compares images of the same shape; got {tuple(x.shape)} and {tuple(x_hat.shape)}.")
    return -10 * (x - x_hat).square().flatten(1).mean(1).log10()


def median_filter(x: Tensor) -> Tensor:
    """Each pixel becomes the median of its 3 × 3 neighbourhood, images `(N, C, H, W)`; beyond the edge it is black.

    Nothing is trained: the textbook's remedy for salt and pepper, to compare with.
    """
    neighbours = torch.nn.functional.pad(x, (1, 1, 1, 1)).unfold(2, 3, 1).unfold(3, 3, 1)  # (N, C, H, W, 3, 3)
    return neighbours.flatten(-2).median(-1).values


@torch.no_grad()
def psnr_by_level(
    x: Tensor,
    methods: Mapping[str, Denoiser],
    kind: str,
    levels: Sequence[float],
    generator: torch.Generator | None = None,
) -> dict[str, list[float]]:
    """name -> the mean PSNR in dB at each level: images x `(N, C, H, W)` spoilt by `kind`, and restored by each method.

    All methods see the same noisy images. The mean is inf as soon as one image comes back without any error. Raises
    ValueError for an unknown kind, or a level that it does not take.
    """
    noisy = [corruption.of_kind(kind)(x, level, generator) for level in levels]
    return {
        name: [psnr(x, f(x_tilde, kind, level)).mean().item() for x_tilde, level in zip(noisy, levels, strict=True)]
        for name, f in methods.items()
    }


class OptimalMemory:
    """The best denoiser of the training images: E[x|x_tilde] when x is one of `images`, all equally likely.

    Args:
        images: (N, C, H, W) floats in [0, 1]. They are kept; a call with many noisy images needs about 0.2 GB more.

    Called with noisy images `(B, C, H, W)`, the kind of the noise and its level, it gives `(B, C, H, W)`. For Gaussian
    noise this is the posterior mean (notebook 02, equation 2.6); for the other kinds an approximation, the Gaussian
    with the mean and the mean variance that the noise has (`corruption.moments`).
    """

    CHUNK = 256  # noisy images at a time: with 60,000 images one matrix of weights is 61 MB

    def __init__(self, images: Tensor):
        if len(images) == 0 or not images.is_floating_point():
            raise ValueError(f"The memory needs one float image or more; got {len(images)} in {images.dtype}.")
        self.images, self.rows = images, images.flatten(1)
        squares = torch.linalg.vector_norm(self.rows, dim=1).square()  # (N,)
        self.half_squares = squares / 2
        self.mean, self.mean_square = self.rows.mean().item(), squares.mean().item() / self.rows.shape[1]

    def __call__(self, x_tilde: Tensor, kind: str, level: float) -> Tensor:
        scale, offset, sigma = corruption.moments(kind, level, self.mean, self.mean_square)
        return self.posterior_mean(x_tilde, sigma, scale, offset)

    @torch.no_grad()
    def posterior_mean(self, x_tilde: Tensor, sigma: float, scale: float = 1.0, offset: float = 0.0) -> Tensor:
        """E[x|x_tilde], `(B, C, H, W)`, for x_tilde = scale·x + offset + sigma·noise, the noise standard normal.

        With sigma = 0 it is the limit: the nearest image. Raises ValueError for noisy images of another shape or dtype
        than the memory's, or a negative sigma.
        """
        if x_tilde.shape[1:] != self.images.shape[1:] or x_tilde.dtype != self.images.dtype:
            raise ValueError(
                f"The memory takes {self.images.dtype} images of shape (B, "
                f"{', '.join(map(str, self.images.shape[1:]))}); got {x_tilde.dtype} of shape "
                f"{tuple(x_tilde.shape)}."
            )
        if not 0 <= sigma < float("inf"):
            raise ValueError(f"sigma is a standard deviation, 0 or larger, and finite; got {sigma}.")
        parts = []
        for rows in (x_tilde - offset).flatten(1).split(self.CHUNK):
            # -‖x_tilde - offset - scale·x_i‖² / 2σ², less what is the same for all i
            logits = (scale * (rows @ self.rows.T) - scale**2 * self.half_squares) / max(sigma, TINY) ** 2
            parts.append(logits.softmax(1) @ self.rows)
        return torch.cat(parts).view_as(x_tilde)


class Evidence(NamedTuple):
    """log p(x) of each image and its ELBO, `(B,)` in nats, by the same quadrature, and how far off both may be."""

    log_px: Tensor
    elbo: Tensor
    error: Tensor


@torch.no_grad()
def log_likelihoods(model, x: Tensor, z: Tensor, y: Tensor | None = None) -> Tensor:
    """log p(x|z) for all pairs of images and codes: `(B, C, H, W)` and `(G, K)` -> `(B, G)` nats.

    For a conditional model log p(x|z, y): `y` has a label for each code, `(G,)`. Raises ValueError for labels that the
    model does not take, or of another shape.
    """
    check_labels(model, z, y, "a code")
    return torch.cat(
        [
            model.decode(part, *(() if label is None else (label,))).base_dist.log_prob_table(x)
            for part, label in batches(z, y, CODES)
        ],
        dim=1,
    )


@torch.no_grad()
def log_px_importance(model, x: Tensor, samples: int, y: Tensor | None = None) -> Tensor:
    """log p(x) by importance sampling from q(z|x), images `(N, C, H, W)` -> `(N,)` nats, in bounded memory.

    The importance-weighted bound (notebook 03, equation 3.15) with many samples: on average too low, and by much where
    q misses a part of the posterior. For latents of two dimensions `log_px_quadrature` is exact. With labels y `(N,)`,
    of a conditional model, it is log p(x|y).
    """
    check_samples(samples)
    check_labels(model, x, y)
    parts = [_log_mean_weight(model, image, label, samples) for image, label in batches(x, y, 50)]
    return torch.cat(parts)


def _log_mean_weight(model, x, y, samples, chunk=100):
    total = x.new_full((len(x),), -torch.inf)
    for start in range(0, samples, chunk):
        weights = importance_weights(model, x, y, min(chunk, samples - start))
        total = torch.logaddexp(total, weights.logsumexp(0))
    return total - log(samples)


@torch.no_grad()
def log_px_quadrature(model, x: Tensor, y: Tensor | None = None, tolerance: float = 0.01) -> Evidence:
    """log p(x) = log ∫ p(x|z) p(z) dz and the ELBO by sums over a grid, for models with two latent dimensions.

    Images `(N, C, H, W)` -> `(N,)` nats each; with labels y `(N,)`, of a conditional model, log p(x|y). The square is
    so wide that it holds every q(z|x) to seven standard deviations, and wider where p(x|z) p(z) has not vanished at its
    edge; its step, 1/8 at first, is halved until neither number of an image moves by more than `tolerance` (in float64,
    twice in a row); `error` is how much they moved in the last round. The ELBO is that of q put on the grid, so that
    the gap log_px - elbo is a KL divergence on the grid and never negative; a q narrower than 1/64 has a grid of its
    own, and then the gap is as exact as `error` says. Derived in notebook 03, section 2. Raises ValueError for other
    numbers of latent dimensions, images that the likelihood does not take, or a tolerance that is not positive, and
    RuntimeError when a step of 1/512 is still too coarse.
    """
    check_plane(model)
    if not tolerance > 0:
        raise ValueError(f"tolerance is how many nats the answer may be off, more than 0; got {tolerance}.")
    check_labels(model, x, y)
    q_z = posterior(model, x, y)
    model.decode(q_z.mean, *(() if y is None else (y,))).log_prob(x)  # which checks the pixels
    reach = (q_z.mean.abs() + 7 * q_z.stddev).amax(1).clamp(min=6.0).ceil()  # (N,), a whole number
    results = [x.new_empty(len(x)) for _ in Evidence._fields]
    for radius in reach.unique():
        chosen = (reach == radius).nonzero()[:, 0]
        converged = refine(model, x[chosen], None if y is None else y[chosen], radius.item(), tolerance)
        for result, values in zip(results, converged, strict=True):
            result[chosen] = values
    for i in is_narrow(q_z.base_dist).nonzero()[:, 0]:
        one = slice(i, i + 1)
        coarse, fine = (narrow_elbo(model, x[one], None if y is None else y[one], points) for points in (32, 64))
        results[1][i], results[2][i] = fine, torch.maximum(results[2][i], (fine - coarse).abs())
    return Evidence(*results)


def posterior_grid(model, x: Tensor, y: Tensor | None = None, radius: float = 4.0, points: int = 200):
    """The true posterior p(z|x) on a square, for models with two latent dimensions.

    Images `(N, C, H, W)` -> (axis `(P,)`, log densities `(N, P, P)` in nats, z_1 along the rows): from -radius to
    radius; with labels y `(N,)`, of a conditional model, p(z|x, y). It is log p(x|z) + log p(z) - log p(x), the last by
    `log_px_quadrature`, whose errors it raises: a density, also where the posterior is narrower than the step or lies
    outside the square. Raises ValueError for fewer than two points or a radius that is not positive.
    """
    log_px = log_px_quadrature(model, x, y).log_px
    if points < 2 or not radius > 0:
        raise ValueError(f"The grid needs two points or more and a radius above 0; got {points=}, {radius=}.")
    axis = torch.linspace(-radius, radius, points, dtype=x.dtype, device=x.device)
    with torch.no_grad():
        joint = log_joint(model, x, y, torch.cartesian_prod(axis, axis)).view(len(x), points, points)
    return axis, joint - log_px[:, None, None]


@torch.no_grad()
def active_units(model, x: Tensor, y: Tensor | None = None, threshold: float = 0.01) -> int:
    """How many latent dimensions carry information: those whose posterior mean varies over the images.

    A unit counts where the variance of mu_k over images x `(N, C, H, W)` is above `threshold` (Burda et al. 2016). A
    conditional model is told the labels y `(N,)`.
    """
    mu = posterior(model, x, y).mean
    return int((mu.var(0) > threshold).sum())
