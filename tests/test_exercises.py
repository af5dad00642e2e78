"""The exercises: solutions pass, mistakes are named, stubs are stubs, and the engine tells what is wrong."""

import decimal
import functools
import itertools
import math
import types

import numpy as np
import pytest
import torch
from torch.nn import functional

from aetutor import corruption
from aetutor.data import load
from aetutor.distributions import GaussianPixels, diagonal_gaussian
from aetutor.exercises import EXERCISES, Exercise, Verdict, check
from aetutor.exercises.engine import mark
from aetutor.exercises.notebook_01 import mnist_eigenvalues
from aetutor.exercises.notebook_04 import _networks
from aetutor.models import CVAE
from aetutor.objectives import denoising_loss, elbo, gaussian_kl, importance_weighted_bound
from aetutor.verify import to_tensor

REPEAT = 20


def gaussian(mean, sigma):
    return torch.distributions.Independent(GaussianPixels(mean, sigma), 3)


SIGMOID = torch.sigmoid
FUNCTIONS = [number for number, exercise in EXERCISES.items() if exercise.inputs]
NUMBERS = [number for number, exercise in EXERCISES.items() if not exercise.inputs]
MISTAKES = [(number, name) for number, exercise in EXERCISES.items() for name in exercise.mistakes]
BY_NAME = {EXERCISES[number].reference.__name__: number for number in FUNCTIONS}


def draw(number, size=4, seed=0):
    return EXERCISES[number].inputs(size, torch.Generator().manual_seed(seed))


def right(number, answer, times=REPEAT):
    for _ in range(times):
        verdict = check(number, answer)
        assert verdict.passed is True and verdict.mistake is None, verdict


def named(number, answer, name, times=REPEAT):
    for _ in range(times):
        verdict = check(number, answer)
        assert verdict.passed is False and verdict.mistake == name, verdict


# --- every exercise --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("notebook", sorted({number.partition(".")[0] for number in EXERCISES}))
def test_a_notebook_has_five_exercises_or_more_counted_from_one(notebook):
    numbers = [number for number in EXERCISES if number.startswith(f"{notebook}.")]
    assert len(numbers) >= 5 and numbers == [f"{notebook}.{i}" for i in range(1, len(numbers) + 1)]


@pytest.mark.parametrize("number", EXERCISES)
def test_the_reference_passes(number):
    right(number, EXERCISES[number].reference)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "name"), MISTAKES)
def test_each_mistake_is_recognised_by_its_own_name(number, name):
    named(number, EXERCISES[number].mistakes[name], name)


@pytest.mark.parametrize("number", EXERCISES)
def test_three_mistakes_or_more_each_with_its_why(number):
    exercise = EXERCISES[number]
    assert len(exercise.mistakes) >= 3 and exercise.mistakes.keys() == exercise.why.keys()
    assert exercise.prompt.endswith(".") and all(why.endswith((".", "?")) for why in exercise.why.values())


@pytest.mark.slow
@pytest.mark.parametrize(("number", "name"), MISTAKES)
def test_a_recognised_mistake_is_explained(number, name):
    message = check(number, EXERCISES[number].mistakes[name]).message
    assert message.startswith(f"✗ Exercise {number}: not yet.")
    assert name in message and EXERCISES[number].why[name] in message


@pytest.mark.parametrize("number", FUNCTIONS)
def test_the_prompt_names_the_function_and_its_arguments(number):
    code = EXERCISES[number].reference.__code__
    signature = f"{code.co_name}({', '.join(code.co_varnames[: code.co_argcount])})"
    assert f"`{signature}`" in EXERCISES[number].prompt


@pytest.mark.parametrize("number", EXERCISES)
def test_a_right_answer_is_told_so(number):
    message = check(number, EXERCISES[number].reference).message
    assert message.startswith(f"✓ Exercise {number}: right")
    assert ("10 random inputs, in float32 and float64" in message) == (number in FUNCTIONS)


# --- the references, against something independent -------------------------------------------------------------------


def agrees(name, oracle, size=6):
    number = BY_NAME[name]
    for seed in range(5):
        arguments = draw(number, size, seed)
        result = to_tensor(EXERCISES[number].reference(*arguments))
        torch.testing.assert_close(result, torch.as_tensor(oracle(*arguments)), rtol=1e-10, atol=1e-10)


def test_cross_entropy_is_torchs():
    agrees("my_cross_entropy", lambda x, x_hat: functional.binary_cross_entropy(x_hat, x, reduction="none").sum(1))


def test_entropy_is_that_of_numpy_with_zero_times_log_zero_left_out():
    def entropy(x):
        terms = np.zeros(x.shape)
        for p in (x.numpy(), 1 - x.numpy()):
            terms[p > 0] -= p[p > 0] * np.log(p[p > 0])
        return terms.sum(1)

    agrees("my_entropy", entropy)


def test_logit_gradient_is_autograds():
    def gradient(a, x):
        a = a.clone().requires_grad_()
        loss = functional.binary_cross_entropy_with_logits(a, x, reduction="sum")
        return torch.autograd.grad(loss, a)[0]

    agrees("logit_gradient", gradient)


