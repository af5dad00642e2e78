"""The evidence, against closed forms, torch.distributions and sums over grids."""

import math

import numpy as np
import pytest
import torch
from linear_gaussian import (
    PIXELS,
    SIGMA,
    Wrapped,
    exact_elbo,
    exact_log_px,
    exact_posterior,
    given_label,
    linear_cvae,
    linear_vae,
    noise,
    of_each,
    parts,
    pictures,
    with_encoder,
    with_the_exact_posterior,
)
from torch.distributions import (
    Bernoulli,
    Categorical,
    ContinuousBernoulli,
    Independent,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
)

from aetutor import evidence as room
from aetutor import quadrature
from aetutor.distributions import validation
from aetutor.evidence import (
    Evidence,
    active_units,
    log_joint,
    log_likelihoods,
    log_px_importance,
    log_px_quadrature,
    posterior_grid,
)
from aetutor.likelihoods import LIKELIHOODS, GaussianLikelihood
from aetutor.models import CVAE, VAE, Autoencoder

# --- the evidence, against the linear-Gaussian model in closed form --------------------------------------------------


@pytest.mark.parametrize("samples", [1, 3, 250])
def test_with_the_exact_posterior_importance_sampling_is_exact_for_any_number_of_samples(samples):
    torch.manual_seed(0)
    vae, x = with_the_exact_posterior(linear_vae(orthogonal=True)), pictures(70)
    torch.testing.assert_close(log_px_importance(vae, x, samples), exact_log_px(vae, x), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("samples", [1, 150, 230])
def test_importance_sampling_estimates_the_evidence_without_bias(samples):
    torch.manual_seed(0)
    vae, x = with_encoder(linear_vae(), (0.3, -0.2), (0.5, 0.5)), pictures(1)
    ratio = (log_px_importance(vae, x.expand(3000, -1, -1, -1), samples) - exact_log_px(vae, x)).exp()
    assert abs(ratio.mean() - 1) < 4 * ratio.std() / 3000**0.5


def test_with_many_samples_importance_sampling_comes_close_to_the_evidence():
    torch.manual_seed(0)
    vae, x = with_encoder(linear_vae()), pictures()
    torch.testing.assert_close(log_px_importance(vae, x, 20_000), exact_log_px(vae, x), rtol=0, atol=0.1)


def test_quadrature_is_the_closed_form():
    vae, x = linear_vae(), pictures()
    evidence = log_px_quadrature(vae, x)
    assert isinstance(evidence, Evidence) and all(part.shape == (7,) for part in evidence)
    torch.testing.assert_close(evidence.log_px, exact_log_px(vae, x), rtol=0, atol=1e-6)
    torch.testing.assert_close(evidence.elbo, exact_elbo(vae, x), rtol=0, atol=1e-6)


def test_quadrature_finds_no_gap_where_q_is_the_posterior():
    vae, x = with_the_exact_posterior(linear_vae(orthogonal=True)), pictures()
    evidence = log_px_quadrature(vae, x)
    torch.testing.assert_close(evidence.log_px, evidence.elbo, rtol=0, atol=1e-7)


@pytest.mark.parametrize(
    ("mu", "log_var"),
    [((0.0, 0.0), (1.0, 0.5)), ((-9.0, 7.0), (0.0, -1.0)), ((1.0, 0.0), (-6.0, 1.0)), ((0.1, -0.7), (-7.0, -7.0))],
    ids=["wide", "far", "one narrow", "narrow"],
)
def test_quadrature_holds_every_q(mu, log_var):
    vae, x = with_encoder(linear_vae(), mu, log_var), pictures(2)
    evidence = log_px_quadrature(vae, x)
    torch.testing.assert_close(evidence.log_px, exact_log_px(vae, x), rtol=0, atol=1e-6)
    torch.testing.assert_close(evidence.elbo, exact_elbo(vae, x), rtol=0, atol=1e-3)
    assert ((evidence.elbo - exact_elbo(vae, x)).abs() <= evidence.error + 1e-6).all()


def test_images_with_another_reach_each_keep_their_place():
    vae, x = linear_vae(), pictures()
    with torch.no_grad():
        vae.encoder[0].weight[:2] *= 25  # the means go in and out of the smallest square
    assert vae.encode(x).mean.abs().amax(1).round().unique().numel() > 2
    evidence = log_px_quadrature(vae, x)
    torch.testing.assert_close(evidence.log_px, exact_log_px(vae, x), rtol=0, atol=1e-6)
    torch.testing.assert_close(evidence.elbo, exact_elbo(vae, x), rtol=1e-6, atol=1e-5)


def test_quadrature_finds_a_posterior_that_q_misses():
    vae = with_encoder(linear_vae())
    w, b = parts(vae)
    x = (b + w @ torch.tensor([9.0, -8.0]).double()).view(1, 1, 3, 4)
    evidence = log_px_quadrature(vae, x)
    assert ((evidence.log_px - exact_log_px(vae, x)).abs() <= evidence.error + 0.01).all()


def test_quadrature_keeps_single_precision_and_is_still_close():
    vae, x = linear_vae(), pictures()
    exact, bound = exact_log_px(vae, x), exact_elbo(vae, x)
    evidence = log_px_quadrature(vae.float(), x.float())
    assert {part.dtype for part in evidence} == {torch.float32}
    torch.testing.assert_close(evidence.log_px.double(), exact, rtol=0, atol=1e-3)
    torch.testing.assert_close(evidence.elbo.double(), bound, rtol=0, atol=1e-3)
    assert log_px_importance(vae, x.float(), 5).dtype == torch.float32


@pytest.mark.parametrize("latent_dim", [1, 3])
@pytest.mark.parametrize("of_images", [log_px_quadrature, posterior_grid])
def test_other_latent_sizes_are_refused_with_what_to_use(latent_dim, of_images):
    vae = VAE(latent_dim, (), (1, 3, 4)).double()
    with pytest.raises(ValueError, match=f"two latent dimensions; this model has {latent_dim}: use log_px_importance"):
        of_images(vae, pictures().round())


@pytest.mark.parametrize("tolerance", [0.0, -1.0, float("nan")])
def test_a_tolerance_that_is_not_positive_is_refused(tolerance):
    with pytest.raises(ValueError, match="more than 0; got"):
        log_px_quadrature(linear_vae(), pictures(1), tolerance=tolerance)


def test_a_tolerance_that_cannot_be_reached_is_an_error(monkeypatch):
    vae = linear_vae(orthogonal=True)
    with torch.no_grad():
        vae.decoder[0].weight *= 15  # narrow, so that few blocks are refined to the end
    monkeypatch.setattr(quadrature, "movement", lambda before, after, narrow: narrow.double() + 1)
    with pytest.raises(RuntimeError, match=r"not converged to .* nats .*: give a larger tolerance, or use"):
        log_px_quadrature(with_the_exact_posterior(vae), pictures(1))


class Labelled(VAE):
    """A conditional model: the label moves q and, the other way, the decoder's codes."""

    def encode(self, x, y=None):
        q_z = super().encode(x)
        q_z.base_dist.loc = q_z.base_dist.loc - y[:, None]
        return q_z

    def decode(self, z, y=None):
        return super().decode(z + y[..., None])


def labelled():
    plain = linear_vae()
    vae = Labelled(2, (), (1, 3, 4), likelihood="gaussian", sigma=SIGMA).double()
    vae.load_state_dict(plain.state_dict())
    return vae


@pytest.mark.slow
def test_with_labels_it_is_the_evidence_given_the_label():
    torch.manual_seed(0)
    vae, x, y = with_encoder(labelled()), pictures(60), torch.tensor([0, 1, 2] * 20)
    w, _b = parts(vae)
    moved = (x.flatten(1) - y[:, None] * (w @ torch.ones(2).double())).view_as(x)  # W (z + y) + b
    exact = exact_log_px(vae, moved)
    torch.testing.assert_close(log_px_quadrature(vae, x, y).log_px, exact, rtol=0, atol=1e-6)
    torch.testing.assert_close(log_px_importance(vae, x, 4000, y), exact, rtol=0, atol=0.4)
    axis, posterior = posterior_grid(vae, x, y, radius=6.0)
    at = torch.cartesian_prod(axis, axis).view(200, 200, 1, 2)
    expected = exact_posterior(vae, moved).log_prob(at).permute(2, 0, 1)
    torch.testing.assert_close(posterior.exp(), expected.exp(), rtol=0, atol=1e-6)


# --- log p(x|z) for all pairs, against torch.distributions, pixel by pixel -------------------------------------------

PIXEL_FAMILIES = {
    "bernoulli": lambda outputs: Bernoulli(logits=outputs),
    "gaussian": lambda outputs: Normal(outputs, 0.3),
    "gaussian_learned": lambda outputs: Normal(outputs, math.exp(-0.7)),
    "gaussian_pixelwise": lambda outputs: Normal(
        outputs[:PIXELS], 0.01 + torch.nn.functional.softplus(outputs[PIXELS:])
    ),
    "continuous_bernoulli": lambda outputs: ContinuousBernoulli(logits=outputs),
}


@torch.no_grad()
def deep_vae(likelihood, latent_dim=2):
    with torch.random.fork_rng():
        torch.manual_seed(4)
        sigma = {"sigma": 0.3} if likelihood == "gaussian" else {}
        vae = VAE(latent_dim, (3,), (1, 3, 4), likelihood=likelihood, **sigma).double()
    if likelihood == "gaussian_learned":
        vae.likelihood.tenth_log_sigma.fill_(-0.07)
    for layer in vae.decoder[::2]:
        layer.weight.mul_(3)
    return vae


@pytest.mark.parametrize("likelihood", PIXEL_FAMILIES)
@pytest.mark.parametrize("latent_dim", [2, 3])
def test_log_likelihoods_are_those_of_every_image_given_every_code(likelihood, latent_dim):
    vae, z = deep_vae(likelihood, latent_dim), 2 * noise(5, latent_dim, seed=3)
    x = pictures(4).round() if likelihood == "bernoulli" else pictures(4)
    table = log_likelihoods(vae, x, z)
    assert table.shape == (4, 5) and table.dtype == torch.float64
    for row, image in zip(table, x.flatten(1), strict=True):
        for number, code in zip(row, z, strict=True):
            outputs = vae.decoder(code).detach()
            torch.testing.assert_close(
                number, PIXEL_FAMILIES[likelihood](outputs).log_prob(image).sum(), rtol=1e-6, atol=1e-6
            )


@pytest.mark.parametrize("codes", [1, 4, 7])
def test_log_likelihoods_of_a_conditional_model_take_the_label_of_each_code(monkeypatch, codes):
    monkeypatch.setattr(room, "CODES", 4)
    cvae, x, z, y = linear_cvae(), pictures(), noise(codes, 2, seed=3), torch.tensor([2, 0, 1, 0, 2, 2, 1])[:codes]
    weight, bias = cvae.decoder[0].parameters()  # [z; e_y] -> V z + v_y + c, by hand
    means = z @ weight[:, :2].T + weight[:, 2:].T[y] + bias  # (G, D)
    expected = Normal(means, cvae.sigma).log_prob(x.flatten(1)[:, None]).sum(2)
    torch.testing.assert_close(log_likelihoods(cvae, x, z, y), expected.detach())


@pytest.mark.parametrize("y", [torch.tensor([1]), torch.zeros(4, 3).long()], ids=["one", "a matrix"])
def test_log_likelihoods_want_a_label_for_each_code(y):
    with pytest.raises(ValueError, match=r"one label a code, shape \(4,\); got"):
        log_likelihoods(linear_cvae(), pictures(), noise(4, 2), y)


@pytest.mark.parametrize("codes", [1, 4, 8, 10])
def test_log_likelihoods_of_many_codes_decode_a_part_at_a_time_and_keep_their_places(monkeypatch, codes):
    vae, x, z, decoded = deep_vae("gaussian"), pictures(3), noise(codes, 2, seed=3), []
    expected = torch.cat([log_likelihoods(vae, x, code[None]) for code in z], 1)
    decode = vae.decode
    monkeypatch.setattr(room, "CODES", 4)
    monkeypatch.setattr(vae, "decode", lambda part, y=None: decoded.append(len(part)) or decode(part))
    torch.testing.assert_close(log_likelihoods(vae, x, z), expected, rtol=1e-12, atol=1e-12)
    assert max(decoded) <= 4 and sum(decoded) == codes + 1  # one of them for the check of the pixels


# --- the true posterior on a grid ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("radius", "points"), [(5.0, 200), (6.0, 161)])
def test_the_posterior_on_a_grid_is_the_exact_density_and_sums_to_one(radius, points):
    vae, x = linear_vae(), pictures()
    axis, posterior = posterior_grid(vae, x, radius=radius, points=points)
    assert axis.shape == (points,) and posterior.shape == (7, points, points) and not posterior.requires_grad
    assert (axis[0].item(), axis[-1].item()) == (-radius, radius)
    step = 2 * radius / (points - 1)
    np.testing.assert_allclose(posterior.exp().sum((1, 2)).numpy() * step**2, np.ones(7), rtol=1e-9)
    z = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1)[:, :, None]
    torch.testing.assert_close(posterior, exact_posterior(vae, x).log_prob(z).permute(2, 0, 1), rtol=1e-8, atol=1e-6)


