"""The exercises one by one: each reference against something independent, its inputs, and answers of every style."""

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
from aetutor.exercises import EXERCISES, check
from aetutor.exercises.notebook_01 import mnist_eigenvalues, mnist_pca
from aetutor.exercises.notebook_04 import _networks
from aetutor.models import CVAE
from aetutor.objectives import denoising_loss, elbo, gaussian_kl, importance_weighted_bound
from aetutor.verify import to_tensor

SIZES = (1, 2, 3, 5, 8)
BY_NAME = {exercise.reference.__name__: number for number, exercise in EXERCISES.items() if exercise.inputs}


def reference(name):
    return EXERCISES[BY_NAME[name]].reference


def draw(name, size=4, seed=0):
    return EXERCISES[BY_NAME[name]].inputs(size, torch.Generator().manual_seed(seed))


def agrees(name, oracle, size=6):
    for seed in range(5):
        arguments = draw(name, size, seed)
        result = to_tensor(reference(name)(*arguments))
        torch.testing.assert_close(result, torch.as_tensor(oracle(*arguments)), rtol=1e-10, atol=1e-10)


def gaussian(mean, sigma):
    return torch.distributions.Independent(GaussianPixels(mean, sigma), 3)


# --- notebook 01 -----------------------------------------------------------------------------------------------------


def test_cross_entropy_of_large_logits_is_right_in_numbers_that_do_not_overflow():
    def by_decimals(a, x):
        """log(1 + exp(a)) - x a, with exponents of any size."""
        decimal.getcontext().prec = 200
        logs = [[float((decimal.Decimal(one).exp() + 1).ln()) for one in row] for row in a.tolist()]
        return (torch.tensor(logs, dtype=torch.float64) - x * a).sum(1)

    agrees("cross_entropy_from_logits", by_decimals)


