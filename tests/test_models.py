"""The models, against the same machines written in numpy."""

import json

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Independent, Normal

from aetutor.distributions import LogVarNormal
from aetutor.likelihoods import LIKELIHOODS, BernoulliLikelihood
from aetutor.models import CVAE, VAE, Autoencoder, load_model

SHAPE = (2, 3, 4)
SIGMOID = lambda a: 1 / (1 + np.exp(-a))  # noqa: E731


def model(kind=Autoencoder, **arguments):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return kind(**{"latent_dim": 2, "hidden": (5, 3), "image_shape": SHAPE} | arguments).double()


def images(*batch, shape=SHAPE):
    return torch.rand(*batch, *shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def layers(trunk):
    return [(m.weight.detach().numpy(), m.bias.detach().numpy()) for m in trunk if isinstance(m, nn.Linear)]


def through(trunk, features):
    *hidden, (weight, bias) = layers(trunk)
    for w, b in hidden:
        features = features @ w.T + b
        features = features * SIGMOID(features)  # SiLU
    return features @ weight.T + bias


@pytest.mark.parametrize(("likelihood", "squash"), [("bernoulli", SIGMOID), ("gaussian", lambda a: a)])
def test_code_and_reconstruction_are_those_of_the_formulas(likelihood, squash):
    ae, x = model(likelihood=likelihood), images(7)
    z = through(ae.encoder, x.numpy().reshape(7, -1))
    x_hat = squash(through(ae.decoder, z)).reshape(7, *SHAPE)
    np.testing.assert_allclose(ae.encode(x).detach().numpy(), z, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(ae.decode(torch.from_numpy(z)).mean.detach().numpy(), x_hat, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(ae.reconstruct(x).detach().numpy(), x_hat, rtol=1e-12, atol=1e-12)


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
    assert [tuple(w.shape) for w, _ in layers(ae.encoder)] == [(256, 784), (256, 256), (128, 256), (2, 128)]


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
    with pytest.raises(ValueError, match=r"float64.*float32|float32.*float64"):
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
    with pytest.raises(ValueError, match=r"sigma belongs to the Gaussian.* got sigma=0.5 with likelihood='bernoulli'"):
        model(sigma=0.5)


@pytest.mark.parametrize("sigma", [0, -1, float("nan")])
def test_a_sigma_that_is_no_deviation_is_refused_when_the_model_is_built(sigma):
    with pytest.raises(ValueError, match=f"a finite number, more than 0; got {sigma}"):
        model(likelihood="gaussian", sigma=sigma)


@pytest.mark.parametrize("arguments", [{"latent_dim": 0}, {"hidden": (5, 0)}])
def test_layers_without_units_are_refused(arguments):
    with pytest.raises(ValueError, match=r"must be a whole number, 1 or more; got 0"):
        model(**arguments)


@pytest.mark.parametrize("shape", [(28, 28), (784,)])
def test_an_image_shape_without_a_channel_is_refused_when_the_model_is_built(shape):
    with pytest.raises(ValueError, match=r"\(C, H, W\)"):
        model(image_shape=shape)


def test_codes_of_another_float_type_are_named():
    with pytest.raises(ValueError, match=r"computes in torch.float32; got codes in torch.float64"):
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


# --- the likelihoods -------------------------------------------------------------------------------------------------


def continuous_bernoulli_mean(a):
    return 0.5 / np.tanh(a / 2) + 0.5 - 1 / a


@pytest.mark.parametrize(
    ("likelihood", "squash"),
    [
        ("bernoulli", SIGMOID),
        ("gaussian", lambda a: a),
        ("gaussian_learned", lambda a: a),
        ("continuous_bernoulli", continuous_bernoulli_mean),
        ("gaussian_pixelwise", lambda a: a[:, :24]),
    ],
)
@pytest.mark.parametrize("kind", [Autoencoder, VAE])
def test_every_likelihoods_mean_is_that_of_the_decoders_numbers(kind, likelihood, squash):
    ae, z = model(kind, likelihood=likelihood), torch.linspace(-2, 2, 10, dtype=torch.float64).view(5, 2)
    x_hat = squash(through(ae.decoder, z.numpy())).reshape(5, *SHAPE)
    np.testing.assert_allclose(ae.decode(z).mean.detach().numpy(), x_hat, rtol=1e-8, atol=1e-9)
    assert ae.decode(z).batch_shape == (5,) and ae.decode(z).event_shape == SHAPE


def test_a_sigma_for_each_pixel_comes_from_the_second_half_of_the_decoders_numbers():
    ae, z = model(likelihood="gaussian_pixelwise"), torch.linspace(-2, 2, 10, dtype=torch.float64).view(5, 2)
    spread = through(ae.decoder, z.numpy())[:, 24:].reshape(5, *SHAPE)
    np.testing.assert_allclose(ae.decode(z).stddev.detach().numpy(), 0.01 + np.log1p(np.exp(spread)), rtol=1e-12)
    assert ae.likelihood.out_features == 2 * 24


def test_one_learned_sigma_is_a_parameter_that_begins_at_1_and_gets_a_gradient():
    ae, z = model(likelihood="gaussian_learned"), torch.zeros(3, 2, dtype=torch.float64)
    assert "likelihood.tenth_log_sigma" in dict(ae.named_parameters()) and ae.decode(z).stddev.unique().item() == 1
    with torch.no_grad():
        ae.likelihood.tenth_log_sigma.fill_(-0.15)
    np.testing.assert_allclose(ae.decode(z).stddev.detach().numpy(), np.full((3, *SHAPE), np.exp(-1.5)))
    assert ae.sigma == pytest.approx(np.exp(-1.5))
    ae.decode(z).log_prob(images(3)).sum().backward()
    assert ae.likelihood.tenth_log_sigma.grad.abs() > 0


def test_sigma_is_the_given_one_and_none_where_there_is_no_single_one():
    assert model(likelihood="gaussian", sigma=0.3).sigma == 0.3 and model(likelihood="gaussian").sigma == 1
    for likelihood in ("bernoulli", "gaussian_pixelwise", "continuous_bernoulli"):
        assert model(likelihood=likelihood).sigma is None


@pytest.mark.parametrize("likelihood", [name for name in LIKELIHOODS if name != "gaussian"])
def test_sigma_is_refused_by_every_family_but_the_gaussian(likelihood):
    with pytest.raises(ValueError, match=f"sigma belongs to the Gaussian.*likelihood='{likelihood}'"):
        model(VAE, likelihood=likelihood, sigma=0.5)


# --- the variational autoencoder -------------------------------------------------------------------------------------


def test_the_encoder_gives_means_and_log_variances():
    vae, x = model(VAE, latent_dim=3), images(7)
    numbers = through(vae.encoder, x.numpy().reshape(7, -1))
    q_z = vae.encode(x)
    assert numbers.shape == (7, 6) and q_z.batch_shape == (7,) and q_z.event_shape == (3,)
    np.testing.assert_allclose(q_z.mean.detach().numpy(), numbers[:, :3], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(q_z.base_dist.log_var.detach().numpy(), numbers[:, 3:], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(q_z.variance.detach().numpy(), np.exp(numbers[:, 3:]), rtol=1e-12)


def test_a_gaussian_by_its_log_variance_is_torchs():
    mu, log_var = images(2, 5).flatten(1).unbind(0)
    z = images(4, 120, shape=())
    ours, theirs = LogVarNormal(mu, log_var), Normal(mu, (0.5 * log_var).exp())
    torch.testing.assert_close(ours.log_prob(z), theirs.log_prob(z), rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(ours.expand((4, 120)).log_prob(z), theirs.log_prob(z), rtol=1e-13, atol=1e-13)
    assert ours.expand((4, 120)).log_var.shape == (4, 120)


def test_the_prior_is_standard_normal_on_the_models_type():
    vae, z = model(VAE, latent_dim=3), 3 * images(5, 3, shape=())
    expected = -0.5 * (z.numpy() ** 2).sum(1) - 1.5 * np.log(2 * np.pi)
    np.testing.assert_allclose(vae.prior().log_prob(z).numpy(), expected, rtol=1e-13)
    assert vae.prior().event_shape == (3,) and vae.prior().mean.dtype == torch.float64
    assert not vae.prior().mean.requires_grad and vae.float().prior().mean.dtype == torch.float32
    assert vae.to("meta").prior().mean.device.type == "meta"


def test_the_reconstruction_is_decoded_from_the_mean_of_q():
    vae, x = model(VAE), images(7)
    mu = through(vae.encoder, x.numpy().reshape(7, -1))[:, :2]
    x_hat = SIGMOID(through(vae.decoder, mu)).reshape(7, *SHAPE)
    np.testing.assert_allclose(vae.reconstruct(x).detach().numpy(), x_hat, rtol=1e-12)
    assert torch.equal(vae(x), vae.reconstruct(x))


def test_new_images_are_decoded_from_the_prior():
    vae = model(VAE)
    z = torch.randn(6, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    samples = vae.sample(6, torch.Generator().manual_seed(3))
    torch.testing.assert_close(samples, vae.decode(z).mean, rtol=0, atol=0)


@pytest.mark.parametrize("batch", [(), (5,), (4, 5)])
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_a_vae_keeps_leading_axes_and_type(batch, likelihood):
    vae, x = model(VAE, likelihood=likelihood), images(*batch).round()
    q_z = vae.encode(x)
    z = q_z.rsample((3,))
    log_prob = vae.decode(z).log_prob(x)
    assert isinstance(q_z, Independent) and z.shape == (3, *batch, 2) and log_prob.shape == (3, *batch)
    assert vae.reconstruct(x).shape == x.shape and {z.dtype, log_prob.dtype} == {torch.float64}


def test_a_gradient_through_a_draw_reaches_every_weight():
    vae = model(VAE, likelihood="gaussian_pixelwise")
    vae.decode(vae.encode(images(5)).rsample()).log_prob(images(5)).sum().backward()
    assert all(weight.grad.abs().sum() > 0 for weight in vae.parameters())


def test_a_vae_refuses_what_an_autoencoder_refuses():
    with pytest.raises(ValueError, match=r"takes images of shape \(…, 2, 3, 4\); got \(5, 24\)"):
        model(VAE).encode(torch.zeros(5, 24, dtype=torch.float64))
    with pytest.raises(ValueError, match=r"Codes must have shape \(…, 2\); got \(5, 4\)"):
        model(VAE).decode(torch.zeros(5, 4, dtype=torch.float64))


# --- the conditional variational autoencoder -------------------------------------------------------------------------

Y = torch.tensor([2, 0, 1, 1, 2, 0, 2])


def conditional(**arguments):
    return model(CVAE, **{"num_classes": 3} | arguments)


def beside(features, y):
    """[features; e_y], in numpy."""
    return np.concatenate([features, np.eye(3)[np.asarray(y)]], -1)


@pytest.mark.parametrize("hidden", [(), (5, 3)])
def test_a_one_hot_label_stands_behind_the_pixels_and_behind_the_code(hidden):
    cvae, x = conditional(latent_dim=4, hidden=hidden), images(7)
    numbers = through(cvae.encoder, beside(x.numpy().reshape(7, -1), Y))
    q_z = cvae.encode(x, Y)
    np.testing.assert_allclose(q_z.mean.detach().numpy(), numbers[:, :4], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(q_z.base_dist.log_var.detach().numpy(), numbers[:, 4:], rtol=1e-12, atol=1e-12)
    z = 2 * images(7, 4, shape=())
    means = SIGMOID(through(cvae.decoder, beside(z.numpy(), Y))).reshape(7, *SHAPE)
    np.testing.assert_allclose(cvae.decode(z, Y).mean.detach().numpy(), means, rtol=1e-12)
    means = SIGMOID(through(cvae.decoder, beside(numbers[:, :4], Y))).reshape(7, *SHAPE)
    np.testing.assert_allclose(cvae.reconstruct(x, Y).detach().numpy(), means, rtol=1e-12)
    assert torch.equal(cvae(x, Y), cvae.reconstruct(x, Y))


def test_the_label_is_a_bias_for_each_class():
    """W [x; e_y] = W_x x + w_y, equation (4.3), in the encoder and in the decoder."""
    cvae, x, z = conditional(hidden=(), likelihood="gaussian"), images(7), images(7, 2, shape=())
    (encoder,), (decoder,) = layers(cvae.encoder), layers(cvae.decoder)
    for i, y in enumerate(Y):
        numbers = encoder[0][:, :24] @ x[i].numpy().ravel() + encoder[0][:, 24 + y] + encoder[1]
        np.testing.assert_allclose(cvae.encode(x, Y).mean[i].detach().numpy(), numbers[:2], rtol=1e-12, atol=1e-12)
        mean = decoder[0][:, :2] @ z[i].numpy() + decoder[0][:, 2 + y] + decoder[1]
        np.testing.assert_allclose(cvae.decode(z, Y).mean[i].detach().numpy().ravel(), mean, rtol=1e-12, atol=1e-12)


def test_only_the_first_layers_take_the_labels():
    cvae = conditional()
    assert [w.shape for w, _ in layers(cvae.encoder)] == [(5, 24 + 3), (3, 5), (4, 3)]
    assert [w.shape for w, _ in layers(cvae.decoder)] == [(3, 2 + 3), (5, 3), (24, 5)]
    assert [w.shape for w, _ in layers(CVAE(hidden=(7,)).encoder)] == [(7, 794), (4, 7)]
    assert CVAE().num_classes == 10 and "num_classes=3" in repr(cvae) and "num_classes" not in repr(model(VAE))
    assert CVAE().encode(torch.zeros(3, 1, 28, 28), torch.tensor([0, 9, 5])).mean.shape == (3, 2)


def test_another_label_gives_another_posterior_and_another_image():
    cvae, x, z = conditional(), images(7), images(7, 2, shape=())
    other = (Y + 1) % 3
    for one, two in (
        (cvae.encode(x, Y).mean, cvae.encode(x, other).mean),
        (cvae.reconstruct(x, Y), cvae.reconstruct(x, other)),
        (cvae.decode(z, Y).mean, cvae.decode(z, other).mean),
    ):
        assert ((one - two).abs().flatten(1).amax(1) > 1e-6).all()


def test_each_image_has_its_own_label():
    cvae, x = conditional(), images(7)
    alone = torch.cat([cvae.reconstruct(x[i : i + 1], Y[i : i + 1]) for i in range(7)])
    torch.testing.assert_close(cvae.reconstruct(x, Y), alone, rtol=1e-12, atol=1e-13)


def test_labels_hold_for_every_draw_on_the_sample_axis():
    cvae, z = conditional(), images(4, 7, 2, shape=())
    p_x = cvae.decode(z, Y)
    assert p_x.batch_shape == (4, 7) and p_x.event_shape == SHAPE
    torch.testing.assert_close(p_x.mean, torch.stack([cvae.decode(draw, Y).mean for draw in z]), rtol=1e-12, atol=0)
    by_draw = cvae.decode(z, torch.tensor([[0], [2], [1], [0]])).mean
    for i, y in enumerate((0, 2, 1, 0)):
        torch.testing.assert_close(by_draw[i], cvae.decode(z[i], torch.full((7,), y)).mean, rtol=1e-12, atol=0)
    one = cvae.decode(z, torch.tensor(2)).mean
    torch.testing.assert_close(one, cvae.decode(z, torch.full((4, 7), 2)).mean, rtol=1e-12, atol=0)


@pytest.mark.parametrize("batch", [(), (7,), (4, 7)])
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_a_cvae_keeps_leading_axes_and_type(batch, likelihood):
    cvae, x = conditional(likelihood=likelihood), images(*batch).round()
    y = Y if batch else Y[0]
    q_z = cvae.encode(x, y)
    z = q_z.rsample((3,))
    log_prob = cvae.decode(z, y).log_prob(x)
    assert isinstance(q_z, Independent) and z.shape == (3, *batch, 2) and log_prob.shape == (3, *batch)
    assert cvae.reconstruct(x, y).shape == x.shape and {z.dtype, log_prob.dtype} == {torch.float64}


def test_labels_of_every_integer_type_and_place_are_taken_where_the_model_is():
    cvae, x = conditional(), images(7)
    for dtype in (torch.uint8, torch.int32):
        assert torch.equal(cvae.reconstruct(x, Y.to(dtype)), cvae.reconstruct(x, Y))
    assert cvae.float().reconstruct(x.float(), Y).dtype == torch.float32
    elsewhere = conditional(likelihood="gaussian").to("meta")
    assert elsewhere.sample(Y).device.type == "meta" and elsewhere.sample(Y).dtype == torch.float64
    assert elsewhere.prior().mean.device.type == "meta"


def test_labels_may_be_lists_and_arrays():
    cvae, x = conditional(), images(7)
    for y in (Y.tolist(), tuple(Y.tolist()), Y.numpy(), Y.numpy().astype(np.uint8), Y.to(torch.uint16)):
        assert torch.equal(cvae.reconstruct(x, y), cvae.reconstruct(x, Y))
        assert cvae.sample(y).shape == (7, *SHAPE)


def test_the_prior_is_over_the_code_alone():
    cvae, z = conditional(latent_dim=4), 3 * images(5, 4, shape=())
    assert cvae.prior().event_shape == (4,) and not cvae.prior().mean.requires_grad
    expected = -0.5 * (z.numpy() ** 2).sum(1) - 2 * np.log(2 * np.pi)
    np.testing.assert_allclose(cvae.prior().log_prob(z).numpy(), expected, rtol=1e-13)


def test_new_images_of_the_given_classes_are_decoded_from_the_prior():
    cvae = conditional()
    z = torch.randn(7, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    samples = cvae.sample(Y, torch.Generator().manual_seed(3))
    assert samples.shape == (7, *SHAPE)
    torch.testing.assert_close(samples, cvae.decode(z, Y).mean, rtol=0, atol=0)
    assert cvae.sample(Y.expand(4, 7)).shape == (4, 7, *SHAPE)


@torch.no_grad()
def test_new_images_of_a_linear_model_are_gaussian_around_their_classs_mean():
    torch.manual_seed(0)
    cvae, count = conditional(hidden=(), likelihood="gaussian"), 20_000
    weight, bias = layers(cvae.decoder)[0]
    samples = cvae.sample(torch.tensor([0, 1, 2]).repeat(count)).view(count, 3, -1).numpy()
    variance = (weight[:, :2] ** 2).sum(1)
    error = (samples.mean(0) - weight[:, 2:].T - bias) / np.sqrt(variance / count)
    assert np.abs(error).max() < 4.5 and np.sqrt((error**2).mean()) < 2
    np.testing.assert_allclose(samples.var(0), np.tile(variance, (3, 1)), rtol=0.06)


def test_gradients_reach_the_columns_of_the_classes_that_were_seen_and_no_others():
    cvae, x = conditional(hidden=(), likelihood="gaussian"), images(7)
    y = torch.tensor([0, 2, 2, 0, 0, 2, 0])
    cvae.decode(cvae.encode(x, y).rsample(), y).log_prob(x).sum().backward()
    for gradient in (cvae.encoder[0].weight.grad[:, 24:], cvae.decoder[0].weight.grad[:, 2:]):
        assert (gradient.abs().sum(0) > 0).tolist() == [True, False, True]


def test_a_saved_cvae_comes_back(tmp_path):
    cvae, x = conditional(), images(7)
    torch.save(cvae.state_dict(), tmp_path / "cvae.pt")
    other = CVAE(2, (5, 3), SHAPE, num_classes=3).double()
    assert not torch.equal(other.reconstruct(x, Y), cvae.reconstruct(x, Y))
    other.load_state_dict(torch.load(tmp_path / "cvae.pt", weights_only=True))
    assert torch.equal(other.reconstruct(x, Y), cvae.reconstruct(x, Y))
    with pytest.raises(RuntimeError, match=r"size mismatch for encoder.0.weight"):
        conditional(num_classes=4).load_state_dict(cvae.state_dict())


def every_use(cvae, y):
    """The model's methods with these labels, as functions."""
    x, z = images(7), images(7, 2, shape=())
    return [lambda: cvae.encode(x, y), lambda: cvae.decode(z, y), lambda: cvae.reconstruct(x, y), lambda: cvae(x, y)]


@pytest.mark.parametrize(
    ("y", "sentence"),
    [
        (
            None,
            r"^A CVAE needs the labels y, a tensor of class indices such as .*; got none: give them, as in elbo",
        ),
        (3, "A CVAE needs the labels y.*; got 3"),
        ([0, 1], r"one label an image or code, shape \(7,\); got labels of shape \(2,\)\.$"),
        ("7", "must be integers 0…2; got '7'"),
        ([[0], [1, 2]], "must be integers 0…2; got"),
        (torch.tensor([0, 1, 2, 3, 0, 0, 0]), "must lie in 0…2; got values from 0 to 3: correct them, or give a larg"),
        (torch.tensor([0, 1, 2, -1, 0, 0, 0]), "must lie in 0…2; got values from -1 to 2"),
        (
            Y.double(),
            r"must be integers 0…2; got torch.float64: convert them with \.long\(\)\.$",
        ),
        (torch.eye(3)[Y], r"must be integers 0…2; got torch.float32: .*one-hot matrix with \.argmax"),
        (
            torch.eye(3)[Y].long(),
            r"one label an image or code, shape \(7,\); got labels of shape \(7, 3\): y.argmax\(-1\)",
        ),
        (Y[:5], r"one label an image or code, shape \(7,\); got labels of shape \(5,\)"),
        (Y[:, None], r"shape \(7,\); got labels of shape \(7, 1\): flatten them to one axis"),
        (torch.zeros(7, 1), r"got torch.float32: convert them with \.long\(\)\.$"),
    ],
)
def test_labels_that_are_none_are_named(y, sentence):
    for use in every_use(conditional(), y):
        with pytest.raises(ValueError, match=sentence):
            use()


@pytest.mark.parametrize(
    ("y", "sentence"),
    [
        (16, "needs the labels y.*; got 16"),
        (None, "got none"),
        (torch.tensor([3]), "must lie in 0…2"),
        (torch.zeros(2), "be integers"),
    ],
)
def test_samples_need_labels_not_a_count(y, sentence):
    with pytest.raises(ValueError, match=sentence):
        conditional().sample(y)


def test_a_cvae_without_labels_says_so_in_every_method():
    cvae, x = conditional(), images(7)
    for use in (cvae.encode, cvae.reconstruct, cvae, lambda x: cvae.decode(x[:, 0, 0, :2])):
        with pytest.raises(ValueError, match="A CVAE needs the labels y"):
            use(x)


def test_a_cvae_refuses_what_a_vae_refuses():
    with pytest.raises(ValueError, match=r"takes images of shape \(…, 2, 3, 4\); got \(7, 24\)"):
        conditional().encode(torch.zeros(7, 24, dtype=torch.float64), Y)
    with pytest.raises(ValueError, match=r"Codes must have shape \(…, 2\); got \(7, 5\)"):
        conditional().decode(torch.zeros(7, 5, dtype=torch.float64), Y)
    with pytest.raises(ValueError, match=r"computes in torch.float64; got codes in torch.float32"):
        conditional().decode(torch.zeros(7, 2), Y)
    with pytest.raises(ValueError, match="sigma belongs to the Gaussian"):
        conditional(sigma=0.5)


@pytest.mark.parametrize("count", [0, -1, 2.0, None])
def test_a_number_of_classes_that_is_none_is_refused(count):
    with pytest.raises(ValueError, match=f"num_classes must be a whole number, 1 or more; got {count}"):
        conditional(num_classes=count)


# --- one signature ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Autoencoder, VAE])
def test_a_model_without_labels_says_so_and_names_its_class(kind):
    x, z = images(7), images(7, 2, shape=())
    for use in every_use(model(kind), None):
        use()
    for use in (
        lambda ae: ae.encode(x, Y),
        lambda ae: ae.decode(z, Y),
        lambda ae: ae.reconstruct(x, Y),
        lambda ae: ae(x, Y),
    ):
        with pytest.raises(ValueError, match=f"^{kind.__name__} takes no labels; got y: leave it out, or take a CVAE"):
            use(model(kind))


# --- kept in a file --------------------------------------------------------------------------------------------------

FILES = [(kind, name) for kind in (Autoencoder, VAE, CVAE) for name in LIKELIHOODS]


@pytest.mark.parametrize(("kind", "likelihood"), FILES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_saved_model_comes_back_as_it_was(kind, likelihood, dtype, tmp_path):
    sigma = {"sigma": 0.3} if likelihood == "gaussian" else {}
    saved = model(kind, likelihood=likelihood, **sigma).to(dtype).train()
    if likelihood == "gaussian_learned":
        saved.likelihood.tenth_log_sigma.data.fill_(-0.15)
    saved.save(tmp_path / "a" / "model.safetensors")
    torch.manual_seed(5)
    before = torch.get_rng_state()
    loaded = load_model(str(tmp_path / "a" / "model.safetensors"))
    assert type(loaded) is kind and repr(loaded) == repr(saved) and loaded.config() == saved.config()
    assert loaded.sigma == saved.sigma and not loaded.training and torch.equal(torch.get_rng_state(), before)
    x, y = images(7).to(dtype), Y % 3 if kind is CVAE else None
    ours, theirs = loaded.state_dict(), saved.state_dict()
    assert list(ours) == list(theirs) and all(torch.equal(ours[name], theirs[name]) for name in ours)
    torch.testing.assert_close(loaded.reconstruct(x, y), saved.reconstruct(x, y))


def test_a_linear_model_of_other_images_comes_back(tmp_path):
    saved = CVAE(3, (), (3, 4, 4), likelihood="gaussian_pixelwise", num_classes=4)
    saved.save(tmp_path / "m")
    loaded = load_model(tmp_path / "m")
    assert loaded.num_classes == 4 and loaded.image_shape == (3, 4, 4) and loaded.hidden == ()


@pytest.mark.parametrize("activation", ["silu", "relu"])
def test_a_file_records_the_activation(activation, tmp_path):
    saved, x = model(VAE, activation=activation), images(7)
    saved.float().save(tmp_path / "m")
    loaded = load_model(tmp_path / "m")
    assert loaded.activation == activation and f"activation={activation!r}" in repr(loaded)
    torch.testing.assert_close(loaded.reconstruct(x.float()), saved.reconstruct(x.float()))


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    one, other = model(), model(hidden=(4,))
    one.save(tmp_path / "m")
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError("no space left")))
    with pytest.raises(OSError, match="no space"):
        other.save(tmp_path / "m")
    assert load_model(tmp_path / "m").hidden == (5, 3) and len(list(tmp_path.iterdir())) == 1


def write(path, tensors, metadata):
    from safetensors.torch import save_file

    save_file(tensors, path, metadata)


def damaged_files(path):
    """(what is wrong, a file with it, what its sentence says)."""
    weights = model().state_dict()
    config = json.dumps({"format": 1, "model": "Autoencoder", **Autoencoder(latent_dim=2).config()})
    model().save(path / "whole")
    whole = (path / "whole").read_bytes()
    (path / "empty").write_bytes(b"")
    (path / "half").write_bytes(whole[: len(whole) // 2])
    (path / "text").write_text("not weights at all, but a text that is long enough", encoding="utf-8")
    torch.save(model().state_dict(), path / "pickle")
    write(path / "foreign", weights, {"format": "pt"})
    write(path / "no metadata", weights, None)
    write(path / "not json", weights, {"aetutor": "{"})
    write(path / "newer", weights, {"aetutor": config.replace('"format": 1', '"format": 99')})
    write(path / "other class", weights, {"aetutor": config.replace("Autoencoder", "os.system")})
    write(path / "other weights", weights, {"aetutor": config})
    write(path / "unknown setting", weights, {"aetutor": config.replace("latent_dim", "depth")})
    write(path / "older", weights, {"aetutor": config.replace('"activation": "silu", ', "")})
    return {
        **dict.fromkeys(["empty", "half", "text", "pickle"], "is not a whole safetensors file"),
        **dict.fromkeys(["foreign", "no metadata", "not json"], "was not written by model.save"),
        "newer": "has the format 99, and this version of aetutor reads 1: update",
        "other class": "holds none of the models Autoencoder, VAE, CVAE",
        "other weights": "is damaged: its weights are not those of the Autoencoder that it describes",
        "unknown setting": "does not hold a model of this version.*depth",
        "older": "does not say which activation its model has",
    }


def test_files_that_hold_no_whole_model_of_this_version_are_refused_in_one_sentence(tmp_path):
    for name, sentence in damaged_files(tmp_path).items():
        with pytest.raises(ValueError, match=f"{name} {sentence}|{name} .*{sentence}") as caught:
            load_model(tmp_path / name)
        assert "\n" not in str(caught.value), name
    with pytest.raises(FileNotFoundError, match=r"There is no file .*nothing: model.save"):
        load_model(tmp_path / "nothing")


def test_a_class_of_ones_own_is_not_saved_as_another(tmp_path):
    class Mine(VAE):
        pass

    with pytest.raises(ValueError, match=r"keeps the classes Autoencoder, VAE, CVAE; Mine is another one"):
        Mine().save(tmp_path / "m")


def test_a_likelihood_of_ones_own_is_not_saved_as_another(tmp_path):
    class Mine(BernoulliLikelihood):
        pass

    vae = VAE()
    vae.likelihood = Mine()
    with pytest.raises(ValueError, match=r"keeps the classes BernoulliLikelihood, .*; Mine is another one"):
        vae.save(tmp_path / "m")


@pytest.mark.parametrize("name", ['["VAE"]', "{}", "7", "null"])
def test_a_file_that_names_no_class_is_refused(name, tmp_path):
    write(tmp_path / "m", model().state_dict(), {"aetutor": f'{{"format": 1, "model": {name}}}'})
    with pytest.raises(ValueError, match=r"holds none of the models Autoencoder, VAE, CVAE"):
        load_model(tmp_path / "m")
    write(tmp_path / "deep", model().state_dict(), {"aetutor": "[" * 100_000})
    with pytest.raises(ValueError, match=r"was not written by model.save"):
        load_model(tmp_path / "deep")


def test_sizes_may_be_numpys_and_are_kept(tmp_path):
    VAE(2, (np.int64(4),), (1, np.int64(2), 3)).save(tmp_path / "m")
    assert load_model(tmp_path / "m").config()["hidden"] == (4,)


@pytest.mark.parametrize("kind", [VAE, CVAE])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_model_in_half_precision_takes_its_own_codes(kind, dtype):
    half, x, y = model(kind).to(dtype), images(3).round().to(dtype), [0, 1, 2] if kind is CVAE else None
    assert half.reconstruct(x, y).shape == x.shape
    log_prob = half.decode(half.encode(x, y).rsample((2,)), y).log_prob(x)
    assert log_prob.shape == (2, 3) and log_prob.dtype == torch.float32


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"latent_dim": True}, "latent_dim must be a whole number, 1 or more; got True"),
        ({"hidden": (5, 2.5)}, "each size in hidden must be a whole number, 1 or more; got 2.5"),
        ({"image_shape": "abc"}, "each side in image_shape must be a whole number, 1 or more; got 'a'"),
        ({"image_shape": (1, 28, 28.0)}, "each side in image_shape must be a whole number, 1 or more; got 28.0"),
        ({"likelihood": ["bernoulli"]}, "Unknown likelihood .*: choose one of"),
        ({"likelihood": "gaussian", "sigma": "small"}, "must be a finite number, more than 0; got 'small'"),
    ],
)
def test_settings_that_make_no_model_are_named(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        VAE(**arguments)


def test_a_number_of_samples_that_is_none_is_named():
    for count in (2.5, -1):
        with pytest.raises(ValueError, match=f"count must be a whole number, 0 or more; got {count}"):
            model(VAE).sample(count)
