"""Evaluation, against numpy and torch.distributions."""

import itertools
import math
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import torch
from torch.distributions import (
    Bernoulli,
    Categorical,
    ContinuousBernoulli,
    Independent,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
    kl_divergence,
)
from torch.utils._python_dispatch import TorchDispatchMode

from aetutor import corruption, evaluation
from aetutor.evaluation import (
    Evidence,
    OptimalMemory,
    Probe,
    active_units,
    linear_probe,
    log_likelihoods,
    log_px_importance,
    log_px_quadrature,
    median_filter,
    posterior_grid,
    psnr,
    psnr_by_level,
    squared_error,
)
from aetutor.models import CVAE, VAE

KINDS = list(corruption.KINDS)


def images(count=6):
    return torch.rand(count, 2, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_squared_error_is_the_mean_over_images_of_the_sum_over_pixels():
    x, x_hat = images(), images(12)[6:]
    expected = ((x.numpy() - x_hat.numpy()) ** 2).reshape(6, -1).sum(1).mean()
    assert squared_error(lambda _: x_hat, x) == pytest.approx(expected, rel=1e-13)


def test_a_perfect_copy_has_no_error():
    assert squared_error(lambda x: x, images()) == 0


def test_the_best_constant_has_the_summed_variance():
    x = images()
    variance = np.var(x.numpy(), axis=0).sum()
    assert squared_error(lambda x: x.mean(0).expand_as(x), x) == pytest.approx(variance, rel=1e-13)


def test_no_gradient_is_kept():
    seen = []
    weight = torch.ones((), dtype=torch.float64, requires_grad=True)
    squared_error(lambda x: seen.append((weight * x).requires_grad) or x, images())
    assert seen == [False]


@pytest.mark.parametrize(
    "reconstruct",
    [
        lambda x: x.mT,
        lambda x: x[:, :1],
        lambda x: x.flatten(1),
        lambda x: x[:4],
        lambda x: x.expand(3, *x.shape),
        lambda x: x.sum(),
    ],
    ids=["transposed", "one channel", "flat", "fewer images", "several of each", "a number"],
)
def test_reconstructions_of_another_shape_are_named(reconstruct):
    x = images()
    with pytest.raises(ValueError, match=r"images' shape \(6, 2, 3, 4\); got") as caught:
        squared_error(reconstruct, x)
    assert str(caught.value).endswith(f"got {tuple(reconstruct(x).shape)}.")


def test_psnr_is_ten_decibels_for_each_factor_of_ten_in_the_squared_error():
    x = torch.zeros(3, 1, 4, 5, dtype=torch.float64)
    x_hat = x + torch.tensor([1.0, 0.1, 0.01], dtype=torch.float64).view(3, 1, 1, 1)
    torch.testing.assert_close(psnr(x, x_hat), torch.tensor([0.0, 20.0, 40.0], dtype=torch.float64))
    assert psnr(x, x).isinf().all()


def test_psnr_refuses_two_shapes():
    with pytest.raises(ValueError, match=r"got \(3, 1, 2, 2\) and \(1, 2, 2\)"):
        psnr(torch.zeros(3, 1, 2, 2), torch.zeros(1, 2, 2))


# --- the median filter -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_median_filter_is_the_median_of_nine_with_black_beyond_the_edge(dtype):
    x = images().to(dtype)
    padded = np.zeros((6, 2, 5, 6))
    padded[:, :, 1:-1, 1:-1] = x.numpy()
    expected = np.zeros(x.shape)
    for down, right in itertools.product(range(3), range(4)):
        expected[:, :, down, right] = np.median(padded[:, :, down : down + 3, right : right + 3], axis=(2, 3))
    filtered = median_filter(x)
    assert filtered.dtype == dtype and np.array_equal(filtered.numpy(), expected)


def test_median_filter_removes_a_grain_and_keeps_an_edge():
    x = torch.zeros(1, 1, 7, 7)
    x[..., :3] = 1
    grainy = x.clone()
    grainy[0, 0, 3, 5], grainy[0, 0, 3, 1] = 1, 0
    assert torch.equal(median_filter(grainy)[..., 1:-1, :], x[..., 1:-1, :])


# --- PSNR by level ---------------------------------------------------------------------------------------------------


def leave(x_tilde, kind, level):
    return x_tilde


def test_psnr_by_level_gives_each_methods_mean_over_the_images_of_the_same_noise():
    seen = {"leave": [], "halve": []}

    def halve(x_tilde, kind, level):
        seen["halve"].append((x_tilde, kind, level))
        return x_tilde / 2

    def record(x_tilde, kind, level):
        seen["leave"].append((x_tilde, kind, level))
        return x_tilde

    x, levels = images().repeat(1, 1, 9, 9), [0.5, 0.1, 0.9]
    measured = psnr_by_level(x, {"leave": record, "halve": halve}, "salt and pepper", levels)
    assert list(measured) == ["leave", "halve"]
    for (name, factor), i in itertools.product((("leave", 1.0), ("halve", 0.5)), range(3)):
        noisy, kind, level = seen[name][i]
        assert (kind, level) == ("salt and pepper", levels[i]) and torch.equal(noisy, seen["leave"][i][0])
        errors = np.square(factor * noisy.numpy() - x.numpy()).reshape(6, -1).mean(1)
        assert measured[name][i] == pytest.approx(np.mean(10 * np.log10(1 / errors)), rel=1e-12)
    assert all(isinstance(value, float) for values in measured.values() for value in values)


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("masking", lambda x, level: level * x**2),
        ("Gaussian", lambda x, level: level**2),
        ("salt and pepper", lambda x, level: level / 2 * (x**2 + (1 - x) ** 2)),
    ],
    ids=KINDS,
)
def test_psnr_by_level_has_the_noise_of_the_kind_and_level_asked_for(kind, error):
    torch.manual_seed(0)
    x = torch.full((1, 1, 300, 300), 0.3, dtype=torch.float64)
    levels = [0.1, 0.4, 0.8]
    measured = psnr_by_level(x, {"noisy": leave}, kind, levels)["noisy"]
    expected = [-10 * math.log10(error(0.3, level)) for level in levels]
    # the squared errors of 90,000 pixels vary by at most three times their mean: 4 standard errors are below 4 %
    assert measured == pytest.approx(expected, abs=10 * math.log10(1.05))
    assert measured == sorted(measured, reverse=True)


