"""The exercises of notebook 01."""

from functools import cache

import torch
from torch import Tensor

from aetutor.exercises.engine import Exercise
from aetutor.exercises.random_inputs import normal, uniform


def _unit(generator: torch.Generator, *shape: int) -> Tensor:
    """Random numbers well inside (0, 1)."""
    return 0.02 + 0.96 * uniform(generator, *shape)


def _grey(generator: torch.Generator, *shape: int) -> Tensor:
    """Random grey images, a third of the pixels black, some white; the first is black, the second grey."""
    x = (1.8 * uniform(generator, *shape) - 0.6).clamp(0, 1)
    x.view(-1)[:2] = torch.tensor([0.0, 0.3], dtype=torch.float64)
    return x


# --- 1.1 -------------------------------------------------------------------------------------------------------------


def my_cross_entropy(x, x_hat):
    """Equation (1.1), image by image."""
    return -(x * x_hat.log() + (1 - x) * (1 - x_hat).log()).sum(1)


EXERCISE_1 = Exercise(
    prompt="Write `my_cross_entropy(x, x_hat)` without `xlogy`. It takes images x and x_hat, both (B, D) with values "
           "in (0, 1), and returns the B cross-entropies L_H(x, x_hat) in nats.",
    inputs=lambda size, g: (_unit(g, size + 1, size + 2), _unit(g, size + 1, size + 2)),
    reference=my_cross_entropy,
    mistakes={
        "the mean over the pixels instead of the sum": lambda x, x_hat: my_cross_entropy(x, x_hat) / x.shape[1],
        "one number for the batch instead of one an image": lambda x, x_hat: my_cross_entropy(x, x_hat).sum(),
        "the mean over the batch": lambda x, x_hat: my_cross_entropy(x, x_hat).mean(),
        "the mean over pixels and batch": lambda x, x_hat: torch.nn.functional.binary_cross_entropy(x_hat, x),
        "no sum at all": lambda x, x_hat: -(x * x_hat.log() + (1 - x) * (1 - x_hat).log()),
        "the sum over the batch instead of the pixels":
            lambda x, x_hat: -(x * x_hat.log() + (1 - x) * (1 - x_hat).log()).sum(0),
        "the second term is missing": lambda x, x_hat: -(x * x_hat.log()).sum(1),
        "the wrong sign": lambda x, x_hat: -my_cross_entropy(x, x_hat),
        "x and x_hat exchanged": lambda x, x_hat: my_cross_entropy(x_hat, x),
        "bits instead of nats": lambda x, x_hat: my_cross_entropy(x, x_hat) / torch.tensor(2.0).log(),
    },
    why={
        "the mean over the pixels instead of the sum":
            "The log of a product is the sum of the logs: an image's log-likelihood grows with its number of pixels.",
        "one number for the batch instead of one an image": "Sum over the pixels (axis 1) and leave the batch axis.",
        "the mean over the batch": "The mean over images is a later step, equation (1.4). Leave the batch axis.",
        "the mean over pixels and batch":
            "torch's binary_cross_entropy takes the mean over everything unless told reduction='none'.",
        "no sum at all": "These are the losses of single pixels: sum them over axis 1.",
        "the sum over the batch instead of the pixels": "Axis 0 is the batch; the pixels are axis 1.",
        "the second term is missing":
            "Black pixels count too: where x = 0 only (1 - x) log(1 - x_hat) is left. The categorical cross-entropy "
            "has one term, the Bernoulli one has two.",
        "the wrong sign": "log x_hat is negative, so the loss needs a minus to be positive.",
        "x and x_hat exchanged": "The logarithm is taken of x_hat, what the network says; x is the weight.",
        "bits instead of nats": "Take the natural logarithm, not the one to base 2.",
    },
)

# --- 1.2 -------------------------------------------------------------------------------------------------------------


