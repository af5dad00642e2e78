"""Trunks: networks that map features to features. They give logits or raw numbers, never probabilities."""

from itertools import pairwise
from numbers import Integral

from torch import nn


def mlp(*sizes: int) -> nn.Sequential:
    """A multilayer perceptron `(…, sizes[0]) -> (…, sizes[-1])`: linear layers with ReLUs between them.

    `mlp(784, 2)` is a single linear layer; the last layer is always linear. Raises ValueError for fewer than two
    sizes, or one that is not a whole number from 1 on.
    """
    if len(sizes) < 2 or not all(isinstance(size, Integral) and size >= 1 for size in sizes):
        raise ValueError(f"mlp takes two or more layer sizes, each at least 1, as in mlp(784, 256, 2); got {sizes}.")
    layers = []
    for n_in, n_out in pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
