"""The exercises of notebook 01."""

from functools import cache

import torch
from torch import Tensor

from aetutor.exercises.engine import Exercise


def _unit(generator: torch.Generator, *shape: int) -> Tensor:
    """Random numbers well inside (0, 1)."""
    return 0.02 + 0.96 * torch.rand(*shape, generator=generator, dtype=torch.float64)


def _grey(generator: torch.Generator, *shape: int) -> Tensor:
    """Random grey images as MNIST has them: a third of the pixels black, a few white, the rest between."""
    x = (1.8 * torch.rand(*shape, generator=generator, dtype=torch.float64) - 0.6).clamp(0, 1)
    x.view(-1)[0] = 0.0
    return x


# --- 1.1 -------------------------------------------------------------------------------------------------------------


def cross_entropy(x, y):
    return -(x * y.log() + (1 - x) * (1 - y).log()).sum(1)


EXERCISE_1 = Exercise(
    prompt="Write `cross_entropy(x, y)`: images x and y, both (B, D) with values in (0, 1), to the B cross-entropies "
           "L_H(x, y) in nats.",
    inputs=lambda size, g: (_unit(g, size + 1, size + 2), _unit(g, size + 1, size + 2)),
    reference=cross_entropy,
    mistakes={
        "the mean over the pixels instead of the sum": lambda x, y: cross_entropy(x, y) / x.shape[1],
        "one number for the batch instead of one an image": lambda x, y: cross_entropy(x, y).sum(),
        "the mean over the batch": lambda x, y: cross_entropy(x, y).mean(),
        "the second term is missing": lambda x, y: -(x * y.log()).sum(1),
        "the sign": lambda x, y: -cross_entropy(x, y),
        "x and y exchanged": lambda x, y: cross_entropy(y, x),
        "bits instead of nats": lambda x, y: cross_entropy(x, y) / torch.tensor(2.0).log(),
    },
    why={
        "the mean over the pixels instead of the sum":
            "The log of a product is the sum of the logs: an image's log-likelihood grows with its number of pixels.",
        "one number for the batch instead of one an image": "Sum over the pixels (axis 1) and leave the batch axis.",
        "the mean over the batch": "The mean over images is a later step, equation (1.4). Leave the batch axis.",
        "the second term is missing":
            "Black pixels count too: where x = 0 only (1 - x) log(1 - y) is left. The categorical cross-entropy has "
            "one term, the Bernoulli one has two.",
        "the sign": "log y is negative, so the loss needs a minus to be positive.",
        "x and y exchanged": "The logarithm is taken of y, what the network says; x is the weight.",
        "bits instead of nats": "Take the natural logarithm, not the one to base 2.",
    },
)

# --- 1.2 -------------------------------------------------------------------------------------------------------------


def entropy(x):
    return -(torch.xlogy(x, x) + torch.xlogy(1 - x, 1 - x)).sum(1)


EXERCISE_2 = Exercise(
    prompt="Write `entropy(x)`: images (B, D) with values in [0, 1], 0 and 1 included, to the B pixelwise entropies "
           "H(x) in nats: the cross-entropy of a perfect copy.",
    inputs=lambda size, g: (_grey(g, size + 1, size + 3),),
    reference=entropy,
    mistakes={
        "0 · log 0 gives NaN": lambda x: -(x * x.log() + (1 - x) * (1 - x).log()).sum(1),
        "the second term is missing": lambda x: -torch.xlogy(x, x).sum(1),
        "the sign": lambda x: -entropy(x),
        "the mean over the pixels instead of the sum": lambda x: entropy(x) / x.shape[1],
        "bits instead of nats": lambda x: entropy(x) / torch.tensor(2.0).log(),
        "the squared error's floor, which is 0": lambda x: torch.zeros(len(x)),
    },
    why={
        "0 · log 0 gives NaN": "In the limit 0 · log 0 is 0, but a computer says 0 · (-∞) = NaN: use torch.xlogy.",
        "the second term is missing": "A pixel has two outcomes, white with probability x and black with 1 - x.",
        "the sign": "Entropy is never negative: -x log x is positive on (0, 1).",
        "the mean over the pixels instead of the sum": "Entropies of independent pixels add.",
        "bits instead of nats": "Take the natural logarithm, not the one to base 2.",
        "the squared error's floor, which is 0":
            "A perfect copy has squared error 0, but its cross-entropy is H(x) > 0 as soon as a pixel is grey.",
    },
)

# --- 1.3 -------------------------------------------------------------------------------------------------------------


def _logits(generator: torch.Generator, *shape: int) -> Tensor:
    return 4 * torch.randn(*shape, generator=generator, dtype=torch.float64)


def logit_gradient(a, x):
    return torch.sigmoid(a) - x