def my_entropy(x):
    """Equation (1.2) at x_hat = x; xlogy(0, 0) is 0, the limit."""
    return -(torch.xlogy(x, x) + torch.xlogy(1 - x, 1 - x)).sum(1)


EXERCISE_2 = Exercise(
    prompt="Write `my_entropy(x)`, again without `xlogy`. It takes images (B, D) with values in [0, 1], 0 and 1 "
           "included, and returns the B cross-entropies of a perfect copy, H(x), in nats.",
    inputs=lambda size, g: (_grey(g, size + 1, size + 3),),
    reference=my_entropy,
    mistakes={
        "0 · log 0 gives NaN": lambda x: -(x * x.log() + (1 - x) * (1 - x).log()).sum(1),
        "the second term is missing": lambda x: -torch.xlogy(x, x).sum(1),
        "the wrong sign": lambda x: -my_entropy(x),
        "the mean over the pixels instead of the sum": lambda x: my_entropy(x) / x.shape[1],
        "bits instead of nats": lambda x: my_entropy(x) / torch.tensor(2.0).log(),
        "the squared error's floor, which is 0": lambda x: torch.zeros(len(x)),
    },
    why={
        "0 · log 0 gives NaN": "In the limit 0 · log 0 is 0, but a computer says 0 · (-∞) = NaN: use torch.xlogy.",
        "the second term is missing": "A pixel has two outcomes, white with probability x and black with 1 - x.",
        "the wrong sign": "Entropy is never negative: -x log x is positive on (0, 1).",
        "the mean over the pixels instead of the sum": "Entropies of independent pixels add.",
        "bits instead of nats": "Take the natural logarithm, not the one to base 2.",
        "the squared error's floor, which is 0":
            "A perfect copy has squared error 0, but its cross-entropy is H(x) > 0 as soon as a pixel is grey.",
    },
)

# --- 1.3 -------------------------------------------------------------------------------------------------------------


def _logits(generator: torch.Generator, *shape: int) -> Tensor:
    return 1.5 * normal(generator, *shape)


def logit_gradient(a, x):
    """Equation (1.3), left."""
    return torch.sigmoid(a) - x


def _half_squared_error_gradient(a, x):
    x_hat = torch.sigmoid(a)
    return (x_hat - x) * x_hat * (1 - x_hat)


EXERCISE_3 = Exercise(
    prompt="Write `logit_gradient(a, x)` without autograd. It takes logits a and pixels x, both (B, D), and returns "
           "the derivative of L_H(x, sigmoid(a)) with respect to a, (B, D).",
    inputs=lambda size, g: (_logits(g, size, size + 1), _grey(g, size, size + 1)),
    reference=logit_gradient,
    mistakes={
        "the wrong sign": lambda a, x: x - torch.sigmoid(a),
        "the gradient of the squared error": lambda a, x: 2 * _half_squared_error_gradient(a, x),
        "the gradient of half the squared error": _half_squared_error_gradient,
        "the logit itself instead of its sigmoid": lambda a, x: a - x,
        "the derivative with respect to x̂":
            lambda a, x: (torch.sigmoid(a) - x) / (torch.sigmoid(a) * torch.sigmoid(-a)),
        "averaged over the pixels": lambda a, x: logit_gradient(a, x) / a.shape[1],
        "summed over the pixels": lambda a, x: logit_gradient(a, x).sum(1),
        "the arguments exchanged": lambda a, x: torch.sigmoid(x) - a,
    },
    why={
        "the wrong sign": "If x̂ is larger than x, lowering the logit lowers the loss: there x̂ - x is positive.",
        "the gradient of the squared error":
            "The factor x̂ (1 - x̂) belongs to the squared error; in the cross-entropy it cancels.",
        "the gradient of half the squared error":
            "The factor x̂ (1 - x̂) belongs to the squared error; in the cross-entropy it cancels.",
        "the logit itself instead of its sigmoid": "x is compared with x̂ = sigmoid(a), a number in (0, 1).",
        "the derivative with respect to x̂":
            "The chain rule has one more factor, dx̂/da = x̂ (1 - x̂), and it cancels the denominator.",
        "averaged over the pixels": "L_H is a sum over pixels, so each pixel's derivative stands by itself.",
        "summed over the pixels": "Each logit has a derivative of its own: (B, D) numbers are asked.",
        "the arguments exchanged": "The function is called with the logits first, then the pixels.",
    },
)