@pytest.mark.parametrize(("kind", "levels"), [("snow", [0.5]), ("masking", [0.5, 1.5]), ("Gaussian", [-1])])
def test_psnr_by_level_refuses_unknown_kinds_and_levels(kind, levels):
    with pytest.raises(ValueError, match="corruption"):
        psnr_by_level(images(), {"leave": leave}, kind, levels)


def test_psnr_by_level_keeps_no_gradient():
    seen, weight = [], torch.ones((), dtype=torch.float64, requires_grad=True)
    psnr_by_level(images(), {"a": lambda x, *_: seen.append((weight * x).requires_grad) or x}, "masking", [0.5])
    assert seen == [False]


# --- the optimal memory ----------------------------------------------------------------------------------------------


def noise(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def bayes(x, x_tilde, sigma, scale=1.0, offset=0.0):
    """E[x|x_tilde] by Bayes' rule: each image's density at x_tilde over the sum of all of them."""
    p = MixtureSameFamily(Categorical(x.new_ones(len(x))), Independent(Normal(scale * x + offset, sigma), 3))
    joint = p.component_distribution.log_prob(x_tilde[:, None]) - math.log(len(x))
    posterior = (joint - p.log_prob(x_tilde)[:, None]).exp()
    return torch.einsum("bn,nchw->bchw", posterior, x)


@pytest.mark.parametrize("sigma", [0.2, 0.7, 3.0])
@pytest.mark.parametrize(("scale", "offset"), [(1.0, 0.0), (0.6, 0.0), (0.7, 0.15), (1.0, -0.3), (0.0, 0.5)])
def test_posterior_mean_is_bayes_rule(sigma, scale, offset):
    x = images()
    x_tilde = scale * x.repeat(4, 1, 1, 1) + offset + sigma * noise(24, 2, 3, 4)
    expected = bayes(x, x_tilde, sigma, scale, offset)
    torch.testing.assert_close(
        OptimalMemory(x).posterior_mean(x_tilde, sigma, scale, offset), expected, rtol=1e-11, atol=1e-12
    )


def test_posterior_mean_takes_neither_scale_nor_offset_unless_told():
    memory, x_tilde = OptimalMemory(images()), images(3) + noise(3, 2, 3, 4)
    assert torch.equal(memory.posterior_mean(x_tilde, 0.5), memory.posterior_mean(x_tilde, 0.5, 1.0, 0.0))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("scale", "offset"), [(1.0, 0.0), (0.6, 0.2)])