def test_the_posterior_grid_is_four_wide_unless_told():
    axis, posterior = posterior_grid(linear_vae(), pictures(2))
    assert (axis[0].item(), axis[-1].item(), len(axis), posterior.dtype) == (-4, 4, 200, torch.float64)


# --- active units ----------------------------------------------------------------------------------------------------


def test_no_unit_of_a_constant_encoder_is_active_and_every_unit_of_a_varying_one_is():
    assert active_units(with_encoder(linear_vae(), (3.0, -2.0)), pictures()) == 0
    vae = VAE(5, (), (1, 3, 4)).double()
    with torch.no_grad():
        vae.encoder[0].weight[:5] = torch.eye(5, 12)
    assert active_units(vae, pictures(200)) == 5  # pixels from 0 to 1 have a variance of 1/12


@torch.no_grad()
def test_a_unit_is_active_above_the_threshold_in_the_variance_of_its_mean():
    vae = VAE(3, (), (1, 3, 4)).double()
    vae.encoder[0].weight.zero_()
    vae.encoder[0].weight[:3, 0] = torch.tensor([0.02, 0.3, 2.0])
    vae.encoder[0].weight[3:] = 1.0  # the variances of q vary too, and do not count
    x = pictures(2)
    x[:, 0, 0, 0] = torch.tensor([0.0, 1.0])  # mu_k has the variance weight² / 2: 0.0002, 0.045, 2
    assert [active_units(vae, x, threshold=t) for t in (1e-4, 0.01, 0.044, 0.046, 1.9, 2.1)] == [3, 2, 2, 1, 1, 0]
    assert active_units(vae, x) == 2 and isinstance(active_units(vae, x), int)


