"""The objectives, against their formulas in numpy."""

import functools
import itertools
import subprocess
import sys

import numpy as np
import pytest
import torch
from linear_gaussian import PIXELS, SHAPE, SIGMA, Wrapped, exact_log_px, linear_cvae, linear_vae, noise, of_each
from torch.distributions import Normal, kl_divergence

from aetutor.corruption import mask
from aetutor.evidence import log_px_importance
from aetutor.models import CVAE, VAE, Autoencoder
from aetutor.objectives import (
    Elbo,
    denoising_loss,
    elbo,
    gaussian_kl,
    importance_weighted_bound,
    log_importance_weights,
    posterior,
    reconstruction_loss,
)
from aetutor.training import Trainer


def model(**arguments):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Autoencoder(2, (5,), SHAPE, **arguments).double()


def grey():
    return torch.rand(7, *SHAPE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_bernoulli_loss_is_the_cross_entropy_of_each_image():
    ae, x = model(), grey().round()
    x_, x_hat = x.numpy(), ae.reconstruct(x).detach().numpy()
    expected = -(x_ * np.log(x_hat) + (1 - x_) * np.log(1 - x_hat)).sum((1, 2, 3))
    losses = reconstruction_loss(ae, x)
    assert losses.shape == (7,) and (losses > 0).all()
    np.testing.assert_allclose(losses.detach().numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("sigma", [None, 0.3, 1.0, 2.0])
def test_gaussian_loss_is_the_scaled_squared_error_and_a_constant(sigma):
    ae, x = model(likelihood="gaussian", sigma=sigma), grey()
    variance = (sigma or 1.0) ** 2
    squared = ((x - ae.reconstruct(x)).detach().numpy() ** 2).sum((1, 2, 3))
    expected = squared / (2 * variance) + PIXELS / 2 * np.log(2 * np.pi * variance)
    np.testing.assert_allclose(reconstruction_loss(ae, x).detach().numpy(), expected, rtol=1e-12)


def test_each_image_has_its_own_loss():
    ae, x = model(), grey().round()
    alone = torch.cat([reconstruction_loss(ae, x[i : i + 1]) for i in range(7)])
    torch.testing.assert_close(reconstruction_loss(ae, x), alone, rtol=1e-12, atol=0)


def test_the_gradient_is_that_of_finite_differences():
    ae, x = model(likelihood="gaussian", sigma=0.5), grey()
    bias = ae.decoder[-1].bias
    (gradient,) = torch.autograd.grad(reconstruction_loss(ae, x).sum(), bias)
    step = 1e-5
    with torch.no_grad():
        bias[3] += step
        up = reconstruction_loss(ae, x).sum()
        bias[3] -= 2 * step
        down = reconstruction_loss(ae, x).sum()
    assert gradient[3].item() == pytest.approx(((up - down) / (2 * step)).item(), rel=1e-6)


def test_grey_images_with_a_bernoulli_likelihood_are_refused():
    with pytest.raises(ValueError, match=r"0 or 1; got .* among them: binarize"):
        reconstruction_loss(model(), grey())


def test_images_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"\(…, 1, 3, 4\); got \(7, 1, 4, 3\)"):
        reconstruction_loss(model(), grey().mT)


def test_bytes_are_refused():
    with pytest.raises(ValueError, match=r"float images; got torch.uint8"):
        reconstruction_loss(model(), grey().byte())


# --- the denoising loss ----------------------------------------------------------------------------------------------


def all_masks(x):
    """Every way to mask an image of four pixels, (16, 1, 2, 2), in place of random ones."""
    kept = torch.tensor(list(itertools.product([0.0, 1.0], repeat=4)), dtype=x.dtype)
    return x[0, 0] * kept.view(16, 1, 2, 2)


def test_denoising_loss_is_the_mean_over_the_corruptions_against_the_clean_image():
    ae = Autoencoder(2, (3,), (1, 2, 2), likelihood="gaussian", sigma=0.5).double()
    x = torch.rand(1, 1, 2, 2, dtype=torch.float64)
    masked = all_masks(x[None])
    each = iter(masked[:, None])
    loss = denoising_loss(ae, x, lambda clean: next(each), samples=16)
    by_hand = [-torch.distributions.Normal(ae.reconstruct(one), 0.5).log_prob(x[0]).sum() for one in masked]
    torch.testing.assert_close(loss, torch.stack(by_hand).mean()[None], rtol=1e-12, atol=1e-12)


def test_denoising_loss_without_noise_is_the_reconstruction_loss():
    ae, x = Autoencoder(2, (3,), (1, 2, 2), likelihood="gaussian").double(), torch.rand(5, 1, 2, 2).double()
    for samples in (1, 3):
        torch.testing.assert_close(denoising_loss(ae, x, lambda copies: copies, samples), reconstruction_loss(ae, x))


def test_denoising_loss_estimates_the_enumerated_expectation():
    ae = Autoencoder(2, (), (1, 2, 2), likelihood="gaussian").double()
    x = torch.rand(1, 1, 2, 2, dtype=torch.float64)
    each = iter(all_masks(x[None])[:, None])
    exact = denoising_loss(ae, x, lambda clean: next(each), samples=16).item()
    draw = functools.partial(mask, level=0.5, generator=torch.Generator().manual_seed(0))
    estimates = torch.stack([denoising_loss(ae, x, draw, samples=20)[0] for _ in range(500)])
    assert abs(estimates.mean() - exact) <= 4 * estimates.std() / 500**0.5


def test_denoising_loss_draws_samples_times_and_gives_one_number_an_image():
    seen = []
    ae = Autoencoder(2, (3,), (1, 2, 2), likelihood="gaussian")
    loss = denoising_loss(ae, torch.rand(5, 1, 2, 2), lambda copies: seen.append(copies.shape) or copies, samples=7)
    assert loss.shape == (5,) and seen == [(5, 1, 2, 2)] * 7


def test_denoising_loss_refuses_a_corruption_that_changes_the_shape():
    with pytest.raises(ValueError, match=r"shape \(5, 1, 2, 2\); it gave \(5, 2, 2\)"):
        denoising_loss(Autoencoder(2, (), (1, 2, 2)), torch.rand(5, 1, 2, 2), lambda x: x[:, 0])


@pytest.mark.parametrize("samples", [0, -1, 1.5, "3"])
def test_denoising_loss_refuses_no_samples(samples):
    with pytest.raises(ValueError, match=f"1 or more; got {samples!r}"):
        denoising_loss(Autoencoder(2, (), (1, 2, 2)), torch.rand(5, 1, 2, 2), lambda x: x, samples)


# --- the KL divergence -----------------------------------------------------------------------------------------------


def test_gaussian_kl_agrees_with_torch():
    mu, log_var = 2 * noise(4, 5, 3, seed=0), 2 * noise(4, 5, 3, seed=1)
    expected = kl_divergence(Normal(mu, (log_var / 2).exp()), Normal(torch.zeros_like(mu), 1.0)).sum(-1)
    torch.testing.assert_close(gaussian_kl(mu, log_var), expected, rtol=1e-12, atol=1e-12)


def test_gaussian_kl_is_zero_for_the_prior_alone():
    zeros = torch.zeros(2, 3, dtype=torch.float64)
    assert torch.equal(gaussian_kl(zeros, zeros), zeros[:, 0])
    assert (gaussian_kl(0.1 * noise(50, 3, seed=0), 0.1 * noise(50, 3, seed=1)) > 0).all()


# --- the evidence lower bound, against the linear-Gaussian model in closed form --------------------------------------


def exact_parts(vae, x):
    """E_q log p(x|z) and KL(q ‖ p), with their gradients: E ‖x - b - W z‖² = ‖x - b - W mu‖² + Σ_k s_k² ‖W_k‖²."""
    w, b = vae.decoder[0].weight, vae.decoder[0].bias
    mu, log_var = (x.flatten(1) @ vae.encoder[0].weight.T + vae.encoder[0].bias).chunk(2, 1)
    q_z = Normal(mu, (log_var / 2).exp())
    squared = (x.flatten(1) - b - mu @ w.T).square().sum(1) + q_z.variance @ w.square().sum(0)
    log_px_z = -squared / (2 * SIGMA**2) - PIXELS / 2 * np.log(2 * np.pi * SIGMA**2)
    return log_px_z, kl_divergence(q_z, Normal(torch.zeros_like(mu), 1.0)).sum(1)


def within(draws, expected, standard_errors=4.5):
    """Whether the mean over the first axis is the expectation, up to its own standard error."""
    error = draws.std(0) / len(draws) ** 0.5
    return bool(((draws.mean(0) - expected).abs() <= standard_errors * error + 1e-12).all())


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("beta", [1.0, 0.0, 4.0])
@torch.no_grad()
def test_elbo_is_unbiased_in_all_its_parts(samples, beta):
    torch.manual_seed(0)
    vae, x = linear_vae(), grey()
    copies = x.repeat(4000, 1, 1, 1)
    bound = elbo(vae, copies, samples=samples, beta=beta)
    log_px_z, kl = exact_parts(vae, x)
    assert isinstance(bound, Elbo) and all(part.shape == (28_000,) for part in bound)
    assert within(bound.log_px_z.view(4000, 7), log_px_z)
    assert within(bound.elbo.view(4000, 7), log_px_z - beta * kl)
    torch.testing.assert_close(bound.kl[:7], kl, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(bound.elbo, bound.log_px_z - beta * bound.kl, rtol=1e-13, atol=1e-13)


@torch.no_grad()
def test_beta_is_1_and_one_sample_is_drawn_unless_told():
    vae, x = linear_vae(), grey()
    torch.manual_seed(0)
    default = elbo(vae, x)
    torch.manual_seed(0)
    told = elbo(vae, x, samples=1, beta=1.0)
    assert all(torch.equal(one, other) for one, other in zip(default, told, strict=True))


@torch.no_grad()
def test_more_samples_shrink_the_variance_as_their_number():
    torch.manual_seed(0)
    vae, x = linear_vae(), grey()[:1].expand(5000, -1, -1, -1)
    ratio = elbo(vae, x).elbo.var() / elbo(vae, x, samples=10).elbo.var()
    assert 8.5 < ratio < 11.5


@pytest.mark.parametrize("beta", [1.0, 3.0])
def test_the_gradient_of_the_elbo_is_unbiased(beta):
    torch.manual_seed(0)
    vae, x = linear_vae(), grey()
    weights = list(vae.parameters())
    log_px_z, kl = exact_parts(vae, x)
    exact = torch.autograd.grad((log_px_z - beta * kl).sum(), weights)
    estimates = [torch.autograd.grad(elbo(vae, x, samples=5, beta=beta).elbo.sum(), weights) for _ in range(400)]
    for k, gradient in enumerate(exact):
        assert within(torch.stack([estimate[k] for estimate in estimates]), gradient)


@torch.no_grad()
def test_the_log_importance_weights_are_those_of_the_formula_at_the_drawn_codes():
    vae, x = linear_vae(), grey()
    torch.manual_seed(0)
    weights = log_importance_weights(vae, x, None, 5)
    torch.manual_seed(0)
    mu, log_var = (x.flatten(1) @ vae.encoder[0].weight.T + vae.encoder[0].bias).chunk(2, 1)
    z = mu + (log_var / 2).exp() * torch.randn(5, 7, 2, dtype=torch.float64)
    p_x = Normal(z @ vae.decoder[0].weight.T + vae.decoder[0].bias, SIGMA)
    expected = (
        p_x.log_prob(x.flatten(1)).sum(2)
        + Normal(0.0, 1.0).log_prob(z).sum(2)
        - Normal(mu, (log_var / 2).exp()).log_prob(z).sum(2)
    )
    torch.testing.assert_close(weights, expected, rtol=1e-11, atol=1e-11)


@torch.no_grad()
def test_the_importance_weighted_bound_rises_from_the_elbo_towards_the_evidence():
    torch.manual_seed(0)
    vae, x = linear_vae(), grey()
    log_px, (log_px_z, kl) = exact_log_px(vae, x), exact_parts(vae, x)
    bounds = {k: importance_weighted_bound(vae, x.repeat(6000, 1, 1, 1), samples=k).view(6000, 7) for k in (1, 3, 20)}
    assert within(bounds[1], log_px_z - kl)
    for few, many in ((1, 3), (3, 20)):
        rise = bounds[many] - bounds[few]
        assert (rise.mean(0) > 4 * rise.std(0) / 6000**0.5).all()
    assert all((bound.mean(0) < log_px + 4 * bound.std(0) / 6000**0.5).all() for bound in bounds.values())


@pytest.mark.parametrize("samples", [2, 20])
@torch.no_grad()
def test_the_mean_weight_is_an_unbiased_estimate_of_the_evidence_itself(samples):
    torch.manual_seed(0)
    vae, x = linear_vae(), grey()
    vae.encoder[0].weight.zero_()  # a q wide enough for the weights to have a variance
    vae.encoder[0].bias.copy_(torch.tensor([0.3, -0.2, 0.5, 0.5]))
    bound = importance_weighted_bound(vae, x.repeat(3000, 1, 1, 1), samples=samples).view(3000, 7)
    assert within((bound - exact_log_px(vae, x)).exp(), torch.ones(7))


def test_the_importance_weighted_bound_is_differentiable_through_the_draws():
    vae, x, step = linear_vae(), grey(), 1e-6

    def total():
        torch.manual_seed(0)
        return importance_weighted_bound(vae, x, samples=5).sum()

    for weight, place in ((vae.encoder[0].bias, 1), (vae.encoder[0].bias, 2), (vae.decoder[0].bias, 3)):
        (gradient,) = torch.autograd.grad(total(), weight)
        with torch.no_grad():
            weight[place] += step
            up = total()
            weight[place] -= 2 * step
            slope = (up - total()) / (2 * step)
            weight[place] += step
        assert gradient[place].item() == pytest.approx(slope.item(), rel=1e-6)


class Labelled(VAE):
    """A conditional model as far as the objectives care: the label, a number, moves q and the decoder's codes."""

    def encode(self, x, y=None):
        q_z = super().encode(x)
        q_z.base_dist.loc = q_z.base_dist.loc + y[:, None]
        return q_z

    def decode(self, z, y=None):
        return super().decode(z - y[:, None])


@torch.no_grad()
def test_labels_reach_the_encoder_and_the_decoder():
    vae, x, y = linear_vae(), grey(), torch.arange(7.0, dtype=torch.float64)
    conditional = Labelled(2, (), SHAPE, likelihood="gaussian", sigma=SIGMA).double()
    conditional.load_state_dict(vae.state_dict())
    torch.manual_seed(0)
    with_labels = elbo(conditional, x, y, samples=3)
    torch.manual_seed(0)
    without = elbo(vae, x, samples=3)
    torch.testing.assert_close(with_labels.log_px_z, without.log_px_z, rtol=1e-10, atol=1e-10)
    torch.manual_seed(0)
    bound = importance_weighted_bound(conditional, x, y, samples=3)
    torch.manual_seed(0)
    plain = log_importance_weights(vae, x, None, 3)
    torch.manual_seed(0)
    z = vae.encode(x).rsample((3,))
    # the codes are moved by y, and so is their prior density
    moved = plain + z.square().sum(2) / 2 - (z + y[:, None]).square().sum(2) / 2
    torch.testing.assert_close(bound, moved.logsumexp(0) - np.log(3), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian_learned", "gaussian_pixelwise", "continuous_bernoulli"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_each_image_has_its_own_bounds_of_its_own_type(likelihood, dtype):
    vae, x = VAE(3, (5,), SHAPE, likelihood=likelihood).to(dtype), grey().round().to(dtype)
    numbers = (*elbo(vae, x, samples=4), importance_weighted_bound(vae, x, samples=4))
    assert all(number.shape == (7,) and number.dtype == dtype and number.isfinite().all() for number in numbers)
    assert log_importance_weights(vae, x, None, 4).shape == (4, 7)


@pytest.mark.parametrize("samples", [0, -1, 1.5])
def test_no_draws_are_refused(samples):
    for objective in (elbo, importance_weighted_bound, log_px_importance):
        with pytest.raises(ValueError, match=f"a whole number, 1 or more; got {samples}"):
            objective(linear_vae(), grey(), samples=samples)


# --- the bounds of a conditional model, against p(x|y) = N(b + w_y, W Wᵀ + sigma² I) ---------------------------------

LABELS = torch.tensor([2, 0, 1, 1, 2, 0, 2])


@pytest.mark.parametrize("samples", [1, 3])
@torch.no_grad()
def test_the_conditional_elbo_is_unbiased_for_the_labels_own_closed_form(samples):
    torch.manual_seed(0)
    cvae, x = linear_cvae(), grey()
    bound = elbo(cvae, x.repeat(4000, 1, 1, 1), LABELS.repeat(4000), samples=samples)
    log_px_z = of_each(lambda vae, one: exact_parts(vae, one)[0], cvae, x, LABELS)
    kl = of_each(lambda vae, one: exact_parts(vae, one)[1], cvae, x, LABELS)
    assert within(bound.log_px_z.view(4000, 7), log_px_z) and within(bound.elbo.view(4000, 7), log_px_z - kl)
    torch.testing.assert_close(bound.kl[:7], kl, rtol=1e-12, atol=1e-12)
    assert not within(
        elbo(cvae, x.repeat(4000, 1, 1, 1), (LABELS + 1).remainder(3).repeat(4000)).elbo.view(4000, 7), log_px_z - kl
    )
    assert (log_px_z - kl < of_each(exact_log_px, cvae, x, LABELS)).all()


@pytest.mark.parametrize("samples", [2, 20])
@torch.no_grad()
def test_the_mean_weight_given_the_label_estimates_the_evidence_given_the_label(samples):
    torch.manual_seed(0)
    cvae, x = linear_cvae(), grey()
    cvae.encoder[0].weight.zero_()
    cvae.encoder[0].bias.copy_(torch.tensor([0.3, -0.2, 0.5, 0.5]))
    bound = importance_weighted_bound(cvae, x.repeat(3000, 1, 1, 1), LABELS.repeat(3000), samples=samples).view(3000, 7)
    assert within((bound - of_each(exact_log_px, cvae, x, LABELS)).exp(), torch.ones(7))


@torch.no_grad()
def test_one_label_may_be_given_for_all_images():
    cvae, x = linear_cvae(), grey()
    for one in (torch.tensor(1), torch.tensor([1])):
        torch.manual_seed(0)
        bound = elbo(cvae, x, one, samples=3)
        torch.manual_seed(0)
        torch.testing.assert_close(bound, elbo(cvae, x, torch.ones(7).long(), samples=3), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("bound", [elbo, importance_weighted_bound])
def test_labels_that_are_missing_too_many_or_not_taken_are_named(bound):
    with pytest.raises(ValueError, match="A CVAE needs the labels y, a tensor of class indices"):
        bound(linear_cvae(), grey())
    with pytest.raises(ValueError, match=r"^VAE takes no labels; got y: leave it out, or take a CVAE"):
        bound(linear_vae(), grey(), LABELS)
    with pytest.raises(ValueError, match=r"shape \(7,\); got labels of shape \(6,\)"):
        bound(linear_cvae(), grey(), LABELS[:6])


def test_the_posterior_is_the_encoders():
    vae, cvae, x = linear_vae(), linear_cvae(), grey()
    assert torch.equal(posterior(vae, x).mean, vae.encode(x).mean)
    assert torch.equal(posterior(cvae, x, LABELS).mean, cvae.encode(x, LABELS).mean)
    with pytest.raises(ValueError, match="Autoencoder takes no labels"):
        posterior(model(), x, LABELS)


def test_a_trained_conditional_model_needs_the_right_labels():
    """Three classes that differ by their mean image: the labels tell the class, so the code need not."""
    y = torch.arange(600) % 3
    x = (noise(3, *SHAPE, seed=5)[y] + 0.3 * noise(600, *SHAPE, seed=0)).float()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        cvae = CVAE(2, (), SHAPE, likelihood="gaussian", sigma=0.3, num_classes=3)
    trainer = Trainer(cvae, lambda cvae, x, y: -elbo(cvae, x, y).elbo, "cpu")
    history = trainer.fit(x, y, epochs=60, batch_size=50, lr=0.05, validation=(x[:60], y[:60]), progress=False)
    # the truth, N(mean_y, 0.09 I), has 0.5 log(2 pi e 0.09) nats a pixel
    entropy = PIXELS / 2 * np.log(2 * np.pi * np.e * 0.09)
    assert history.train_loss[0] > entropy + 10 and entropy - 0.5 < history.train_loss[-1] < entropy + 0.5
    assert abs(history.validation_loss[-1] - entropy) < 1
    torch.manual_seed(0)
    assert trainer.mean_loss(x, (y + 1) % 3) > entropy + 50
    classes = torch.stack([cvae.sample(torch.full((200,), label)).mean(0) for label in range(3)])
    assert (classes - noise(3, *SHAPE, seed=5)).abs().max() < 0.15


# --- a model given to another model's objective; a wrapped model -----------------------------------------------------


def test_a_model_given_to_another_models_objective_is_named():
    x = grey().round()
    for objective in (elbo, importance_weighted_bound):
        with pytest.raises(ValueError, match=r"gives q\(z\|x\).*Autoencoder's gives a Tensor: .*reconstruction_loss"):
            objective(model(), x)
    for objective in (reconstruction_loss, lambda vae, x: denoising_loss(vae, x, lambda x: x)):
        with pytest.raises(ValueError, match=r"one code; VAE gives a distribution q\(z\|x\): take elbo") as caught:
            objective(linear_vae(), x)
        assert "\n" not in str(caught.value)


def test_a_wrapped_model_works_in_every_objective():
    x = grey()
    for wrapped, objective in (
        (model(likelihood="gaussian"), reconstruction_loss),
        (model(likelihood="gaussian"), lambda ae, x: denoising_loss(ae, x, lambda x: 0.5 * x)),
        (linear_vae(), lambda vae, x: elbo(vae, x, samples=2).elbo),
        (linear_vae(), lambda vae, x: importance_weighted_bound(vae, x, samples=2)),
        (linear_cvae(), lambda cvae, x: elbo(cvae, x, LABELS, samples=2).elbo),
        (linear_cvae(), lambda cvae, x: importance_weighted_bound(cvae, x, LABELS.tolist(), samples=2)),
    ):
        torch.manual_seed(0)
        expected = objective(wrapped, x)
        torch.manual_seed(0)
        assert torch.equal(objective(Wrapped(wrapped), x), expected)


# --- torch.compile, in a process of its own: it switches validation off for the whole process ------------------------

COMPILED = """
import sys, torch
from aetutor import CVAE, VAE, Autoencoder, elbo, importance_weighted_bound, reconstruction_loss
from aetutor.distributions import validation
from aetutor.likelihoods import LIKELIHOODS

x, y = (torch.rand(6, 1, 4, 4) > 0.5).float(), torch.tensor([0, 1, 2, 3, 4, 5])
losses = {
    Autoencoder: [lambda model: reconstruction_loss(model, x)],
    VAE: [lambda model: -elbo(model, x).elbo, lambda model: importance_weighted_bound(model, x, samples=3)],
    CVAE: [lambda model: -elbo(model, x, y, samples=2).elbo],
}
for kind, of_kind in losses.items():
    for likelihood in LIKELIHOODS:
        model = kind(2, (5,), (1, 4, 4), likelihood)
        for loss in of_kind:
            with validation(False):
                compiled = torch.compile(loss, fullgraph=True, backend="eager")
                torch.manual_seed(0)
                gradient = torch.autograd.grad(compiled(model).sum(), model.encoder[0].weight)[0]
                torch.manual_seed(0)
                expected = torch.autograd.grad(loss(model).sum(), model.encoder[0].weight)[0]
            torch.testing.assert_close(gradient, expected)
            print("whole", end=" ")
"""


@pytest.mark.slow
def test_with_validation_off_every_loss_of_every_family_compiles_to_one_graph():
    done = subprocess.run([sys.executable, "-c", COMPILED], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == ["whole"] * 20