def test_without_noise_it_is_the_nearest_image(dtype, scale, offset):
    x = images(40).to(dtype)
    x_tilde = (scale * images(60) + offset + 0.4 * noise(60, 2, 3, 4)).to(dtype)
    distances = torch.cdist(x_tilde.double().flatten(1), (scale * x + offset).double().flatten(1))
    nearest = OptimalMemory(x).posterior_mean(x_tilde, 0.0, scale, offset)
    assert torch.equal(nearest, x[distances.argmin(1)])


def test_more_noisy_images_than_fit_at_once_give_what_each_gives_alone(monkeypatch):
    x = images(5)
    count = 2 * OptimalMemory.CHUNK + 3
    x_tilde, memory = x.repeat(count // 5 + 1, 1, 1, 1)[:count] + noise(count, 2, 3, 4), OptimalMemory(x)
    together = memory.posterior_mean(x_tilde, 0.8, 0.9, 0.1)
    alone = torch.cat([memory.posterior_mean(one[None], 0.8, 0.9, 0.1) for one in x_tilde])
    torch.testing.assert_close(together, alone, rtol=1e-13, atol=1e-13)
    monkeypatch.setattr(OptimalMemory, "CHUNK", 7)
    torch.testing.assert_close(memory.posterior_mean(x_tilde, 0.8, 0.9, 0.1), together, rtol=1e-13, atol=1e-13)


def test_no_change_of_its_outputs_lowers_the_expected_squared_error():
    count, scale, offset, sigma = 40_000, 0.7, 0.2, 0.6
    numbers = torch.Generator().manual_seed(2)
    x = images(5)[:, :1, :2, :2]
    clean = x[torch.randint(5, (count,), generator=numbers)]
    x_tilde = scale * clean + offset + sigma * noise(count, 1, 2, 2)
    output = OptimalMemory(x).posterior_mean(x_tilde, sigma, scale, offset).flatten(1)
    left = clean.flatten(1) - output
    cell = (x_tilde.flatten(1) > 0.5).long() @ torch.tensor([1, 2, 4, 8])  # 16 cells of noisy images
    # a table adds t[cell] to the output: the error's slope in each of its 16 x 4 numbers, -2 E[left; cell], is 0
    within = torch.nn.functional.one_hot(cell, 16)[:, :, None] * left[:, None]
    assert (within.mean(0).abs() <= 4 * within.std(0) / math.sqrt(count)).all()
    for change in (output - output.mean(0), x_tilde.flatten(1) - output, output**2):
        slope = (left * change).sum(1)
        assert slope.mean().abs() <= 4 * slope.std() / math.sqrt(count)
    for table in 0.1 * torch.randn(20, 16, 4, generator=numbers, dtype=torch.float64):
        more = (left - table[cell]).square().sum(1) - left.square().sum(1)
        assert more.mean() > 4 * more.std() / math.sqrt(count)


def noise_moments(kind, level, x):
    """The mean of a pixel's noisy value as scale and offset, and the root of its variance's mean over all pixels."""
    x = x.numpy()
    if kind == "Gaussian":
        return 1.0, 0.0, level
    new, chances = ([0.0], [level]) if kind == "masking" else ([0.0, 1.0], [level / 2, level / 2])
    mean = (1 - level) * x + np.dot(new, chances)
    variance = (1 - level) * (x - mean) ** 2 + sum(p * (v - mean) ** 2 for v, p in zip(new, chances, strict=True))
    return 1 - level, np.dot(new, chances), math.sqrt(variance.mean())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("level", [0.2, 0.7])
def test_a_call_takes_the_gaussian_with_the_moments_of_the_kind(kind, level):
    x = images()
    x_tilde = corruption.of_kind(kind)(x.repeat(3, 1, 1, 1), level, torch.Generator().manual_seed(0))
    scale, offset, sigma = noise_moments(kind, level, x)
    torch.testing.assert_close(
        OptimalMemory(x)(x_tilde, kind, level), bayes(x, x_tilde, sigma, scale, offset), rtol=1e-11, atol=1e-12
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_at_level_0_it_gives_back_its_own_images(kind, dtype):
    x = images().to(dtype)
    assert torch.equal(OptimalMemory(x)(x.flip(0), kind, 0.0), x.flip(0))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("level", [1e-9, 1e-4, 1.0])
def test_at_the_ends_of_the_scale_it_gives_finite_grey_values(kind, level):
    x = images().float()
    x_tilde = corruption.of_kind(kind)(x, level, torch.Generator().manual_seed(0))
    x_hat = OptimalMemory(x)(x_tilde, kind, level)
    assert x_hat.isfinite().all() and x_hat.min() >= 0 and x_hat.max() <= 1 + 1e-6 and x_hat.dtype == torch.float32


@pytest.mark.parametrize("kind", ["masking", "salt and pepper"])
def test_where_nothing_of_the_image_is_left_it_gives_the_mean_image(kind):
    x = images()
    x_tilde = corruption.of_kind(kind)(x, 1.0, torch.Generator().manual_seed(0))
    torch.testing.assert_close(OptimalMemory(x)(x_tilde, kind, 1.0), x.mean(0).expand_as(x), rtol=1e-13, atol=0)


def test_a_memory_of_one_image_knows_nothing_else():
    x = images(1)
    torch.testing.assert_close(OptimalMemory(x).posterior_mean(noise(3, 2, 3, 4), 0.5), x.expand(3, -1, -1, -1))


def test_the_memory_keeps_no_gradient():
    assert not OptimalMemory(images()).posterior_mean(images().requires_grad_(), 0.5).requires_grad


@pytest.mark.parametrize(
    "wrong",
    [torch.zeros(2, 1, 3, 4), torch.zeros(2, 2, 4, 3), torch.zeros(2, 3, 4), torch.zeros(2, 24)],
    ids=["one channel", "turned", "one image", "flat"],
)
def test_noisy_images_of_another_shape_are_refused(wrong):
    with pytest.raises(ValueError, match=r"float64 images of shape \(B, 2, 3, 4\); got torch.float64") as caught:
        OptimalMemory(images()).posterior_mean(wrong.double(), 0.5)
    assert str(caught.value).endswith(f"of shape {tuple(wrong.shape)}.")


@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8])
def test_noisy_images_of_another_type_are_refused(dtype):
    with pytest.raises(ValueError, match=rf"takes torch.float64 images .*; got {dtype} of shape"):
        OptimalMemory(images()).posterior_mean(images().to(dtype), 0.5)