@torch.no_grad()
def test_active_units_take_labels():
    vae, x = labelled(), pictures(1).expand(4, -1, -1, -1)
    assert active_units(vae, x, torch.zeros(4).long()) == 0 and active_units(vae, x, torch.arange(4)) == 2


@pytest.mark.parametrize(
    ("x", "sentence"),
    [
        (pictures(1), "it takes two or more; got 1"),
        (pictures(1)[:0], "no images: x is empty"),
        (pictures(3).masked_fill(torch.arange(3).view(3, 1, 1, 1) == 1, math.nan), "NaN or infinity, in 1 of 3 images"),
    ],
)
def test_active_units_of_no_images_one_or_nan_are_refused(x, sentence):
    with pytest.raises(ValueError, match=sentence):
        active_units(linear_vae(), x)


def test_active_units_of_a_model_that_has_diverged_are_refused():
    with pytest.raises(ValueError, match=r"VAE gives a q\(z\|x\) that is not finite: it has diverged"):
        active_units(with_encoder(linear_vae(), (math.nan, 0.0)), pictures())


# --- what all of them leave behind -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "of_images",
    [
        lambda vae, x: log_px_importance(vae, x, 3),
        log_px_quadrature,
        lambda vae, x: posterior_grid(vae, x)[1],
        lambda vae, x: log_likelihoods(vae, x, x.new_ones(2, 2)),
    ],
    ids=["importance", "quadrature", "grid", "log_likelihoods"],
)
def test_no_gradients_are_kept_and_none_reach_the_weights(of_images):
    vae, x = linear_vae(), pictures(2).requires_grad_()
    numbers = of_images(vae, x)
    assert not any(part.requires_grad for part in numbers)
    assert all(weight.grad is None and weight.requires_grad for weight in vae.parameters())