def test_batch_variance_is_that_of_all_batches():
    # unbiased: the mean of the estimates of all batches is the variance of all batches' means
    estimate = EXERCISES[BY_NAME["batch_variance"]].reference
    losses = 100 + 30 * torch.randn(8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for size in (2, 3, 7):
        batches = [losses[list(chosen)] for chosen in itertools.combinations(range(8), size)]
        variance = np.var([batch.mean().item() for batch in batches])
        assert np.mean([estimate(batch, 8).item() for batch in batches]) == pytest.approx(variance, rel=1e-12)


def test_masking_and_salt_and_pepper_have_the_moments_of_the_packages_own_draws():
    x = torch.linspace(0, 1, 11).double()
    draws = corruption.salt_and_pepper(x.expand(200_000, -1), 0.3, torch.Generator().manual_seed(0))
    deviations = (draws - draws.mean(0)).square()
    variance = EXERCISES[BY_NAME["salt_and_pepper_variance"]].reference(x, 0.3)
    error = deviations.std(0) / len(draws) ** 0.5
    assert ((deviations.mean(0) - variance).abs() < 4 * error).all() and (error < 0.001).all()
    u = torch.rand(9, 9, generator=torch.Generator().manual_seed(1))
    noisy = corruption.mask(torch.ones(9, 9), 0.4, torch.Generator().manual_seed(1))
    assert torch.equal(EXERCISES[BY_NAME["mask_with"]].reference(torch.ones(9, 9), u, 0.4), noisy)


def test_denoising_objective_is_the_packages_loss_less_the_gaussians_constant():
    x, x_tilde, r = draw(BY_NAME["denoising_objective"], 4)
    model = types.SimpleNamespace(
        encode=lambda images: images,
        decode=lambda z: gaussian(r(z.flatten(-3)).unflatten(-1, (1, 1, -1)), sigma=0.5**0.5),
    )
    each = iter(x_tilde[:, :, None, None])
    loss = denoising_loss(model, x[:, None, None], lambda clean: next(each), samples=len(x_tilde))
    result = EXERCISES[BY_NAME["denoising_objective"]].reference(x, x_tilde, r)
    torch.testing.assert_close(result, loss - x.shape[1] / 2 * math.log(math.pi), rtol=1e-10, atol=1e-10)


def test_posterior_means_minimise_the_expected_squared_error():
    prior, likelihood, images = draw(BY_NAME["posterior_means"], 5)
    outputs = torch.zeros(likelihood.shape[1], images.shape[1], dtype=torch.float64, requires_grad=True)
    error = (prior[:, None] * likelihood * (images[:, None] - outputs).square().sum(-1)).sum()
    # one Newton step of a quadratic: its Hessian is 2 q(x_tilde) in each of the row's entries
    step = torch.autograd.grad(error, outputs)[0] / (2 * prior @ likelihood)[:, None]
    result = EXERCISES[BY_NAME["posterior_means"]].reference(prior, likelihood, images)
    torch.testing.assert_close(result, (outputs - step).detach())


def test_the_memory_is_the_mean_under_bayes_rule():
    agrees("softmax_memory", lambda *arguments: torch.stack(memory_by_torch_distributions(*arguments)))


def test_the_score_of_the_perfect_denoiser_of_a_gaussian():
    # x ~ N(2, 3²), x_tilde ~ N(x, σ²): the posterior mean is the precision-weighted one, and x_tilde ~ N(2, 3² + σ²)
    x_tilde, sigma = torch.linspace(-4, 8, 13).double()[:, None], 0.6
    restored = (x_tilde / sigma**2 + 2 / 9) / (1 / sigma**2 + 1 / 9)
    score = EXERCISES[BY_NAME["score_of_denoiser"]].reference(x_tilde, restored, sigma)
    torch.testing.assert_close(score, -(x_tilde - 2) / (9 + sigma**2))


def linear_gaussian_model():
    """x = W z + σ noise, 60 pixels, 2 latents: 3 images far out, W, σ, and log p(x) in closed form."""
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(60, 2, generator=generator, dtype=torch.float64) / 20
    x = 0.6 * torch.randn(3, 60, generator=generator, dtype=torch.float64)
    covariance = weights @ weights.T + 0.1**2 * torch.eye(60, dtype=torch.float64)
    log_px = torch.distributions.MultivariateNormal(torch.zeros(60).double(), covariance).log_prob(x)
    assert (log_px.exp() == 0).all()
    return x, weights, 0.1, log_px


def test_log_evidence_is_that_of_a_linear_gaussian_model():
    x, weights, sigma, log_px = linear_gaussian_model()
    axis = torch.arange(-8, 8, 0.1).double() + 0.05
    z = torch.cartesian_prod(axis, axis)
    log_px_z = torch.distributions.Normal(z @ weights.T, sigma).log_prob(x[:, None]).sum(-1)
    log_p_z = torch.distributions.MultivariateNormal(torch.zeros(2).double(), torch.eye(2).double()).log_prob(z)
    result = EXERCISES[BY_NAME["log_evidence"]].reference(log_px_z, log_p_z, 0.1**2)
    torch.testing.assert_close(result, log_px, rtol=0, atol=1e-6)


def log_of_sum(logs):
    """By numbers with an exponent of any size: no trick."""
    return float(sum(decimal.Decimal(one).exp() for one in logs.tolist()).ln())


def test_log_evidence_is_the_log_of_the_sum_in_numbers_that_do_not_underflow():
    agrees(
        "log_evidence",
        lambda log_px_z, log_p_z, cell: torch.tensor(
            [log_of_sum(row + log_p_z) + math.log(cell) for row in log_px_z], dtype=torch.float64
        ),
    )


def test_importance_weighted_is_the_log_of_the_mean_in_numbers_that_do_not_underflow():
    agrees(
        "importance_weighted",
        lambda log_px_z, log_p_z, log_q_z: torch.tensor(
            [log_of_sum(column) - math.log(len(column)) for column in (log_px_z + log_p_z - log_q_z).T],
            dtype=torch.float64,
        ),
    )


@pytest.mark.parametrize("samples", [1, 2, 7])
def test_with_the_exact_posterior_the_importance_weighted_bound_is_log_px_for_any_number_of_samples(samples):
    x, weights, sigma, log_px = linear_gaussian_model()
    covariance = torch.linalg.inv(torch.eye(2).double() + weights.T @ weights / sigma**2)
    q_z = torch.distributions.MultivariateNormal(x @ weights @ covariance / sigma**2, covariance)
    prior = torch.distributions.MultivariateNormal(torch.zeros(2).double(), torch.eye(2).double())
    z = q_z.mean + 0.5 * torch.randn(samples, 3, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    log_px_z = torch.distributions.Normal(z @ weights.T, sigma).log_prob(x).sum(-1)
    result = EXERCISES[BY_NAME["importance_weighted"]].reference(log_px_z, prior.log_prob(z), q_z.log_prob(z))
    torch.testing.assert_close(result, log_px, rtol=1e-10, atol=1e-10)


def test_importance_weighted_is_the_packages_bound():
    log_px_z, _, _ = draw(BY_NAME["importance_weighted"], 5)  # (S, B)
    numbers = torch.Generator().manual_seed(1)
    mu, log_var = torch.randn(2, log_px_z.shape[1], 2, generator=numbers, dtype=torch.float64)
    q_z = diagonal_gaussian(mu, log_var)
    z = mu + torch.randn(len(log_px_z), *mu.shape, generator=numbers, dtype=torch.float64)
    q_z.rsample = lambda shape: z
    model = types.SimpleNamespace(
        encode=lambda x, y=None: q_z,
        decode=lambda z, y=None: types.SimpleNamespace(log_prob=lambda x: log_px_z),
    )
    log_p_z = torch.distributions.Normal(0, 1).log_prob(z).sum(-1)
    result = EXERCISES[BY_NAME["importance_weighted"]].reference(log_px_z, log_p_z, q_z.log_prob(z))
    bound = importance_weighted_bound(model, torch.zeros(len(mu), 1, 2, 2), samples=len(z))
    torch.testing.assert_close(result, bound)


def kl_by_torch_distributions(mu, log_var):
    q_z = torch.distributions.Normal(mu, log_var.exp().sqrt())
    return torch.distributions.kl_divergence(q_z, torch.distributions.Normal(0, 1)).sum(1)


def test_kl_to_prior_is_torchs_and_the_packages():
    agrees("kl_to_prior", kl_by_torch_distributions)
    agrees("kl_to_prior", gaussian_kl)


def test_kl_to_prior_is_the_integral_of_its_definition():
    z = torch.linspace(-12, 12, 20001).double()
    mu, log_var = torch.tensor([[0.7], [-1.5], [0.0]]).double(), torch.tensor([[-2.0], [0.9], [0.0]]).double()
    q_z, prior = torch.distributions.Normal(mu, (log_var / 2).exp()), torch.distributions.Normal(0, 1)
    integral = torch.trapezoid(q_z.log_prob(z).exp() * (q_z.log_prob(z) - prior.log_prob(z)), z)
    result = EXERCISES[BY_NAME["kl_to_prior"]].reference(mu, log_var)
    torch.testing.assert_close(result, integral, rtol=1e-8, atol=1e-8)


def elbo_by_torch_distributions(x, mu, log_var, eps, decode):
    """Sample by sample and image by image."""
    result = []
    for b in range(len(x)):
        q_z = torch.distributions.Normal(mu[b], log_var[b].exp().sqrt())
        codes = torch.distributions.AffineTransform(q_z.mean, q_z.stddev)(eps[:, b])
        log_px_z = [torch.distributions.Bernoulli(probs=decode(z)).log_prob(x[b]).sum() for z in codes]
        kl = torch.distributions.kl_divergence(q_z, torch.distributions.Normal(torch.zeros_like(mu[b]), 1)).sum()
        result.append(sum(log_px_z) / len(log_px_z) - kl)
    return torch.stack(result)


def test_elbo_from_noise_is_the_elbo_of_torchs_distributions():
    agrees("elbo_from_noise", elbo_by_torch_distributions)


def test_elbo_from_noise_is_the_packages_elbo():
    x, mu, log_var, eps, decode = draw(BY_NAME["elbo_from_noise"], 4)
    q_z = diagonal_gaussian(mu, log_var)
    q_z.rsample = lambda shape: mu + log_var.exp().sqrt() * eps
    model = types.SimpleNamespace(
        encode=lambda images, y=None: q_z,
        decode=lambda z, y=None: torch.distributions.Independent(torch.distributions.Bernoulli(probs=decode(z)), 1),
    )
    result = EXERCISES[BY_NAME["elbo_from_noise"]].reference(x, mu, log_var, eps, decode)
    torch.testing.assert_close(result, elbo(model, x, samples=len(eps)).elbo, rtol=1e-10, atol=1e-10)


def gaussian_by_torch_distributions(x, mean, sigma):
    covariance = sigma**2 * torch.eye(x.shape[1]).to(x)
    return torch.distributions.MultivariateNormal(mean, covariance).log_prob(x)


def test_gaussian_log_likelihood_is_torchs_and_the_packages():
    agrees("gaussian_log_likelihood", gaussian_by_torch_distributions)
    agrees(
        "gaussian_log_likelihood",
        lambda x, mean, sigma: gaussian(mean[:, None, None], sigma).log_prob(x[:, None, None]),
    )


def test_with_the_implied_sigma_the_loss_is_minus_b_times_the_elbo_up_to_a_constant():
    x, x_hat, kl = (
        torch.rand(9, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        for seed, shape in enumerate([(5,), (5,), ()])
    )
    for seed in range(5):
        a, b = draw(BY_NAME["implied_sigma"], 1, seed)
        sigma = EXERCISES[BY_NAME["implied_sigma"]].reference(a, b)
        bound = torch.distributions.Normal(x_hat, sigma).log_prob(x).sum(1) - kl
        constant = a * (x - x_hat).square().sum(1) + b * kl + b * bound
        torch.testing.assert_close(constant, constant[:1].expand(9), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", ["log_evidence", "importance_weighted"])
def test_log_probabilities_are_so_low_that_their_exponential_is_zero_in_float64_too(name):
    for seed, size in itertools.product(range(100), (1, 2, 3, 5, 8)):
        log_px_z, log_p_z, last = draw(BY_NAME[name], size, seed)
        joint = log_px_z + log_p_z
        assert (joint.exp() == 0).all() and (log_px_z.exp() == 0).all()
        assert name == "log_evidence" or ((joint - last).exp() == 0).all()


def test_the_prior_on_the_grid_sums_to_one():
    _, log_p_z, cell = draw(BY_NAME["log_evidence"], 5)
    assert log_p_z.exp().sum().item() * cell == pytest.approx(1)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8])
def test_no_two_axes_of_notebook_3s_inputs_are_equally_long(size):
    x, mu, _, eps, _decode = draw(BY_NAME["elbo_from_noise"], size)
    assert len({1, len(x), x.shape[1], mu.shape[1], len(eps)}) == 5
    for name in ("log_evidence", "kl_to_prior", "gaussian_log_likelihood", "importance_weighted"):
        assert len({1, *draw(BY_NAME[name], size)[0].shape}) == 3


@pytest.mark.parametrize("latents", [1, 2, 7])
def test_notebook_3s_decoder_takes_codes_of_any_shape_and_is_not_linear(latents):
    decode = draw(BY_NAME["elbo_from_noise"], 4)[-1]
    z = torch.linspace(-3, 3, 6 * latents).double().view(3, 2, latents)
    x_hat = decode(z)
    assert x_hat.shape == (3, 2, 8) and ((x_hat > 0.01) & (x_hat < 0.99)).all()
    assert decode(z.float()).dtype == torch.float32
    torch.testing.assert_close(x_hat[1], decode(z[1]))
    logits = torch.logit(torch.stack([decode(scale * z) for scale in (0, 1, 2)]))
    assert (logits[2] - 2 * logits[1] + logits[0]).abs().max() > 0.1


def test_pca_loss_is_that_of_the_best_projection():
    def projected(covariance, size):
        vectors, values, _ = np.linalg.svd(covariance.numpy())
        kept = vectors[:, :size]
        left = np.eye(len(values)) - kept @ kept.T
        return np.trace(left @ covariance.numpy() @ left)

    agrees("pca_loss", projected)


def test_no_random_projection_beats_pca_loss():
    covariance, size = draw(BY_NAME["pca_loss"], 6)
    best = EXERCISES[BY_NAME["pca_loss"]].reference(covariance, size)
    for seed in range(50):
        basis = torch.linalg.qr(
            torch.randn(len(covariance), size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        )[0]
        left = torch.eye(len(covariance), dtype=torch.float64) - basis @ basis.T
        assert (left @ covariance @ left).trace() > best


def test_memory_is_the_nearest_by_search():
    agrees(
        "my_memory",
        lambda x, train: torch.stack(
            [min(train, key=lambda image: math.dist(image.tolist(), one.tolist())) for one in x]
        ),
    )


@pytest.mark.parametrize("seed", range(3))
def test_entropys_inputs_hold_black_and_grey_pixels(seed):
    # without a black pixel nobody meets 0 · log 0; with no grey one the entropy is 0, and any rounding looks wrong
    for number in range(1000):
        (x,) = draw(BY_NAME["my_entropy"], 1, 1000 * seed + number)
        assert (x == 0).any() and ((x > 0.01) & (x < 0.99)).any()


# --- the references of notebook 04 -----------------------------------------------------------------------------------


def conditional_elbo_by_torch_distributions(x, y, eps, encode, decode):
    """Image by image, each with its label."""
    rows = []
    for b in range(len(x)):
        mu, log_var = encode(x[b : b + 1], y[b : b + 1])
        rows.append(
            elbo_by_torch_distributions(x[b : b + 1], mu, log_var, eps[:, b : b + 1], lambda z, b=b: decode(z, y[b]))
        )
    return torch.cat(rows)


def by_samples(x, y, eps, encode, decode):
    mu, log_var = encode(x, y)
    posterior = torch.distributions.Normal(mu, (log_var / 2).exp())
    z = posterior.mean + posterior.stddev * eps
    log_px_z = torch.distributions.Bernoulli(probs=decode(z, y)).log_prob(x).sum(-1)
    log_p_z = torch.distributions.Normal(torch.zeros_like(mu), 1).log_prob(z).sum(-1)
    return (log_px_z + log_p_z - posterior.log_prob(z).sum(-1)).mean(0)


def test_conditional_elbo_is_that_of_torchs_distributions():
    agrees("conditional_elbo", conditional_elbo_by_torch_distributions)


def test_conditional_elbo_is_the_packages_elbo():
    x, y, eps, encode, decode = draw(BY_NAME["conditional_elbo"], 4)

    def posterior(images, y):
        mu, log_var = encode(images, y)
        q_z = diagonal_gaussian(mu, log_var)
        q_z.rsample = lambda shape: mu + log_var.exp().sqrt() * eps
        return q_z

    model = types.SimpleNamespace(
        encode=posterior,
        decode=lambda z, y: torch.distributions.Independent(torch.distributions.Bernoulli(probs=decode(z, y)), 1),
    )
    result = EXERCISES[BY_NAME["conditional_elbo"]].reference(x, y, eps, encode, decode)
    torch.testing.assert_close(result, elbo(model, x, y, samples=len(eps)).elbo, rtol=1e-10, atol=1e-10)


def test_conditional_elbo_and_the_kl_to_the_posterior_make_log_px_given_y():
    # equation (4.1), with one latent: log p(x|y) and KL(q(z|x, y) ‖ p(z|x, y)) by sums over a fine grid
    encode, decode = _networks(pixels=6, latents=1)
    x = (torch.rand(3, 6, generator=torch.Generator().manual_seed(0)) < 0.4).double()
    y = torch.tensor([4, 0, 3])
    quantiles = (torch.arange(20_000).double() + 0.5) / 20_000
    eps = torch.distributions.Normal(0, 1).icdf(quantiles)[:, None, None].expand(-1, 3, 1)
    bound = EXERCISES[BY_NAME["conditional_elbo"]].reference(x, y, eps, encode, decode)
    z = torch.linspace(-12, 12, 20_001).double()[:, None]
    mu, log_var = encode(x, y)
    log_q = torch.distributions.Normal(mu.squeeze(), (log_var / 2).exp().squeeze()).log_prob(z)
    log_pxz = torch.distributions.Normal(0, 1).log_prob(z) + torch.distributions.Bernoulli(
        probs=decode(z[:, None], y)
    ).log_prob(x).sum(-1)
    log_px = (log_pxz.exp().sum(0) * 24 / 20_000).log()
    gap = (log_q.exp() * (log_q - (log_pxz - log_px))).sum(0) * 24 / 20_000
    torch.testing.assert_close(bound + gap, log_px, rtol=1e-4, atol=1e-4)
    assert (gap > 0.01).all()


def test_with_label_is_a_table_written_out():
    agrees(
        "with_label",
        lambda features, y, num_classes: torch.tensor(
            [
                [*row, *(float(c == label) for c in range(num_classes))]
                for row, label in zip(features.tolist(), y.tolist(), strict=True)
            ],
            dtype=torch.float64,
        ),
    )


def test_with_label_is_what_the_packages_model_puts_into_its_networks():
    features, y, _ = draw(BY_NAME["with_label"], 6)
    result = EXERCISES[BY_NAME["with_label"]].reference(features.float(), y, 10)
    assert torch.equal(result, CVAE()._with_label(features.float(), y)) and result.dtype == torch.float32


def test_the_weights_of_with_label_are_a_bias_for_each_class():
    features, y, C = draw(BY_NAME["with_label"], 6)
    W = torch.randn(3, features.shape[1] + C, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    result = EXERCISES[BY_NAME["with_label"]].reference(features, y, C) @ W.T  # equation (4.3)
    for row, x, label in zip(result, features, y, strict=True):
        torch.testing.assert_close(row, W[:, :-C] @ x + W[:, len(x) + label])


def test_advantage_is_the_log_of_the_sum_in_numbers_that_do_not_underflow():
    agrees(
        "advantage",
        lambda log_px, log_px_y, log_py, y: torch.tensor(
            [log_of_sum(row + log_py) - one for row, one in zip(log_px_y, log_px.tolist(), strict=True)],
            dtype=torch.float64,
        ),
    )


def test_the_mean_advantage_is_the_difference_of_two_kls_by_enumeration():
    # images are the 8 of three pixels; a mean under the data of log p(x) is minus a cross-entropy, KL + H(data)
    g = torch.Generator().manual_seed(0)
    data, unconditional = torch.rand(2, 8, generator=g, dtype=torch.float64).softmax(1)
    px_y = torch.rand(5, 8, generator=g, dtype=torch.float64).softmax(1)
    py = torch.tensor([4, 3, 1, 1, 1]).double() / 10
    result = EXERCISES[BY_NAME["advantage"]].reference(unconditional.log(), px_y.log().T, py.log(), torch.arange(8) % 5)
    kl_unconditional, kl_conditional = (
        torch.distributions.kl_divergence(torch.distributions.Categorical(data), torch.distributions.Categorical(p))
        for p in (unconditional, py @ px_y)
    )
    torch.testing.assert_close(data @ result, kl_unconditional - kl_conditional)


def bound_by_torch_distributions(log_probs, y):
    frequencies = torch.tensor([(y == c).sum().item() for c in range(log_probs.shape[1])]).double() / len(y)
    cross_entropy = -torch.distributions.Categorical(logits=log_probs).log_prob(y).mean()
    return torch.distributions.Categorical(frequencies).entropy() - cross_entropy


def test_information_bound_is_that_of_torchs_distributions_and_of_lists():
    def by_lists(log_probs, y):
        y = y.tolist()
        shares = [y.count(label) / len(y) for label in set(y)]
        fits = [row[label] for row, label in zip(log_probs.tolist(), y, strict=True)]
        return torch.tensor(sum(fits) / len(fits) - sum(p * math.log(p) for p in shares), dtype=torch.float64)

    agrees("information_bound", by_lists)
    bound = EXERCISES[BY_NAME["information_bound"]].reference
    for seed in range(5):
        log_probs, y = draw(BY_NAME["information_bound"], 6, seed)
        torch.testing.assert_close(bound(log_probs, y), bound_by_torch_distributions(log_probs, y), rtol=0, atol=1e-6)


def test_information_bound_is_the_information_for_the_exact_probe_and_less_for_others():
    # three codes, four classes, each pair as often as the table says
    table = torch.tensor([[5, 1, 0, 2], [1, 6, 0, 1], [2, 2, 0, 7]])
    p = table.double() / table.sum()
    terms = torch.xlogy(p, p) - torch.xlogy(p, p.sum(1, keepdim=True)) - torch.xlogy(p, p.sum(0))
    z, y = (
        torch.arange(12).repeat_interleave(table.flatten()) // 4,
        torch.arange(12).repeat_interleave(table.flatten()) % 4,
    )
    bound = EXERCISES[BY_NAME["information_bound"]].reference
    exact = (p / p.sum(1, keepdim=True)).log()
    torch.testing.assert_close(bound(exact[z], y), terms.sum())
    noise = torch.randn(20, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    others = [bound((exact.clamp(min=-5) + one).log_softmax(1)[z], y) for one in noise]
    assert max(others) < terms.sum() and min(others) < 0


def class_posterior_without_tricks(log_w, log_py):
    rows = []
    for b in range(log_w.shape[1]):
        joint = [decimal.Decimal(log_of_sum(log_w[:, b, c] + log_py[c])).exp() for c in range(len(log_py))]
        rows.append([float((one / sum(joint)).ln()) for one in joint])
    return torch.tensor(rows, dtype=torch.float64)


def test_class_posterior_is_bayes_rule_in_numbers_that_do_not_underflow():
    agrees("class_posterior", class_posterior_without_tricks)


def test_class_posterior_is_that_of_a_mixture_of_gaussians():
    # p(x|y) = N(x; W z + m_y, 0.1² I) with z ~ N(0, I): draws from the exact p(z|x, y) have the weight p(x|y), exactly
    x, weights, sigma, _ = linear_gaussian_model()
    means = 0.1 * torch.randn(4, 60, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    py = torch.tensor([0.1, 0.2, 0.3, 0.4]).double()
    identity = torch.eye(2).double()
    covariance = torch.linalg.inv(identity + weights.T @ weights / sigma**2)
    q_z = torch.distributions.MultivariateNormal((x[:, None] - means) @ weights @ covariance / sigma**2, covariance)
    z = q_z.mean + 0.1 * torch.randn(5, 3, 4, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    log_w = (
        torch.distributions.Normal(z @ weights.T + means, sigma).log_prob(x[:, None]).sum(-1)
        + torch.distributions.MultivariateNormal(torch.zeros(2).double(), identity).log_prob(z)
        - q_z.log_prob(z)
    )
    log_px_y = torch.distributions.MultivariateNormal(
        means, weights @ weights.T + sigma**2 * torch.eye(60).double()
    ).log_prob(x[:, None])
    want = torch.distributions.Categorical(logits=log_px_y + py.log()).logits
    result = EXERCISES[BY_NAME["class_posterior"]].reference(log_w, py.log())
    torch.testing.assert_close(result, want, rtol=1e-8, atol=1e-8)


def drawn_one_by_one(x, y, encode, decode, num_classes):
    return torch.stack(
        [torch.stack([decode(encode(x[b], y[b])[0], c) for c in range(num_classes)]) for b in range(len(x))]
    )


def test_in_all_classes_is_drawn_one_by_one():
    agrees("in_all_classes", drawn_one_by_one)


def test_in_all_classes_holds_the_reconstruction_in_the_own_class():
    x, y, encode, decode, C = draw(BY_NAME["in_all_classes"], 6)
    result = EXERCISES[BY_NAME["in_all_classes"]].reference(x, y, encode, decode, C)
    own = torch.stack([result[b, label] for b, label in enumerate(y.tolist())])
    torch.testing.assert_close(own, decode(encode(x, y)[0], y))


# --- the inputs of notebook 04 ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8])
def test_no_two_axes_of_notebook_4s_inputs_are_equally_long(size):
    x, _, eps, encode, _ = draw(BY_NAME["conditional_elbo"], size)
    assert len({1, *x.shape, *eps.shape}) == 5 and eps.shape[1:] == encode(x)[0].shape
    x, _, encode, _, C = draw(BY_NAME["in_all_classes"], size)
    assert len({1, *x.shape, encode(x)[0].shape[1], C}) == 5 and C < 10
    features, _y, C = draw(BY_NAME["with_label"], size)
    assert len({1, *features.shape, C}) == 4 and C < 10
    assert len({1, *draw(BY_NAME["advantage"], size)[1].shape}) == 3
    assert len({1, *draw(BY_NAME["class_posterior"], size)[0].shape}) == 4


def test_notebook_4s_log_probabilities_are_so_low_that_their_exponential_is_zero_in_float64_too():
    for seed, size in itertools.product(range(100), (1, 2, 3, 5, 8)):
        log_px, log_px_y, log_py, _ = draw(BY_NAME["advantage"], size, seed)
        log_w, log_p = draw(BY_NAME["class_posterior"], size, seed)
        assert all(logs.max() < -800 for logs in (log_px, log_px_y, log_w))  # as the prompts say; exp(-746) is 0
        # whatever one shift is taken out, an image is left for which exp gives 0 or infinity, in float64, too
        for logs in (log_px_y.T, log_w.amax((0, 2))[None]):
            assert all(
                ((logs - shift).exp() == 0).all(0).any() or (logs - shift).exp().isinf().any()
                for shift in (-950.0, logs.max(), logs.min())
            )
            if size == 8:
                assert ((logs - logs.mean()).exp() == 0).all(0).any()
        assert all(logs.exp().sum().item() == pytest.approx(1) for logs in (log_py, log_p))


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8])
def test_a_class_is_missing_where_it_must_show(size):
    for seed in range(200):
        _features, y, C = draw(BY_NAME["with_label"], size, seed)
        assert (y.max() == C - 1) == (size % 2 == 0) and y.max() >= 2
        log_probs, y = draw(BY_NAME["information_bound"], size, seed)
        counts = y.bincount(minlength=log_probs.shape[1])
        assert (counts == 0).nonzero().flatten().tolist() == ([1] if size % 2 else []) and len(y) > len(counts)
        assert log_probs.exp().sum(1).allclose(torch.ones(len(y)).double()) and log_probs[0].argmax() != y[0]
        bound = EXERCISES[BY_NAME["information_bound"]].reference(log_probs, y)
        assert bound < -1 if size == 3 else bound > 0.05


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_label_matters_in_notebook_4s_networks_and_none_is_a_network_without_its_bias(dtype):
    encode, decode = _networks(pixels=7, latents=3)
    x, z = torch.rand(4, 7, dtype=dtype), torch.randn(2, 4, 3, dtype=dtype)
    results = [
        torch.cat([*encode(x, y), decode(z, y)[0], decode(z, y)[1]], 1)
        for y in [None, *(torch.full((4,), c) for c in range(12))]
    ]
    assert all(result.dtype == dtype for result in results)
    assert all((a - b).abs().mean() > 0.02 for a, b in itertools.combinations(results, 2))
    assert (encode(0 * x)[0] == 0).all() and (decode(0 * z) == 0.5).all()
    for y in (torch.arange(4), torch.tensor(2), 2):  # the bias is the same for each image and code
        shift = decode(z, y).logit() - decode(z).logit()
        torch.testing.assert_close(shift, decode(0 * z, y).logit() - decode(0 * z).logit(), rtol=1e-4, atol=1e-4)
    assert decode(z[:, :, None], torch.arange(5)).shape == (2, 4, 5, 7) and decode(z, 2).shape == (2, 4, 7)
    torch.testing.assert_close(decode(z[:, :, None], torch.arange(5))[1, 2, 3], decode(z[1, 2], 3))


def test_notebook_4s_decoder_and_encoder_stay_well_inside_their_range():
    for seed, size in itertools.product(range(20), (1, 2, 3, 5, 8)):
        x, y, eps, encode, decode = draw(BY_NAME["conditional_elbo"], size, seed)
        mu, log_var = encode(x, y)
        probabilities = decode(mu + (log_var / 2).exp() * eps, y)
        assert (log_var.abs() < 4).all() and (mu.abs() < 4).all()
        assert ((probabilities > 1e-3) & (probabilities < 1 - 1e-3)).all()


# --- the number of dimensions ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def spectra():
    """Eigenvalues, descending, of the covariance and of the second moments of the MNIST training images, by numpy."""
    x = load("mnist").train_x.flatten(1).numpy()
    mean = x.mean(0, dtype=np.float64) / 255
    second = sum(part.T @ part for part in (chunk / 255 for chunk in np.array_split(x, 12))) / len(x)
    return np.linalg.eigvalsh(second - np.outer(mean, mean))[::-1], np.linalg.eigvalsh(second)[::-1]


def smallest_k(eigenvalues):
    """How many of the eigenvalues, in this order, leave at most a tenth of their sum."""
    left = eigenvalues.sum() - np.cumsum(eigenvalues)
    return int(np.argmax(left <= 0.1 * eigenvalues.sum())) + 1


def test_the_number_of_dimensions_and_its_mistakes_are_mnists(spectra):
    number, (eigenvalues, not_centred) = NUMBERS[0], spectra
    k = smallest_k(eigenvalues)
    assert EXERCISES[number].reference == k == 87
    assert EXERCISES[number].mistakes == {
        "counted from zero": k - 1,
        "one too many": k + 1,
        "the smallest eigenvalues are kept": smallest_k(eigenvalues[::-1]),
        "10 % of the pixels": int(0.1 * 784),
        "90 % of the pixels": round(0.9 * 784),
        "the images are not centred": smallest_k(not_centred),
    }


@pytest.mark.slow
def test_mnists_eigenvalues_are_numpys(spectra):
    np.testing.assert_allclose(mnist_eigenvalues().numpy(), spectra[0], rtol=1e-8, atol=1e-10)
    assert mnist_eigenvalues().sum().item() == pytest.approx(52.7, abs=0.1)


@pytest.mark.parametrize(
    "answer",
    [87, 87.0, np.int64(87), np.array(87), torch.tensor(87), torch.tensor([87]), [87], lambda: 87],
    ids=["int", "float", "int64", "array", "tensor", "tensor of one", "list", "function"],
)
def test_a_number_may_come_in_any_form(answer):
    right(NUMBERS[0], answer, times=1)


@pytest.mark.parametrize("answer", [12, -87, 0, 87.5, math.nan, math.inf])
def test_another_number_is_wrong_without_a_known_reason(answer):
    verdict = check(NUMBERS[0], answer)
    assert verdict.passed is False and verdict.mistake is None
    direction = ": it is larger" if answer < 87 else ": it is smaller" if answer > 87 else ""
    assert verdict.message == f"✗ Exercise {NUMBERS[0]}: not yet. {answer:g} is not the number{direction}."


# --- right in other words --------------------------------------------------------------------------------------------


def by_loops(x, x_hat):
    return [
        float(sum(-a * math.log(b) - (1 - a) * math.log(1 - b) for a, b in zip(p, q, strict=True)))
        for p, q in zip(x.tolist(), x_hat.tolist(), strict=True)
    ]


def cross_entropy_in_numpy(x, x_hat):
    x, x_hat = x.numpy(), x_hat.numpy()
    return -(x * np.log(x_hat) + (1 - x) * np.log1p(-x_hat)).sum(-1)


def gradient_by_autograd(a, x):
    a.requires_grad_()
    functional.binary_cross_entropy_with_logits(a, x, reduction="sum").backward()
    return a.grad


def pca_in_numpy(covariance, size):
    return np.linalg.svd(covariance.numpy().astype(float), compute_uv=False)[size:].sum()


def _mean(x, level):
    return (1 - level) * x + level / 2


def memory_by_torch_distributions(x_tilde, images, sigma):
    likelihood = torch.distributions.Normal(images, sigma).log_prob(x_tilde[:, None]).sum(-1).exp()
    return [(row[:, None] * images).sum(0) / row.sum() for row in likelihood]


def largest_taken_out(logs, axis):
    largest = logs.amax(axis, keepdim=True)
    return (logs - largest).exp().sum(axis).log() + largest.squeeze(axis)


def outputs(mu, log_var, eps, decode):
    return decode(mu + torch.exp(0.5 * log_var) * eps)


RIGHT = {
    "my_cross_entropy": [
        lambda x, x_hat: functional.binary_cross_entropy(x_hat, x, reduction="none").sum(-1),
        lambda x, x_hat: -torch.distributions.Bernoulli(probs=x_hat, validate_args=False).log_prob(x).sum(1),
        lambda x, x_hat: -(x * x_hat.log() + (1 - x) * (1 - x_hat).log()).sum(1, keepdim=True),
        lambda x, x_hat: -(x * x_hat.log() + (1 - x) * (1 - x_hat).log()).sum(1)[None],
        lambda x, x_hat: -(x.float() * x_hat.float().log() + (1 - x.float()) * (1 - x_hat.float()).log()).sum(1),
        lambda x, x_hat: -(x * x_hat.log() + (1 - x) * (1 - x_hat).log()).sum(1).requires_grad_(),
        cross_entropy_in_numpy,
        by_loops,
        lambda x, x_hat: tuple(by_loops(x, x_hat)),
    ],
    "my_entropy": [
        lambda x: (torch.special.entr(x) + torch.special.entr(1 - x)).sum(1),
        lambda x: functional.binary_cross_entropy(x, x, reduction="none").sum(1),
        lambda x: np.where((x == 0) | (x == 1), 0, -x * (x + 1e-30).log() - (1 - x) * (1 - x + 1e-30).log()).sum(1),
    ],
    "logit_gradient": [
        lambda a, x: 1 / (1 + torch.exp(-a)) - x,
        lambda a, x: (a.sigmoid() - x).numpy(),
        gradient_by_autograd,
        lambda a, x: 0.5 * (1 + torch.tanh(a / 2)) - x,
    ],
    "batch_variance": [
        lambda batch, N: batch.var() * (1 / len(batch) - 1 / N),
        lambda batch, N: np.var(batch.numpy(), ddof=1) / len(batch) * (1 - len(batch) / N),
        lambda batch, N: float(((batch - batch.mean()) ** 2).sum() / (len(batch) - 1) * (1 / len(batch) - 1 / N)),
        lambda batch, N: (batch.var() / len(batch) * (1 - len(batch) / N)).view(1, 1),
    ],
    "pca_loss": [
        lambda covariance, K: covariance.trace() - torch.linalg.eigvalsh(covariance)[-K:].sum(),
        pca_in_numpy,
        lambda covariance, K: torch.linalg.svdvals(covariance)[K:].sum().item(),
    ],
    "my_memory": [
        lambda x, train: train[((x[:, None] - train) ** 2).sum(-1).argmin(1)],
        lambda x, train: [train[(train - image).norm(dim=1).argmin()].tolist() for image in x],
        lambda x, train: train.numpy()[np.linalg.norm(x.numpy()[:, None] - train.numpy(), axis=2).argmin(1)],
    ],
    "mask_with": [
        lambda x, u, level: torch.where(u < level, 0.0, x),
        lambda x, u, level: x.masked_fill(u < level, 0),
        lambda x, u, level: np.where(u.numpy() < level, 0, x.numpy()),
    ],
    "salt_and_pepper_variance": [
        # the law of total variance, given whether the pixel is replaced
        lambda x, level: level / 4 + level * (1 - level) * (x - 0.5) ** 2,
        lambda x, level: (
            (1 - level) * (x - _mean(x, level)) ** 2 + level / 2 * (_mean(x, level) ** 2 + (1 - _mean(x, level)) ** 2)
        ),
    ],
    "denoising_objective": [
        lambda x, x_tilde, r: sum(((r(noisy) - x) ** 2).sum(1) for noisy in x_tilde) / len(x_tilde),
        lambda x, x_tilde, r: (torch.cdist(r(x_tilde)[:, :, None], x[None, :, None]) ** 2).squeeze().mean(0),
        lambda x, x_tilde, r: torch.einsum("sbd,sbd->b", r(x_tilde) - x, r(x_tilde) - x) / len(x_tilde),
    ],
    "posterior_means": [
        lambda prior, likelihood, images: torch.stack(
            [(prior * column) @ images / (prior * column).sum() for column in likelihood.T]
        ),
        lambda prior, likelihood, images: (prior.log()[:, None] + likelihood.log()).softmax(0).T @ images,
        lambda prior, likelihood, images: (likelihood.T @ (prior[:, None] * images)) / (prior @ likelihood)[:, None],
    ],
    "softmax_memory": [
        lambda x_tilde, images, sigma: (-(torch.cdist(x_tilde, images) ** 2) / (2 * sigma**2)).softmax(1) @ images,
        memory_by_torch_distributions,
    ],
    "score_of_denoiser": [
        lambda x_tilde, restored, sigma: torch.sub(restored, x_tilde) * sigma**-2,
        lambda x_tilde, restored, sigma: (restored.numpy() - x_tilde.numpy()) / sigma / sigma,
    ],
    "log_evidence": [
        lambda log_px_z, log_p_z, cell: torch.logsumexp(log_px_z + log_p_z[None] + math.log(cell), -1, keepdim=True),
        lambda log_px_z, log_p_z, cell: np.logaddexp.reduce((log_px_z + log_p_z).numpy(), axis=1) + np.log(cell),
        lambda log_px_z, log_p_z, cell: largest_taken_out(log_px_z + log_p_z, 1) + torch.log(torch.tensor(cell)),
        # Bayes' rule at the first grid point
        lambda log_px_z, log_p_z, cell: (
            ((log_px_z + log_p_z) - (log_px_z + log_p_z).log_softmax(1))[:, 0] + math.log(cell)
        ),
        # the prior normalised on the grid, by hand
        lambda log_px_z, log_p_z, cell: (log_px_z + log_p_z.log_softmax(0)).logsumexp(1),
    ],
    "kl_to_prior": [
        lambda mu, log_var: -0.5 * torch.sum(1 + log_var - mu.pow(2) - log_var.exp(), dim=1),
        lambda mu, log_var: 0.5 * torch.sum(mu.pow(2) + log_var.exp() - 1 - log_var, dim=-1, keepdim=True),
        lambda mu, log_var: ((mu**2).sum(1) + log_var.exp().sum(1) - mu.shape[1] - log_var.sum(1)) / 2,
        lambda mu, log_var: 0.5 * (mu.square() + torch.expm1(log_var) - log_var).sum(1),
        lambda mu, log_var: (0.5 * (mu**2 + (log_var / 2).exp() ** 2 - 1) - (log_var / 2).exp().log()).sum(1),
        lambda mu, log_var: [
            sum(0.5 * (m * m + math.exp(v) - 1 - v) for m, v in zip(p, q, strict=True))
            for p, q in zip(mu.tolist(), log_var.tolist(), strict=True)
        ],
        kl_by_torch_distributions,
    ],
    "elbo_from_noise": [
        lambda x, mu, log_var, eps, decode: (
            -functional.binary_cross_entropy(
                outputs(mu, log_var, eps, decode), x.expand(len(eps), -1, -1), reduction="none"
            )
            .sum(-1)
            .mean(0)
            - kl_by_torch_distributions(mu, log_var)
        ),
        lambda x, mu, log_var, eps, decode: (
            sum(torch.where(x == 1, x_hat, 1 - x_hat).log().sum(1) for x_hat in outputs(mu, log_var, eps, decode))
            / len(eps)
            - kl_by_torch_distributions(mu, log_var)
        ),
        lambda x, mu, log_var, eps, decode: (
            torch.distributions.Bernoulli(probs=outputs(mu, log_var, eps, decode)).log_prob(x).sum(2)
            - gaussian_kl(mu, log_var)
        ).mean(0),
        elbo_by_torch_distributions,
    ],
    "gaussian_log_likelihood": [
        lambda x, mean, sigma: torch.distributions.Normal(mean, sigma).log_prob(x).sum(1),
        lambda x, mean, sigma: (
            -((x - mean) / sigma).square().sum(1) / 2 - x.shape[1] * (math.log(sigma) + 0.5 * math.log(2 * math.pi))
        ),
        lambda x, mean, sigma: (
            -functional.gaussian_nll_loss(mean, x, torch.full_like(x, sigma**2), full=True, reduction="none").sum(1)
        ),
        lambda x, mean, sigma: (
            -np.sum((x.numpy() - mean.numpy()) ** 2 / (2 * sigma**2) + np.log(np.sqrt(2 * np.pi) * sigma), axis=1)
        ),
        lambda x, mean, sigma: (
            -torch.sum((x - mean) ** 2 / (2 * sigma**2) + torch.log(2 * torch.pi * torch.tensor(sigma) ** 2) / 2, -1)
        ),
        gaussian_by_torch_distributions,
    ],
    "implied_sigma": [
        lambda a, b: (b / (2 * a)) ** 0.5,
        lambda a, b: 1 / math.sqrt(2 * a / b),
        lambda a, b: np.sqrt(0.5 * b / a),
        lambda a, b: torch.tensor(b / a / 2).sqrt(),
        lambda a, b: math.exp((math.log(b) - math.log(2 * a)) / 2),
        lambda a, b: np.sqrt(np.array([b / a / 2])),
    ],
    "importance_weighted": [
        lambda log_px_z, log_p_z, log_q_z: (
            torch.logsumexp(log_px_z + log_p_z - log_q_z, 0) - torch.log(torch.tensor(len(log_q_z)))
        ),
        lambda log_px_z, log_p_z, log_q_z: (log_px_z - (log_q_z - log_p_z) - math.log(len(log_q_z))).logsumexp(0),
        lambda log_px_z, log_p_z, log_q_z: largest_taken_out(log_px_z + log_p_z - log_q_z, 0) - np.log(len(log_q_z)),
        lambda log_px_z, log_p_z, log_q_z: (
            functools.reduce(torch.logaddexp, log_px_z + log_p_z - log_q_z) - math.log(log_px_z.shape[0])
        ),
        lambda log_px_z, log_p_z, log_q_z: (
            np.logaddexp.reduce((log_px_z + log_p_z - log_q_z).numpy()) - math.log(len(log_px_z))
        ),
    ],
    "conditional_elbo": [
        lambda x, y, eps, encode, decode: (
            -functional.binary_cross_entropy(
                outputs(*encode(x, y), eps, lambda z: decode(z, y)), x.expand(len(eps), -1, -1), reduction="none"
            )
            .sum(-1)
            .mean(0)
            - kl_by_torch_distributions(*encode(x, y))
        ),
        lambda x, y, eps, encode, decode: (
            sum(torch.where(x == 1, p, 1 - p).log().sum(1) for p in outputs(*encode(x, y), eps, lambda z: decode(z, y)))
            / len(eps)
            - gaussian_kl(*encode(x, y))
        ),
        conditional_elbo_by_torch_distributions,
    ],
    "with_label": [
        lambda features, y, num_classes: torch.cat([features, torch.eye(num_classes)[y]], -1),
        lambda features, y, num_classes: torch.hstack([features, functional.one_hot(y, num_classes)]),
        lambda features, y, num_classes: torch.cat([features, (y[:, None] == torch.arange(num_classes)).float()], 1),
        lambda features, y, num_classes: torch.cat(
            [features, torch.zeros(len(y), num_classes).scatter(1, y[:, None], 1.0)], 1
        ),
        lambda features, y, num_classes: np.hstack([features.numpy(), np.eye(num_classes)[y.numpy()]]),
    ],
    "advantage": [
        lambda log_px, log_px_y, log_py, y: torch.logsumexp(log_px_y + log_py[None], -1) - log_px,
        lambda log_px, log_px_y, log_py, y: largest_taken_out(log_px_y + log_py, 1) - log_px,
        # what is left after the difference does not underflow
        lambda log_px, log_px_y, log_py, y: ((log_px_y - log_px[:, None]).exp() @ log_py.exp()).log(),
        lambda log_px, log_px_y, log_py, y: np.logaddexp.reduce((log_px_y + log_py).numpy(), axis=1) - log_px.numpy(),
        # Bayes' rule at the own label
        lambda log_px, log_px_y, log_py, y: (
            (log_px_y + log_py - (log_px_y + log_py).log_softmax(1))[torch.arange(len(y)), y] - log_px
        ),
    ],
    "information_bound": [
        lambda log_probs, y: torch.special.entr(y.bincount() / len(y)).sum() - functional.nll_loss(log_probs, y),
        lambda log_probs, y: torch.special.entr(y.bincount() / len(y)).sum() - functional.cross_entropy(log_probs, y),
        lambda log_probs, y: (
            torch.distributions.Categorical(functional.one_hot(y, log_probs.shape[1]).double().mean(0)).entropy()
            + log_probs.gather(1, y[:, None]).mean()
        ),
        lambda log_probs, y: (
            log_probs[range(len(y)), y].mean()
            - sum(n / len(y) * math.log(n / len(y)) for n in y.unique(return_counts=True)[1].tolist())
        ),
        lambda log_probs, y: (
            (functional.one_hot(y, log_probs.shape[1]) * log_probs).sum() / len(y)
            - (y.bincount()[y] / len(y)).log().mean()
        ),
        bound_by_torch_distributions,
    ],
    "class_posterior": [
        lambda log_w, log_py: torch.log_softmax(log_w.logsumexp(0) - math.log(len(log_w)) + log_py, -1),
        lambda log_w, log_py: (log_w.logsumexp(0) + log_py) - (log_w.logsumexp(0) + log_py).logsumexp(1, keepdim=True),
        lambda log_w, log_py: (log_w + log_py).logsumexp(0) - (log_w + log_py).logsumexp((0, 2))[:, None],
        lambda log_w, log_py: torch.distributions.Categorical(logits=log_w.logsumexp(0) + log_py).logits,
        # the largest of each image taken out by hand
        lambda log_w, log_py: (
            ((log_w - log_w.amax((0, 2), keepdim=True)).double().exp().mean(0) * log_py.exp()).log()
            - ((log_w - log_w.amax((0, 2), keepdim=True)).double().exp().mean(0) @ log_py.double().exp()).log()[:, None]
        ),
        class_posterior_without_tricks,
    ],
    "in_all_classes": [
        lambda x, y, encode, decode, C: torch.stack(
            [decode(encode(x, y)[0], torch.full_like(y, c)) for c in range(C)], dim=1
        ),
        lambda x, y, encode, decode, C: decode(encode(x, y)[0], torch.arange(C)[:, None]).transpose(0, 1),
        lambda x, y, encode, decode, C: decode(
            encode(x, y)[0].repeat_interleave(C, 0), torch.arange(C).repeat(len(x))
        ).view(len(x), C, -1),
        lambda x, y, encode, decode, C: decode(encode(x, y)[0].unsqueeze(1).expand(-1, C, -1), torch.arange(C)),
        drawn_one_by_one,
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "answer"), [(name, answer) for name in RIGHT for answer in RIGHT[name]])
def test_any_correct_formulation_is_right(name, answer):
    right(BY_NAME[name], answer)


def in_type(dtype, argument):
    """As the engine gives it: labels stay integers."""
    return argument.to(dtype) if isinstance(argument, torch.Tensor) and argument.is_floating_point() else argument


@pytest.mark.slow
@pytest.mark.parametrize("name", RIGHT)
def test_rounding_in_float32_stays_far_below_the_tolerance(name):
    exercise = EXERCISES[BY_NAME[name]]
    for seed, size in itertools.product(range(100), (1, 2, 3, 5, 8)):
        arguments = [in_type(torch.float32, a) for a in draw(BY_NAME[name], size, seed)]
        want = to_tensor(exercise.reference(*(in_type(torch.float64, a) for a in arguments)))
        for answer in [exercise.reference, *RIGHT[name]]:
            copies = [a.clone() if isinstance(a, torch.Tensor) else a for a in arguments]
            error = (to_tensor(answer(*copies)).view_as(want) - want).abs().max()
            assert error < exercise.rtol / 4 * want.abs().max(), f"{error} of {want}, size {size}, seed {seed}"


def test_every_function_has_other_formulations_here():
    assert RIGHT.keys() == BY_NAME.keys()


@pytest.mark.parametrize(
    "answer",
    [
        lambda x: functional.binary_cross_entropy(x, x, reduction="none").sum(1),
        lambda x: torch.distributions.Bernoulli(probs=x).entropy().sum(1),
        lambda x: -(x * (x + 1e-12).log() + (1 - x) * (1 - x + 1e-12).log()).sum(1),
    ],
)
def test_entropies_that_are_right_up_to_rounding_are_right_on_black_and_white_images_too(answer):
    black_and_white = Exercise(
        **vars(EXERCISES[BY_NAME["my_entropy"]])
        | {"inputs": lambda size, g: (torch.tensor([[0.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.5, 1.0]], dtype=torch.float64),)}
    )
    assert mark("1.2", black_and_white, answer).passed


@np.errstate(divide="ignore", invalid="ignore")
def entropy_with_nan(x):
    x = x.numpy()
    return -(x * np.log(x) + (1 - x) * np.log(1 - x)).sum(1)


WRONG = [
    ("my_cross_entropy", lambda x, x_hat: functional.binary_cross_entropy(x_hat, x), "the mean over pixels and batch"),
    ("my_cross_entropy", lambda x, x_hat: functional.binary_cross_entropy(x_hat, x).exp(), None),
    (
        "my_cross_entropy",
        lambda x, x_hat: functional.binary_cross_entropy(x_hat, x, reduction="none").mean(1),
        "the mean over the pixels instead of the sum",
    ),
    (
        "my_cross_entropy",
        lambda x, x_hat: functional.binary_cross_entropy(x, x_hat, reduction="none").sum(1),
        "x and x_hat exchanged",
    ),
    ("my_entropy", entropy_with_nan, "0 · log 0 gives NaN"),
    ("my_entropy", lambda x: -(x * x.log()).nansum(1), "the second term is missing"),
    (
        "logit_gradient",
        lambda a, x: (SIGMOID(a) - x) / (SIGMOID(a) * (1 - SIGMOID(a))),
        "the derivative with respect to x̂",
    ),
    ("logit_gradient", lambda a, x: -x / SIGMOID(a) + (1 - x) / (1 - SIGMOID(a)), "the derivative with respect to x̂"),
    (
        "logit_gradient",
        lambda a, x: 2 * (SIGMOID(a) - x) * SIGMOID(a) * (1 - SIGMOID(a)),
        "the gradient of the squared error",
    ),
    ("batch_variance", lambda batch, N: np.var(batch.numpy(), ddof=1) / len(batch), "drawn with replacement"),
    (
        "batch_variance",
        lambda batch, N: np.var(batch.numpy()) / len(batch) * (1 - len(batch) / N),
        "the sample variance divided by B instead of B - 1",
    ),
    (
        "pca_loss",
        lambda covariance, K: torch.linalg.svdvals(covariance)[:K].sum(),
        "the variance kept instead of the loss",
    ),
    ("pca_loss", lambda covariance, K: torch.linalg.svdvals(covariance)[K:].mean(), None),
    ("my_memory", lambda x, train: ((x[:, None] - train) ** 2).sum(-1).argmin(1), "the index instead of the image"),
    (
        "log_evidence",
        lambda log_px_z, log_p_z, cell: (log_px_z.exp() @ log_p_z.exp() * cell).log(),
        "exponentiated first",
    ),
    (
        "log_evidence",
        lambda log_px_z, log_p_z, cell: (log_px_z.exp() * log_p_z.exp()).mean(1).log(),
        "exponentiated first",
    ),
    (
        "log_evidence",
        lambda log_px_z, log_p_z, cell: (log_px_z.double() + log_p_z).exp().sum(1).log() + math.log(cell),
        "exponentiated first",
    ),
    (
        "log_evidence",
        lambda log_px_z, log_p_z, cell: log_px_z @ log_p_z.softmax(0),
        "the mean of log p(x|z) instead of the log of the mean",
    ),
    ("log_evidence", lambda log_px_z, log_p_z, cell: (log_px_z + math.log(cell)).logsumexp(1), "the prior is missing"),
    (
        "log_evidence",
        lambda log_px_z, log_p_z, cell: np.logaddexp.reduce((log_px_z + log_p_z).numpy(), 1),
        "the cell is missing",
    ),
    (
        "log_evidence",
        lambda log_px_z, log_p_z, cell: (log_px_z + log_p_z).logsumexp(1) - math.log(log_px_z.shape[1]),
        "the mean over the grid instead of the sum times the cell",
    ),
    (
        "log_evidence",
        lambda log_px_z, log_p_z, cell: (log_px_z + log_p_z + cell).logsumexp(1),
        "the cell added instead of its logarithm",
    ),
    (
        "log_evidence",
        lambda log_px_z, log_p_z, cell: (log_px_z + log_p_z + math.log(cell)).logsumexp(0),
        "the sum over the images instead of the grid",
    ),
    (
        "log_evidence",
        lambda log_px_z, log_p_z, cell: (log_px_z + log_p_z).max(1).values,
        "the largest term only, and the cell is missing",
    ),
    ("log_evidence", lambda log_px_z, log_p_z, cell: (log_px_z + log_p_z).max(1).values + 1, None),
    ("kl_to_prior", lambda mu, log_var: -torch.sum(1 + log_var - mu**2 - log_var.exp(), 1), "the ½ is missing"),
    ("kl_to_prior", lambda mu, log_var: 0.5 * torch.sum(1 + log_var - mu**2 - log_var.exp(), 1), "the wrong sign"),
    (
        "kl_to_prior",
        lambda mu, log_var: (1 + log_var - mu**2 - log_var.exp()).sum(1),
        "the wrong sign, and the ½ is missing",
    ),
    (
        "kl_to_prior",
        lambda mu, log_var: -0.5 * torch.sum(1 + log_var - mu**2 - log_var.exp()),
        "one number for the batch",
    ),
    (
        "kl_to_prior",
        lambda mu, log_var: -0.5 * torch.mean(1 + log_var - mu**2 - log_var.exp()),
        "the mean over latent dimensions and batch",
    ),
    (
        "kl_to_prior",
        lambda mu, log_var: torch.mean(-0.5 * torch.sum(1 + log_var - mu**2 - log_var.exp(), 1), 0),
        "the mean over the batch",
    ),
    (
        "kl_to_prior",
        lambda mu, log_var: -0.5 * torch.mean(1 + log_var - mu**2 - log_var.exp(), 1),
        "the mean over the latent dimensions instead of the sum",
    ),
    (
        "kl_to_prior",
        lambda mu, log_var: 0.5 * (mu**2 + torch.sqrt(log_var.exp()) - 1 - log_var).sum(1),
        "σ where σ² belongs",
    ),
    (
        "kl_to_prior",
        lambda mu, log_var: 0.5 * (mu**2 + log_var.exp() - 1 - log_var.exp().sqrt().log()).sum(1),
        "log σ where log σ² belongs",
    ),
    ("kl_to_prior", lambda mu, log_var: kl_by_torch_distributions(mu, 2 * log_var), "log_var taken for log σ"),
    (
        "kl_to_prior",
        lambda mu, log_var: 0.5 * (mu**2 + log_var.exp() ** 2 - 1 - 2 * log_var).sum(1),
        "log_var taken for log σ",
    ),
    ("kl_to_prior", lambda mu, log_var: 0.5 * (mu**2 + log_var.exp() ** 2 - 1 - log_var).sum(1), "σ⁴ where σ² belongs"),
    (
        "kl_to_prior",
        lambda mu, log_var: 0.5 * (mu**2 + log_var.exp() - 1 - torch.log(log_var.exp() ** 2)).sum(1),
        "log σ⁴ where log σ² belongs",
    ),
    (
        "kl_to_prior",
        lambda mu, log_var: torch.distributions.kl_divergence(
            torch.distributions.Normal(0, 1), torch.distributions.Normal(mu, log_var.exp().sqrt())
        ).sum(1),
        "the KL the other way round",
    ),
    (
        "kl_to_prior",
        lambda mu, log_var: 0.5 * (mu**2 + log_var.exp() - 1 + log_var).sum(1),
        "the log term has the wrong sign",
    ),
    ("kl_to_prior", lambda mu, log_var: -0.5 * (log_var - mu**2 - log_var.exp()).sum(1), "the -1 is missing"),
    (
        "kl_to_prior",
        lambda mu, log_var: -0.5 * (1 + (log_var - mu**2 - log_var.exp()).sum(1)),
        "the 1 is subtracted once instead of K times",
    ),
    ("kl_to_prior", lambda mu, log_var: -0.5 * (1 + log_var - mu - log_var.exp()).sum(1), "mu is not squared"),
    (
        "kl_to_prior",
        lambda mu, log_var: (0.5 * mu**2 + log_var.exp() - 1 - log_var).sum(1),
        "the ½ stands at mu² only (brackets)",
    ),
    ("kl_to_prior", lambda mu, log_var: kl_by_torch_distributions(mu, log_var) ** 2, None),
    (
        "elbo_from_noise",
        lambda x, mu, log_var, eps, decode: elbo_by_torch_distributions(x, mu, log_var, 0 * eps[:1], decode),
        "z without noise",
    ),
    (
        "elbo_from_noise",
        lambda x, mu, log_var, eps, decode: (
            torch.distributions.Bernoulli(probs=decode(mu)).log_prob(x).sum(1) - kl_by_torch_distributions(mu, log_var)
        ),
        "z without noise",
    ),
    (
        "elbo_from_noise",
        lambda x, mu, log_var, eps, decode: elbo_by_torch_distributions(x, mu, log_var, eps[:1], decode),
        "only the first sample",
    ),
    (
        "elbo_from_noise",
        lambda x, mu, log_var, eps, decode: elbo_by_torch_distributions(
            x, mu, log_var, eps.mean(0, keepdim=True), decode
        ),
        "the noise is averaged first",
    ),
    (
        "elbo_from_noise",
        lambda x, mu, log_var, eps, decode: elbo_by_torch_distributions(
            x, mu, log_var, torch.exp(0.5 * log_var) * eps, decode
        ),
        "the noise is multiplied by σ² instead of σ",
    ),
    (
        "elbo_from_noise",
        lambda x, mu, log_var, eps, decode: elbo_by_torch_distributions(
            x, mu, log_var, torch.exp(-0.5 * log_var) * eps, decode
        ),
        "the noise is not scaled by σ",
    ),
    (
        "elbo_from_noise",
        lambda x, mu, log_var, eps, decode: elbo_by_torch_distributions(x, mu, 2 * log_var, eps, decode),
        "log_var taken for log σ, in the codes and in the KL",
    ),
    ("elbo_from_noise", lambda *arguments: -elbo_by_torch_distributions(*arguments), "the loss instead of the ELBO"),
    (
        "elbo_from_noise",
        lambda x, mu, log_var, *others: (
            elbo_by_torch_distributions(x, mu, log_var, *others) + kl_by_torch_distributions(mu, log_var)
        ),
        "the KL is missing",
    ),
    (
        "elbo_from_noise",
        lambda x, mu, log_var, *others: (
            elbo_by_torch_distributions(x, mu, log_var, *others) + 2 * kl_by_torch_distributions(mu, log_var)
        ),
        "the KL is added",
    ),
    (
        "elbo_from_noise",
        lambda x, mu, log_var, *others: (
            elbo_by_torch_distributions(x, mu, log_var, *others) - kl_by_torch_distributions(mu, log_var)
        ),
        "the KL without its ½",
    ),
    (
        "elbo_from_noise",
        lambda x, mu, log_var, eps, decode: len(eps) * elbo_by_torch_distributions(x, mu, log_var, eps, decode),
        "the sum over the samples instead of the mean, of the KL, too",
    ),
    (
        "elbo_from_noise",
        lambda x, mu, log_var, eps, decode: (
            torch.distributions.Bernoulli(probs=outputs(mu, log_var, eps, decode).mean(0)).log_prob(x).sum(1)
            - gaussian_kl(mu, log_var)
        ),
        "the outputs are averaged before the logarithm",
    ),
    (
        "elbo_from_noise",
        lambda x, mu, log_var, eps, decode: (
            torch.distributions.Bernoulli(probs=outputs(mu, log_var, eps, decode)).log_prob(x).mean((0, 2))
            - gaussian_kl(mu, log_var)
        ),
        "the mean over the pixels instead of the sum",
    ),
    (
        "elbo_from_noise",
        lambda x, mu, log_var, eps, decode: (
            torch.distributions.Bernoulli(logits=outputs(mu, log_var, eps, decode)).log_prob(x).sum(-1).mean(0)
            - gaussian_kl(mu, log_var)
        ),
        "the probabilities taken for logits",
    ),
    (
        "elbo_from_noise",
        lambda x, mu, log_var, eps, decode: elbo_by_torch_distributions(x, mu, log_var, eps, decode).mean(),
        "the mean over the batch",
    ),
    (
        "elbo_from_noise",
        lambda x, mu, log_var, eps, decode: elbo_by_torch_distributions(x, mu, log_var, -eps, decode),
        None,
    ),
    (
        "gaussian_log_likelihood",
        lambda x, mean, sigma: torch.distributions.Normal(mean, sigma).log_prob(x),
        "no sum at all",
    ),
    (
        "gaussian_log_likelihood",
        lambda x, mean, sigma: torch.distributions.Normal(mean, sigma).log_prob(x).mean(1),
        "the mean over the pixels instead of the sum",
    ),
    (
        "gaussian_log_likelihood",
        lambda x, mean, sigma: torch.distributions.Normal(mean, sigma).log_prob(x).sum(),
        "one number for the batch",
    ),
    (
        "gaussian_log_likelihood",
        lambda x, mean, sigma: torch.distributions.Normal(mean, sigma**2).log_prob(x).sum(1),
        "the variance taken for sigma",
    ),
    (
        "gaussian_log_likelihood",
        lambda x, mean, sigma: torch.distributions.Normal(mean, sigma**0.5).log_prob(x).sum(1),
        "sigma taken for the variance",
    ),
    (
        "gaussian_log_likelihood",
        lambda x, mean, sigma: torch.distributions.Normal(mean, 1).log_prob(x).sum(1),
        "σ is taken for 1",
    ),
    (
        "gaussian_log_likelihood",
        lambda x, mean, sigma: (
            -functional.gaussian_nll_loss(mean, x, torch.full_like(x, sigma**2), reduction="none").sum(1)
        ),
        "log 2π is dropped",
    ),
    (
        "gaussian_log_likelihood",
        lambda x, mean, sigma: -functional.mse_loss(mean, x, reduction="none").sum(1) / 2,
        "minus half the squared error",
    ),
    (
        "gaussian_log_likelihood",
        lambda x, mean, sigma: -0.5 * ((x - mean) / sigma).pow(2).sum(1),
        "the constant is dropped",
    ),
    (
        "gaussian_log_likelihood",
        lambda x, mean, sigma: -0.5 * ((x - mean) / sigma).pow(2).sum(1) - math.log(sigma * math.sqrt(2 * math.pi)),
        "the constant is counted once instead of D times",
    ),
    (
        "gaussian_log_likelihood",
        lambda x, mean, sigma: -0.5 * ((x - mean) / sigma).pow(2).sum(1) - x.shape[1] * (math.log(2 * math.pi * sigma)),
        "2πσ instead of √(2πσ²)",
    ),
    (
        "gaussian_log_likelihood",
        lambda x, mean, sigma: (
            -0.5 * ((x - mean) / sigma).pow(2).sum(1) - x.shape[1] / 2 * (math.log((2 * math.pi * sigma) ** 2))
        ),
        "2πσ instead of √(2πσ²)",
    ),
    (
        "gaussian_log_likelihood",
        lambda x, mean, sigma: -torch.distributions.Normal(mean, sigma).log_prob(x).sum(-1),
        "the wrong sign",
    ),
    (
        "gaussian_log_likelihood",
        lambda x, mean, sigma: torch.distributions.Normal(mean, sigma).log_prob(x).exp().prod(1),
        "the density instead of its logarithm",
    ),
    ("gaussian_log_likelihood", lambda x, mean, sigma: torch.distributions.Normal(0, sigma).log_prob(x).sum(1), None),
    ("implied_sigma", lambda a, b: (a * 2 / b) ** -1, "σ² instead of σ"),
    ("implied_sigma", lambda a, b: (b / a) ** 0.5, "the ½ is forgotten"),
    ("implied_sigma", lambda a, b: np.sqrt(2) * np.sqrt(a / b), "upside down"),
    ("implied_sigma", lambda a, b: (b / 2 * a) ** 0.5, "multiplied by a (brackets)"),
    ("implied_sigma", lambda a, b: (2 * a) ** -0.5, "b is ignored"),
    ("implied_sigma", lambda a, b: (0.5 * b) ** 0.5, "a is ignored"),
    ("implied_sigma", lambda a, b: (0.5 * a / b) ** 0.5, "a and b exchanged"),
    ("implied_sigma", lambda a, b: np.log(np.sqrt(0.5 * b / a)), "log σ"),
    ("implied_sigma", lambda a, b: a + b, None),
    (
        "importance_weighted",
        lambda log_px_z, log_p_z, log_q_z: (log_px_z.exp() * log_p_z.exp() / log_q_z.exp()).mean(0).log(),
        "exponentiated first",
    ),
    (
        "importance_weighted",
        lambda log_px_z, log_p_z, log_q_z: (
            torch.log((log_px_z.double() + log_p_z - log_q_z).exp().sum(0)) - math.log(len(log_q_z))
        ),
        "exponentiated first",
    ),
    (
        "importance_weighted",
        lambda log_px_z, log_p_z, log_q_z: log_px_z.mean(0) - (log_q_z - log_p_z).mean(0),
        "the mean of the logs instead of the log of the mean",
    ),
    (
        "importance_weighted",
        lambda log_px_z, log_p_z, log_q_z: torch.logsumexp(log_px_z - (log_q_z - log_p_z), 0),
        "log S is not subtracted",
    ),
    (
        "importance_weighted",
        lambda log_px_z, log_p_z, log_q_z: torch.logsumexp(log_px_z + log_p_z - log_q_z, 0) / len(log_q_z),
        "the logarithm is divided by S",
    ),
    (
        "importance_weighted",
        lambda log_px_z, log_p_z, log_q_z: torch.logsumexp(log_px_z + log_p_z - math.log(len(log_q_z)), 0),
        "q is missing",
    ),
    (
        "importance_weighted",
        lambda log_px_z, log_p_z, log_q_z: torch.logsumexp(log_px_z - log_q_z, 0) - math.log(len(log_q_z)),
        "the prior is missing",
    ),
    (
        "importance_weighted",
        lambda log_px_z, log_p_z, log_q_z: (log_px_z + log_p_z - log_q_z).max(0).values,
        "the largest weight only",
    ),
    (
        "importance_weighted",
        lambda log_px_z, log_p_z, log_q_z: (
            torch.logsumexp(log_px_z + log_p_z - log_q_z, -1) - math.log(log_q_z.shape[-1])
        ),
        "the mean over the images instead of the samples",
    ),
    (
        "importance_weighted",
        lambda log_px_z, log_p_z, log_q_z: -torch.logsumexp(log_q_z - log_px_z - log_p_z, 0) + math.log(len(log_q_z)),
        "the inverse of the mean of the inverse weights",
    ),
    ("importance_weighted", lambda log_px_z, log_p_z, log_q_z: (log_px_z + log_p_z - log_q_z).median(0).values, None),
    (
        "conditional_elbo",
        lambda x, y, eps, encode, decode: elbo_by_torch_distributions(x, *encode(x, y), eps, decode),
        "the label is given to the encoder only",
    ),
    (
        "conditional_elbo",
        lambda x, y, eps, encode, decode: conditional_elbo_by_torch_distributions(
            x, y, eps, lambda x, y: encode(x), decode
        ),
        "the label is given to the decoder only",
    ),
    (
        "conditional_elbo",
        lambda x, y, eps, encode, decode: elbo_by_torch_distributions(x, *encode(x), eps, decode),
        "no label at all",
    ),
    (
        "conditional_elbo",
        lambda *arguments: -conditional_elbo_by_torch_distributions(*arguments),
        "the loss instead of the ELBO",
    ),
    (
        "conditional_elbo",
        lambda x, y, eps, encode, decode: (
            torch.distributions.Bernoulli(probs=decode(encode(x, y)[0], y)).log_prob(x).sum(1)
            - kl_by_torch_distributions(*encode(x, y))
        ),
        "z without noise",
    ),
    (
        "conditional_elbo",
        lambda x, y, eps, encode, decode: (
            conditional_elbo_by_torch_distributions(x, y, eps, encode, decode) + gaussian_kl(*encode(x, y))
        ),
        "the KL is missing",
    ),
    (
        "conditional_elbo",
        lambda x, y, eps, encode, decode: conditional_elbo_by_torch_distributions(
            x, y, eps * (encode(x, y)[1] / 2).exp(), encode, decode
        ),
        "the noise is multiplied by σ² instead of σ",
    ),
    (
        "conditional_elbo",
        lambda x, y, eps, encode, decode: (
            torch.distributions.Bernoulli(probs=outputs(*encode(x, y), eps, lambda z: decode(z, y)))
            .log_prob(x)
            .sum(-1)
            .logsumexp(0)
            - math.log(len(eps))
            - gaussian_kl(*encode(x, y))
        ),
        "the log of the mean instead of the mean of the logs",
    ),
    ("conditional_elbo", by_samples, "the KL by samples, too"),
    (
        "conditional_elbo",
        lambda x, y, eps, encode, decode: (
            conditional_elbo_by_torch_distributions(x, y.flip(0), eps, encode, decode) - 1
        ),
        None,
    ),
    (
        "with_label",
        lambda features, y, C: torch.cat([features, functional.one_hot(y)], 1),
        "as wide as this batch's highest label",
    ),
    (
        "with_label",
        lambda features, y, C: torch.cat([features, torch.eye(int(y.max()) + 1)[y]], 1),
        "as wide as this batch's highest label",
    ),
    ("with_label", lambda features, y, C: torch.cat([features, torch.eye(10)[y]], 1), "always ten columns"),
    (
        "with_label",
        lambda features, y, C: torch.hstack([features, functional.one_hot(y, num_classes=10)]),
        "always ten columns",
    ),
    ("with_label", lambda features, y, C: torch.column_stack([features, y]), "the label as one number"),
    (
        "with_label",
        lambda features, y, C: torch.cat([torch.eye(C)[y], features], 1),
        "the label in front of the features",
    ),
    ("with_label", lambda features, y, C: torch.cat([features, torch.eye(C + 1)[y]], 1), "one column too many"),
    ("with_label", lambda features, y, C: torch.cat([features, torch.eye(C).roll(1, 1)[y]], 1), None),
    (
        "with_label",
        lambda features, y, C: torch.cat([features, torch.eye(C).roll(-1, 1)[y]], 1),
        "classes counted from 1",
    ),
    (
        "advantage",
        lambda log_px, log_px_y, log_py, y: ((log_px_y.exp() @ log_py.exp()) / log_px.exp()).log(),
        "exponentiated first",
    ),
    (
        "advantage",
        lambda log_px, log_px_y, log_py, y: (log_px_y.exp() @ log_py.exp() + 1e-30).log() - log_px,
        "exponentiated first",
    ),
    ("advantage", lambda log_px, log_px_y, log_py, y: log_px_y.exp().sum(1).log() - log_px, "exponentiated first"),
    (
        "advantage",
        lambda log_px, log_px_y, log_py, y: log_px_y.gather(1, y[:, None])[:, 0] - log_px,
        "log p(x|y) compared with log p(x)",
    ),
    (
        "advantage",
        lambda log_px, log_px_y, log_py, y: (log_px_y + log_py).gather(1, y[:, None])[:, 0] - log_px,
        "log p(x, y) compared with log p(x)",
    ),
    (
        "advantage",
        lambda log_px, log_px_y, log_py, y: log_px_y @ log_py.exp() - log_px,
        "the mean of log p(x|y) instead of the log of the mean",
    ),
    (
        "advantage",
        lambda log_px, log_px_y, log_py, y: (log_px_y - math.log(len(log_py))).logsumexp(1) - log_px,
        "each class counts the same",
    ),
    ("advantage", lambda log_px, log_px_y, log_py, y: log_px_y.max(1).values - log_px, "the best class's p(x|y)"),
    ("advantage", lambda log_px, log_px_y, log_py, y: log_px - (log_px_y + log_py).logsumexp(1), "the wrong sign"),
    ("advantage", lambda log_px, log_px_y, log_py, y: (log_px_y + log_py).logsumexp(1) - log_px + 0.1, None),
    (
        "advantage",
        lambda log_px, log_px_y, log_py, y: log_px - log_px_y.gather(1, y[:, None]).squeeze(1),
        "log p(x|y) compared with log p(x), and the wrong sign",
    ),
    (
        "advantage",
        lambda log_px, log_px_y, log_py, y: (log_px_y[torch.arange(len(y)), y] - log_px).mean(),
        "log p(x|y) compared with log p(x), and the mean over the images",
    ),
    (
        "advantage",
        lambda log_px, log_px_y, log_py, y: log_px_y[range(len(y)), y] - log_px - math.log(len(log_py)),
        "log p(x|y) compared with log p(x), less log C",
    ),
    (
        "advantage",
        lambda log_px, log_px_y, log_py, y: log_px_y.gather(1, y[:, None]) - log_px,
        "log p(x|y) compared with log p(x) of every image",
    ),
    (
        "advantage",
        lambda log_px, log_px_y, log_py, y: (log_px_y[:, y].T - log_px).T,
        "log p(x|y) with the labels of all images",
    ),
    (
        "advantage",
        lambda log_px, log_px_y, log_py, y: ((log_px_y + 950).exp() @ log_py.exp()).log() - 950 - log_px,
        "one shift for all images",
    ),
    (
        "advantage",
        lambda log_px, log_px_y, log_py, y: (
            ((log_px_y.double() + 950).exp() @ log_py.double().exp()).log() - 950 - log_px
        ),
        "one shift for all images",
    ),
    (
        "advantage",
        lambda log_px, log_px_y, log_py, y: (
            (log_px_y - log_px_y.mean() + log_py).exp().sum(1).log() + log_px_y.mean() - log_px
        ),
        "one shift for all images",
    ),
    (
        "advantage",
        lambda log_px, log_px_y, log_py, y: (
            (log_px_y.double() - log_px_y.mean() + log_py).exp().sum(1).log() + log_px_y.mean() - log_px
        ),
        "one shift for all images",
    ),
    (
        "advantage",
        lambda log_px, log_px_y, log_py, y: (
            ((log_px_y - log_px_y.max() + log_py).exp().sum(1) + 1e-30).log() + log_px_y.max() - log_px
        ),
        None,
    ),
    ("advantage", lambda log_px, log_px_y, log_py, y: torch.zeros(len(y)), None),
    (
        "information_bound",
        lambda log_probs, y: math.log(log_probs.shape[1]) - functional.nll_loss(log_probs, y),
        "log C instead of H(y)",
    ),
    (
        "information_bound",
        lambda log_probs, y: math.log(10) - functional.nll_loss(log_probs, y),
        "log 10 instead of H(y)",
    ),
    (
        "information_bound",
        lambda log_probs, y: math.log(len(set(y.tolist()))) - functional.nll_loss(log_probs, y),
        "the log of the number of classes that occur instead of H(y)",
    ),
    ("information_bound", lambda log_probs, y: functional.nll_loss(log_probs, y), "the cross-entropy alone"),
    (
        "information_bound",
        lambda log_probs, y: -functional.cross_entropy(log_probs, y),
        "minus the cross-entropy, without H(y)",
    ),
    (
        "information_bound",
        lambda log_probs, y: (
            -(y.bincount() / len(y) * (y.bincount() / len(y)).log()).sum() - functional.nll_loss(log_probs, y)
        ),
        "0 · log 0 gives NaN",
    ),
    (
        "information_bound",
        lambda log_probs, y: (
            torch.distributions.Categorical(logits=log_probs.exp().mean(0).log()).entropy()
            - functional.nll_loss(log_probs, y)
        ),
        "the entropy of the mean prediction instead of H(y)",
    ),
    (
        "information_bound",
        lambda log_probs, y: (
            torch.special.entr(y.bincount() / len(y)).sum()
            - torch.distributions.Categorical(logits=log_probs).entropy().mean()
        ),
        "the entropy of the predictions instead of the cross-entropy",
    ),
    (
        "information_bound",
        lambda log_probs, y: max(0, float(bound_by_torch_distributions(log_probs, y))),
        "cut off at 0",
    ),
    ("information_bound", lambda log_probs, y: bound_by_torch_distributions(log_probs, y) ** 2, None),
    (
        "class_posterior",
        lambda log_w, log_py: (
            log_w.exp().mean(0) * log_py.exp() / (log_w.exp().mean(0) @ log_py.exp())[:, None]
        ).log(),
        "exponentiated first",
    ),
    (
        "class_posterior",
        lambda log_w, log_py: (log_w.double().exp().sum(0) * log_py.exp()).log(),
        "exponentiated first",
    ),
    (
        "class_posterior",
        lambda log_w, log_py: ((log_w.exp().mean(0) + 1e-30).log() + log_py).log_softmax(1),
        "the same answer for each image",
    ),
    (
        "class_posterior",
        lambda log_w, log_py: (log_w.exp().mean(0) + 1e-30).log().log_softmax(1),
        "the same answer for each image",
    ),
    (
        "class_posterior",
        lambda log_w, log_py: log_w.log_softmax(0).logsumexp(0) + log_py,
        "the same answer for each image",
    ),
    (
        "class_posterior",
        lambda log_w, log_py: (log_w.log_softmax(0) + log_py).mean(0),
        "normalised over z instead of y, averaged, and p(y) added",
    ),
    (
        "class_posterior",
        lambda log_w, log_py: (log_w.log_softmax(0) + log_py).mean(0).log_softmax(1),
        "normalised over z, averaged, and normalised over y",
    ),
    (
        "class_posterior",
        lambda log_w, log_py: (log_w + log_py).log_softmax(0).sum(0),
        "normalised over z instead of y, and summed",
    ),
    (
        "class_posterior",
        lambda log_w, log_py: log_w.log_softmax(0).mean(0),
        "normalised over z instead of y, and averaged",
    ),
    (
        "class_posterior",
        lambda log_w, log_py: torch.log_softmax(log_w.sum(0) / len(log_w), 1),
        "p(y) is forgotten, and the mean of the logs",
    ),
    (
        "class_posterior",
        lambda log_w, log_py: torch.log_softmax(log_w.max(0).values, 1),
        "p(y) is forgotten, and the largest weight only",
    ),
    (
        "class_posterior",
        lambda log_w, log_py: torch.log_softmax(log_py.exp() * torch.logsumexp(log_w, 0), 1),
        "p(y) multiplies the logs",
    ),
    (
        "class_posterior",
        lambda log_w, log_py: ((log_w + 950).exp().mean(0).log() - 950 + log_py).log_softmax(1),
        "one shift for all images",
    ),
    (
        "class_posterior",
        lambda log_w, log_py: ((log_w - log_w.mean()).exp().mean(0).log() + log_w.mean() + log_py).log_softmax(1),
        "one shift for all images",
    ),
    (
        "class_posterior",
        lambda log_w, log_py: ((log_w.double() - log_w.mean()).exp().mean(0).log() + log_py).log_softmax(1),
        "one shift for all images",
    ),
    (
        "class_posterior",
        lambda log_w, log_py: (
            (log_w - log_w.amax((0, 1))).exp().mean(0).log() + log_w.amax((0, 1)) + log_py
        ).log_softmax(1),
        "one shift for all images",
    ),
    (
        "class_posterior",
        lambda log_w, log_py: (((log_w - log_w.max()).exp().mean(0) + 1e-30).log() + log_py).log_softmax(1),
        None,
    ),
    ("class_posterior", lambda log_w, log_py: log_w.log_softmax(0), "normalised over z instead of y"),
    ("class_posterior", lambda log_w, log_py: log_w.logsumexp(0).log_softmax(-1), "p(y) is forgotten"),
    (
        "class_posterior",
        lambda log_w, log_py: (log_w.mean(0) + log_py).log_softmax(-1),
        "the mean of the logs instead of the log of the mean",
    ),
    ("class_posterior", lambda log_w, log_py: log_w.logsumexp(0) - math.log(len(log_w)) + log_py, "not normalised"),
    (
        "class_posterior",
        lambda log_w, log_py: (log_w + log_py).softmax(-1).mean(0).log(),
        "the mean of the single draws' posteriors",
    ),
    (
        "class_posterior",
        lambda log_w, log_py: (log_w.logsumexp(0) + log_py).softmax(-1),
        "the probabilities instead of their logs",
    ),
    ("class_posterior", lambda log_w, log_py: (log_w.median(0).values + log_py).log_softmax(-1), None),
    (
        "in_all_classes",
        lambda x, y, encode, decode, C: torch.stack([decode(encode(x, y)[0], y)] * C, 1),
        "drawn with the digit's own label",
    ),
    (
        "in_all_classes",
        lambda x, y, encode, decode, C: torch.stack(
            [decode(encode(x, torch.full_like(y, c))[0], torch.full_like(y, c)) for c in range(C)], 1
        ),
        "encoded with the label to be drawn",
    ),
    (
        "in_all_classes",
        lambda x, y, encode, decode, C: torch.stack([decode(encode(x, y)[0], torch.full_like(y, c)) for c in range(C)]),
        "the first two axes exchanged",
    ),
    (
        "in_all_classes",
        lambda x, y, encode, decode, C: torch.stack([decode(encode(x)[0], torch.full_like(y, c)) for c in range(C)], 1),
        "no label for the encoder",
    ),
    (
        "in_all_classes",
        lambda x, y, encode, decode, C: decode(encode(x, y)[0][:, None]),
        "no label for the decoder, and one image instead of C",
    ),
    (
        "in_all_classes",
        lambda x, y, encode, decode, C: decode(encode(x)[0][:, None]),
        "no label at all, and one image instead of C",
    ),
    (
        "in_all_classes",
        lambda x, y, encode, decode, C: torch.stack([decode(encode(x)[0], y) for _ in range(C)], 1),
        "no label for the encoder, and only the digit's own for the decoder, C times",
    ),
    (
        "in_all_classes",
        lambda x, y, encode, decode, C: torch.stack(
            [decode(encode(x, torch.full_like(y, c))[0], y) for c in range(C)], 1
        ),
        "encoded with every label, and drawn with the digit's own",
    ),
    (
        "in_all_classes",
        lambda x, y, encode, decode, C: drawn_one_by_one(x, y, encode, decode, 10),
        "always ten classes",
    ),
    (
        "in_all_classes",
        lambda x, y, encode, decode, C: drawn_one_by_one(x, y, encode, decode, C).round(),
        "black and white instead of probabilities",
    ),
    ("in_all_classes", lambda x, y, encode, decode, C: drawn_one_by_one(x, y, encode, decode, C).flip(1), None),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "answer", "mistake"), WRONG)
def test_a_mistake_is_recognised_in_other_words_too(name, answer, mistake):
    named(BY_NAME[name], answer, mistake)


# --- stubs -----------------------------------------------------------------------------------------------------------


def dots(*_): ...


def nothing(*_):
    pass


def not_implemented(*_):
    raise NotImplementedError("your turn")


@pytest.mark.parametrize("number", EXERCISES)
@pytest.mark.parametrize(
    "stub",
    [None, ..., dots, nothing, not_implemented, lambda *_: None, lambda *_: ...],
    ids=["None", "...", "dots", "pass", "NotImplementedError", "lambda None", "lambda ..."],
)
def test_a_stub_is_not_attempted_yet(number, stub):
    assert check(number, stub) == Verdict(None, None, f"… Exercise {number}: not attempted yet.")


def test_a_stub_whose_source_cannot_be_read_is_not_attempted_yet():
    cell = {}
    exec("def stub(*_):\n    raise NotImplementedError", cell)
    assert check(FUNCTIONS[0], cell["stub"]).passed is None


def unsupported(x):
    return x.long().softmax(1)


def test_an_operation_that_torch_does_not_implement_is_an_attempt():
    verdict = check(BY_NAME["my_entropy"], unsupported)
    assert verdict.passed is False and "NotImplementedError" in verdict.message


# --- what the student's code raises ----------------------------------------------------------------------------------


def misspelled(x, y):
    z = x + y
    return z.summ(1)


def deep(x, y):
    return torch.linalg.inv(x[:, :1])  # not square


def helper(x):
    return x.nowhere


def with_helper(x, y):
    first = x.sum(1)
    return first + helper(x)


class Callable:
    def __call__(self, x, y):
        return x.nothing_like_it


def three(k, x, y):
    return x.nothing_at_all


@pytest.mark.parametrize(
    ("answer", "error", "line"),
    [
        (misspelled, "AttributeError", "return z.summ(1)"),
        (deep, "LinAlgError|RuntimeError", "return torch.linalg.inv(x[:, :1])  # not square"),
        (with_helper, "AttributeError", "return x.nowhere"),
        (lambda x, y: x @ y, "RuntimeError", "(lambda x, y: x @ y,"),
        (Callable(), "AttributeError", "return x.nothing_like_it"),
        (functools.partial(three, 1), "AttributeError", "return x.nothing_at_all"),
        (Callable().__call__, "AttributeError", "return x.nothing_like_it"),
    ],
    ids=["function", "inside torch", "helper", "lambda", "object", "partial", "method"],
)
def test_an_exception_is_shown_short_with_the_students_own_line(answer, error, line):
    verdict = check(BY_NAME["my_cross_entropy"], answer)
    assert verdict.passed is False and verdict.mistake is None
    first, _, second = verdict.message.partition("\n")
    assert any(f"your code raised {name}: " in first for name in error.split("|"))
    assert second.strip().startswith("line ") and line in second and "\n" not in second


@pytest.mark.parametrize(
    ("answer", "raising", "below", "line"),
    [
        (misspelled, misspelled, 2, "return z.summ(1)"),
        (with_helper, helper, 1, "return x.nowhere"),
    ],
    ids=["in the function", "in a helper"],
)
def test_the_line_number_is_that_of_the_line(answer, raising, below, line):
    number = raising.__code__.co_firstlineno + below
    assert f"line {number}: {line}" in check(BY_NAME["my_cross_entropy"], answer).message


@pytest.mark.parametrize("answer", [lambda: 1, lambda x: x, lambda x, y, z: x, (1).__add__, dict])
def test_a_function_that_cannot_be_called_as_asked_is_reported(answer):
    verdict = check(BY_NAME["my_cross_entropy"], answer)
    assert verdict.passed is False and "Error" in verdict.message


def test_an_empty_exception_is_reported():
    def silent(x, y):
        raise ValueError

    assert "your code raised ValueError: no message" in check(BY_NAME["my_cross_entropy"], silent).message


def test_ctrl_c_is_not_swallowed():
    def interrupted(x, y):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check(BY_NAME["my_cross_entropy"], interrupted)


# --- answers of the wrong kind ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", FUNCTIONS)
@pytest.mark.parametrize(
    "value", [3.0, torch.ones(3), "cross_entropy", [1, 2]], ids=["number", "tensor", "text", "list"]
)
def test_a_value_where_a_function_is_asked(number, value):
    verdict = check(number, value)
    assert verdict.passed is False and verdict.mistake is None
    assert "it asks for a function; got" in verdict.message and "without calling it" in verdict.message


@pytest.mark.parametrize(
    "result",
    ["text", {"loss": 1}, object(), [1.0, [2.0, 3.0]], [None, None]],
    ids=["text", "dict", "object", "ragged", "list of None"],
)
def test_a_result_that_is_no_number_is_named(result):
    verdict = check(BY_NAME["my_cross_entropy"], lambda x, y: result)
    assert verdict.passed is False and "the result must be a number, an array or a tensor; got" in verdict.message


def test_a_text_is_not_a_number():
    verdict = check(NUMBERS[0], "87")
    assert verdict.passed is False and "got '87'" in verdict.message


@pytest.mark.parametrize("number", ["9.9", "1.99", "", 1.2, None])
def test_an_unknown_exercise_lists_the_known_ones(number):
    with pytest.raises(ValueError, match=f"no exercise {number!r}: give one of the texts '1.1', '1.2'"):
        check(number, 1)


# --- the engine ------------------------------------------------------------------------------------------------------

SUM = Exercise(
    prompt="The sum.",
    reference=lambda x: x.sum(),
    mistakes={"the mean": lambda x: x.mean()},
    why={"the mean": "Do not divide."},
    inputs=lambda size, g: (torch.arange(float(size)).double() + 0.5,),
)


def test_a_verdict_shows_itself():
    verdict = check("1.1", None)
    assert repr(verdict) == verdict.message


def test_the_smallest_failing_input_is_shown():
    verdict = mark("0.1", SUM, lambda x: x.sum() if len(x) < 3 else x.sum() + 1)
    assert (verdict.passed, verdict.mistake) == (False, None)
    assert verdict.message == (
        "✗ Exercise 0.1: not yet. The smallest input that shows it: x = [0.5, 1.5, 2.5]. "
        "Your result: 5.5; expected: 4.5."
    )


def test_a_failing_float_type_is_shown_at_its_size():
    message = mark("0.1", SUM, lambda x: x.sum() if x.dtype == torch.float64 else x.sum() + 1).message
    assert "smallest input that shows it (in float32): x = [0.5]. Your result: 1.5; expected: 0.5." in message


def test_an_unknown_mistake_in_an_exercise_shows_its_smallest_input():
    seen = []

    def wrong(losses, batch_size):
        seen.append((losses, batch_size))
        return 12345.5 if len(losses) > 5 else EXERCISES[BY_NAME["batch_variance"]].reference(losses, batch_size)

    verdict = check(BY_NAME["batch_variance"], wrong)
    losses, batch_size = next((losses, b) for losses, b in seen if len(losses) > 5)
    assert verdict.passed is False and verdict.mistake is None
    shown = str(losses.double().round(decimals=4).tolist())
    wanted = f"The smallest input that shows it: batch = {shown}, N = {batch_size}. Your result: 12345.5;"
    assert wanted in verdict.message


def test_a_result_of_another_shape_is_told_both_shapes():
    message = mark("0.1", SUM, lambda x: torch.stack([x.sum(), x.sum()])).message
    assert "Your result of shape (2,): [0.5, 0.5]; expected of shape (): 0.5." in message


def test_a_large_result_of_another_shape_is_told_both_shapes_once():
    message = mark("0.1", SUM, lambda x: torch.ones(2, 8)).message
    assert "Your result: a tensor of shape (2, 8); expected of shape (): 0.5." in message


def test_large_tensors_are_not_printed():
    big = Exercise(**vars(SUM) | {"inputs": lambda size, g: (torch.ones(13, dtype=torch.float64),)})
    assert "shows it: x = a tensor of shape (13,). Your result: 99;" in mark("0.1", big, lambda x: 99.0).message


def furthest_off(*places):
    """The message for an answer that is ones, as it should, but for other values at some places of a (2, 8) table."""
    table = Exercise(**vars(SUM) | {"reference": lambda x: torch.ones(2, 8), "mistakes": {}})

    def answer(x):
        result = torch.ones(2, 8)
        for place, value in places:
            result[place] = value
        return result[:, None]  # axes of length 1 do not matter

    return mark("0.1", table, answer).message


@pytest.mark.parametrize(
    ("places", "told"),
    [
        ([((0, 5), 0.25)], "at [0, 5]: 0.25 instead of 1."),
        ([((0, 5), 0.25), ((1, 7), 3.0)], "at [1, 7]: 3 instead of 1."),
        ([((0, 5), 0.25), ((1, 0), math.nan)], "at [1, 0]: nan instead of 1."),
        ([((0, 5), 0.25), ((1, 2), -math.inf)], "at [1, 2]: -inf instead of 1."),
        ([((1, 4), 1.00020001)], "at [1, 4]: 1.0002 instead of 1."),
    ],
)
def test_of_a_large_result_the_entry_that_differs_most_is_shown(places, told):
    assert furthest_off(*places).endswith(f"Your result, a tensor of shape (2, 8), is furthest off {told}")


def test_where_nothing_finite_is_expected_the_other_entries_count():
    want = torch.full((13,), -math.inf)
    want[:2] = torch.tensor([math.nan, 2.0])
    table = Exercise(**vars(SUM) | {"reference": lambda x: want.clone(), "mistakes": {}})
    assert "at [1]: 3 instead of 2." in mark("0.1", table, lambda x: want + (want == 2)).message


def test_integers_are_shown_as_integers():
    labels = Exercise(**vars(SUM) | {"inputs": lambda size, g: (torch.arange(2, size + 3),)})
    assert "shows it: x = [2, 3]. Your" in mark("0.1", labels, lambda x: x.sum() + 7).message


def test_inputs_are_fresh_each_time():
    seen = []
    answer = EXERCISES[BY_NAME["my_entropy"]].reference
    for _ in range(2):
        check(BY_NAME["my_entropy"], lambda x: seen.append(x) or answer(x))
    first, second = seen[:10], seen[10:]
    assert len(second) == 10 and not any(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_several_sizes_and_both_float_types_are_tried_smallest_first():
    seen = []
    check("1.1", lambda x, y: seen.append((x.numel(), x.dtype)) or torch.zeros(len(x)))
    sizes = [size for size, _ in seen[:10]]  # one call more finds out whether the answer repeats itself
    assert sizes == sorted(sizes) and len(set(sizes)) == 5
    assert all({dtype for s, dtype in seen if s == size} == {torch.float32, torch.float64} for size in sizes)


def test_an_answer_that_is_right_in_one_float_type_only_is_wrong():
    reference = EXERCISES["1.1"].reference
    factors = {torch.float32: 1.01, torch.float64: 1.0}
    assert check("1.1", lambda x, x_hat: reference(x, x_hat) * factors[x.dtype]).passed is False


def test_an_answer_may_change_its_arguments():
    def greedy(x, x_hat):
        result = EXERCISES["1.1"].reference(x, x_hat)
        x.zero_()
        x_hat.zero_()
        return result

    right("1.1", greedy, times=3)


def test_a_fixed_case_does_not_pass():
    x, x_hat = draw("1.1")
    constant = EXERCISES["1.1"].reference(x, x_hat)
    assert check("1.1", lambda *_: constant).passed is False


def test_the_callers_random_state_is_untouched():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    check("1.1", EXERCISES["1.1"].reference)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("factor", "passed"), [(1 + 1e-5, True), (1 - 1e-5, True), (1.001, False), (0.999, False)])
def test_the_tolerance_is_one_in_ten_thousand(factor, passed):
    for number in FUNCTIONS:
        reference = EXERCISES[number].reference
        assert check(number, lambda *a, r=reference: factor * r(*a)).passed is passed


def test_nan_is_not_a_right_answer():
    for number in FUNCTIONS:
        reference = EXERCISES[number].reference
        assert check(number, lambda *a, r=reference: math.nan * r(*a)).passed is False


def test_a_verdict_is_true_only_when_the_answer_is_right():
    number = BY_NAME["my_memory"]
    assert check(number, EXERCISES[number].reference)
    assert not check(number, lambda x, stored: x) and not check(number, None)


def test_a_complex_result_is_named():
    verdict = check(BY_NAME["pca_loss"], lambda covariance, K: torch.linalg.eigvals(covariance)[K:].sum())
    assert verdict.passed is False and "the result is complex" in verdict.message


@pytest.mark.parametrize("number", EXERCISES)
def test_an_exercise_prints_its_prompt(number):
    assert repr(EXERCISES[number]) == EXERCISES[number].prompt


# --- stubs, random answers, counterexamples --------------------------------------------------------------------------


def forgot_the_return(x, u, level):
    x * (u >= level)


def only_a_docstring(x, u, level):
    """To do."""


def passes(x, u, level):
    pass


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (forgot_the_return, True),
        (only_a_docstring, False),
        (passes, False),
        (lambda x, u, level: ..., False),
        (lambda x, u, level: None, False),
    ],
)
def test_a_missing_return_is_told_from_a_stub(answer, hint):
    verdict = check(BY_NAME["mask_with"], answer)
    assert verdict.passed is None and ("is the `return` missing?" in verdict.message) == hint


def test_dropout_is_recognised_though_it_draws_its_own_random_numbers():
    named(BY_NAME["mask_with"], lambda x, u, level: functional.dropout(x, level), "rescaled as dropout does")


@pytest.mark.parametrize(
    "answer",
    [
        lambda x, u, level: torch.where(torch.rand_like(x) < level, 1.0, x),
        lambda x, u, level: x * (torch.rand_like(x) >= level),
    ],
)
def test_an_answer_with_random_numbers_of_its_own_is_told_so(answer):
    verdict = check(BY_NAME["mask_with"], answer)
    assert verdict.passed is False and "draws random numbers of its own" in verdict.message


def test_a_counterexample_names_its_arguments_and_rounds_its_numbers():
    message = check(BY_NAME["denoising_objective"], lambda x, x_tilde, r: 7.0).message
    assert "x = [[" in message and "x_tilde = " in message and "r = the function restore. Your" in message
    message = check(BY_NAME["softmax_memory"], lambda x_tilde, images, sigma: 7.0).message
    sigma = message.partition("sigma = ")[2].partition(". Your")[0]
    assert len(sigma) <= 6 and 0.3 <= float(sigma) <= 0.7


def test_a_counterexample_of_notebook_3_names_the_decoder_and_the_numbers():
    message = check(BY_NAME["elbo_from_noise"], lambda *arguments: 7.0).message
    assert "decode = the function decode. Your result" in message
    message = check(BY_NAME["implied_sigma"], lambda a, b: 7.0).message
    a, b = (float(message.partition(f"{name} = ")[2].split()[0].strip(",.")) for name in "ab")
    assert 0.3 <= a <= 4 and 0.3 <= b <= 4


def test_noise_of_its_own_is_told_so():
    verdict = check(
        BY_NAME["elbo_from_noise"],
        lambda x, mu, log_var, eps, decode: elbo_by_torch_distributions(x, mu, log_var, torch.randn_like(eps), decode),
    )
    assert verdict.passed is False and "draws random numbers of its own" in verdict.message


def test_noise_of_its_own_is_told_so_in_notebook_4_too():
    verdict = check(
        BY_NAME["in_all_classes"],
        lambda x, y, encode, decode, C: drawn_one_by_one(
            x, y, lambda *pair: [encode(*pair)[0] + torch.randn_like(encode(*pair)[0])], decode, C
        ),
    )
    assert verdict.passed is False and "draws random numbers of its own" in verdict.message


def test_a_counterexample_of_notebook_4_names_the_networks():
    message = check(BY_NAME["conditional_elbo"], lambda *arguments: 7.0).message
    assert "encode = the function encode, decode = the function decode. Your result" in message
