"""The trunks, against the same network written in numpy."""

import numpy as np
import pytest
import torch
from torch import nn

from aetutor.networks import mlp

ACTIVATIONS = {
    "silu": lambda x: x / (1 + np.exp(-x)),
    "relu": lambda x: np.maximum(x, 0),
}


def by_hand(network, x, activation):
    """Linear layers with an activation between two of them, in float64 numpy."""
    layers = [layer for layer in network if isinstance(layer, nn.Linear)]
    for i, layer in enumerate(layers):
        x = x @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
        x = activation(x) if i < len(layers) - 1 else x
    return x


@pytest.mark.parametrize("sizes", [(6, 3), (6, 5, 3), (6, 5, 4, 3)])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_mlp_is_linear_layers_with_an_activation_between(sizes, activation):
    network = mlp(*sizes, activation=activation).double()
    x = np.random.default_rng(0).normal(size=(7, 6))
    result = network(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(result, by_hand(network, x, ACTIVATIONS[activation]), rtol=1e-12, atol=1e-12)
    assert result.shape == (7, 3)


def test_the_activation_is_silu_where_none_is_named():
    x = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    network = mlp(6, 5, 3)
    torch.testing.assert_close(network(x).detach(), torch.from_numpy(by_hand(network, x.numpy(), ACTIVATIONS["silu"])))


@pytest.mark.parametrize("activation", ["ReLU", None, torch.nn.SiLU])
def test_an_unknown_activation_is_named(activation):
    with pytest.raises(ValueError, match=r"Unknown activation .*: choose one of silu, relu"):
        mlp(6, 3, activation=activation)


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


def test_what_passes_through_hidden_layers_keeps_its_size():
    torch.manual_seed(0)
    x = torch.randn(500, 784)
    network = mlp(784, *[400] * 6, 2, activation="relu")
    for layer in network[:-1]:
        x = layer(x)
        # He et al. 2015: the mean square of what goes in to a ReLU is twice that of what comes out
        wanted = 2.0 if isinstance(layer, nn.Linear) else 1.0
        assert 0.7 < x.square().mean() / wanted < 1.4  # by PyTorch's default it would be a third, layer by layer