# --- the evidence given the label, in closed form: p(x|y) = N(b + w_y, W Wᵀ + sigma² I) ------------------------------

LABELS = torch.tensor([2, 0, 1, 1, 2, 0, 2])


def test_quadrature_given_labels_is_the_closed_form():
    cvae, x = linear_cvae(), pictures()
    evidence = log_px_quadrature(cvae, x, LABELS)
    torch.testing.assert_close(evidence.log_px, of_each(exact_log_px, cvae, x, LABELS), rtol=0, atol=1e-6)
    torch.testing.assert_close(evidence.elbo, of_each(exact_elbo, cvae, x, LABELS), rtol=0, atol=1e-6)
    other = log_px_quadrature(cvae, x, (LABELS + 1) % 3)
    assert ((evidence.log_px - other.log_px).abs() > 0.1).all()


@torch.no_grad()
def test_quadrature_keeps_labels_with_their_images_where_only_some_need_a_block():
    """Three narrow posteriors, far from each other: each block of the grid is refined for one image alone."""
    cvae, y = linear_cvae(), torch.tensor([2, 0, 1])
    cvae.likelihood = GaussianLikelihood((1, 3, 4), sigma=0.2)
    weight = cvae.decoder[0].weight
    weight[:, :2] = torch.linalg.qr(weight[:, :2]).Q
    codes = torch.tensor([[-4.0, 3.0], [0.0, -4.0], [4.0, 1.0]]).double()
    x = cvae.decode(codes, y).mean + 0.1 * noise(3, 1, 3, 4, seed=6)
    covariance = weight[:, :2] @ weight[:, :2].T + 0.04 * torch.eye(PIXELS)
    exact = MultivariateNormal(cvae.decoder[0].bias + weight[:, 2:].T[y], covariance).log_prob(x.flatten(1))
    torch.testing.assert_close(log_px_quadrature(cvae, x, y).log_px, exact, rtol=0, atol=1e-6)


@pytest.mark.parametrize("samples", [1, 130])
@torch.no_grad()
def test_importance_sampling_given_labels_is_exact_with_the_exact_posterior(samples):
    """q(z|x, y) has its mean at A⁻¹ Wᵀ (x - b - w_y) / sigma²: the encoder's weights for the label are given, too."""
    torch.manual_seed(0)
    cvae, x, y = linear_cvae(orthogonal=True), pictures(70), torch.arange(70) % 3
    exact = with_the_exact_posterior(given_label(cvae, 0)).encoder[0]
    bias, shift = cvae.decoder[0].bias, cvae.decoder[0].weight[:, 2:]
    to_mean = exact.weight[:2]
    cvae.encoder[0].weight.copy_(torch.cat([exact.weight, torch.cat([-to_mean @ shift, torch.zeros(2, 3)])], 1))
    cvae.encoder[0].bias.copy_(torch.cat([-to_mean @ bias, exact.bias[2:]]))
    closed = of_each(exact_log_px, cvae, x, y)
    torch.testing.assert_close(log_px_importance(cvae, x, samples, y), closed, rtol=1e-11, atol=1e-11)
    evidence = log_px_quadrature(cvae, x[:6], y[:6])
    torch.testing.assert_close(evidence.elbo, closed[:6], rtol=0, atol=1e-7)
    axis, posterior = posterior_grid(cvae, x[:6], y[:6], radius=6.0)
    expected = cvae.encode(x[:6], y[:6]).log_prob(torch.cartesian_prod(axis, axis)[:, None]).T.view(6, 200, 200)
    torch.testing.assert_close(posterior.exp(), expected.exp(), rtol=0, atol=1e-6)