# --- 1.4 -------------------------------------------------------------------------------------------------------------


def batch_variance(batch, N):
    """Equation (1.5) with σ² = (N - 1)/N · E[sample variance]."""
    B = len(batch)
    return batch.var() / B * (N - B) / N


def _batch_and_number(size, g):
    batch = 100 + 30 * normal(g, size + 1)
    return batch, size + 1 + int(torch.randint(1, 2 * size + 2, (), generator=g))


EXERCISE_4 = Exercise(
    prompt="Write `batch_variance(batch, N)`. It takes the losses (B,) of one minibatch, drawn without replacement "
           "from N images, and returns an unbiased estimate of the variance of its mean.",
    inputs=_batch_and_number,
    reference=batch_variance,
    mistakes={
        "drawn with replacement": lambda batch, N: batch.var() / len(batch),
        "the sample variance divided by B instead of B - 1":
            lambda batch, N: batch.var(correction=0) / len(batch) * (N - len(batch)) / N,
        "sample variance put in for σ²": lambda batch, N: batch.var() / len(batch) * (N - len(batch)) / (N - 1),
        "both at once: divided by B, and put in for σ²":
            lambda batch, N: batch.var(correction=0) / len(batch) * (N - len(batch)) / (N - 1),
        "the standard deviation instead of the variance": lambda batch, N: batch_variance(batch, N).sqrt(),
        "the variance of one loss, not of the mean": lambda batch, N: batch_variance(batch, N) * len(batch),
        "divided by B² instead of B": lambda batch, N: batch_variance(batch, N) / len(batch),
    },
    why={
        "drawn with replacement":
            "An image cannot come twice into a batch, so the variance must be 0 at B = N: a factor is missing.",
        "the sample variance divided by B instead of B - 1":
            "The mean of the batch lies closer to its own losses than J does; dividing by B - 1 makes up for it.",
        "sample variance put in for σ²":
            "Its expectation is not σ² but σ² N/(N - 1), when the batch is drawn without replacement.",
        "both at once: divided by B, and put in for σ²":
            "`var()` must divide by B - 1, and its expectation is σ² N/(N - 1), not σ².",
        "the standard deviation instead of the variance": "Leave out the square root.",
        "the variance of one loss, not of the mean": "The mean of B losses has about 1/B of one loss's variance.",
        "divided by B² instead of B":
            "The mean has a factor 1/B, its square 1/B²; but B terms are summed, and one B cancels.",
    },
)

# --- 1.5 -------------------------------------------------------------------------------------------------------------


def my_memory(x, stored):
    """Encoder: the number of the nearest stored image; decoder: look it up."""
    return stored[torch.cdist(x, stored).argmin(1)]


def _distinct_images(size, g):
    return _unit(g, size, 2), _unit(g, size + 2, 2)