@pytest.mark.parametrize("sigma", [-0.1, math.nan, math.inf])
def test_what_is_no_standard_deviation_is_refused(sigma):
    with pytest.raises(ValueError, match=f"sigma is a standard deviation, .*; got {sigma}"):
        OptimalMemory(images()).posterior_mean(images(), sigma)


@pytest.mark.parametrize(("kind", "level"), [("snow", 0.5), ("masking", 1.5), ("Gaussian", -1.0)])
def test_the_memory_refuses_unknown_kinds_and_levels(kind, level):
    with pytest.raises(ValueError, match="corruption"):
        OptimalMemory(images())(images(), kind, level)


@pytest.mark.parametrize("wrong", [images()[:0], (images() * 255).byte()], ids=["none", "bytes"])
def test_a_memory_without_float_images_is_refused(wrong):
    with pytest.raises(ValueError, match=f"one float image or more; got {len(wrong)} in {wrong.dtype}"):
        OptimalMemory(wrong)


class Largest(TorchDispatchMode):
    """The most numbers that any tensor computed under it holds."""

    numbers = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **kwargs or {})
        if isinstance(result, torch.Tensor):
            self.numbers = max(self.numbers, result.numel())
        return result


def test_no_more_weights_than_for_one_chunk_are_held_at_a_time():
    memory, count = OptimalMemory(images(200)), 2 * OptimalMemory.CHUNK + 3
    with Largest() as largest:
        memory.posterior_mean(noise(count, 2, 3, 4), 0.5)
    assert largest.numbers == 200 * OptimalMemory.CHUNK


MEMORY_PROBE = """
import resource, sys, torch
from aetutor.evaluation import OptimalMemory
images, noisy = torch.rand(60_000, 1, 28, 28), torch.rand(300, 1, 28, 28)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
OptimalMemory(images)(noisy, "Gaussian", 0.5)
unit = 1 if sys.platform == "darwin" else 1024
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit / 1e9)
"""


def test_a_memory_of_all_of_mnist_needs_less_than_half_a_gigabyte_besides():
    pytest.importorskip("resource")
    result = subprocess.run([sys.executable, "-c", MEMORY_PROBE], capture_output=True, text=True, check=True)
    assert float(result.stdout) < 0.5