def test_the_sum_over_the_labels_is_the_evidence_and_bayes_gives_the_class():
    """log p(x) = log Σ_y p(y) p(x|y) is a mixture's density; p(y|x) = p(y) p(x|y) / p(x) (equations 4.4 and 4.6)."""
    cvae, x, p_y = linear_cvae(), pictures(), torch.tensor([0.5, 0.2, 0.3]).double()
    joint = torch.stack([log_px_quadrature(cvae, x, torch.full((7,), y)).log_px + p_y[y].log() for y in range(3)], 1)
    weight, bias = parts(cvae)
    covariance = weight[:, :2] @ weight[:, :2].T + SIGMA**2 * torch.eye(PIXELS).double()
    components = MultivariateNormal(bias + weight[:, 2:].T, covariance)
    mixture = MixtureSameFamily(Categorical(p_y), components)
    torch.testing.assert_close(joint.logsumexp(1), mixture.log_prob(x.flatten(1)), rtol=0, atol=1e-6)
    # linear discriminant analysis: with one covariance the log odds are linear in x
    inverse = torch.linalg.inv(covariance)
    means = bias + weight[:, 2:].T
    scores = x.flatten(1) @ inverse @ means.T - (means @ inverse * means).sum(1) / 2 + p_y.log()
    torch.testing.assert_close(joint.softmax(1), scores.softmax(1), rtol=0, atol=1e-6)


@torch.no_grad()
def test_active_units_count_what_the_labels_move():
    cvae = linear_cvae()
    cvae.encoder[0].weight.zero_()
    cvae.encoder[0].weight[0, PIXELS:] = torch.tensor([-1.0, 0.0, 1.0]).double()
    x = pictures(1).expand(6, -1, -1, -1)
    assert active_units(cvae, x, torch.arange(6) % 3) == 1 and active_units(cvae, x, torch.ones(6).long()) == 0


OF_LABELS = {
    "importance": lambda model, x, y: log_px_importance(model, x, 3, y),
    "quadrature": log_px_quadrature,
    "grid": posterior_grid,
    "active units": active_units,
}


@pytest.mark.parametrize("of_labels", OF_LABELS.values(), ids=OF_LABELS)
def test_labels_that_are_missing_not_taken_or_no_labels_are_named(of_labels):
    cvae, x = linear_cvae(), pictures()
    with pytest.raises(ValueError, match="A CVAE needs the labels y, a tensor of class indices"):
        of_labels(cvae, x, None)
    with pytest.raises(ValueError, match="VAE takes no labels; got y: leave it out"):
        of_labels(linear_vae(), x, LABELS)
    for y in (LABELS[:5], torch.cat([LABELS, LABELS]), torch.eye(3)[LABELS].long()):
        with pytest.raises(ValueError, match=r"There must be one label an image.*, shape \(7,\); got labels of shape"):
            of_labels(cvae, x, y)
    for y in () if of_labels is active_units else (LABELS[:1], LABELS[0]):  # a function that takes images one by one
        with pytest.raises(ValueError, match=r"one label an image, shape \(7,\); got labels of .* many of one"):
            of_labels(cvae, x, y)
    with pytest.raises(ValueError, match=r"must lie in 0…2; got values from [03] to 3"):
        of_labels(cvae, x, (LABELS == 2) * 3)
    with pytest.raises(ValueError, match=r"must be integers 0…2; got torch.float64"):
        of_labels(cvae, x, LABELS.double())


# --- what comes in at the door ---------------------------------------------------------------------------------------

OF_IMAGES = {
    "importance": lambda model, x, y=None: log_px_importance(model, x, 3, y),
    "quadrature": log_px_quadrature,
    "grid": posterior_grid,
    "log_likelihoods": lambda model, x, y=None: log_likelihoods(
        model, x, x.new_zeros(3, 2), None if y is None else y[:3]
    ),
    "log_joint": lambda model, x, y=None: log_joint(model, x, x.new_zeros(3, 2), y),
}
of_every_kind = pytest.mark.parametrize("of_images", OF_IMAGES.values(), ids=OF_IMAGES)


@of_every_kind
@pytest.mark.parametrize("validating", [True, False])
@pytest.mark.parametrize(
    ("likelihood", "value", "sentence"),
    [
        ("bernoulli", 0.5, "takes pixels that are 0 or 1; got 0.5"),
        ("continuous_bernoulli", 7.0, r"grey values in \[0, 1\]; got values from 0 to 7"),
        ("gaussian", math.nan, "x holds NaN or infinity, in 1 of 5 images"),
    ],
)
def test_pixels_that_the_likelihood_does_not_take_are_named_also_where_only_the_last_image_has_one(
    of_images, validating, likelihood, value, sentence
):
    x = torch.zeros(5, 1, 3, 4, dtype=torch.float64)
    x[4, 0, 2, 3] = value
    with validation(validating), pytest.raises(ValueError, match=sentence):
        of_images(deep_vae(likelihood), x)


@of_every_kind
def test_no_images_are_named(of_images):
    with pytest.raises(ValueError, match=r"There are no images: x is empty"):
        of_images(linear_vae(), pictures()[:0])


