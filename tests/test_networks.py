"""The trunks, against the same network written in numpy."""

import numpy as np
import pytest
import torch
from torch import nn

from aetutor.networks import mlp


def by_hand(network, x):
    """Linear layers with a ReLU between two of them, in float64 numpy."""
    layers = [layer for layer in network if isinstance(layer, nn.Linear)]
    for i, layer in enumerate(layers):
        x = x @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
        x = np.maximum(x, 0) if i < len(layers) - 1 else x
    return x


@pytest.mark.parametrize("sizes", [(6, 3), (6, 5, 3), (6, 5, 4, 3)])
def test_mlp_is_linear_layers_with_relu_between(sizes):
    network = mlp(*sizes).double()
    x = np.random.default_rng(0).normal(size=(7, 6))
    result = network(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(result, by_hand(network, x), rtol=1e-12, atol=1e-12)
    assert result.shape == (7, 3)


def test_mlp_has_the_layers_it_was_asked_for():
    layers = [(layer.in_features, layer.out_features) for layer in mlp(6, 5, 4, 3) if isinstance(layer, nn.Linear)]
    assert layers == [(6, 5), (5, 4), (4, 3)]


def test_two_sizes_give_one_linear_layer():
    (layer,) = mlp(784, 2)
    assert isinstance(layer, nn.Linear)


def test_the_last_layer_is_not_squashed():
    torch.manual_seed(0)
    assert (mlp(4, 8, 4)(torch.randn(50, 4)) < 0).any()


def test_leading_axes_are_kept():
    assert mlp(6, 5, 3)(torch.zeros(2, 7, 6)).shape == (2, 7, 3)


@pytest.mark.parametrize("sizes", [(), (784,), (784, 0), (784, -3, 2), (0, 2), (784, 2.5)])
def test_impossible_sizes_are_named(sizes):
    with pytest.raises(ValueError, match="two or more layer sizes, each at least 1") as caught:
        mlp(*sizes)
    assert str(caught.value).endswith(f"got {sizes}.")
