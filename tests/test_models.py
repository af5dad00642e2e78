"""The autoencoder, against the same machine written in numpy."""

import numpy as np
import pytest
import torch
from torch import nn

from aetutor.models import Autoencoder

SHAPE = (2, 3, 4)
RELU, SIGMOID = (lambda a: np.maximum(a, 0)), (lambda a: 1 / (1 + np.exp(-a)))


def model(**arguments):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Autoencoder(**{"latent_dim": 2, "hidden": (5, 3), "image_shape": SHAPE} | arguments).double()


def images(*batch, shape=SHAPE):
    return torch.rand(*batch, *shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def layers(trunk):
    return [(m.weight.detach().numpy(), m.bias.detach().numpy()) for m in trunk if isinstance(m, nn.Linear)]


def through(trunk, features):
    *hidden, (weight, bias) = layers(trunk)
    for w, b in hidden:
        features = RELU(features @ w.T + b)
    return features @ weight.T + bias


@pytest.mark.parametrize(("likelihood", "squash"), [("bernoulli", SIGMOID), ("gaussian", lambda a: a)])
def test_code_and_reconstruction_are_those_of_the_formulas(likelihood, squash):
    ae, x = model(likelihood=likelihood), images(7)
    z = through(ae.encoder, x.numpy().reshape(7, -1))
    y = squash(through(ae.decoder, z)).reshape(7, *SHAPE)
    np.testing.assert_allclose(ae.encode(x).detach().numpy(), z, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(ae.decode(torch.from_numpy(z)).mean.detach().numpy(), y, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(ae.reconstruct(x).detach().numpy(), y, rtol=1e-12, atol=1e-12)


def test_the_decoder_mirrors_the_encoder():
    ae = model()
    assert [w.shape for w, _ in layers(ae.encoder)] == [(5, 24), (3, 5), (2, 3)]
    assert [w.shape for w, _ in layers(ae.decoder)] == [(3, 2), (5, 3), (24, 5)]


def test_without_hidden_layers_it_is_linear():
    ae, x = model(hidden=(), likelihood="gaussian"), images(2)
    assert len(ae.encoder) == len(ae.decoder) == 1
    middle = ae.reconstruct(x.mean(0, keepdim=True))
    torch.testing.assert_close(ae.reconstruct(x).mean(0, keepdim=True), middle, rtol=1e-12, atol=1e-12)


def test_the_defaults_take_mnist():
    ae = Autoencoder()
    assert ae.encode(torch.zeros(3, 1, 28, 28)).shape == (3, 2)
    assert [tuple(w.shape) for w, _ in layers(ae.encoder)] == [(400, 784), (2, 400)]


@pytest.mark.parametrize("batch", [(), (5,), (4, 5)])
def test_leading_axes_are_kept(batch):
    ae, x = model(), images(*batch)
    z = ae.encode(x)
    assert z.shape == (*batch, 2) and ae.reconstruct(x).shape == x.shape
    assert ae.decode(z).batch_shape == batch and ae.decode(z).event_shape == SHAPE


def test_sigma_reaches_the_likelihood():
    p_x = model(likelihood="gaussian", sigma=0.25).decode(torch.zeros(1, 2, dtype=torch.float64))
    assert torch.equal(p_x.stddev, torch.full((1, *SHAPE), 0.25, dtype=torch.float64))
    assert model(likelihood="gaussian").decode(torch.zeros(1, 2, dtype=torch.float64)).stddev.unique().item() == 1


def test_samples_are_decoded_standard_normal_codes():
    ae = model()
    samples = ae.sample(6, torch.Generator().manual_seed(3))
    z = torch.randn(6, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    assert samples.shape == (6, *SHAPE)
    torch.testing.assert_close(samples, ae.decode(z).mean, rtol=0, atol=0)


def test_the_model_stays_on_its_device_and_type():
    ae = model(likelihood="gaussian").to("meta")
    assert ae.sample(2).device.type == "meta" and ae.sample(2).dtype == torch.float64
    assert ae.reconstruct(torch.zeros(2, *SHAPE, device="meta", dtype=torch.float64)).device.type == "meta"


def test_gradients_reach_every_weight():
    ae = model()
    ae.reconstruct(images(5)).square().sum().backward()
    assert all(weight.grad is not None for weight in ae.parameters())


# --- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(5, 24), (5, 3, 4), (5, 2, 4, 3), (3, 4), ()])
def test_images_of_another_shape_are_named(shape):
    with pytest.raises(ValueError, match=r"takes images of shape \(…, 2, 3, 4\); got") as caught:
        model().encode(torch.zeros(shape, dtype=torch.float64))
    assert str(caught.value).endswith(f"got {shape}.")


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.bool])
def test_images_that_are_not_floats_are_named(dtype):
    with pytest.raises(ValueError, match=f"takes float images; got {dtype}: .*to_unit or .*binarize"):
        model().reconstruct(torch.zeros(5, *SHAPE, dtype=dtype))


def test_images_of_another_float_type_are_named():
    with pytest.raises(ValueError, match="float64.*float32|float32.*float64"):
        model().float().encode(images(5))


@pytest.mark.parametrize("shape", [(5, 3), (2, 1), ()])
def test_codes_of_another_size_are_named(shape):
    with pytest.raises(ValueError, match=r"Codes must have shape \(…, 2\); got") as caught:
        model().decode(torch.zeros(shape, dtype=torch.float64))
    assert str(caught.value).endswith(f"got {shape}.")


def test_an_unknown_likelihood_lists_the_known_ones():
    with pytest.raises(ValueError, match="Unknown likelihood 'poisson': choose one of bernoulli, gaussian"):
        model(likelihood="poisson")


def test_sigma_without_a_gaussian_is_refused():
    with pytest.raises(ValueError, match="sigma belongs to the Gaussian.* got sigma=0.5 with likelihood='bernoulli'"):
        model(sigma=0.5)


@pytest.mark.parametrize("sigma", [0, -1, float("nan")])
def test_a_sigma_that_is_no_deviation_is_refused_when_the_model_is_built(sigma):
    with pytest.raises(ValueError, match=f"positive and finite; got {sigma}"):
        model(likelihood="gaussian", sigma=sigma)


@pytest.mark.parametrize("arguments", [{"latent_dim": 0}, {"hidden": (5, 0)}])
def test_layers_without_units_are_refused(arguments):
    with pytest.raises(ValueError, match="each at least 1"):
        model(**arguments)


@pytest.mark.parametrize("shape", [(28, 28), (784,)])
def test_an_image_shape_without_a_channel_is_refused_when_the_model_is_built(shape):
    with pytest.raises(ValueError, match=r"\(C, H, W\)"):
        model(image_shape=shape)


def test_codes_of_another_float_type_are_named():
    with pytest.raises(ValueError, match="computes in torch.float32; got codes in torch.float64"):
        model().float().decode(torch.zeros(3, 2, dtype=torch.float64))


def test_calling_the_model_reconstructs():
    ae = model()
    assert torch.equal(ae(images(3)), ae.reconstruct(images(3)))


def test_the_model_prints_its_likelihood():
    text = repr(model(likelihood="gaussian", sigma=0.5))
    assert "likelihood='gaussian'" in text and "sigma=0.5" in text and "image_shape=" in text


@pytest.mark.parametrize("arguments", [{"hidden": 10}, {"latent_dim": 2.0}, {"image_shape": 784}])
def test_arguments_of_the_wrong_kind_are_named(arguments):
    ((name, value),) = arguments.items()
    with pytest.raises(ValueError, match=rf"{name}.*got.*{value}"):
        Autoencoder(**arguments)