def test_cross_entropy_is_right_in_float32():
    for seed, size in itertools.product(range(20), SIZES):
        a, x = draw("cross_entropy_from_logits", size, seed)
        right, single = (
            reference("cross_entropy_from_logits")(a.to(t), x.to(t)) for t in (torch.float64, torch.float32)
        )
        torch.testing.assert_close(single.double(), right, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_trial_of_the_cross_entropy_meets_a_logit_that_a_sigmoid_loses(dtype):
    for seed, size in itertools.product(range(50), SIZES):
        a, x = (tensor.to(dtype) for tensor in draw("cross_entropy_from_logits", size, seed))
        assert (a.sigmoid() == 1).any() and a.abs().max() <= 200 and (a.float().exp().isinf()).any()
        assert ((x >= 0) & (x <= 1)).all() and len(a) != a.shape[1]


def test_without_a_code_the_mean_image_is_best():
    def losses(x, images):
        return torch.stack(
            [functional.binary_cross_entropy(image.expand_as(x), x, reduction="none").sum(1).mean() for image in images]
        )

    agrees("loss_without_a_code", lambda x: losses(x, [x.mean(0)])[0])
    for seed in range(5):
        (x,) = draw("loss_without_a_code", 5, seed)
        noise = 0.1 * torch.randn(50, x.shape[1], generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        others = losses(x, (x.mean(0) + noise).clamp(1e-3, 1 - 1e-3))
        assert (others > reference("loss_without_a_code")(x)).all()
        assert (x[:, 0] == 0).all() and (x[:, 1] == 1).all() and ((x.mean(0) > 0.01) & (x.mean(0) < 0.99)).any()


def gradient_by_autograd(V, c, z, x):
    V = V.clone().requires_grad_()
    functional.binary_cross_entropy_with_logits(z @ V.T + c, x, reduction="sum").div(len(x)).backward()
    return V.grad


def test_decoder_gradient_is_autograds():
    agrees("decoder_gradient", gradient_by_autograd)


def pca_in_numpy(train, x, K):
    train, x = train.numpy(), x.numpy()
    rows = np.linalg.svd(train - train.mean(0))[2][:K]
    return (x - train.mean(0)) @ rows.T @ rows + train.mean(0)


def test_pca_is_numpys():
    agrees("pca_reconstruct", pca_in_numpy)


def test_pca_has_the_smallest_error_of_random_projections():
    train, _, K = draw("pca_reconstruct", 6)
    best = (train - reference("pca_reconstruct")(train, train, K)).square().sum()
    centred = train - train.mean(0)
    for seed in range(50):
        axes = torch.linalg.qr(
            torch.randn(train.shape[1], K, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        )[0]
        assert (centred - centred @ axes @ axes.T).square().sum() > best


@pytest.mark.parametrize("size", SIZES)
def test_the_eigenvalues_of_pcas_inputs_are_well_apart(size):
    for seed in range(20):
        train, x, K = draw("pca_reconstruct", size, seed)
        eigenvalues = np.linalg.eigvalsh(np.cov(train.T.numpy(), bias=True))
        assert np.diff(eigenvalues).min() > 0.003 and eigenvalues.min() > 0.009 and eigenvalues.max() < 0.1
        assert 1 <= K < min(train.shape) and len({*train.shape, len(x)}) == 3


def test_memory_is_the_nearest_by_search():
    agrees(
        "my_memory",
        lambda x, stored: torch.stack([min(stored, key=lambda t: math.dist(t.tolist(), one.tolist())) for one in x]),
    )


@pytest.mark.parametrize("norm", [1, math.inf])
def test_in_every_trial_of_the_memory_another_norm_finds_another_image(norm):
    for seed, size in itertools.product(range(50), SIZES):
        x, stored = draw("my_memory", size, seed)
        found = [stored[torch.cdist(x, stored, p=p).argmin(1)] for p in (2, norm)]
        assert not torch.equal(*found) and ((stored >= 0) & (stored <= 1)).all()


def test_batch_variance_is_that_of_all_batches():
    # unbiased: the mean of the estimates of all batches is the variance of all batches' means
    estimate = reference("batch_variance")
    losses = 100 + 30 * torch.randn(8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for size in (2, 3, 7):
        batches = [losses[list(chosen)] for chosen in itertools.combinations(range(8), size)]
        variance = np.var([batch.mean().item() for batch in batches])
        assert np.mean([estimate(batch, 8).item() for batch in batches]) == pytest.approx(variance, rel=1e-12)


def test_the_spread_of_the_losses_is_so_large_that_nothing_cancels():
    for seed, size in itertools.product(range(50), SIZES):
        batch, N = draw("batch_variance", size, seed)
        assert N > len(batch) == size + 1 and batch.std(correction=0) > 0.35 * batch.mean()


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
    eigenvalues, not_centred = spectra
    k = smallest_k(eigenvalues)
    assert EXERCISES["1.5"].reference == k == 87
    assert {mistake.name: mistake.answer for mistake in EXERCISES["1.5"].mistakes} == {
        "counted from zero": k - 1,
        "one too many": k + 1,
        "the smallest eigenvalues are kept": smallest_k(eigenvalues[::-1]),
        "10 % of the pixels": int(0.1 * 784),
        "90 % of the pixels": round(0.9 * 784),
        "the images are not centred": smallest_k(not_centred),
    }


def test_mnists_eigenvalues_are_numpys(spectra):
    np.testing.assert_allclose(mnist_eigenvalues().numpy(), spectra[0], rtol=1e-8, atol=1e-10)
    mean, eigenvalues, components = mnist_pca()
    x = load("mnist").train_x[:500].flatten(1).double() / 255
    assert torch.dist(components.T @ components, torch.eye(784)) < 1e-9
    # the training images' mean squared coordinates along the components are the eigenvalues, roughly for 500 of them
    assert ((x - mean) @ components[:, :3]).square().mean(0) == pytest.approx(eigenvalues[:3], rel=0.2)


@pytest.mark.parametrize(
    "answer",
    [87, 87.0, np.int64(87), np.array(87), torch.tensor(87), torch.tensor([87]), [87], lambda: 87],
    ids=["int", "float", "int64", "array", "tensor", "tensor of one", "list", "function"],
)
def test_a_number_may_come_in_any_form(answer):
    assert check("1.5", answer)


@pytest.mark.parametrize("answer", [12, -87, 0, 87.5, math.nan, math.inf])
def test_another_number_is_wrong_without_a_known_reason(answer):
    verdict = check("1.5", answer)
    assert verdict.passed is False and verdict.mistake is None and verdict.arguments is None
    direction = ": it is larger" if answer < 87 else ": it is smaller" if answer > 87 else ""
    assert verdict.message == f"✗ Exercise 1.5: not yet. {answer:g} is not the number{direction}."


# --- notebook 02 -----------------------------------------------------------------------------------------------------


def test_salt_and_pepper_has_the_variance_of_the_packages_own_draws():
    x = torch.linspace(0, 1, 11).double()
    draws = corruption.salt_and_pepper(x.expand(200_000, -1), 0.3, torch.Generator().manual_seed(0))
    deviations = (draws - draws.mean(0)).square()
    variance = reference("salt_and_pepper_variance")(x, 0.3)
    error = deviations.std(0) / len(draws) ** 0.5
    assert ((deviations.mean(0) - variance).abs() < 4 * error).all() and (error < 0.001).all()


def test_denoising_objective_is_the_packages_loss_less_the_gaussians_constant():
    x, x_tilde, r = draw("denoising_objective", 4)
    model = types.SimpleNamespace(
        encode=lambda images: images,
        decode=lambda z: gaussian(r(z.flatten(-3)).unflatten(-1, (1, 1, -1)), sigma=0.5**0.5),
    )
    each = iter(x_tilde[:, :, None, None])
    loss = denoising_loss(model, x[:, None, None], lambda clean: next(each), samples=len(x_tilde))
    result = reference("denoising_objective")(x, x_tilde, r)
    torch.testing.assert_close(result, loss - x.shape[1] / 2 * math.log(math.pi), rtol=1e-10, atol=1e-10)


def test_posterior_means_minimise_the_expected_squared_error():
    prior, likelihood, images = draw("posterior_means", 5)
    outputs = torch.zeros(likelihood.shape[1], images.shape[1], dtype=torch.float64, requires_grad=True)
    error = (prior[:, None] * likelihood * (images[:, None] - outputs).square().sum(-1)).sum()
    # one Newton step of a quadratic: its Hessian is 2 q(x_tilde) in each of the row's entries
    step = torch.autograd.grad(error, outputs)[0] / (2 * prior @ likelihood)[:, None]
    result = reference("posterior_means")(prior, likelihood, images)
    torch.testing.assert_close(result, (outputs - step).detach())


def memory_by_torch_distributions(x_tilde, images, sigma):
    log_likelihood = torch.distributions.Normal(images, sigma).log_prob(x_tilde[:, None]).sum(-1)
    return [torch.distributions.Categorical(logits=row).probs @ images for row in log_likelihood]


def test_the_memory_is_the_mean_under_bayes_rule():
    agrees("softmax_memory", lambda *arguments: torch.stack(memory_by_torch_distributions(*arguments)))


def test_in_every_trial_of_the_memory_all_weights_of_the_first_image_underflow():
    for seed, size in itertools.product(range(50), SIZES):
        x_tilde, images, sigma = draw("softmax_memory", size, seed)
        weights = (-torch.cdist(x_tilde, images).square() / (2 * sigma**2)).exp()
        assert (weights[0] == 0).all() and (weights[1:].float().sum(1) > 0).all()


def test_the_best_denoiser_of_a_gaussian_is_the_precision_weighted_mean():
    # x ~ N(2, 3²) and x_tilde ~ N(x, σ²), so x_tilde ~ N(2, 3² + σ²)
    x_tilde, sigma = torch.linspace(-4, 8, 12).double().view(6, 2), 0.6
    density = torch.distributions.Normal(2.0, (9 + sigma**2) ** 0.5)
    best = reference("denoise_with")(lambda x: density.log_prob(x).sum(1), x_tilde, sigma)
    torch.testing.assert_close(best, (x_tilde / sigma**2 + 2 / 9) / (1 / sigma**2 + 1 / 9))


# --- notebook 03 -----------------------------------------------------------------------------------------------------


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
    result = reference("log_evidence")(log_px_z, log_p_z, 0.1**2)
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
    result = reference("importance_weighted")(log_px_z, prior.log_prob(z), q_z.log_prob(z))
    torch.testing.assert_close(result, log_px, rtol=1e-10, atol=1e-10)


def test_importance_weighted_is_the_packages_bound():
    log_px_z, _, _ = draw("importance_weighted", 5)  # (S, B)
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
    result = reference("importance_weighted")(log_px_z, log_p_z, q_z.log_prob(z))
    bound = importance_weighted_bound(model, torch.zeros(len(mu), 1, 2, 2), samples=len(z))
    torch.testing.assert_close(result, bound)


def kl_by_torch_distributions(mu, log_var):
    q_z = torch.distributions.Normal(mu, log_var.exp().sqrt())
    return torch.distributions.kl_divergence(q_z, torch.distributions.Normal(0, 1)).sum(1)


def kl_of_normals(mu_q, log_var_q, mu_p, log_var_p):
    q, p = (torch.distributions.Normal(mu, v.exp().sqrt()) for mu, v in ((mu_q, log_var_q), (mu_p, log_var_p)))
    return torch.distributions.kl_divergence(q, p).sum(1)


def test_the_kl_of_two_gaussians_is_torchs_and_to_the_prior_the_packages():
    agrees("kl_of_gaussians", kl_of_normals)
    mu, log_var, *_ = draw("kl_of_gaussians", 5)
    result = reference("kl_of_gaussians")(mu, log_var, 0 * mu, 0 * mu)
    torch.testing.assert_close(result, gaussian_kl(mu, log_var))


def test_the_gap_of_one_of_two_modes_is_the_integral_of_its_log_ratio():
    z = torch.linspace(-20, 20, 40_001).double()
    left, right = (torch.distributions.Normal(mean, 0.5).log_prob(z) for mean in (-8.0, 8.0))
    posterior = torch.logaddexp(left, right) - math.log(2)
    gap = torch.trapezoid(left.exp() * (left - posterior), z)
    assert EXERCISES["3.2"].reference == pytest.approx(gap.item(), abs=1e-8)


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
    x, mu, log_var, eps, decode = draw("elbo_from_noise", 4)
    q_z = diagonal_gaussian(mu, log_var)
    q_z.rsample = lambda shape: mu + log_var.exp().sqrt() * eps
    model = types.SimpleNamespace(
        encode=lambda images, y=None: q_z,
        decode=lambda z, y=None: torch.distributions.Independent(torch.distributions.Bernoulli(probs=decode(z)), 1),
    )
    result = reference("elbo_from_noise")(x, mu, log_var, eps, decode)
    torch.testing.assert_close(result, elbo(model, x, samples=len(eps)).elbo, rtol=1e-10, atol=1e-10)


def test_with_the_implied_sigma_the_loss_is_minus_b_times_the_elbo_up_to_a_constant():
    x, x_hat, kl = (
        torch.rand(9, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        for seed, shape in enumerate([(5,), (5,), ()])
    )
    for seed in range(5):
        a, b = draw("implied_sigma", 1, seed)
        sigma = reference("implied_sigma")(a, b)
        bound = torch.distributions.Normal(x_hat, sigma).log_prob(x).sum(1) - kl
        constant = a * (x - x_hat).square().sum(1) + b * kl + b * bound
        torch.testing.assert_close(constant, constant[:1].expand(9), rtol=1e-10, atol=1e-10)


def test_the_prior_on_the_grid_sums_to_one():
    _, log_p_z, cell = draw("log_evidence", 5)
    assert log_p_z.exp().sum().item() * cell == pytest.approx(1)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8])
def test_no_two_axes_of_notebook_3s_inputs_are_equally_long(size):
    x, mu, _, eps, _decode = draw("elbo_from_noise", size)
    assert len({1, len(x), x.shape[1], mu.shape[1], len(eps)}) == 5
    for name in ("log_evidence", "kl_of_gaussians", "importance_weighted"):
        assert len({1, *draw(name, size)[0].shape}) == 3


# --- notebook 04 -----------------------------------------------------------------------------------------------------


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
    x, y, eps, encode, decode = draw("conditional_elbo", 4)

    def posterior(images, y):
        mu, log_var = encode(images, y)
        q_z = diagonal_gaussian(mu, log_var)
        q_z.rsample = lambda shape: mu + log_var.exp().sqrt() * eps
        return q_z

    model = types.SimpleNamespace(
        encode=posterior,
        decode=lambda z, y: torch.distributions.Independent(torch.distributions.Bernoulli(probs=decode(z, y)), 1),
    )
    result = reference("conditional_elbo")(x, y, eps, encode, decode)
    torch.testing.assert_close(result, elbo(model, x, y, samples=len(eps)).elbo, rtol=1e-10, atol=1e-10)


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
    features, y, _ = draw("with_label", 6)
    result = reference("with_label")(features.float(), y, 10)
    assert torch.equal(result, CVAE()._with_label(features.float(), y)) and result.dtype == torch.float32


def bought_by_torch_distributions(mu, log_var, y, class_mean, class_log_var):
    """Image by image, by the densities of PyTorch."""
    rows = []
    for m, v, label in zip(mu, log_var, y, strict=True):
        q, of_class = (
            torch.distributions.Normal(mean, (log_v / 2).exp())
            for mean, log_v in ((m, v), (class_mean[label], class_log_var[label]))
        )
        kl_to = [torch.distributions.kl_divergence(q, p).sum() for p in (torch.distributions.Normal(0, 1), of_class)]
        rows.append(kl_to[0] - kl_to[1])
    return torch.stack(rows)


def test_the_nats_that_a_class_prior_buys_are_those_of_torchs_distributions():
    agrees("nats_bought", bought_by_torch_distributions)


def test_a_class_prior_equal_to_q_buys_the_whole_kl():
    mu, log_var, *_ = draw("nats_bought", 5)
    y = torch.arange(len(mu))
    torch.testing.assert_close(reference("nats_bought")(mu, log_var, y, mu, log_var), gaussian_kl(mu, log_var))


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
    bound = reference("information_bound")
    for seed in range(5):
        log_probs, y = draw("information_bound", 6, seed)
        torch.testing.assert_close(bound(log_probs, y), bound_by_torch_distributions(log_probs, y), rtol=0, atol=1e-6)


def class_posterior_without_tricks(log_w, log_py):
    rows = []
    for b in range(log_w.shape[1]):
        joint = [decimal.Decimal(log_of_sum(log_w[:, b, c] + log_py[c])).exp() for c in range(len(log_py))]
        rows.append([float((one / sum(joint)).ln()) for one in joint])
    return torch.tensor(rows, dtype=torch.float64)


def test_class_posterior_is_bayes_rule_in_numbers_that_do_not_underflow():
    agrees("class_posterior", class_posterior_without_tricks)


def drawn_one_by_one(x, y, encode, decode, num_classes):
    return torch.stack(
        [torch.stack([decode(encode(x[b], y[b])[0], c) for c in range(num_classes)]) for b in range(len(x))]
    )


def test_in_all_classes_is_drawn_one_by_one():
    agrees("in_all_classes", drawn_one_by_one)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8])
def test_no_two_axes_of_notebook_4s_inputs_are_equally_long(size):
    x, _, eps, encode, _ = draw("conditional_elbo", size)
    assert len({1, *x.shape, *eps.shape}) == 5 and eps.shape[1:] == encode(x)[0].shape
    x, _, encode, _, C = draw("in_all_classes", size)
    assert len({1, *x.shape, encode(x)[0].shape[1], C}) == 5 and C < 10
    features, _y, C = draw("with_label", size)
    assert len({1, *features.shape, C}) == 4 and C < 10
    mu, _, _, class_mean, _ = draw("nats_bought", size)
    assert len({1, *mu.shape, len(class_mean)}) == 4
    assert len({1, *draw("class_posterior", size)[0].shape}) == 4


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8])
def test_a_class_is_missing_where_it_must_show(size):
    for seed in range(50):
        _features, y, C = draw("with_label", size, seed)
        assert (y.max() == C - 1) == (size % 2 == 0) and y.max() >= 2
        log_probs, y = draw("information_bound", size, seed)
        counts = y.bincount(minlength=log_probs.shape[1])
        assert (counts == 0).nonzero().flatten().tolist() == ([1] if size % 2 else []) and len(y) > len(counts)
        assert log_probs.exp().sum(1).allclose(torch.ones(len(y)).double()) and log_probs[0].argmax() != y[0]
        bound = reference("information_bound")(log_probs, y)
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


