"""Likelihoods p(x|z): each turns decoder outputs `(…, C, H, W)` into a distribution over whole images.

The distributions have batch shape `(…,)` and event shape `(C, H, W)`: `log_prob` sums over the pixels, in nats, with
every constant kept.
"""

from math import log, pi

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Distribution, Independent, Normal

IMAGE_DIMS = 3  # C, H, W
SMALLEST_SIGMA = 0.01  # of a pixel with a sigma of its own, in units of the grey value


class BinaryPixels(Bernoulli):
    """`torch.distributions.Bernoulli` that says what to do when it is given grey pixels.

    Its logits are not checked, so that a diverging model meets the trainer's check for NaN and not torch's.
    """

    def __init__(self, logits: Tensor):
        super().__init__(logits=logits, validate_args=False)

    def expand(self, batch_shape, _instance=None):
        return BinaryPixels(self.logits.expand(batch_shape))

    def log_prob(self, x: Tensor) -> Tensor:
        check_pixels(x, self)
        binary = (x == 0) | (x == 1)
        if not binary.all():
            raise ValueError(
                f"A Bernoulli likelihood takes pixels that are 0 or 1; got {x[~binary][0]:.3g} among them: binarize "
                "the images (aetutor.data.binarize), or choose likelihood='gaussian'."
            )
        return super().log_prob(x)

    def log_prob_table(self, x: Tensor) -> Tensor:
        # x · logit - log(1 + exp(logit)), summed over the pixels: for all pairs one product of matrices
        constants = torch.nn.functional.softplus(self.logits).flatten(1).sum(1)
        return x.flatten(1) @ self.logits.flatten(1).T - constants


class GaussianPixels(Normal):
    """`torch.distributions.Normal` whose sigma may be one number for all pixels, which then costs fewer passes."""

    def __init__(self, mean: Tensor, sigma: float | Tensor):
        self.sigma = torch.as_tensor(sigma, dtype=mean.dtype, device=mean.device)  # (), or the shape of mean
        super().__init__(mean, self.sigma, validate_args=False)

    def expand(self, batch_shape, _instance=None):
        sigma = self.sigma if self.sigma.dim() == 0 else self.sigma.expand(batch_shape)
        return GaussianPixels(self.loc.expand(batch_shape), sigma)

    def log_prob(self, x: Tensor) -> Tensor:
        check_pixels(x, self)
        # log N(x; mean, sigma²) = -(x - mean)² / 2 sigma² - log sigma - ½ log 2π
        return (x - self.loc).square() * (-0.5 / self.sigma**2) - self.sigma.log() - 0.5 * log(2 * pi)

    def log_prob_table(self, x: Tensor) -> Tensor:
        # the square opened: T(x) = (x, x²), so that all pairs are two products of matrices; in float64, since the
        # large parts cancel
        mean, rows = self.loc.flatten(1).double(), x.flatten(1).double()
        precision = (self.sigma.double() ** -2).expand(self.loc.shape).flatten(1)  # (G, D)
        constants = (mean.square() * precision / 2 - precision.log() / 2 + 0.5 * log(2 * pi)).sum(1)
        return (rows @ (mean * precision).T - rows.square() @ precision.T / 2 - constants).to(x.dtype)


class ContinuousBernoulliPixels(Distribution):
    """The continuous Bernoulli of Loaiza-Ganem and Cunningham (2019), whose density is proportional to exp(logit · x).

    On [0, 1] the integral of exp(a x) is (exp(a) - 1) / a, so that log p(x) = a x - log((exp(a) - 1) / a): finite, with
    a finite gradient, for every logit a and every x in [0, 1].
    """

    arg_constraints = {}
    has_rsample = True

    def __init__(self, logits: Tensor):
        self.logits = logits
        super().__init__(logits.shape, validate_args=False)

    def expand(self, batch_shape, _instance=None):
        return ContinuousBernoulliPixels(self.logits.expand(batch_shape))

    @property
    def mean(self) -> Tensor:
        """d/da log((exp(a) - 1) / a) = 1 / (1 - exp(-a)) - 1 / a; near a = 0, by its series."""
        small, a = _near_zero(self.logits.abs())
        above = 1 / -torch.expm1(-a) - 1 / a  # for |a|; for -|a| it is 1 less this
        series = 0.5 + self.logits / 12 - self.logits**3 / 720
        return torch.where(small, series, torch.where(self.logits > 0, above, 1 - above))

    def log_prob(self, x: Tensor) -> Tensor:
        check_pixels(x, self)
        if not ((x >= 0) & (x <= 1)).all():
            raise ValueError(
                f"A continuous Bernoulli takes grey values in [0, 1]; got values from {x.min():.3g} to {x.max():.3g}."
            )
        origin, log_scale = self._normaliser()
        return self.logits * (x - origin) + log_scale

    def log_prob_table(self, x: Tensor) -> Tensor:
        origin, log_scale = self._normaliser()
        return x.flatten(1) @ self.logits.flatten(1).T + (log_scale - self.logits * origin).flatten(1).sum(1)

    def rsample(self, sample_shape=()) -> Tensor:
        """By the inverse of the distribution function, for -|a|, where nothing overflows, and mirrored for a > 0."""
        shape = self._extended_shape(torch.Size(sample_shape))
        u = torch.rand(shape, dtype=self.logits.dtype, device=self.logits.device)
        minus = -self.logits.abs()
        small, a = _near_zero(minus, 1e-3)
        # near 0 by the series u + a u (1 - u) / 2
        x = torch.where(small, u + minus * u * (1 - u) / 2, torch.log1p(u * torch.expm1(a)) / a)
        return torch.where(self.logits > 0, 1 - x, x).clamp(0, 1)

    def _normaliser(self) -> tuple[Tensor, Tensor]:
        # log p(x) = a (x - [a > 0]) - log((1 - e^-|a|) / |a|): nothing large that must cancel. Near a = 0 by the series
        # a (x - 1/2) - a²/24 + a⁴/2880
        small, a = _near_zero(self.logits.abs())
        origin = torch.where(small, 0.5, (self.logits > 0).to(self.logits))
        series = -(self.logits**2) / 24 + self.logits**4 / 2880
        return origin, torch.where(small, series, a.log() - torch.log(-torch.expm1(-a)))


