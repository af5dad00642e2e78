"""Objectives: one number per image, shape `(B,)`, in nats, summed over pixels and latents. The mean over images is the
trainer's, or yours."""

from collections.abc import Callable
from math import log, pi
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent

from aetutor import doors
from aetutor.data import Labels
from aetutor.distributions import LogVarNormal


class Model(Protocol):
    """What is asked of a model, here and in `evidence`: one call signature, also where there are no labels."""

    def encode(self, x: Tensor, y: Labels | None = None) -> Any:
        """Images `(…, C, H, W)` -> their codes `(…, K)`, or a distribution q(z|x) over them."""

    def decode(self, z: Tensor, y: Labels | None = None) -> Any:
        """Codes `(…, K)` -> p(x|z), a distribution over images `(…, C, H, W)`."""


def reconstruction_loss(model: Model, x: Tensor) -> Tensor:
    """L(x, x_hat) = -log p(x | z = f(x)), with x_hat = g(f(x)): images `(B, C, H, W)` -> `(B,)` nats.

    With a Bernoulli likelihood this is the cross-entropy (equation 1.1), with a Gaussian
    one ‖x - x_hat‖² / 2σ² + D/2 log 2πσ². Derived in notebook 01, section 2.
    Raises ValueError for images that the model or its likelihood does not take, and for
    a model whose `encode` gives a distribution.
    """
    z = code(model, x)
    return -model.decode(z).log_prob(x)


def denoising_loss(model: Model, x: Tensor, corrupt: Callable[[Tensor], Tensor], samples: int = 1) -> Tensor:
    """The mean of -log p(x | z = f(x_tilde)) over S corruptions x_tilde of each image.

    Images `(B, C, H, W)` -> `(B,)` nats: a Monte Carlo estimate, unbiased for any S,
    of the expectation under q_D(x_tilde|x). `corrupt` is called S times with the images
    and draws from it, such as `partial(aetutor.corruption.mask, level=0.5)`. The target
    stays clean. Source: Vincent et al. 2010, section 3. Raises ValueError for `samples`
    that is no whole number from 1 on, for a `corrupt` that changes the shape, and for a
    model whose `encode` gives a distribution.
    """
    doors.whole_number("samples", samples)
    doors.function("corrupt", corrupt, "a function of the images, such as partial(corruption.mask, level=0.5)")
    x_tilde = torch.stack([corrupt(x) for _ in range(samples)])  # (S, B, C, H, W)
    if x_tilde.shape[1:] != x.shape:
        raise ValueError(f"corrupt must keep the images' shape {tuple(x.shape)}; it gave {tuple(x_tilde.shape[1:])}.")
    z = code(model, x_tilde)
    return -model.decode(z).log_prob(x).mean(0)


class Elbo(NamedTuple):
    """The evidence lower bound of each image and its two parts, each `(B,)`, in nats: elbo = log_px_z - beta · kl."""

    elbo: Tensor
    log_px_z: Tensor
    kl: Tensor


def gaussian_kl(mu: Tensor, log_var: Tensor) -> Tensor:
    """KL(N(mu, diag exp(log_var)) ‖ N(0, I)), `(…, K)` twice -> `(…,)` nats.

    Source: Kingma and Welling 2014, appendix B; notebook 03, equation 3.7. Raises TypeError for what is no tensor, and
    ValueError for another K.
    """
    doors.same_size(mu=mu, log_var=log_var)
    # ½ Σ_k (mu_k² + sigma_k² - 1 - log sigma_k²)
    return 0.5 * (mu.square() + log_var.exp() - 1 - log_var).sum(-1)


def log_prior(z: Tensor) -> Tensor:
    """log N(z; 0, I), the prior of all models here: codes `(…, K)` -> `(…,)` nats."""
    return -0.5 * (z.square() + log(2 * pi)).sum(-1)


def elbo(model: Model, x: Tensor, y: Labels | None = None, samples: int = 1, beta: float = 1.0) -> Elbo:
    """log p(x) >= E_q[log p(x|z)] - KL(q(z|x) ‖ p(z)), the expectation by S samples of z: `(B, C, H, W)` -> `(B,)`.

    Unbiased for any S, and differentiable through the samples. `beta` weighs the KL (Higgins et al. 2017); 1 is the
    bound. `y` are labels `(B,)`, or one for all, of a conditional model. Source: Kingma and Welling 2014, equations 3
    and 10; notebook 03, equations 3.6, 3.8 and 3.14. Raises ValueError for `samples` below 1, for labels that the model
    does not take, and for a model whose `encode` gives no distribution.
    """
    doors.whole_number("samples", samples)
    beta = beta if isinstance(beta, Tensor) else doors.number("beta", beta, 0)
    q_z = posterior(model, x, y)
    z = q_z.rsample((samples,))  # (S, B, K)
    log_px_z = model.decode(z, y).log_prob(x).mean(0)
    kl = gaussian_kl(q_z.mean, q_z.base_dist.log_var)
    return Elbo(log_px_z - beta * kl, log_px_z, kl)


def importance_weighted_bound(model: Model, x: Tensor, y: Labels | None = None, samples: int = 1) -> Tensor:
    """log (1/S) Σ_s p(x|z_s) p(z_s) / q(z_s|x) for S = `samples` draws from q(z|x): `(B, C, H, W)` -> `(B,)` nats.

    Its mean rises with S from the ELBO towards log p(x). `y` are labels `(B,)`, or one for all, of a conditional model.
    Source: Burda et al. 2016, equation 8; notebook 03, equation 3.15. Raises ValueError as `elbo` does.
    """
    return log_importance_weights(model, x, y, samples).logsumexp(0) - log(samples)


def log_importance_weights(model: Model, x: Tensor, y: Labels | None = None, samples: int = 1) -> Tensor:
    """log p(x|z) + log p(z) - log q(z|x) for `samples` draws z from q(z|x): `(B, C, H, W)` -> `(S, B)` nats."""
    doors.whole_number("samples", samples)
    q_z = posterior(model, x, y)
    z = q_z.rsample((samples,))
    return model.decode(z, y).log_prob(x) + log_prior(z) - q_z.log_prob(z)


def code(model: Model, x: Tensor) -> Tensor:
    """The code of each image. Raises ValueError for a model whose `encode` gives a distribution q(z|x)."""
    doors.some("x", x)
    z = doors.model(model).encode(x)
    if isinstance(z, Distribution):
        raise ValueError(
            f"This loss takes a model that encodes an image as one code; {type(model).__name__} gives a "
            "distribution q(z|x): take elbo."
        )
    return z


def posterior(model: Model, x: Tensor, y: Labels | None = None) -> Independent:
    """q(z|x), or q(z|x, y) where there are labels. Raises ValueError for a model whose `encode` gives no Gaussian."""
    doors.some("x", x)
    q_z = doors.model(model).encode(x, y)
    if not isinstance(getattr(q_z, "base_dist", None), LogVarNormal):
        advice = ": for a plain autoencoder take reconstruction_loss" if isinstance(q_z, Tensor) else ""
        raise ValueError(
            "This takes a model whose encode gives q(z|x), made by distributions.diagonal_gaussian, such as a VAE; "
            f"{type(model).__name__}'s gives a {type(q_z).__name__}{advice}."
        )
    return q_z