EXERCISE_5 = Exercise(
    prompt="Write `my_memory(x, stored)`. It takes images (B, D) and stored images (N, D), and returns the nearest "
           "stored image of each x, (B, D).",
    inputs=_distinct_images,
    reference=my_memory,
    mistakes={
        "the index instead of the image": lambda x, stored: torch.cdist(x, stored).argmin(1),
        "the distance instead of the image": lambda x, stored: torch.cdist(x, stored).amin(1),
        "the farthest image": lambda x, stored: stored[torch.cdist(x, stored).argmax(1)],
        "the nearest x for each stored image": lambda x, stored: x[torch.cdist(x, stored).argmin(0)],
        "the smallest distance along the wrong axis": lambda x, stored: stored[torch.cdist(x, stored).argmin(0)],
        "the largest product instead of the smallest distance": lambda x, stored: stored[(x @ stored.T).argmax(1)],
        "the image itself": lambda x, stored: x,
        "the mean of the stored images": lambda x, stored: stored.mean(0).expand_as(x),
    },
    why={
        "the index instead of the image": "That is the code. The decoder looks it up: `stored[index]`.",
        "the distance instead of the image": "Take `argmin`, not `min`, and look the index up in `stored`.",
        "the farthest image": "`argmin`, not `argmax`: the nearest training image has the smallest distance.",
        "the nearest x for each stored image": "Search along the stored images: axis 1 of the (B, N) distances.",
        "the smallest distance along the wrong axis": "Axis 0 runs over the images x, axis 1 over the stored images.",
        "the largest product instead of the smallest distance": "A large scalar product favours images with much ink.",
        "the image itself":
            "The identity is exact everywhere, but it does not pass through a code of one number.",
        "the mean of the stored images": "That is the best answer without any code at all.",
    },
)

# --- 1.6 -------------------------------------------------------------------------------------------------------------


def pca_loss(covariance, K):
    """Equation (1.7): the sum of the discarded eigenvalues; eigvalsh gives the smallest first."""
    return torch.linalg.eigvalsh(covariance)[: len(covariance) - K].sum()


def _covariance(size, g):
    half = normal(g, size + 2, 2 * size + 4)
    noise = 0.2 * torch.eye(size + 2, dtype=torch.float64)  # no eigenvalue so small that float32 loses it
    return half @ half.T / len(half) + noise, int(torch.randint(1, size + 2, (), generator=g))


def _descending(covariance):
    return torch.linalg.eigvalsh(covariance).flip(0)


EXERCISE_6 = Exercise(
    prompt="Write `pca_loss(covariance, K)`. It takes a covariance matrix (D, D) and a code size 1 ≤ K < D, and "
           "returns the smallest mean squared error, summed over the pixels, that a linear autoencoder with K numbers "
           "can reach.",
    inputs=_covariance,
    reference=pca_loss,
    mistakes={
        "the variance kept instead of the loss": lambda covariance, K: _descending(covariance)[:K].sum(),
        "the eigenvalues in the wrong order": lambda covariance, K: torch.linalg.eigvalsh(covariance)[K:].sum(),
        "the K smallest eigenvalues": lambda covariance, K: torch.linalg.eigvalsh(covariance)[:K].sum(),
        "the mean over the pixels instead of the sum": lambda covariance, K: pca_loss(covariance, K) / len(covariance),
        "one eigenvalue too many is dropped": lambda covariance, K: _descending(covariance)[K - 1:].sum(),
        "one eigenvalue too few is dropped": lambda covariance, K: _descending(covariance)[K + 1:].sum(),
        "singular values instead of eigenvalues of the covariance":
            lambda covariance, K: _descending(covariance)[K:].sqrt().sum(),
        "half of it": lambda covariance, K: pca_loss(covariance, K) / 2,
    },
    why={
        "the variance kept instead of the loss":
            "These are the K largest eigenvalues; the loss is what they leave out.",
        "the eigenvalues in the wrong order":
            "torch.linalg.eigvalsh gives them in ascending order: the discarded ones stand first.",
        "the K smallest eigenvalues": "Not K are discarded but D - K: K directions are kept.",
        "the mean over the pixels instead of the sum": "The squared error is summed over the pixels here.",
        "one eigenvalue too many is dropped": "K directions are kept, so D - K eigenvalues are discarded.",
        "one eigenvalue too few is dropped": "K directions are kept, so D - K eigenvalues are discarded.",
        "singular values instead of eigenvalues of the covariance":
            "An eigenvalue of the covariance is already a variance: no square root.",
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
