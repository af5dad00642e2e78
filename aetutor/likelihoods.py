"""Likelihoods p(x|z), a module for each family: it turns the decoder's outputs into a distribution over images."""

from math import exp, prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent
from torch.nn.functional import softplus

from aetutor import doors
from aetutor.distributions import IMAGE_DIMS, BinaryPixels, ContinuousBernoulliPixels, GaussianPixels

SMALLEST_SIGMA = 0.01  # of a pixel with a sigma of its own, in units of the grey value


class Likelihood(nn.Module):
    """One family of p(x|z). It owns the shape of the decoder's output, and sigma where the family has one.

    Args:
        image_shape: (C, H, W) of one image.

    Called with the decoder's outputs `(…, out_features)`, it gives a distribution over images, batch shape `(…,)`,
    event shape (C, H, W): `log_prob` sums over the pixels, in nats, with every constant kept. Outputs in half precision
    are raised to float32, so that sigma and the sum over the pixels are exact.
    """

    name = ""  # by which a model asks for it
    numbers_per_pixel = 1

    def __init__(self, image_shape: tuple[int, int, int] = (1, 28, 28)):
        super().__init__()
        self.image_shape = tuple(image_shape)
        self.out_features = self.numbers_per_pixel * prod(image_shape)

    def forward(self, outputs: Tensor) -> Distribution:
        """The decoder's outputs `(…, out_features)` -> p(x|z)."""
        return Independent(self.pixels(outputs.to(torch.promote_types(outputs.dtype, torch.float32))), IMAGE_DIMS)

    def pixels(self, outputs: Tensor) -> Distribution:
        """Outputs `(…, out_features)` -> a distribution of batch shape `(…, C, H, W)`, each pixel on its own."""
        raise NotImplementedError

    @property
    def sigma(self) -> float | None:
        """The standard deviation of a pixel, if there is one for all; else None."""
        return None

    def config(self) -> dict[str, Any]:
        """The arguments of a model that build this likelihood."""
        return {"likelihood": self.name}


class BernoulliLikelihood(Likelihood):
    """Binary pixels with P(x_d = 1) = sigmoid(output_d).

    log p(x|z) = Σ_d x_d log x_hat_d + (1 - x_d) log(1 - x_hat_d): minus the cross-entropy (equations 1.1 and 3.9).
    """

    name = "bernoulli"

    def pixels(self, outputs: Tensor) -> Distribution:
        return BinaryPixels(outputs.unflatten(-1, self.image_shape))


class GaussianLikelihood(Likelihood):
    """Gaussian pixels with the output as their mean, and one fixed sigma (default 1), in units of the grey value.

    log p(x|z) = -‖x - mean‖² / 2σ² - D/2 log 2πσ² (equation 3.10). Raises ValueError for a sigma that is not positive.
    """

    name = "gaussian"

    def __init__(self, image_shape: tuple[int, int, int] = (1, 28, 28), sigma: float = 1.0) -> None:
        super().__init__(image_shape)
        self._sigma: float = doors.number("sigma, a standard deviation,", sigma, 0, above=True)

    def pixels(self, outputs: Tensor) -> Distribution:
        return GaussianPixels(outputs.unflatten(-1, self.image_shape), self._sigma)

    @property
    def sigma(self) -> float:
        """The standard deviation of every pixel."""
        return self._sigma

    def config(self) -> dict[str, Any]:
        return {"likelihood": self.name, "sigma": self._sigma}


class LearnedGaussianLikelihood(Likelihood):
    """As `GaussianLikelihood`, with sigma learned.

    It begins at 1, and its best value is the root mean squared error (equation 3.11).
    """

    name = "gaussian_learned"

    def __init__(self, image_shape: tuple[int, int, int] = (1, 28, 28)):
        super().__init__(image_shape)
        # Adam moves every parameter by about lr a step: stored as a tenth, log sigma moves ten times as far as a weight
        self.tenth_log_sigma = nn.Parameter(torch.zeros(()))

    def pixels(self, outputs: Tensor) -> Distribution:
        log_sigma = 10 * self.tenth_log_sigma.to(outputs.dtype)
        return GaussianPixels(outputs.unflatten(-1, self.image_shape), log_sigma.exp())

    @property
    def sigma(self) -> float:
        """The standard deviation of every pixel, as learned so far."""
        return exp(10 * self.tenth_log_sigma.item())


class PixelwiseGaussianLikelihood(Likelihood):
    """Gaussian pixels, each with a mean and a sigma of its own: the decoder gives two images.

    sigma = SMALLEST_SIGMA + softplus of the second: without a floor the likelihood of images whose border is always
    black has no upper bound.
    """

    name = "gaussian_pixelwise"
    numbers_per_pixel = 2

    def pixels(self, outputs: Tensor) -> Distribution:
        mean, spread = outputs.unflatten(-1, (2, *self.image_shape)).unbind(-IMAGE_DIMS - 1)
        return GaussianPixels(mean, SMALLEST_SIGMA + softplus(spread))


class ContinuousBernoulliLikelihood(Likelihood):
    """Grey pixels in [0, 1] with a density proportional to exp(output · x) (equation 3.13)."""

    name = "continuous_bernoulli"

    def pixels(self, outputs: Tensor) -> Distribution:
        return ContinuousBernoulliPixels(outputs.unflatten(-1, self.image_shape))


LIKELIHOODS: dict[str, type[Likelihood]] = {
    family.name: family
    for family in (
        BernoulliLikelihood,
        GaussianLikelihood,
        LearnedGaussianLikelihood,
        PixelwiseGaussianLikelihood,
        ContinuousBernoulliLikelihood,
    )
}


def make_likelihood(name: str, image_shape: tuple[int, int, int], sigma: float | None = None) -> Likelihood:
    """The likelihood of that name. Raises ValueError for an unknown name, and a sigma that the family does not take."""
    if not isinstance(name, str) or name not in LIKELIHOODS:
        raise ValueError(f"Unknown likelihood {name!r}: choose one of {', '.join(LIKELIHOODS)}.")
    family = LIKELIHOODS[name]
    if sigma is None:
        return family(image_shape)
    if family is not GaussianLikelihood:
        raise ValueError(f"sigma belongs to the Gaussian likelihood; got sigma={sigma} with likelihood={name!r}.")
    return GaussianLikelihood(image_shape, sigma)