# --- the evidence, against the linear-Gaussian model in closed form --------------------------------------------------

PIXELS, SIGMA = 12, 0.5


def linear_vae(orthogonal=False):
    """p(x) = N(b, W Wᵀ + sigma² I), 12 pixels and 2 latents; with orthogonal columns of W the posterior is diagonal."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        vae = VAE(2, (), (1, 3, 4), likelihood="gaussian", sigma=SIGMA).double()
    w = 0.4 * noise(PIXELS, 2, seed=2)
    with torch.no_grad():
        vae.decoder[0].weight.copy_(torch.linalg.qr(w).Q * torch.tensor([0.7, 1.6]) if orthogonal else w)
        vae.encoder[0].weight[2:] *= 0.3
        vae.encoder[0].bias[2:] -= 2
    return vae


def pictures(count=7):
    return torch.rand(count, 1, 3, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def parts(vae):
    return vae.decoder[0].weight.detach(), vae.decoder[0].bias.detach()


def exact_log_px(vae, x):
    w, b = parts(vae)
    return MultivariateNormal(b, w @ w.T + SIGMA**2 * torch.eye(PIXELS).double()).log_prob(x.flatten(1))


def exact_posterior(vae, x):
    """N(A⁻¹ Wᵀ (x - b) / sigma², A⁻¹) with A = I + Wᵀ W / sigma²."""
    w, b = parts(vae)
    covariance = torch.linalg.inv(torch.eye(2).double() + w.T @ w / SIGMA**2)
    return MultivariateNormal((x.flatten(1) - b) @ w @ covariance / SIGMA**2, covariance)


@torch.no_grad()
def exact_elbo(vae, x):
    w, b = parts(vae)
    mu, log_var = (x.flatten(1) @ vae.encoder[0].weight.T + vae.encoder[0].bias).chunk(2, 1)
    q_z = Normal(mu, (log_var / 2).exp())
    squared = (x.flatten(1) - b - mu @ w.T).square().sum(1) + q_z.variance @ w.square().sum(0)
    log_px_z = -squared / (2 * SIGMA**2) - PIXELS / 2 * math.log(2 * math.pi * SIGMA**2)
    return log_px_z - kl_divergence(q_z, Normal(0.0, 1.0)).sum(1)


@torch.no_grad()
def with_the_exact_posterior(vae):
    (w, b), covariance = parts(vae), exact_posterior(vae, pictures()).covariance_matrix
    to_mean = covariance[0] @ w.T / SIGMA**2
    vae.encoder[0].weight.copy_(torch.cat([to_mean, torch.zeros_like(to_mean)]))
    vae.encoder[0].bias.copy_(torch.cat([-to_mean @ b, covariance[0].diagonal().log()]))
    return vae


@torch.no_grad()
def with_encoder(vae, mu=(0.0, 0.0), log_var=(0.0, 0.0)):
    """The same q for every image."""
    vae.encoder[0].weight.zero_()
    vae.encoder[0].bias.copy_(torch.tensor([*mu, *log_var]))
    return vae


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


def test_a_tolerance_that_cannot_be_reached_is_an_error(tolerance=1e-30):
    vae = linear_vae(orthogonal=True)
    with torch.no_grad():
        vae.decoder[0].weight *= 15  # narrow, so that few blocks are refined to the end
    with pytest.raises(RuntimeError, match=r"not converged to .* nats .*: give a larger tolerance, or use"):
        log_px_quadrature(with_the_exact_posterior(vae), pictures(1), tolerance=tolerance)


class Labelled(VAE):
    """A conditional model: the label moves q and, the other way, the decoder's codes."""

    def encode(self, x, y):
        q_z = super().encode(x)
        q_z.base_dist.loc = q_z.base_dist.loc - y[:, None]
        return q_z

    def decode(self, z, y):
        return super().decode(z + y[..., None])


