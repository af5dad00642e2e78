"""Distributions over pixels and codes: subclasses of those in `torch.distributions`.

Their parameters are not checked, so that a diverging model reaches the trainer's check for NaN. `log_prob` always
checks the shape and kind of its images, and their values while torch.distributions' own validation is on.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from math import log, pi
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Distribution, Independent, Normal
from torch.nn.functional import softplus

IMAGE_DIMS = 3  # C, H, W


@contextmanager
def validation(on: bool) -> Iterator[None]:
    """Switch the checks of values by new distributions on or off inside the block; after it, they are as before.

    The switch is `Distribution.set_default_validate_args`, which holds for the whole process.
    """
    before = Distribution._validate_args
    Distribution.set_default_validate_args(on)
    try:
        yield
    finally:
        Distribution.set_default_validate_args(before)


def validating() -> bool:
    """Whether new distributions look at the values that they are given."""
    return bool(Distribution._validate_args)


class BinaryPixels(Bernoulli):
    """`torch.distributions.Bernoulli`, which says what to do when it is given grey pixels.

    Source: notebook 01, equation 1.1; notebook 03, equation 3.9. `log_prob` raises ValueError for images of another
    shape or not floats, and, while validation is on, for pixels other than 0 and 1.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}  # type: ignore[misc]

    def __init__(self, logits: Tensor):
        super().__init__(logits=logits)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Distribution:
        return BinaryPixels(self.logits.expand(batch_shape))

    def log_prob(self, x: Tensor) -> Tensor:
        check_image_shape(x, self)
        if self._validate_args:
            self._validate_sample(x)
        # log p(x) = x · logit - log(1 + exp(logit)), in fewer passes than torch's own
        return torch.addcmul(-softplus(self.logits), x, self.logits)

    def _validate_sample(self, x: Tensor) -> None:
        binary = (x == 0) | (x == 1)
        if not binary.all():
            raise ValueError(
                f"A Bernoulli likelihood takes pixels that are 0 or 1; got {x[~binary][0]:.3g} among them: binarize "
                "the images (aetutor.data.binarize), or choose likelihood='gaussian'."
            )

    def log_prob_table(self, x: Tensor) -> Tensor:
        """log p of all pairs of images `(B, C, H, W)` and this distribution of batch `(G, C, H, W)`: `(B, G)` nats."""
        # x · logit - log(1 + exp(logit)), summed over the pixels: for all pairs one product of matrices
        return x.flatten(1) @ self.logits.flatten(1).T - softplus(self.logits).flatten(1).sum(1)


