"""The slips that are common to many exercises: each takes the right function, and gives a `Mistake`.

`why` may be given where an exercise can say it better.
"""

from math import log

import torch

from aetutor.exercises.engine import Mistake


def wrong_sign(reference, why: str = "The result has the right size, but the wrong sign.") -> Mistake:
    """Minus the reference."""
    return Mistake("the wrong sign", lambda *a: -reference(*a), why)


def half(reference, why: str = "The ½ belongs to the Gaussian log-likelihood; here the squared error itself is asked."):
    """Half of the reference."""
    return Mistake("half of it", lambda *a: reference(*a) / 2, why)


def twice(reference, why: str) -> Mistake:
    """Twice the reference, where it has a ½."""
    return Mistake("the ½ is missing", lambda *a: 2 * reference(*a), why)


def bits(reference, why: str = "Take the natural logarithm, not the one to base 2.") -> Mistake:
    """The reference in bits."""
    return Mistake("bits instead of nats", lambda *a: reference(*a) / log(2), why)


def no_logarithm(reference, why: str = "exp(-900) is too small for a float and becomes 0. Return the logarithm."):
    """exp of the reference, which is a logarithm."""
    return Mistake("the logarithm is missing", lambda *a: reference(*a).exp(), why)


def sum_of_batch(reference, why: str = "Leave the batch axis: one number for each image.") -> Mistake:
    """The sum over the batch."""
    return Mistake("one number for the batch", lambda *a: reference(*a).sum(), why)


def mean_of_batch(reference, why: str = "Leave the batch axis: one number for each image.") -> Mistake:
    """The mean over the batch."""
    return Mistake("the mean over the batch", lambda *a: reference(*a).mean(), why)


def one_number(reference) -> tuple[Mistake, Mistake]:
    """One number for the whole batch, where one for each image is asked: their sum, or their mean."""
    return sum_of_batch(reference), mean_of_batch(reference)


def mean_of_pixels(reference, why: str = "Losses of pixels add: their sum over the pixels is asked.") -> Mistake:
    """The mean over the pixels, which are the last axis of the first argument."""
    return Mistake("the mean over the pixels instead of the sum", lambda *a: reference(*a) / a[0].shape[-1], why)


def no_sum(terms, why: str = "These are the losses of single pixels: sum them over axis 1.") -> Mistake:
    """The terms (B, D) themselves."""
    return Mistake("no sum at all", terms, why)


def wrong_axis(terms, why: str = "Axis 0 is the batch; the pixels are axis 1.") -> Mistake:
    """The sum of the terms (B, D) over the batch."""
    return Mistake("the sum over the batch instead of the pixels", lambda *a: terms(*a).sum(0), why)


# --- of log-probabilities so low that exp of them is 0 ---------------------------------------------------------------


def log_of_a_log(answer) -> Mistake:
    """NaN everywhere: the logarithm of log-probabilities, which are negative."""
    return Mistake(
        "nothing but NaN",
        answer,
        "The log-probabilities are negative, and the logarithm of a negative number is NaN; so is 0 / 0, after "
        "exp(-900) has become 0. Add and subtract the logs, and use torch.logsumexp.",
        sign=lambda *arguments_and_result: bool(arguments_and_result[-1].isnan().all()),
    )


def one_shift(reference, answer) -> Mistake:
    """Right, but for NaN and infinity, where the same number is taken out of the logs of all images, (B, …)."""

    def sign(*arguments_and_result) -> bool:
        *arguments, got = arguments_and_result
        want = reference(*arguments).double()
        allowed = torch.full_like(want, 1e-2)
        allowed[-1] = (
            10  # in the last image some terms may underflow and others not, or the smallest floats cost digits
        )
        close = (got - want).abs() < allowed
        return got.shape == want.shape and bool((close | ~got.isfinite()).all())

    return Mistake(
        "one shift for all images",
        answer,
        "Two images' logs differ by 1000: what saves one from exp gives 0 or infinity for the other. torch.logsumexp "
        "takes out each image's largest.",
        sign=sign,
    )
