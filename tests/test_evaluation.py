"""Evaluation, against numpy and torch.distributions."""

import itertools
import math
import subprocess
import sys

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
    active_units,
    log_likelihoods,
    log_px_importance,
    log_px_quadrature,
    median_filter,
    posterior_grid,
    psnr,
    psnr_by_level,
    squared_error,
)
from aetutor.models import VAE

KINDS = list(corruption.KINDS)


def images(count=6):
    return torch.rand(count, 2, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_squared_error_is_the_mean_over_images_of_the_sum_over_pixels():
    x, y = images(), images(12)[6:]
    expected = ((x.numpy() - y.numpy()) ** 2).reshape(6, -1).sum(1).mean()
    assert squared_error(lambda _: y, x) == pytest.approx(expected, rel=1e-13)


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


@pytest.mark.parametrize("reconstruct", [lambda x: x.mT, lambda x: x[:, :1], lambda x: x.flatten(1), lambda x: x[:4],
                                         lambda x: x.expand(3, *x.shape), lambda x: x.sum()],
                         ids=["transposed", "one channel", "flat", "fewer images", "several of each", "a number"])
def test_reconstructions_of_another_shape_are_named(reconstruct):
    x = images()
    with pytest.raises(ValueError, match=r"images' shape \(6, 2, 3, 4\); got") as caught:
        squared_error(reconstruct, x)
    assert str(caught.value).endswith(f"got {tuple(reconstruct(x).shape)}.")


def test_psnr_is_ten_decibels_for_each_factor_of_ten_in_the_squared_error():
    x = torch.zeros(3, 1, 4, 5, dtype=torch.float64)
    y = x + torch.tensor([1.0, 0.1, 0.01], dtype=torch.float64).view(3, 1, 1, 1)
    torch.testing.assert_close(psnr(x, y), torch.tensor([0.0, 20.0, 40.0], dtype=torch.float64))
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


@pytest.mark.parametrize(("kind", "error"), [
    ("masking", lambda x, level: level * x**2),
    ("Gaussian", lambda x, level: level**2),
    ("salt and pepper", lambda x, level: level / 2 * (x**2 + (1 - x) ** 2))], ids=KINDS)
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
    torch.testing.assert_close(OptimalMemory(x).posterior_mean(x_tilde, sigma, scale, offset), expected,
                               rtol=1e-11, atol=1e-12)


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
    torch.testing.assert_close(OptimalMemory(x)(x_tilde, kind, level), bayes(x, x_tilde, sigma, scale, offset),
                               rtol=1e-11, atol=1e-12)


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
    y = OptimalMemory(x)(x_tilde, kind, level)
    assert y.isfinite().all() and y.min() >= 0 and y.max() <= 1 + 1e-6 and y.dtype == torch.float32


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


@pytest.mark.parametrize("wrong", [torch.zeros(2, 1, 3, 4), torch.zeros(2, 2, 4, 3), torch.zeros(2, 3, 4),
                                   torch.zeros(2, 24)], ids=["one channel", "turned", "one image", "flat"])
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


@pytest.mark.parametrize(("mu", "log_var"), [((0.0, 0.0), (1.0, 0.5)), ((-9.0, 7.0), (0.0, -1.0)),
                                             ((1.0, 0.0), (-6.0, 1.0)), ((0.1, -0.7), (-7.0, -7.0))],
                         ids=["wide", "far", "one narrow", "narrow"])
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
    with pytest.raises(RuntimeError, match="not converged to .* nats .*: give a larger tolerance, or use"):
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
    w, b = parts(vae)
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
    "gaussian_pixelwise": lambda outputs: Normal(outputs[:PIXELS],
                                                 0.01 + torch.nn.functional.softplus(outputs[PIXELS:])),
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
            torch.testing.assert_close(number, PIXEL_FAMILIES[likelihood](outputs).log_prob(image).sum(),
                                       rtol=1e-6, atol=1e-6)


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


@pytest.mark.parametrize("of_images", [lambda vae, x: log_px_importance(vae, x, 3), log_px_quadrature,
                                       lambda vae, x: posterior_grid(vae, x)[1],
                                       lambda vae, x: log_likelihoods(vae, x, x.new_ones(2, 2))],
                         ids=["importance", "quadrature", "grid", "log_likelihoods"])
def test_no_gradients_are_kept_and_none_reach_the_weights(of_images):
    vae, x = linear_vae(), pictures(2).requires_grad_()
    numbers = of_images(vae, x)
    assert not any(part.requires_grad for part in numbers)
    assert all(weight.grad is None and weight.requires_grad for weight in vae.parameters())
