"""Trunks: networks that map features to features. They give logits or raw numbers, never probabilities."""

from itertools import pairwise

from torch import nn


def mlp(*sizes: int) -> nn.Sequential:
    """A multilayer perceptron `(…, sizes[0]) -> (…, sizes[-1])`: linear layers with a ReLU between two of them.

    `mlp(784, 2)` is a single linear layer; the last layer is always linear. Raises ValueError for fewer than two
    sizes, or a size below 1.
    """
    if len(sizes) < 2 or min(sizes) < 1:
        raise ValueError(f"mlp takes two or more layer sizes, each at least 1, as in mlp(784, 256, 2); got {sizes}.")
    layers = []
    for n_in, n_out in pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