def _squared_error_gradient(a, x):
    y = torch.sigmoid(a)
    return (y - x) * y * (1 - y)


EXERCISE_3 = Exercise(
    prompt="Write `logit_gradient(a, x)`: logits a and pixels x, both (B, D), to the derivative of L_H(x, sigmoid(a)) "
           "with respect to a, (B, D), without autograd.",
    inputs=lambda size, g: (_logits(g, size, size + 1), _grey(g, size, size + 1)),
    reference=logit_gradient,
    mistakes={
        "the sign": lambda a, x: x - torch.sigmoid(a),
        "the gradient of the squared error": _squared_error_gradient,
        "twice the gradient of the half squared error": lambda a, x: 2 * _squared_error_gradient(a, x),
        "the logit itself instead of its sigmoid": lambda a, x: a - x,
        "the derivative with respect to y":
            lambda a, x: (torch.sigmoid(a) - x) / (torch.sigmoid(a) * torch.sigmoid(-a)),
        "averaged over the pixels": lambda a, x: logit_gradient(a, x) / a.shape[1],
    },
    why={
        "the sign": "If y is larger than x, lowering the logit lowers the loss: the gradient y - x is positive there.",
        "the gradient of the squared error":
            "The factor y(1 - y) belongs to the squared error; in the cross-entropy it cancels.",
        "twice the gradient of the half squared error":
            "This is the squared error's gradient; in the cross-entropy the factor y(1 - y) cancels.",
        "the logit itself instead of its sigmoid": "x is compared with y = sigmoid(a), a number in (0, 1).",
        "the derivative with respect to y":
            "The chain rule has one more factor, dy/da = y(1 - y), and it cancels the denominator.",
        "averaged over the pixels": "L_H is a sum over pixels, so each pixel's derivative stands by itself.",
    },
)

# --- 1.4 -------------------------------------------------------------------------------------------------------------


def batch_variance(losses, B):
    N = len(losses)
    return losses.var(correction=0) / B * (N - B) / (N - 1)


def _losses_and_batch_size(size, g):
    losses = 100 + 30 * torch.randn(size + 4, generator=g, dtype=torch.float64)
    return losses, int(torch.randint(2, size + 3, (), generator=g))


EXERCISE_4 = Exercise(
    prompt="Write `batch_variance(losses, B)`: the losses of all N images, (N,), and a batch size B, to the variance "
           "of the mean loss of a minibatch drawn without replacement.",
    inputs=_losses_and_batch_size,
    reference=batch_variance,
    mistakes={
        "drawn with replacement": lambda losses, B: losses.var(correction=0) / B,
        "the variance estimated with N - 1": lambda losses, B: losses.var() / B * (len(losses) - B) / (len(losses) - 1),
        "the standard deviation instead of the variance": lambda losses, B: batch_variance(losses, B).sqrt(),
        "the variance of one loss, not of the mean": lambda losses, B: batch_variance(losses, B) * B,
        "divided by B² instead of B": lambda losses, B: batch_variance(losses, B) / B,
        "the correction is (N - B)/N": lambda losses, B: losses.var(correction=0) / B * (len(losses) - B) / len(losses),
    },
    why={
        "drawn with replacement":
            "An image cannot come twice into a batch: the factor (N - B)/(N - 1) makes the variance 0 at B = N.",
        "the variance estimated with N - 1":
            "σ² is the variance under the empirical distribution, a mean over all N: torch's `var` divides by N - 1 "
            "unless told correction=0.",
        "the standard deviation instead of the variance": "Leave out the square root.",
        "the variance of one loss, not of the mean": "The mean of B losses has about 1/B of one loss's variance.",
        "divided by B² instead of B":
            "The mean has a factor 1/B, its square 1/B²; but B terms are summed, and one B cancels.",
        "the correction is (N - B)/N":
            "The exact factor is (N - B)/(N - 1): with B = 1 it must be 1, since one draw is one draw.",
    },
)

# --- 1.5 -------------------------------------------------------------------------------------------------------------


def memory(x, train):
    return train[torch.cdist(x, train).argmin(1)]


def _distinct_images(size, g):
    return _unit(g, size, 6), _unit(g, size + 3, 6)