def labelled():
    plain = linear_vae()
    vae = Labelled(2, (), (1, 3, 4), likelihood="gaussian", sigma=SIGMA).double()
    vae.load_state_dict(plain.state_dict())
    return vae


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
    if vae.log_sigma is not None:
        vae.tenth_log_sigma.fill_(-0.07)
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
    monkeypatch.setattr(evaluation, "CODES", 4)
    cvae, x, z, y = linear_cvae(), pictures(), noise(codes, 2, seed=3), torch.tensor([2, 0, 1, 0, 2, 2, 1])[:codes]
    weight, bias = cvae.decoder[0].parameters()  # [z; e_y] -> V z + v_y + c, by hand
    means = z @ weight[:, :2].T + weight[:, 2:].T[y] + bias  # (G, D)
    expected = Normal(means, cvae.sigma).log_prob(x.flatten(1)[:, None]).sum(2)
    torch.testing.assert_close(log_likelihoods(cvae, x, z, y), expected.detach())


@pytest.mark.parametrize("y", [torch.tensor([1]), torch.zeros(4, 3)], ids=["one", "one-hot"])
def test_log_likelihoods_want_a_label_for_each_code(y):
    with pytest.raises(ValueError, match=r"one label a code, shape \(4,\); got"):
        log_likelihoods(linear_cvae(), pictures(), noise(4, 2), y)


@pytest.mark.parametrize("codes", [1, 4, 8, 10])
def test_log_likelihoods_of_many_codes_decode_a_part_at_a_time_and_keep_their_places(monkeypatch, codes):
    vae, x, z, decoded = deep_vae("gaussian"), pictures(3), noise(codes, 2, seed=3), []
    expected = torch.cat([log_likelihoods(vae, x, code[None]) for code in z], 1)
    decode = vae.decode
    monkeypatch.setattr(evaluation, "CODES", 4)
    monkeypatch.setattr(vae, "decode", lambda part: decoded.append(len(part)) or decode(part))
    torch.testing.assert_close(log_likelihoods(vae, x, z), expected, rtol=1e-12, atol=1e-12)
    assert max(decoded) <= 4 and sum(decoded) == codes


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
    assert active_units(vae, x, torch.zeros(4)) == 0 and active_units(vae, x, torch.tensor([0.0, 1.0, 2.0, 3.0])) == 2


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


@torch.no_grad()
def linear_cvae(orthogonal=False):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        cvae = CVAE(2, (), (1, 3, 4), likelihood="gaussian", sigma=SIGMA, num_classes=3).double()
    plain = linear_vae(orthogonal)
    cvae.decoder[0].weight.copy_(torch.cat([plain.decoder[0].weight, 0.5 * noise(PIXELS, 3, seed=5)], 1))
    cvae.encoder[0].weight[2:] *= 0.3
    cvae.encoder[0].bias[2:] -= 2
    return cvae


@torch.no_grad()
def given_label(cvae, label):
    """The linear VAE of one class: its biases are b + w_y."""
    vae = linear_vae()
    for ours, theirs, inputs in ((vae.encoder[0], cvae.encoder[0], PIXELS), (vae.decoder[0], cvae.decoder[0], 2)):
        ours.weight.copy_(theirs.weight[:, :inputs])
        ours.bias.copy_(theirs.bias + theirs.weight[:, inputs + label])
    return vae


def of_each(function, cvae, x, y):
    return torch.cat([function(given_label(cvae, label), image[None]) for image, label in zip(x, y, strict=True)])


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
    cvae.likelihood = partial(cvae.likelihood.func, sigma=0.2)
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


# --- the probe -------------------------------------------------------------------------------------------------------


def gaussian_classes(count, spread=1.0, seed=0, size=2):
    """Codes of three classes, N(mean_y, I) with probabilities 0.5, 0.2 and 0.3: codes, labels and log p(y|z)."""
    generator, p_y = torch.Generator().manual_seed(seed), torch.tensor([0.5, 0.2, 0.3]).double()
    y = torch.multinomial(p_y, count, replacement=True, generator=generator)
    means = spread * noise(3, size, seed=9)
    z = means[y] + torch.randn(count, size, generator=generator, dtype=torch.float64)
    return z, y, (Normal(means, 1.0).log_prob(z[:, None]).sum(2) + p_y.log()).log_softmax(1)


def scores(log_p_y, y):
    """(accuracy, cross-entropy) of the true posterior on these codes, in numpy."""
    log_p_y, y = log_p_y.numpy(), y.numpy()
    return (log_p_y.argmax(1) == y).mean(), -log_p_y[np.arange(len(y)), y].mean()