@pytest.mark.parametrize(
    "of_images", [*list(OF_IMAGES.values())[:3], active_units], ids=[*list(OF_IMAGES)[:3], "units"]
)
def test_a_model_without_a_posterior_is_named(of_images):
    ae = Autoencoder(2, (), (1, 3, 4)).double()
    with pytest.raises(ValueError, match=r"whose encode gives q\(z\|x\).*Autoencoder's gives a Tensor: .*") as caught:
        of_images(ae, pictures().round())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("model", "y"), [(linear_vae(), None), (linear_cvae(), LABELS)], ids=["VAE", "CVAE"])
def test_a_wrapped_model_gives_what_the_model_gives(model, y):
    x = pictures()
    for of_images in (*list(OF_IMAGES.values())[:3], active_units):
        numbers = []
        for one in (model, Wrapped(model)):
            torch.manual_seed(0)
            numbers.append(of_images(one, x, y))
        assert repr(numbers[0]) == repr(numbers[1])


@pytest.mark.slow
@of_every_kind
def test_labels_may_be_lists_and_arrays(of_images):
    cvae, x = linear_cvae(), pictures()
    for y in (LABELS.tolist(), LABELS.numpy(), LABELS.to(torch.uint8)):
        torch.manual_seed(0)
        expected = of_images(cvae, x, LABELS)
        torch.manual_seed(0)
        assert repr(of_images(cvae, x, y)) == repr(expected)


def test_a_column_of_labels_is_not_told_to_take_the_largest():
    for of_images in OF_IMAGES.values():
        with pytest.raises(ValueError, match=r"got labels of shape \([37], 1\)") as caught:
            of_images(linear_cvae(), pictures(), LABELS[:, None])
        assert "argmax" not in str(caught.value)
    with pytest.raises(ValueError, match=r"got labels of shape \(7, 3\): y.argmax\(-1\)"):
        log_px_quadrature(linear_cvae(), pictures(), torch.eye(3)[LABELS].long())


@pytest.mark.parametrize("of_images", [*list(OF_IMAGES.values())[:3], active_units])
def test_a_model_that_has_diverged_is_named(of_images):
    for mu, log_var in (((math.nan, 0.0), (0.0, 0.0)), ((0.0, 0.0), (math.nan, 0.0)), ((0.0, 0.0), (2000.0, 0.0))):
        with pytest.raises(ValueError, match=r"VAE gives a q\(z\|x\) that is not finite: it has diverged"):
            of_images(with_encoder(linear_vae(), mu, log_var), pictures())


@pytest.mark.parametrize(("mu", "log_var"), [((1e5, 0.0), (0.0, 0.0)), ((0.0, 0.0), (20.0, 0.0))])
def test_a_guess_too_far_out_for_a_grid_is_told_what_to_use(mu, log_var):
    with pytest.raises(RuntimeError, match=r"A guess reaches .* from the origin, .*: use importance sampling"):
        log_px_quadrature(with_encoder(linear_vae(), mu, log_var), pictures())


@pytest.mark.parametrize("tolerance", [math.inf, -math.inf])
def test_a_tolerance_that_is_not_finite_is_refused(tolerance):
    with pytest.raises(ValueError, match=r"more than 0; got"):
        log_px_quadrature(linear_vae(), pictures(1), tolerance=tolerance)


@pytest.mark.parametrize(
    "z", [torch.zeros(0, 2).double(), torch.zeros(3, 2), torch.zeros(2).double(), torch.full((3, 2), math.nan).double()]
)
def test_codes_that_are_none_are_named(z):
    for of_codes in (log_likelihoods, log_joint):
        with pytest.raises(
            ValueError, match=r"Codes must be finite, in the dtype of the images, torch.float64, of shape"
        ):
            of_codes(linear_vae(), pictures(), z)


def test_a_decoder_with_a_distribution_of_torchs_works_too():
    vae, x, z = linear_vae(), pictures(), noise(5, 2)

    class Plain(Wrapped):
        def decode(self, z, y=None):
            return Independent(Normal(self.model.decode(z).mean, SIGMA), 3)

    torch.testing.assert_close(log_likelihoods(Plain(vae), x, z), log_likelihoods(vae, x, z))
    torch.testing.assert_close(log_px_quadrature(Plain(vae), x).log_px, exact_log_px(vae, x), rtol=0, atol=1e-6)


# --- decoders that bend, against sums over one fine grid, written out -------------------------------------------------


