"""Trunks: networks that map features to features. They give logits or raw numbers, never probabilities."""

from itertools import pairwise
from numbers import Integral

from torch import nn

ACTIVATIONS: dict[str, type[nn.Module]] = {"silu": nn.SiLU, "relu": nn.ReLU}


def mlp(*sizes: int, activation: str = "silu") -> nn.Sequential:
    """A multilayer perceptron `(…, sizes[0]) -> (…, sizes[-1])`: linear layers with an activation between two of them.

    Args:
        sizes: of the features: `mlp(784, 2)` is a single linear layer; the last layer is always linear.
        activation: "silu", x · sigmoid(x), a smooth ReLU, with which a VAE gets further in the same epochs
            (benchmarks/defaults.py); or "relu".

    The hidden layers' weights begin as in He et al. 2015, equation 10, so that what passes through keeps its size: by
    PyTorch's default it shrinks from layer to layer, and a deep encoder's codes begin too small to be noticed.
    Raises ValueError for fewer than two sizes, one that is not a whole number from 1 on, or another activation.
    """
    whole = [isinstance(size, Integral) and not isinstance(size, bool) and size >= 1 for size in sizes]
    if len(sizes) < 2 or not all(whole):
        raise ValueError(f"mlp takes two or more layer sizes, each at least 1, as in mlp(784, 256, 2); got {sizes}.")
    if not isinstance(activation, str) or activation not in ACTIVATIONS:
        raise ValueError(f"Unknown activation {activation!r}: choose one of {', '.join(ACTIVATIONS)}.")
    *hidden, last = (nn.Linear(n_in, n_out) for n_in, n_out in pairwise(sizes))
    layers: list[nn.Module] = []
    for layer in hidden:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")  # standard deviation √(2 / n_in)
        layers += [layer, ACTIVATIONS[activation]()]
    return nn.Sequential(*layers, last)
