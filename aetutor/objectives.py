"""Objectives: one number an image, shape `(B,)`, in nats, summed over the pixels. The mean over images is the
trainer's, or yours."""

from torch import Tensor


def reconstruction_loss(model, x: Tensor) -> Tensor:
    """L(x, g(f(x))) = -log p(x | z = f(x)): images `(B, C, H, W)` -> `(B,)` nats.

    With a Bernoulli likelihood this is the cross-entropy (equation 1.1), with a
    Gaussian one ‖x - y‖² / 2σ² + D/2 log 2πσ². Derived in notebook 01, section 2.
    Raises ValueError for images that the model or its likelihood does not take.
    """
    return -model.decode(model.encode(x)).log_prob(x)