# --- logs that underflow ---------------------------------------------------------------------------------------------


def test_whatever_one_shift_is_taken_out_of_the_logs_an_image_is_left_for_which_exp_fails():
    for seed, size in itertools.product(range(50), SIZES):
        log_px_z, _, _ = draw("log_evidence", size, seed)
        log_w = sum(sign * part for sign, part in zip((1, 1, -1), draw("importance_weighted", size, seed), strict=True))
        log_w_y, _ = draw("class_posterior", size, seed)
        assert all(logs.max() < -800 for logs in (log_px_z, log_w, log_w_y))  # exp(-746) is 0
        for logs in (log_px_z.T, log_w, log_w_y.amax((0, 2))[None]):  # the images are the last axis
            for shift in (-950.0, logs.max(), logs.min()):
                shifted = (logs - shift).exp()
                assert (shifted == 0).all(0).any() or shifted.isinf().any()


# --- right in other words --------------------------------------------------------------------------------------------


def _mean(x, level):
    return (1 - level) * x + level / 2


def largest_taken_out(logs, axis):
    largest = logs.amax(axis, keepdim=True)
    return (logs - largest).exp().sum(axis).log() + largest.squeeze(axis)


def outputs(mu, log_var, eps, decode):
    return decode(mu + torch.exp(0.5 * log_var) * eps)