class GaussianPixels(Normal):
    """`torch.distributions.Normal` whose sigma may be one number for all pixels, which then costs fewer passes.

    Source: notebook 03, equation 3.10. `log_prob` raises ValueError for images of another
    shape or not floats, and, while validation is on, for NaN.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}  # type: ignore[misc]

    def __init__(self, mean: Tensor, sigma: float | Tensor):
        self.sigma = sigma.to(mean) if isinstance(sigma, Tensor) else mean.new_full((), sigma)  # (), or as mean
        super().__init__(mean, self.sigma)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Distribution:
        sigma = self.sigma if self.sigma.dim() == 0 else self.sigma.expand(batch_shape)
        return GaussianPixels(self.loc.expand(batch_shape), sigma)

    def log_prob(self, x: Tensor) -> Tensor:
        check_image_shape(x, self)
        if self._validate_args:
            self._validate_sample(x)
        # log N(x; mean, sigma²) = -(x - mean)² / 2 sigma² - log sigma - ½ log 2π
        return (x - self.loc).square() * (-0.5 / self.sigma**2) - self.sigma.log() - 0.5 * log(2 * pi)

    def _validate_sample(self, x: Tensor) -> None:
        if x.isnan().any():
            raise ValueError("A Gaussian likelihood takes any grey values, but there is NaN among the pixels.")

    def log_prob_table(self, x: Tensor) -> Tensor:
        """log p of all pairs of images `(B, C, H, W)` and this distribution of batch `(G, C, H, W)`: `(B, G)` nats."""
        # the square opened, so that all pairs are products of matrices; in float64, since the large parts cancel
        mean, rows = self.loc.flatten(1).double(), x.flatten(1).double()
        if self.sigma.dim() == 0:  # -‖x - mean‖² / 2 sigma² - D log sigma - D/2 log 2π
            squares = rows.square().sum(1)[:, None] - 2 * rows @ mean.T + torch.linalg.vector_norm(mean, dim=1).square()
            sigma = self.sigma.double()
            return (-squares / (2 * sigma**2) - mean.shape[1] * (sigma.log() + 0.5 * log(2 * pi))).to(x.dtype)
        precision = self.sigma.double().flatten(1) ** -2  # (G, D)
        constants = (mean.square() * precision / 2 - precision.log() / 2 + 0.5 * log(2 * pi)).sum(1)
        return (rows @ (mean * precision).T - rows.square() @ precision.T / 2 - constants).to(x.dtype)


class ContinuousBernoulliPixels(Distribution):
    """The continuous Bernoulli, whose density on [0, 1] is proportional to exp(a x), with a the logit.

    Finite, with a finite gradient, for every logit and every x in [0, 1], where torch's own is wrong for large logits.
    Source: Loaiza-Ganem and Cunningham 2019; notebook 03, equation 3.13. `log_prob` raises ValueError for images
    of another shape or not floats, and, while validation is on, for pixels outside [0, 1].
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}
    has_rsample = True

    def __init__(self, logits: Tensor):
        self.logits = logits
        super().__init__(logits.shape)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Distribution:
        return ContinuousBernoulliPixels(self.logits.expand(batch_shape))

    @property
    def mean(self) -> Tensor:
        """d/da log((exp(a) - 1) / a) = 1 / (1 - exp(-a)) - 1 / a; near a = 0, by its series."""
        small, a = _near_zero(self.logits.abs())
        above = 1 / -torch.expm1(-a) - 1 / a  # for |a|; for -|a| it is 1 minus this
        series = 0.5 + self.logits / 12 - self.logits**3 / 720
        return torch.where(small, series, torch.where(self.logits > 0, above, 1 - above))

    def log_prob(self, x: Tensor) -> Tensor:
        check_image_shape(x, self)
        if self._validate_args:
            self._validate_sample(x)
        origin, log_scale = self._normaliser()
        return self.logits * (x - origin) + log_scale

    def _validate_sample(self, x: Tensor) -> None:
        if not ((x >= 0) & (x <= 1)).all():
            raise ValueError(
                f"A continuous Bernoulli takes grey values in [0, 1]; got values from {x.min():.3g} to {x.max():.3g}."
            )

    def log_prob_table(self, x: Tensor) -> Tensor:
        """log p of all pairs of images `(B, C, H, W)` and this distribution of batch `(G, C, H, W)`: `(B, G)` nats."""
        origin, log_scale = self._normaliser()
        return x.flatten(1) @ self.logits.flatten(1).T + (log_scale - self.logits * origin).flatten(1).sum(1)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """By the inverse of the distribution function, for `-|a|`, where nothing overflows, and mirrored for a > 0."""
        shape = self._extended_shape(torch.Size(sample_shape))
        u = torch.rand(shape, dtype=self.logits.dtype, device=self.logits.device)
        minus = -self.logits.abs()
        small, a = _near_zero(minus, 1e-3)
        # near 0 by the series u + a u (1 - u) / 2
        x = torch.where(small, u + minus * u * (1 - u) / 2, torch.log1p(u * torch.expm1(a)) / a)
        return torch.where(self.logits > 0, 1 - x, x).clamp(0, 1)

    def _normaliser(self) -> tuple[Tensor, Tensor]:
        # ∫ exp(a x) dx = (exp(a) - 1) / a, so log p(x) = a (x - [a > 0]) - log((1 - e^-|a|) / |a|): nothing large that
        # must cancel. Near a = 0 by the series a (x - 1/2) - a²/24 + a⁴/2880
        small, a = _near_zero(self.logits.abs())
        origin = torch.where(small, 0.5, (self.logits > 0).to(self.logits))
        series = -(self.logits**2) / 24 + self.logits**4 / 2880
        return origin, torch.where(small, series, a.log() - torch.log(-torch.expm1(-a)))


class LogVarNormal(Normal):
    """A Gaussian that keeps its log variance, as the KL divergence has it, besides its scale."""

    def __init__(self, mu: Tensor, log_var: Tensor):
        self.log_var = log_var
        # sigma = exp(log_var / 2), since log_var = log sigma²
        super().__init__(mu, (log_var / 2).exp(), validate_args=False)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Distribution:
        return LogVarNormal(self.loc.expand(batch_shape), self.log_var.expand(batch_shape))


def diagonal_gaussian(mu: Tensor, log_var: Tensor) -> Independent:
    """N(mu, diag exp(log_var)), `(…, K)` twice -> a distribution over codes `(…, K)`: what a VAE's `encode` gives."""
    return Independent(LogVarNormal(mu, log_var), 1)


def check_image_shape(x: Tensor, pixels: Distribution) -> None:
    """Raise ValueError unless x is a float tensor whose images have the shape (C, H, W) of the pixels."""
    wanted = tuple(pixels.batch_shape[-IMAGE_DIMS:])
    if not x.is_floating_point() or x.shape[-IMAGE_DIMS:] != wanted:
        raise ValueError(
            f"Images must be floats of shape (…, {', '.join(map(str, wanted))}); got {x.dtype} of shape "
            f"{tuple(x.shape)}."
        )


def _near_zero(a: Tensor, limit: float = 0.1) -> tuple[Tensor, Tensor]:
    """Where |a| < limit, and a with 1 in these places: what is not taken must not spoil the gradient."""
    small = a.abs() < limit
    return small, torch.where(small, torch.ones_like(a), a)
