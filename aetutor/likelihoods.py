"""Likelihoods p(x|z): each turns decoder outputs `(…, C, H, W)` into a distribution over whole images.

The distributions have batch shape `(…,)` and event shape `(C, H, W)`: `log_prob` sums over the pixels, in nats, with
every constant kept.
"""

from math import log, pi

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Distribution, Independent, Normal

IMAGE_DIMS = 3  # C, H, W


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
                "the images (aetutor.data.binarize), or choose likelihood='gaussian'.")
        return super().log_prob(x)


class GaussianPixels(Normal):
    """`torch.distributions.Normal` with one number as sigma: the same values in fewer passes over the pixels."""

    def __init__(self, mean: Tensor, sigma: float):
        super().__init__(mean, torch.full((), sigma, dtype=mean.dtype, device=mean.device), validate_args=False)
        self.sigma = sigma

    def expand(self, batch_shape, _instance=None):
        return GaussianPixels(self.loc.expand(batch_shape), self.sigma)

    def log_prob(self, x: Tensor) -> Tensor:
        check_pixels(x, self)
        # log N(x; mean, sigma^2) = -(x - mean)^2 / 2 sigma^2 - 1/2 log(2 pi sigma^2)
        return (x - self.loc).square() * (-0.5 / self.sigma**2) - 0.5 * log(2 * pi * self.sigma**2)


def bernoulli(logits: Tensor) -> Distribution:
    """Independent binary pixels with P(x_d = 1) = sigmoid(logits_d).

    log p(x|z) = Σ_d x_d log y_d + (1 - x_d) log(1 - y_d) with y = sigmoid(logits): minus the cross-entropy (notebook
    01, equation 1.1). `log_prob` raises ValueError for pixels other than 0 and 1.
    """
    return Independent(BinaryPixels(logits=logits), IMAGE_DIMS)


def gaussian(mean: Tensor, sigma: float = 1.0) -> Distribution:
    """Independent Gaussian pixels with the given mean and one fixed standard deviation, in units of the grey value.

    log p(x|z) = -‖x - mean‖² / 2σ² - D/2 log 2πσ²: with σ = 1, minus half the squared error and a constant. Raises
    ValueError for a sigma that is not positive.
    """
    check_sigma(sigma)
    return Independent(GaussianPixels(mean, sigma), IMAGE_DIMS)


def check_pixels(x: Tensor, p_x: Distribution) -> None:
    """Raise ValueError unless x is a float tensor whose images have the distribution's shape (C, H, W)."""
    wanted = tuple(p_x.batch_shape[-IMAGE_DIMS:])
    if not x.is_floating_point() or x.shape[-IMAGE_DIMS:] != wanted:
        raise ValueError(f"Images must be floats of shape (…, {', '.join(map(str, wanted))}); got {x.dtype} of shape "
                         f"{tuple(x.shape)}.")


def check_sigma(sigma: float) -> None:
    """Raise ValueError unless sigma can be a standard deviation."""
    if not 0 < sigma < float("inf"):
        raise ValueError(f"sigma is a standard deviation and must be positive and finite; got {sigma}.")


LIKELIHOODS = {"bernoulli": bernoulli, "gaussian": gaussian}