def memory_by_loops(x, stored):
    result = torch.empty_like(x)
    for i, one in enumerate(x):
        result[i] = stored[((stored - one) ** 2).sum(1).argmin()]
    return result


def pca_in_place(train, x, K):
    mean = train.mean(0)
    train -= mean
    x -= mean
    components = torch.linalg.svd(train).Vh[:K].T
    x = x @ components @ components.T
    x += mean
    return x


def pca_by_covariance(train, x, K):
    eigenvalues, V = torch.linalg.eigh(train.T.cov())
    V = V[:, eigenvalues.argsort(descending=True)[:K]]
    return (x - train.mean(0)) @ V @ V.T + train.mean(0)


def pca_less_the_discarded(train, x, K):
    V = torch.linalg.eigh(train.T.cov()).eigenvectors[:, : train.shape[1] - K]
    return x - (x - train.mean(0)) @ V @ V.T


def pca_component_by_component(train, x, K):
    mean = train.mean(0)
    rows = torch.linalg.svd(train - mean).Vh[:K]
    return torch.stack([mean + sum(((one - mean) @ row) * row for row in rows) for one in x])


def welford(batch, N):
    mean = squares = 0.0
    for i, loss in enumerate(batch.tolist(), start=1):
        mean, squares = mean + (loss - mean) / i, squares + (loss - mean) ** 2 * (i - 1) / i
    return squares / (len(batch) - 1) / len(batch) * (1 - len(batch) / N)


