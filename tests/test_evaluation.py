"""Evaluation, against numpy and torch.distributions."""

import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal
from torch.utils._python_dispatch import TorchDispatchMode

from aetutor import corruption
from aetutor.evaluation import OptimalMemory, median_filter, psnr, psnr_by_level, squared_error

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


@pytest.mark.parametrize(
    ("x", "sentence"),
    [
        (torch.tensor([0.0, 255.0, 3.0, 7.0]), "grey values in .0, 1. for x; got values from 0 to 255: divide"),
        (torch.tensor([0.0, 0.5, -0.1, 0.2]), "got values from -0.1 to 0.5"),
        (torch.tensor([0.0, 0.5, math.nan, 0.2]), "got NaN"),
        (torch.tensor([0, 1, 2, 3]).byte(), "float images of one dtype; got torch.uint8 and torch.uint8"),
    ],
)
def test_psnr_refuses_images_that_are_no_grey_values_between_0_and_1(x, sentence):
    with pytest.raises(ValueError, match=sentence):
        psnr(x.view(1, 1, 2, 2), x.view(1, 1, 2, 2))
    if x.is_floating_point():  # what is restored may be noisy, or lie outside
        assert psnr(torch.zeros(1, 1, 2, 2), torch.full((1, 1, 2, 2), 2.0)).item() == pytest.approx(-6.0206, abs=1e-4)


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


def test_psnr_by_level_is_that_of_all_images_together_for_methods_that_see_the_same_noise():
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
        error = np.square(factor * noisy.numpy() - x.numpy()).mean()
        assert measured[name][i] == pytest.approx(10 * np.log10(1 / error), rel=1e-12)
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


@pytest.mark.slow
def test_a_memory_of_all_of_mnist_needs_less_than_half_a_gigabyte_besides():
    pytest.importorskip("resource")
    result = subprocess.run([sys.executable, "-c", MEMORY_PROBE], capture_output=True, text=True, check=True)
    assert float(result.stdout) < 0.5
