"""Objectives: one number an image, shape `(B,)`, in nats, summed over the pixels. The mean over images is the
trainer's, or yours."""

from collections.abc import Callable

import torch
from torch import Tensor


def reconstruction_loss(model, x: Tensor) -> Tensor:
    """L(x, g(f(x))) = -log p(x | z = f(x)): images `(B, C, H, W)` -> `(B,)` nats.

    With a Bernoulli likelihood this is the cross-entropy (equation 1.1), with a
    Gaussian one ‖x - y‖² / 2σ² + D/2 log 2πσ². Derived in notebook 01, section 2.
    Raises ValueError for images that the model or its likelihood does not take.
    """
    return -model.decode(model.encode(x)).log_prob(x)


def denoising_loss(model, x: Tensor, corrupt: Callable[[Tensor], Tensor], samples: int = 1) -> Tensor:
    """The mean of -log p(x | z = f(x_tilde)) over S corruptions x_tilde of each image.

    Images `(B, C, H, W)` -> `(B,)` nats: a Monte Carlo estimate, unbiased for any S,
    of the expectation under q_D(x_tilde|x). `corrupt` is called S times with the images
    and draws from it, such as `partial(aetutor.corruption.mask, level=0.5)`. The target
    stays clean. Source: Vincent et al. 2010, section 3. Raises ValueError for `samples`
    that is no whole number from 1 on, and for a `corrupt` that changes the shape.
    """
    if not isinstance(samples, int) or samples < 1:
        raise ValueError(f"samples is how many corruptions to average over, a whole number, 1 or more; got {samples}.")
    x_tilde = torch.stack([corrupt(x) for _ in range(samples)])  # (S, B, C, H, W)
    if x_tilde.shape[1:] != x.shape:
        raise ValueError(f"corrupt must keep the images' shape {tuple(x.shape)}; it gave {tuple(x_tilde.shape[1:])}.")
    return -model.decode(model.encode(x_tilde)).log_prob(x).mean(0)