def _near_zero(a: Tensor, limit: float = 0.1) -> tuple[Tensor, Tensor]:
    """Where |a| < limit, and a with 1 in these places: what is not taken must not spoil the gradient."""
    small = a.abs() < limit
    return small, torch.where(small, torch.ones_like(a), a)


def bernoulli(logits: Tensor) -> Distribution:
    """Independent binary pixels with P(x_d = 1) = sigmoid(logits_d).

    log p(x|z) = Σ_d x_d log x_hat_d + (1 - x_d) log(1 - x_hat_d) with x_hat = sigmoid(logits): minus the cross-entropy
    (notebook 01, equation 1.1). `log_prob` raises ValueError for pixels other than 0 and 1.
    """
    return Independent(BinaryPixels(logits=logits), IMAGE_DIMS)


def gaussian(mean: Tensor, sigma: float = 1.0) -> Distribution:
    """Independent Gaussian pixels with the given mean and one fixed standard deviation, in units of the grey value.

    log p(x|z) = -‖x - mean‖² / 2σ² - D/2 log 2πσ²: with σ = 1, minus half the squared error and a constant. Raises
    ValueError for a sigma that is not positive.
    """
    check_sigma(sigma)
    return Independent(GaussianPixels(mean, sigma), IMAGE_DIMS)


def gaussian_learned(mean: Tensor, log_sigma: Tensor) -> Distribution:
    """As `gaussian`, with log sigma a parameter of the model, one number: its best value is half the log of the mean
    squared error (notebook 03, equation 3.11)."""
    return Independent(GaussianPixels(mean, log_sigma.exp()), IMAGE_DIMS)


def gaussian_pixelwise(outputs: Tensor) -> Distribution:
    """Independent Gaussian pixels, each with a mean and a sigma of its own: outputs `(…, 2, C, H, W)`.

    sigma = SMALLEST_SIGMA + softplus of the second output: without a floor the likelihood of images whose border is
    always black has no upper bound.
    """
    mean, spread = outputs.unbind(-IMAGE_DIMS - 1)
    return Independent(GaussianPixels(mean, SMALLEST_SIGMA + torch.nn.functional.softplus(spread)), IMAGE_DIMS)


def continuous_bernoulli(logits: Tensor) -> Distribution:
    """Independent grey pixels in [0, 1] with a density proportional to exp(logit · x) (notebook 03, equation 3.13)."""
    return Independent(ContinuousBernoulliPixels(logits), IMAGE_DIMS)


def check_pixels(x: Tensor, p_x: Distribution) -> None:
    """Raise ValueError unless x is a float tensor whose images have the distribution's shape (C, H, W)."""
    wanted = tuple(p_x.batch_shape[-IMAGE_DIMS:])
    if not x.is_floating_point() or x.shape[-IMAGE_DIMS:] != wanted:
        raise ValueError(
            f"Images must be floats of shape (…, {', '.join(map(str, wanted))}); got {x.dtype} of shape "
            f"{tuple(x.shape)}."
        )


def check_sigma(sigma: float) -> None:
    """Raise ValueError unless sigma can be a standard deviation."""
    if not 0 < sigma < float("inf"):
        raise ValueError(f"sigma is a standard deviation and must be positive and finite; got {sigma}.")


LIKELIHOODS = {
    "bernoulli": bernoulli,
    "gaussian": gaussian,
    "gaussian_learned": gaussian_learned,
    "gaussian_pixelwise": gaussian_pixelwise,
    "continuous_bernoulli": continuous_bernoulli,
}