EXERCISE_5 = Exercise(
    prompt="Write `memory(x, train)`: images x (B, D) and training images (N, D), to the training image nearest to "
           "each x, (B, D): an autoencoder whose code is one number, the index.",
    inputs=_distinct_images,
    reference=memory,
    mistakes={
        "the index instead of the image": lambda x, train: torch.cdist(x, train).argmin(1),
        "the distance instead of the image": lambda x, train: torch.cdist(x, train).amin(1),
        "the farthest image": lambda x, train: train[torch.cdist(x, train).argmax(1)],
        "the nearest x for each training image": lambda x, train: x[torch.cdist(x, train).argmin(0)],
        "the image itself": lambda x, train: x,
        "the mean of the training images": lambda x, train: train.mean(0).expand_as(x),
    },
    why={
        "the index instead of the image": "That is the code. The decoder looks it up: `train[index]`.",
        "the distance instead of the image": "Take `argmin`, not `min`, and look the index up in `train`.",
        "the farthest image": "`argmin`, not `argmax`: the nearest training image has the smallest distance.",
        "the nearest x for each training image": "Search along the training images: axis 1 of the (B, N) distances.",
        "the image itself":
            "The identity is exact everywhere, but it does not pass through a code of one number.",
        "the mean of the training images": "That is the best answer without any code at all.",
    },
)

# --- 1.6 -------------------------------------------------------------------------------------------------------------


def pca_loss(C, K):
    return torch.linalg.eigvalsh(C)[: len(C) - K].sum()


def _covariance(size, g):
    half = torch.randn(size + 3, size + 5, generator=g, dtype=torch.float64)
    return half @ half.T / (size + 5), int(torch.randint(1, size + 2, (), generator=g))


def _descending(C):
    return torch.linalg.eigvalsh(C).flip(0)


EXERCISE_6 = Exercise(
    prompt="Write `pca_loss(C, K)`: a covariance matrix (D, D) and a code size K, 1 ≤ K < D, to the smallest mean "
           "squared error, summed over the pixels, that a linear autoencoder with K codes can reach.",
    inputs=_covariance,
    reference=pca_loss,
    mistakes={
        "the variance kept instead of the loss": lambda C, K: _descending(C)[:K].sum(),
        "the eigenvalues in the wrong order": lambda C, K: torch.linalg.eigvalsh(C)[K:].sum(),
        "the mean over the pixels instead of the sum": lambda C, K: pca_loss(C, K) / len(C),
        "one eigenvalue too many is dropped": lambda C, K: _descending(C)[K - 1:].sum(),
        "one eigenvalue too few is dropped": lambda C, K: _descending(C)[K + 1:].sum(),
        "singular values instead of eigenvalues of C": lambda C, K: _descending(C)[K:].sqrt().sum(),
        "half of it": lambda C, K: pca_loss(C, K) / 2,
    },
    why={
        "the variance kept instead of the loss":
            "These are the K largest eigenvalues; the loss is what they leave out.",
        "the eigenvalues in the wrong order":
            "torch.linalg.eigvalsh gives them in ascending order: the discarded ones stand first.",
        "the mean over the pixels instead of the sum": "The squared error is summed over the pixels here.",
        "one eigenvalue too many is dropped": "K directions are kept, so D - K eigenvalues are discarded.",
        "one eigenvalue too few is dropped": "K directions are kept, so D - K eigenvalues are discarded.",
        "singular values instead of eigenvalues of C": "An eigenvalue of C is already a variance: no square root.",
        "half of it": "The ½ belongs to the Gaussian log-likelihood; here the squared error itself is asked.",
    },
)

# --- 1.7 -------------------------------------------------------------------------------------------------------------


@cache
def mnist_eigenvalues() -> Tensor:
    """The eigenvalues of the covariance of the MNIST training images in [0, 1], descending, (784,)."""
    from aetutor.data import load

    x = load("mnist").train_x.flatten(1).double() / 255
    return torch.linalg.eigvalsh(x.T.cov(correction=0)).flip(0)


EXERCISE_7 = Exercise(
    prompt="How many dimensions must PCA keep so that its loss on the MNIST training images is at most 10 % of what it "
           "is with no dimension at all? Give the smallest such K.",
    reference=87,
    mistakes={
        "counted from zero": 86,
        "one too many": 88,
        "the smallest eigenvalues are kept": 783,
        "10 % of the pixels": 78,
        "90 % of the pixels": 706,
        "the images are not centred": 53,
    },
    why={
        "counted from zero": "`argmax` gives an index that starts at 0; the number of dimensions is one more.",
        "one too many": "Is the loss with one dimension fewer not already small enough?",
        "the smallest eigenvalues are kept": "PCA keeps the largest; torch.linalg.eigvalsh gives the smallest first.",
        "10 % of the pixels": "It is not a share of the number of pixels but of the summed variance.",
        "90 % of the pixels": "It is not a share of the number of pixels but of the summed variance.",
        "the images are not centred": "Subtract the mean image first: PCA is about the covariance.",
    },
)

EXERCISES = {
    "1.1": EXERCISE_1, "1.2": EXERCISE_2, "1.3": EXERCISE_3, "1.4": EXERCISE_4,
    "1.5": EXERCISE_5, "1.6": EXERCISE_6, "1.7": EXERCISE_7,
}