def by_newton(z, y, test_z, steps=30):
    """Multinomial logistic regression with ‖W‖² / 2N, by Newton's method in numpy: log p(y|z) of the test codes."""
    (count, size), classes = z.shape, y.max() + 1
    mean, std = z.mean(0), z.std(0)
    phi, test_phi = (np.concatenate([(codes - mean) / std, np.ones((len(codes), 1))], 1) for codes in (z, test_z))
    decay = np.tile(np.r_[np.ones(size), 0.0], classes) / count
    theta = np.zeros(classes * (size + 1))

    def log_p(features):
        logits = features @ theta.reshape(classes, size + 1).T
        return logits - np.log(np.exp(logits).sum(1, keepdims=True))

    for _ in range(steps):
        p = np.exp(log_p(phi))
        gradient = ((p - np.eye(classes)[y]).T @ phi / count).ravel() + decay * theta
        inner = np.einsum("nc,cd->ncd", p, np.eye(classes)) - p[:, :, None] * p[:, None]
        hessian = np.einsum("ncd,ni,nj->cidj", inner, phi, phi).reshape(len(theta), -1) / count + np.diag(decay)
        theta = theta - np.linalg.lstsq(hessian, gradient, rcond=None)[0]  # all biases may move together
    return log_p(test_phi)


@pytest.mark.parametrize("spread", [0.0, 1.0, 4.0])
@pytest.mark.parametrize("size", [1, 2, 5])
def test_the_linear_probe_is_logistic_regression_by_newtons_method(spread, size):
    (z, y, _), (test_z, test_y, _) = gaussian_classes(80, spread, 1, size), gaussian_classes(50, spread, 2, size)
    z, test_z = 3 * z + 5, 3 * test_z + 5
    expected = scores(torch.from_numpy(by_newton(z.numpy(), y.numpy(), test_z.numpy())), test_y)
    probe = linear_probe(z, y, test_z, test_y)
    assert isinstance(probe, Probe) and probe.accuracy == expected[0]
    assert probe.cross_entropy == pytest.approx(expected[1], abs=2e-4)