@torch.no_grad()
def curved_vae(likelihood, scale=4.0):
    """A decoder that bends: the posteriors are far from Gaussian, and at a scale of 40 they are narrow."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        vae = VAE(2, (6,), (1, 2, 3), likelihood=likelihood).double()
        vae.decoder[0].weight.normal_()
    vae.decoder[-1].weight *= scale
    if likelihood == "gaussian_learned":
        vae.likelihood.tenth_log_sigma.fill_(-0.07)
    return vae


def small_images(likelihood, count=2):
    x = torch.rand(count, 1, 2, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return x.round() if likelihood == "bernoulli" else x


@torch.no_grad()
def fine_sums(vae, x, radius=12.0, points=1201):
    """log p(x) and the ELBO, pair by pair: exp(log p(x|z) + log p(z)) and q (log p(x, z) - log q), times the cell."""
    axis = torch.linspace(-radius, radius, points, dtype=torch.float64)
    z, cell = torch.cartesian_prod(axis, axis), (axis[1] - axis[0]) ** 2
    p_x, log_prior = vae.decode(z), Normal(0.0, 1.0).log_prob(z).sum(1)
    sums = []
    for image in x:
        numbers = vae.encoder(image.flatten())
        joint = p_x.log_prob(image.expand(len(z), 1, 2, 3)) + log_prior
        log_q = Normal(numbers[:2], (numbers[2:] / 2).exp()).log_prob(z).sum(1)
        sums.append((joint.exp().sum().log() + cell.log(), (log_q.exp() * (joint - log_q)).sum() * cell))
    return [torch.stack(column) for column in zip(*sums, strict=True)]


@pytest.mark.slow
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_the_quadrature_agrees_with_a_fine_grid_for_every_family(likelihood):
    vae, x = curved_vae(likelihood), small_images(likelihood)
    evidence, (log_px, elbo) = log_px_quadrature(vae, x), fine_sums(vae, x)
    # both are off at the bends of the decoder, by the square of their steps
    assert ((evidence.log_px - log_px).abs() <= evidence.error + 1e-3).all() and (evidence.error <= 0.01).all()
    assert ((evidence.elbo - elbo).abs() <= evidence.error + 1e-3).all()
    assert (log_px - elbo > 0.01).all() and (evidence.log_px - evidence.elbo > -1e-9).all()


@pytest.mark.slow
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian", "continuous_bernoulli"])
def test_narrow_posteriors_converge_too(likelihood):
    vae, x = curved_vae(likelihood, scale=40.0), small_images(likelihood)
    evidence, (log_px, elbo) = log_px_quadrature(vae, x), fine_sums(vae, x)
    assert ((evidence.log_px - log_px).abs() <= evidence.error + 0.005).all()
    assert ((evidence.elbo - elbo).abs() <= evidence.error + 0.005).all()


@pytest.mark.slow
@pytest.mark.parametrize(("likelihood", "scale"), [(name, 4.0) for name in LIKELIHOODS] + [("gaussian", 15.0)])
def test_the_error_bounds_the_difference_to_a_much_finer_tolerance(likelihood, scale):
    vae, x = curved_vae(likelihood, scale), small_images(likelihood)
    rough, fine = (log_px_quadrature(vae, x, tolerance=tolerance) for tolerance in (0.05, 2e-3))
    assert (rough.error <= 0.05).all() and (fine.error <= 2e-3).all()
    for one, other in ((rough.log_px, fine.log_px), (rough.elbo, fine.elbo)):
        assert ((one - other).abs() <= rough.error + fine.error).all()
    assert (fine.log_px - fine.elbo >= 0).all() and (rough.log_px - rough.elbo >= -1e-9).all()


def test_an_image_alone_has_the_evidence_that_it_has_among_others():
    vae, x = curved_vae("bernoulli", 15.0), small_images("bernoulli", 4)
    together = log_px_quadrature(vae, x)
    for i in range(4):
        alone = log_px_quadrature(vae, x[i : i + 1])
        assert (together.log_px[i] - alone.log_px[0]).abs() < 1e-6 and (together.elbo[i] - alone.elbo[0]).abs() < 1e-6


def test_the_evidence_of_all_binary_images_sums_to_one():
    vae = curved_vae("bernoulli")
    x = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=torch.float64)] * 6).view(64, 1, 2, 3)
    assert log_px_quadrature(vae, x).log_px.exp().sum().item() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_the_joint_of_all_pairs_is_the_sum_of_likelihood_and_prior(likelihood):
    vae, x = curved_vae(likelihood), small_images(likelihood, 3)
    z = 2 * torch.randn(5, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with torch.no_grad():
        joint, p_x = log_joint(vae, x, z), vae.decode(z)
        by_hand = torch.stack([p_x.log_prob(image.expand(5, 1, 2, 3)) for image in x])
    assert joint.shape == (3, 5)
    torch.testing.assert_close(joint, by_hand + Normal(0.0, 1.0).log_prob(z).sum(1), rtol=1e-11, atol=1e-11)


@pytest.mark.slow
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_the_posterior_on_a_grid_is_the_joint_over_the_evidence(likelihood):
    vae, x = curved_vae(likelihood), small_images(likelihood)
    axis, posterior = posterior_grid(vae, x, radius=7.0, points=281)
    with torch.no_grad():
        joint = log_joint(vae, x, torch.stack([axis[100:110], axis[150:160]], 1))
    expected = joint - log_px_quadrature(vae, x, tolerance=2e-3).log_px[:, None]
    torch.testing.assert_close(posterior[:, range(100, 110), range(150, 160)], expected, rtol=0, atol=5e-3)


# --- decoders that bend, given the label ------------------------------------------------------------------------------


@torch.no_grad()
def curved_cvae(likelihood):
    with torch.random.fork_rng():
        torch.manual_seed(3)
        cvae = CVAE(2, (6,), (1, 2, 3), likelihood=likelihood, num_classes=3).double()
        cvae.decoder[0].weight.normal_()
    cvae.decoder[-1].weight *= 2
    return cvae


class GivenLabel:
    """The unconditional model of one class, as far as `fine_sums` cares: the label is a constant, put in by hand."""

    def __init__(self, cvae, y):
        e_y = torch.eye(3, dtype=torch.float64)[y]
        self.encoder = lambda features: cvae.encoder(torch.cat([features, e_y]))
        self.decode = lambda z: cvae.likelihood(cvae.decoder(torch.cat([z, e_y.expand(len(z), 3)], 1)))


@pytest.mark.slow
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_the_quadrature_given_labels_agrees_with_a_fine_grid_for_every_family(likelihood):
    cvae, x, y = curved_cvae(likelihood), small_images(likelihood), torch.tensor([2, 0])
    evidence = log_px_quadrature(cvae, x, y)
    sums = [fine_sums(GivenLabel(cvae, label), image[None]) for image, label in zip(x, y, strict=True)]
    log_px, elbo = (torch.cat(column) for column in zip(*sums, strict=True))
    assert ((evidence.log_px - log_px).abs() <= evidence.error + 1e-3).all()
    assert ((evidence.elbo - elbo).abs() <= evidence.error + 1e-3).all()
    other = log_px_quadrature(cvae, x, (y + 1) % 3)
    assert ((evidence.log_px - other.log_px).abs() > 0.02).all()


@pytest.mark.slow
def test_labels_keep_their_place_while_some_images_are_refined_further_or_in_other_blocks_than_others():
    cvae, x, y = curved_cvae("bernoulli"), small_images("bernoulli", 6), torch.tensor([2, 0, 1, 1, 2, 0])
    with torch.no_grad():
        cvae.decoder[-1].weight *= 10
    together = log_px_quadrature(cvae, x, y)
    alone = [log_px_quadrature(cvae, x[i : i + 1], y[i : i + 1]) for i in range(6)]
    torch.testing.assert_close(together.log_px, torch.cat([one.log_px for one in alone]), rtol=0, atol=1e-6)
    torch.testing.assert_close(together.elbo, torch.cat([one.elbo for one in alone]), rtol=0, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("label", [0, 1, 2])
def test_given_any_label_the_evidence_of_all_binary_images_sums_to_one(label):
    x = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=torch.float64)] * 6).view(64, 1, 2, 3)
    evidence = log_px_quadrature(curved_cvae("bernoulli"), x, torch.full((64,), label))
    assert evidence.log_px.exp().sum().item() == pytest.approx(1, abs=1e-3)


def test_the_joint_given_labels_pairs_each_image_with_its_own():
    cvae, x, y = curved_cvae("bernoulli"), small_images("bernoulli", 5), torch.tensor([2, 0, 2, 1, 0])
    z = 2 * torch.randn(4, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with torch.no_grad():
        joint = log_joint(cvae, x, z, y)
        by_hand = torch.stack(
            [
                torch.stack([cvae.decode(code, label).log_prob(image) for code in z])
                for image, label in zip(x, y, strict=True)
            ]
        )
    torch.testing.assert_close(joint, by_hand + Normal(0.0, 1.0).log_prob(z).sum(1), rtol=0, atol=1e-8)


@torch.no_grad()
def test_a_guess_much_narrower_than_the_grid_has_the_closed_forms_elbo():
    with torch.random.fork_rng():
        torch.manual_seed(5)
        vae = VAE(2, (), (1, 3, 4), likelihood="gaussian", sigma=0.5).double()
    vae.encoder[0].weight[2:] = 0
    vae.encoder[0].bias[2:] = torch.tensor([-14.0, -18.0])  # standard deviations of 1/1100 and 1/8100
    x = torch.rand(3, 1, 3, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    weight, bias, q_z = vae.decoder[0].weight, vae.decoder[0].bias, vae.encode(x)
    covariance = weight @ weight.T + 0.25 * torch.eye(12, dtype=torch.float64)
    log_px = torch.distributions.MultivariateNormal(bias, covariance).log_prob(x.flatten(1))
    # E_q[‖x - x_hat‖²] = ‖x - x_hat(mu)‖² + Σ_k sigma_k² ‖W_k‖²
    log_px_z = vae.decode(q_z.mean).log_prob(x) - q_z.variance @ weight.square().sum(0) / 0.5
    kl = torch.distributions.kl_divergence(q_z, vae.prior())
    exact = log_px_quadrature(vae, x)
    torch.testing.assert_close(exact.log_px, log_px, rtol=0, atol=1e-6)
    torch.testing.assert_close(exact.elbo, log_px_z - kl, rtol=0, atol=1e-6)
    assert (exact.error < 0.01).all()


@pytest.mark.parametrize("of", [log_px_quadrature, posterior_grid])
def test_grey_images_are_refused_by_a_bernoulli_model(of):
    with pytest.raises(ValueError, match="takes pixels that are 0 or 1"):
        of(curved_vae("bernoulli"), small_images("gaussian"))