RIGHT = {
    "cross_entropy_from_logits": [
        lambda a, x: functional.binary_cross_entropy_with_logits(a, x, reduction="none").sum(1),
        lambda a, x: -(x * functional.logsigmoid(a) + (1 - x) * functional.logsigmoid(-a)).sum(1),
        lambda a, x: (a.clamp(min=0) - a * x + torch.log1p(torch.exp(-a.abs()))).sum(1),
        lambda a, x: -torch.distributions.Bernoulli(logits=a, validate_args=False).log_prob(x).sum(1),
        lambda a, x: (torch.logaddexp(a, torch.zeros_like(a)) - a * x).sum(-1, keepdim=True),
        lambda a, x: (np.logaddexp(0, a.numpy()) - a.numpy() * x.numpy()).sum(1),
        lambda a, x: (functional.softplus(-a) + (1 - x) * a).sum(1),
        lambda a, x: functional.softplus(a.double()).sum(1) - torch.einsum("bd,bd->b", a.double(), x.double()),
        lambda a, x: [
            float(sum(max(p, 0) - p * q + math.log1p(math.exp(-abs(p))) for p, q in zip(r, s, strict=True)))
            for r, s in zip(a.tolist(), x.tolist(), strict=True)
        ],
        lambda a, x: functional.softplus(a).sub_(x.mul_(a)).sum(1).requires_grad_(),
    ],
    "loss_without_a_code": [
        lambda x: torch.distributions.Bernoulli(x.mean(0)).entropy().sum(),
        lambda x: functional.binary_cross_entropy(x.mean(0).expand_as(x), x, reduction="none").sum(1).mean(),
        lambda x: functional.binary_cross_entropy(x.mean(0), x.mean(0), reduction="sum"),
        lambda x: -(torch.xlogy(x, x.mean(0)) + torch.xlogy(1 - x, 1 - x.mean(0))).sum() / len(x),
        lambda x: sum(-q * math.log(q) for p in x.double().mean(0).tolist() for q in (p, 1 - p) if q > 0),
        lambda x: -(lambda p: (p * p.log()).nansum() + ((1 - p) * (1 - p).log()).nansum())(x.mean(0)),
        lambda x: -(lambda p: p * (p + 1e-30).log() + (1 - p) * (1 - p + 1e-30).log())(x.mean(0)).sum(),
        lambda x: [float(torch.special.entr(torch.stack([x.mean(0), 1 - x.mean(0)])).sum())],
        lambda x: -(lambda p: p * p.log() + (1 - p) * (1 - p).log())(x.double().mean(0).clamp(1e-12, 1 - 1e-12)).sum(),
        lambda x: np.sum([-p * np.log(np.where(p > 0, p, 1)) for p in (x.numpy().mean(0), 1 - x.numpy().mean(0))]),
    ],
    "decoder_gradient": [
        gradient_by_autograd,
        lambda V, c, z, x: torch.einsum("bd,bk->dk", torch.sigmoid(z @ V.T + c) - x, z) / len(x),
        lambda V, c, z, x: ((torch.sigmoid(functional.linear(z, V, c)) - x)[:, :, None] * z[:, None]).mean(0),
        lambda V, c, z, x: (1 / (1 + np.exp(-(z @ V.T + c).numpy())) - x.numpy()).T @ z.numpy() / len(z),
        lambda V, c, z, x: (z.T @ (torch.sigmoid(z @ V.T + c) - x)).T / x.shape[0],
        lambda V, c, z, x: (V @ z.T).add_(c[:, None]).sigmoid_().sub_(x.T).matmul(z).div_(len(z)),
        lambda V, c, z, x: ((0.5 * (1 + torch.tanh((V @ z.T + c[:, None]) / 2)) - x.T) @ z / len(z)).tolist(),
        lambda V, c, z, x: (
            sum(torch.outer(torch.sigmoid(V @ p + c) - q, p) for p, q in zip(z, x, strict=True)) / len(x)
        ),
        lambda V, c, z, x: torch.func.grad(
            lambda W: functional.binary_cross_entropy_with_logits(z @ W.T + c, x, reduction="sum") / len(x)
        )(V),
        lambda V, c, z, x: gradient_by_autograd(V.double(), c.double(), z.double(), x.double()).float(),
    ],
    "my_memory": [
        memory_by_loops,
        lambda x, stored: stored[((x[:, None] - stored) ** 2).sum(-1).argmin(1)],
        lambda x, stored: [stored[(stored - one).norm(dim=1).argmin()].tolist() for one in x],
        lambda x, stored: stored.numpy()[np.linalg.norm(x.numpy()[:, None] - stored.numpy(), axis=2).argmin(1)],
        lambda x, stored: stored[torch.cdist(x, stored).min(1).indices],
        lambda x, stored: stored[torch.cdist(x, stored).topk(1, largest=False).indices[:, 0]],
        lambda x, stored: stored[(stored.square().sum(1) - 2 * x @ stored.T).argmin(1)],
        lambda x, stored: functional.one_hot(torch.cdist(x, stored).argmin(1), len(stored)).to(stored) @ stored,
        lambda x, stored: stored.index_select(0, torch.cdist(x, stored).argsort(1)[:, 0]),
        lambda x, stored: torch.stack([min(stored, key=lambda t: float((t - one).square().sum())) for one in x]),
    ],
    "pca_reconstruct": [
        pca_in_numpy,
        pca_in_place,
        pca_by_covariance,
        pca_less_the_discarded,
        pca_component_by_component,
        lambda train, x, K: pca_in_numpy(train.double(), x.double(), K),
        lambda train, x, K: (lambda m, V: m + torch.einsum("bd,dk,ek->be", x - m, V, V))(
            train.mean(0), torch.linalg.svd(train - train.mean(0)).Vh.T[:, :K]
        ),
        lambda train, x, K: (lambda m, V: (V @ torch.linalg.lstsq(V, (x - m).T).solution).T + m)(
            train.mean(0), torch.linalg.svd(train - train.mean(0)).Vh[:K].T.contiguous()
        ),
        lambda train, x, K: (lambda m, V: (x - m) @ (V @ V.T) + m)(
            train.mean(0), torch.linalg.eigh(train.T.cov()).eigenvectors.flip(1)[:, :K]
        ),
        lambda train, x, K: pca_component_by_component(train, x, K).tolist(),
    ],
    "batch_variance": [
        # the one that cancels where the losses are close
        lambda batch, N: ((batch**2).mean() - batch.mean() ** 2) / (len(batch) - 1) * (N - len(batch)) / N,
        welford,
        lambda batch, N: batch.var() * (1 / len(batch) - 1 / N),
        lambda batch, N: np.var(batch.numpy(), ddof=1) / len(batch) * (1 - len(batch) / N),
        lambda batch, N: float(((batch - batch.mean()) ** 2).sum() / (len(batch) - 1) * (1 / len(batch) - 1 / N)),
        lambda batch, N: (batch.std() ** 2 / len(batch) * (1 - len(batch) / N)).view(1, 1),
        lambda batch, N: torch.cov(batch) / len(batch) * (N - len(batch)) / N,
        lambda batch, N: (batch[:, None] - batch).square().mean() / 2 / (len(batch) - 1) * (N - len(batch)) / N,
        lambda batch, N: batch.var(correction=0) / (len(batch) - 1) * (N - len(batch)) / N,
        lambda batch, N: [
            batch.sub_(batch.mean()).double().square().sum() / (len(batch) - 1) * (1 / len(batch) - 1 / N)
        ],
    ],
    "salt_and_pepper_variance": [
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
    "denoise_with": [
        lambda f, x, sigma: x + sigma**2 * torch.func.vmap(torch.func.grad(lambda row: f(row[None])[0]))(x),
        lambda f, x, sigma: torch.stack(
            [row + sigma**2 * torch.autograd.functional.jacobian(lambda z: f(z[None])[0], row) for row in x]
        ),
    ],
    "log_evidence": [
        lambda log_px_z, log_p_z, cell: torch.logsumexp(log_px_z + log_p_z[None] + math.log(cell), -1, keepdim=True),
        lambda log_px_z, log_p_z, cell: np.logaddexp.reduce((log_px_z + log_p_z).numpy(), axis=1) + np.log(cell),
        lambda log_px_z, log_p_z, cell: largest_taken_out(log_px_z + log_p_z, 1) + torch.log(torch.tensor(cell)),
        lambda log_px_z, log_p_z, cell: (
            ((log_px_z + log_p_z) - (log_px_z + log_p_z).log_softmax(1))[:, 0] + math.log(cell)
        ),
    ],
    "kl_of_gaussians": [
        lambda m, v, n, w: -0.5 * torch.sum(1 + v - w - (m - n).pow(2) / w.exp() - (v - w).exp(), dim=1),
        lambda m, v, n, w: 0.5 * torch.sum(((m - n) / (w / 2).exp()) ** 2 + torch.expm1(v - w) - (v - w), -1, True),
        lambda m, v, n, w: gaussian_kl((m - n) / (w / 2).exp(), v - w),
        lambda m, v, n, w: [
            sum(0.5 * (e - c + ((a - b) ** 2 + math.exp(c)) / math.exp(e) - 1) for a, c, b, e in zip(*row, strict=True))
            for row in zip(m.tolist(), v.tolist(), n.tolist(), w.tolist(), strict=True)
        ],
        kl_of_normals,
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
    ],
    "implied_sigma": [
        lambda a, b: (b / (2 * a)) ** 0.5,
        lambda a, b: np.sqrt(0.5 * b / a),
        lambda a, b: torch.tensor(b / a / 2).sqrt(),
        lambda a, b: np.sqrt(np.array([b / a / 2])),
    ],
    "importance_weighted": [
        lambda log_px_z, log_p_z, log_q_z: (
            torch.logsumexp(log_px_z + log_p_z - log_q_z, 0) - torch.log(torch.tensor(len(log_q_z)))
        ),
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
    ],
    "with_label": [
        lambda features, y, num_classes: torch.cat([features, torch.eye(num_classes)[y]], -1),
        lambda features, y, num_classes: torch.hstack([features, functional.one_hot(y, num_classes)]),
        lambda features, y, num_classes: torch.cat(
            [features, torch.zeros(len(y), num_classes).scatter(1, y[:, None], 1.0)], 1
        ),
        lambda features, y, num_classes: np.hstack([features.numpy(), np.eye(num_classes)[y.numpy()]]),
    ],
    "nats_bought": [
        bought_by_torch_distributions,
        lambda mu, log_var, y, m, v: (
            0.5 * (mu**2 + log_var.exp() - v[y]).sum(1) - 0.5 * (((mu - m[y]) ** 2 + log_var.exp()) / v[y].exp()).sum(1)
        ),
        lambda mu, log_var, y, m, v: (
            gaussian_kl(mu, log_var) - gaussian_kl((mu - m[y]) / (v[y] / 2).exp(), log_var - v[y])
        ),
    ],
    "information_bound": [
        lambda log_probs, y: torch.special.entr(y.bincount() / len(y)).sum() - functional.nll_loss(log_probs, y),
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
    ],
    "class_posterior": [
        lambda log_w, log_py: torch.log_softmax(log_w.logsumexp(0) - math.log(len(log_w)) + log_py, -1),
        lambda log_w, log_py: (log_w.logsumexp(0) + log_py) - (log_w.logsumexp(0) + log_py).logsumexp(1, keepdim=True),
        lambda log_w, log_py: (log_w + log_py).logsumexp(0) - (log_w + log_py).logsumexp((0, 2))[:, None],
        lambda log_w, log_py: torch.distributions.Categorical(logits=log_w.logsumexp(0) + log_py).logits,
        lambda log_w, log_py: (
            ((log_w - log_w.amax((0, 2), keepdim=True)).double().exp().mean(0) * log_py.exp()).log()
            - ((log_w - log_w.amax((0, 2), keepdim=True)).double().exp().mean(0) @ log_py.double().exp()).log()[:, None]
        ),
    ],
    "in_all_classes": [
        lambda x, y, encode, decode, C: torch.stack(
            [decode(encode(x, y)[0], torch.full_like(y, c)) for c in range(C)], dim=1
        ),
        lambda x, y, encode, decode, C: decode(encode(x, y)[0], torch.arange(C)[:, None]).transpose(0, 1),
        lambda x, y, encode, decode, C: decode(
            encode(x, y)[0].repeat_interleave(C, 0), torch.arange(C).repeat(len(x))
        ).view(len(x), C, -1),
    ],
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
@pytest.mark.parametrize(("name", "answer"), [(name, answer) for name in RIGHT for answer in RIGHT[name]])
def test_any_correct_formulation_is_right(name, answer):
    for _ in range(8):
        verdict = check(BY_NAME[name], answer)
        assert verdict.passed is True, verdict


def in_type(dtype, argument):
    """As the engine gives it: labels stay integers."""
    return argument.to(dtype) if isinstance(argument, torch.Tensor) and argument.is_floating_point() else argument


@pytest.mark.slow
@pytest.mark.parametrize("name", RIGHT)
def test_rounding_in_float32_stays_far_below_the_tolerance(name):
    exercise = EXERCISES[BY_NAME[name]]
    for seed, size in itertools.product(range(10), SIZES):
        arguments = [in_type(torch.float32, a) for a in draw(name, size, seed)]
        want = to_tensor(exercise.reference(*(in_type(torch.float64, a) for a in arguments)))
        for answer in [exercise.reference, *RIGHT[name]]:
            copies = [a.clone() if isinstance(a, torch.Tensor) else a for a in arguments]
            error = (to_tensor(answer(*copies)).view_as(want) - want).abs().max()
            assert error < exercise.rtol / 4 * want.abs().max(), f"{error} of {want}, size {size}, seed {seed}"


def test_every_function_has_other_formulations_here():
    assert RIGHT.keys() == BY_NAME.keys()


# --- wrong in other words --------------------------------------------------------------------------------------------

NAN = "nothing but NaN"
WRONG = [
    (
        "cross_entropy_from_logits",
        lambda a, x: -torch.distributions.Bernoulli(probs=a.sigmoid(), validate_args=False).log_prob(x).sum(1),
        "the probabilities are clipped",
    ),
    (
        "cross_entropy_from_logits",
        lambda a, x: functional.binary_cross_entropy(a.sigmoid(), x, reduction="none").sum(1),
        "the probabilities are clipped",
    ),
    (
        "cross_entropy_from_logits",
        lambda a, x: -(x * (a.sigmoid() + 1e-12).log() + (1 - x) * (1 - a.sigmoid() + 1e-12).log()).sum(1),
        "the probabilities are clipped",
    ),
    (
        "cross_entropy_from_logits",
        lambda a, x: -(x * (1 / (1 + (-a).exp())).log() + (1 - x) * (1 - 1 / (1 + (-a).exp())).log()).sum(1),
        "the logarithm of a sigmoid",
    ),
    ("cross_entropy_from_logits", lambda a, x: torch.log1p(a.exp()).sum(1) - (x * a).sum(1), "exp overflows"),
    ("cross_entropy_from_logits", lambda a, x: -(x * a.log() + (1 - x) * (1 - a).log()).sum(1), None),
    (
        "loss_without_a_code",
        lambda x: -torch.xlogy(x, x).sum(1).mean() - torch.xlogy(1 - x, 1 - x).sum(1).mean(),
        "the floor of a perfect copy",
    ),
    ("loss_without_a_code", lambda x: (x - x.mean(0)).square().sum(1).mean(), "the squared error of the mean image"),
    (
        "loss_without_a_code",
        lambda x: functional.binary_cross_entropy(x.mean().expand_as(x), x, reduction="none").sum(1).mean(),
        None,
    ),
    ("decoder_gradient", lambda V, c, z, x: z.T @ (torch.sigmoid(z @ V.T + c) - x) / len(x), "transposed"),
    ("decoder_gradient", lambda V, c, z, x: gradient_by_autograd(V, 0 * c, z, x), "the biases are forgotten"),
    ("decoder_gradient", lambda V, c, z, x: gradient_by_autograd(V, c, z, 1 - x), None),
    ("my_memory", lambda x, stored: ((x[:, None] - stored) ** 2).sum(-1).argmin(1), "the index instead of the image"),
    ("my_memory", lambda x, stored: stored[(x[:, None] - stored).abs().sum(-1).argmin(1)], "another distance"),
    ("my_memory", lambda x, stored: stored[torch.cdist(x, stored, p=math.inf).argmin(1)], None),
    (
        "pca_reconstruct",
        lambda train, x, K: torch.linalg.svd(train - train.mean(0)).Vh[:K] @ (x - train.mean(0)).T,
        None,
    ),
    (
        "pca_reconstruct",
        lambda train, x, K: (x - train.mean(0)) @ torch.linalg.eigh(train.T.cov()).eigenvectors[:, -K:],
        "the codes instead of the reconstructions",
    ),
    ("pca_reconstruct", lambda train, x, K: pca_in_numpy(x, x, K), "the components of x instead of `train`"),
    (
        "pca_reconstruct",
        lambda train, x, K: pca_in_numpy(train, x, K) - train.mean(0).numpy(),
        "the mean is not added back",
    ),
    (
        "denoising_objective",
        lambda x, x_tilde, r: functional.mse_loss(r(x_tilde), x.expand_as(x_tilde), reduction="sum") / len(x_tilde),
        "one number for the batch",
    ),
    (
        "softmax_memory",
        lambda x_tilde, images, sigma: (lambda w: w / w.sum(1, keepdim=True) @ images)(
            (-(torch.cdist(x_tilde, images) ** 2) / (2 * sigma**2)).exp()
        ),
        "exp underflows to 0",
    ),
    (
        "log_evidence",
        lambda log_px_z, log_p_z, cell: (log_px_z.exp() @ log_p_z.exp() * cell).log(),
        "exponentiated first",
    ),
    (
        "log_evidence",
        lambda log_px_z, log_p_z, cell: ((log_px_z + log_p_z).exp().sum(1) * cell + 1e-30).log(),
        "exponentiated first",
    ),
    (
        "log_evidence",
        lambda log_px_z, log_p_z, cell: (
            ((log_px_z - log_px_z.max()).exp() @ log_p_z.exp() * cell).log() + log_px_z.max()
        ),
        "one shift for all images",
    ),
    (
        "log_evidence",
        lambda log_px_z, log_p_z, cell: ((log_px_z + 950).exp() @ log_p_z.exp() * cell).log() - 950,
        "one shift for all images",
    ),
    ("log_evidence", lambda log_px_z, log_p_z, cell: (log_px_z.log() + log_p_z).sum(1), NAN),
    (
        "kl_of_gaussians",
        lambda m, v, n, w: torch.distributions.kl_divergence(
            torch.distributions.Normal(m, v.exp()), torch.distributions.Normal(n, w.exp())
        ).sum(1),
        "log_var taken for log σ",
    ),
    ("kl_of_gaussians", lambda m, v, n, w: kl_of_normals(n, w, m, v), "the KL the other way round"),
    ("kl_of_gaussians", lambda m, v, n, w: gaussian_kl(m, v), "the KL to the standard normal"),
    ("kl_of_gaussians", lambda *a: kl_of_normals(*a) ** 2, None),
    (
        "elbo_from_noise",
        lambda x, mu, log_var, eps, decode: elbo_by_torch_distributions(x, mu, 2 * log_var, eps, decode),
        "log_var taken for log σ",
    ),
    (
        "elbo_from_noise",
        lambda x, mu, log_var, eps, decode: elbo_by_torch_distributions(x, mu, log_var, -eps, decode),
        None,
    ),
    (
        "importance_weighted",
        lambda log_px_z, log_p_z, log_q_z: (log_px_z.exp() * log_p_z.exp() / log_q_z.exp()).mean(0).log(),
        "exponentiated first",
    ),
    (
        "importance_weighted",
        lambda log_px_z, log_p_z, log_q_z: (log_px_z + log_p_z - log_q_z + 950).exp().mean(0).log() - 950,
        "one shift for all images",
    ),
    ("importance_weighted", lambda log_px_z, log_p_z, log_q_z: (log_px_z.log() + log_p_z.log() - log_q_z).mean(0), NAN),
    (
        "importance_weighted",
        lambda log_px_z, log_p_z, log_q_z: (
            torch.logsumexp(log_px_z + log_p_z - log_q_z, 0) - math.log(len(log_q_z) - 1)
        ),
        None,
    ),
    (
        "conditional_elbo",
        lambda x, y, eps, encode, decode: elbo_by_torch_distributions(x, *encode(x, y), eps, decode),
        "the label is given to the encoder only",
    ),
    ("conditional_elbo", by_samples, "the KL by samples, too"),
    (
        "with_label",
        lambda features, y, C: torch.cat([features, torch.eye(int(y.max()) + 1)[y]], 1),
        "as wide as this batch's highest label",
    ),
    (
        "nats_bought",
        lambda mu, log_var, y, m, v: gaussian_kl(mu, log_var) - gaussian_kl(mu - m[y], log_var),
        "the variances of the classes are forgotten",
    ),
    ("nats_bought", lambda *a: -bought_by_torch_distributions(*a), "the wrong sign"),
    ("nats_bought", lambda *a: bought_by_torch_distributions(*a) ** 2, None),
    (
        "information_bound",
        lambda log_probs, y: math.log(log_probs.shape[1]) - functional.nll_loss(log_probs, y),
        "log C instead of H(y)",
    ),
    ("class_posterior", lambda log_w, log_py: (log_w.log().logsumexp(0) + log_py).log_softmax(1), NAN),
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
        lambda log_w, log_py: ((log_w - log_w.mean()).exp().mean(0).log() + log_w.mean() + log_py).log_softmax(1),
        "one shift for all images",
    ),
    (
        "class_posterior",
        lambda log_w, log_py: (log_w + log_py).softmax(-1).mean(0).log(),
        "the mean of the single draws' posteriors",
    ),
    (
        "in_all_classes",
        lambda x, y, encode, decode, C: drawn_one_by_one(x, y, encode, decode, 10),
        "always ten classes",
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "answer", "mistake"), WRONG)
def test_a_mistake_is_recognised_in_other_words_too(name, answer, mistake):
    for _ in range(3):
        verdict = check(BY_NAME[name], answer)
        assert verdict.passed is False and verdict.mistake == mistake, verdict