@pytest.mark.parametrize("spread", [0.3, 1.0, 3.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_with_many_codes_the_linear_probe_is_the_posterior_of_gaussian_classes(spread, dtype):
    (z, y, _), (test_z, test_y, log_p_y) = gaussian_classes(20_000, spread, 1), gaussian_classes(10_000, spread, 2)
    accuracy, entropy = scores(log_p_y, test_y)
    probe = linear_probe(z.to(dtype), y, test_z.to(dtype), test_y)
    assert probe.accuracy == pytest.approx(accuracy, abs=0.004)
    assert probe.cross_entropy == pytest.approx(entropy, abs=0.002)


def test_codes_without_the_class_leave_its_entropy():
    y, test_y = (torch.arange(count) % 10 % 4 for count in (20_000, 10_000))  # probabilities 0.3, 0.3, 0.2, 0.2
    z, test_z = noise(20_000, 2, seed=1), noise(10_000, 2, seed=2)
    entropy = -2 * (0.3 * math.log(0.3) + 0.2 * math.log(0.2))
    for hidden, tolerance in (((), 2e-3), ((8,), 0.02)):
        probe = linear_probe(z, y, test_z, test_y, hidden, epochs=5)
        assert probe.cross_entropy == pytest.approx(entropy, abs=tolerance) and abs(probe.accuracy - 0.3) < 0.02
    constant = linear_probe(torch.full_like(z, 0.1), y, torch.full_like(test_z, 0.1), test_y)
    assert constant.cross_entropy == pytest.approx(entropy, abs=1e-6) and constant.accuracy == 0.3


def test_codes_far_apart_give_the_class_away_and_stay_finite():
    z, y, _ = gaussian_classes(2000, 300.0)
    probe = linear_probe(z[:1000], y[:1000], z[1000:], y[1000:])
    assert probe.accuracy == 1 and 0 < probe.cross_entropy < 0.02


def test_the_information_is_at_least_the_entropy_less_the_cross_entropy():
    """I(z; y) of two Gaussians on a line, by a sum over the line; the linear probe's bound is tight here."""
    z = torch.linspace(-10, 10, 4001, dtype=torch.float64)
    joint = 0.5 * torch.stack([Normal(mean, 1.0).log_prob(z).exp() for mean in (-1.0, 1.0)])
    information = (joint * (joint / (0.5 * joint.sum(0))).log()).sum().item() * 0.005
    y = torch.arange(80_000) % 2
    codes = (2.0 * y - 1 + noise(80_000, seed=3))[:, None]
    bound = math.log(2) - linear_probe(codes[:40_000], y[:40_000], codes[40_000:], y[40_000:]).cross_entropy
    assert bound == pytest.approx(information, abs=0.012)  # four standard errors of 40,000 codes
    assert 0.1 < information < math.log(2)


def test_an_mlp_reads_what_is_not_linear():
    """Two classes around the same place, one three times as wide: the true posterior is quadratic."""
    y = torch.arange(12_000) % 2
    z = (1 + 2 * y)[:, None] * noise(12_000, 2, seed=4)
    log_p_y = torch.stack([Normal(0.0, scale).log_prob(z).sum(1) for scale in (1.0, 3.0)], 1).log_softmax(1)
    fit, held = slice(0, 8000), slice(8000, 12_000)
    accuracy, entropy = scores(log_p_y[held], y[held])
    linear, curved = (linear_probe(z[fit], y[fit], z[held], y[held], hidden) for hidden in ((), (32,)))
    assert linear.cross_entropy > 0.68 and linear.accuracy < 0.6
    assert accuracy - 0.02 < curved.accuracy and entropy - 0.005 < curved.cross_entropy < entropy + 0.02


def test_it_is_the_test_codes_that_are_scored():
    z, y, _ = gaussian_classes(3000, 300.0)
    probe = linear_probe(z[:1000], y[:1000], z[1000:], y[1000:].flip(0))
    assert probe.accuracy == pytest.approx(0.38, abs=0.04) and probe.cross_entropy > 3  # Σ p_y² = 0.38


def test_units_and_names_of_the_classes_do_not_matter():
    (z, y, _), (test_z, test_y, _) = gaussian_classes(200, 1.0, 1), gaussian_classes(100, 1.0, 2)
    plain = linear_probe(z, y, test_z, test_y)
    scale, shift, names = torch.tensor([1e-3, 50.0]).double(), torch.tensor([7.0, -2.0]), torch.tensor([40, -3, 5])
    other = linear_probe(z * scale + shift, names[y], test_z * scale + shift, names[test_y])
    assert other.accuracy == plain.accuracy and other.cross_entropy == pytest.approx(plain.cross_entropy, abs=1e-4)


@pytest.mark.parametrize("hidden", [(), (5,)])
def test_a_probe_repeats_exactly_and_leaves_everything_as_it_was(hidden):
    z, y, _ = gaussian_classes(300)
    z.requires_grad_()
    arguments, copy = (z[:200], y[:200], z[200:], y[200:], hidden, 2), z.detach().clone()
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = linear_probe(*arguments)
    assert torch.equal(torch.get_rng_state(), before) and z.grad is None and torch.equal(z.detach(), copy)
    torch.manual_seed(6)
    with torch.no_grad():
        assert linear_probe(*arguments) == first and not torch.is_grad_enabled()
    if hidden:
        assert linear_probe(*arguments, seed=1) != first and linear_probe(*arguments[:5], epochs=3) != first


@pytest.mark.parametrize(
    "change",
    [
        {"z": torch.zeros(6)},
        {"z": torch.zeros(6, 1, 2)},
        {"z": torch.zeros(5, 2)},
        {"z": torch.zeros(6, 2).long()},
        {"z": torch.full((6, 2), math.nan)},
        {"y": torch.zeros(6)},
        {"y": torch.zeros(6, 1).long()},
        {"test_z": torch.zeros(4, 3)},
        {"test_z": torch.zeros(4, 2).double()},
        {"test_y": torch.zeros(3).long()},
        {"z": torch.zeros(0, 2), "y": torch.zeros(0).long()},
    ],
)
def test_codes_and_labels_that_are_none_are_named(change):
    arguments = {
        "z": torch.zeros(6, 2),
        "y": torch.arange(6) % 2,
        "test_z": torch.zeros(4, 2),
        "test_y": torch.arange(4) % 2,
    }
    with pytest.raises(ValueError, match=r"takes finite float codes \(N, K\) and integer labels \(N,\).*; got torch"):
        linear_probe(**arguments | change)


def test_a_class_that_was_not_fitted_is_named():
    z, y = torch.zeros(4, 2), torch.tensor([0, 2, 0, 2])
    with pytest.raises(ValueError, match=r"knows the labels \[0, 2\]; got others in test_y: fit it to all of them"):
        linear_probe(z, y, z, torch.tensor([0, 1, 2, 0]))
