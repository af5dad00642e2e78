"""The likelihoods, against torch.distributions, plain numpy and enumeration."""

from itertools import product

import numpy as np
import pytest
import torch
from torch.distributions import Bernoulli, ContinuousBernoulli, Normal

from aetutor.distributions import ContinuousBernoulliPixels, validation
from aetutor.likelihoods import (
    LIKELIHOODS,
    SMALLEST_SIGMA,
    BernoulliLikelihood,
    ContinuousBernoulliLikelihood,
    GaussianLikelihood,
    LearnedGaussianLikelihood,
    PixelwiseGaussianLikelihood,
    make_likelihood,
)

SHAPE = (5, 2, 3, 4)
LOGITS = [0.0, 1e-6, 1e-3, 0.0999, 0.1, 0.2, 1.0, 5.0, 16.9, 17.0, 30.0, 100.0, 1e3]
LOGITS = LOGITS + [-logit for logit in LOGITS[1:]]


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def pixel_sum(log_prob):
    return log_prob.sum((-3, -2, -1))


# each family as a function of numbers in the shape of the images: what its module gives for them


def bernoulli(logits):
    return BernoulliLikelihood(logits.shape[-3:])(logits.flatten(-3))


def gaussian(mean, sigma=1.0):
    return GaussianLikelihood(mean.shape[-3:], sigma)(mean.flatten(-3))


def gaussian_learned(mean, log_sigma):
    family = LearnedGaussianLikelihood(mean.shape[-3:])
    del family.tenth_log_sigma
    family.tenth_log_sigma = log_sigma / 10
    return family(mean.flatten(-3))


def gaussian_pixelwise(outputs):
    return PixelwiseGaussianLikelihood(outputs.shape[-3:])(outputs.flatten(-4))


def continuous_bernoulli(logits):
    return ContinuousBernoulliLikelihood(logits.shape[-3:])(logits.flatten(-3))


def pixelwise(mean):
    """Each pixel's spread is another function of its mean, so that all families can be called with one tensor."""
    return gaussian_pixelwise(torch.stack([mean, mean.cos() - 1], -4))


FAMILIES = {
    "bernoulli": bernoulli,
    "gaussian": lambda mean: gaussian(mean, 0.5),
    "gaussian_pixelwise": pixelwise,
    "gaussian_learned": lambda mean: gaussian_learned(mean, torch.tensor(-0.7, dtype=mean.dtype)),
    "continuous_bernoulli": continuous_bernoulli,
}
every_family = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)


def test_the_families_go_by_their_names():
    assert list(LIKELIHOODS) == [
        "bernoulli",
        "gaussian",
        "gaussian_learned",
        "gaussian_pixelwise",
        "continuous_bernoulli",
    ]
    for name, family in LIKELIHOODS.items():
        made = make_likelihood(name, (2, 3, 4))
        assert type(made) is family and made.config()["likelihood"] == name
        assert made.out_features == (48 if name == "gaussian_pixelwise" else 24) and made.image_shape == (2, 3, 4)


def test_an_unknown_family_and_a_sigma_too_many_are_named():
    with pytest.raises(ValueError, match=r"Unknown likelihood 'poisson': choose one of bernoulli, gaussian"):
        make_likelihood("poisson", (1, 2, 2))
    with pytest.raises(ValueError, match=r"sigma belongs to the Gaussian.*sigma=0.5 with likelihood='bernoulli'"):
        make_likelihood("bernoulli", (1, 2, 2), 0.5)


@every_family
@pytest.mark.parametrize("shape", [(1, 2, 2), (5, 1, 2, 2), (4, 5, 3, 2, 2)])
def test_one_event_is_one_image(family, shape):
    p_x = family(torch.zeros(shape))
    assert p_x.batch_shape == shape[:-3] and p_x.event_shape == shape[-3:]
    assert p_x.log_prob(torch.ones(shape)).shape == shape[:-3] and p_x.mean.shape == shape


@every_family
def test_they_can_be_expanded_as_every_distribution_can(family):
    parameters, x = random(1, 2, 2), random(3, 1, 2, 2, seed=1).sign().relu()
    p_x = family(parameters).expand((3,))
    assert p_x.batch_shape == (3,) and torch.equal(p_x.log_prob(x), family(parameters.expand(3, 1, 2, 2)).log_prob(x))


@every_family
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_type_is_kept(family, dtype):
    p_x, x = family(random(5, 1, 2, 2).to(dtype)), torch.ones(5, 1, 2, 2, dtype=dtype)
    assert {p_x.log_prob(x).dtype, p_x.mean.dtype, p_x.sample().dtype, p_x.base_dist.log_prob_table(x).dtype} == {dtype}


# --- the table of all pairs ------------------------------------------------------------------------------------------


@every_family
def test_the_table_is_the_log_prob_of_every_pair(family):
    p_x, x = family(2 * random(*SHAPE)), (random(3, 2, 3, 4, seed=1) > 0).double()
    table = p_x.base_dist.log_prob_table(x)
    one_by_one = torch.stack([p_x.log_prob(image.expand(SHAPE)) for image in x])
    assert table.shape == (3, 5)
    torch.testing.assert_close(table, one_by_one, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(
    "family",
    [family for name, family in FAMILIES.items() if name != "bernoulli"],
    ids=[name for name in FAMILIES if name != "bernoulli"],
)
def test_the_table_takes_grey_images(family):
    p_x, x = family(2 * random(*SHAPE)), random(3, 2, 3, 4, seed=1).sigmoid()
    one_by_one = torch.stack([p_x.log_prob(image.expand(SHAPE)) for image in x])
    torch.testing.assert_close(p_x.base_dist.log_prob_table(x), one_by_one, rtol=1e-11, atol=1e-11)


# --- Bernoulli -------------------------------------------------------------------------------------------------------


def test_bernoulli_is_minus_the_cross_entropy():
    logits, x = 3 * random(*SHAPE), (random(*SHAPE, seed=1) > 0).double()
    x_hat = 1 / (1 + np.exp(-logits.numpy()))
    expected = (x.numpy() * np.log(x_hat) + (1 - x.numpy()) * np.log(1 - x_hat)).sum((1, 2, 3))
    np.testing.assert_allclose(bernoulli(logits).log_prob(x).numpy(), expected, rtol=1e-12)


def test_bernoulli_agrees_with_torch():
    logits, x = 3 * random(*SHAPE), (random(*SHAPE, seed=1) > 0).double()
    expected = pixel_sum(Bernoulli(logits=logits).log_prob(x))
    torch.testing.assert_close(bernoulli(logits).log_prob(x), expected, rtol=1e-14, atol=0)


def test_bernoulli_probabilities_of_all_images_sum_to_one():
    images = torch.tensor(list(product([0.0, 1.0], repeat=6)), dtype=torch.float64).view(64, 1, 2, 3)
    log_p = bernoulli(2 * random(1, 2, 3)).log_prob(images)
    assert log_p.exp().sum().item() == pytest.approx(1, abs=1e-13)


def test_bernoulli_mean_is_the_sigmoid():
    logits = random(*SHAPE)
    np.testing.assert_allclose(bernoulli(logits).mean.numpy(), 1 / (1 + np.exp(-logits.numpy())), rtol=1e-12)


def test_bernoulli_stays_finite_at_large_logits():
    logits = torch.tensor([200.0, -200.0], dtype=torch.float64).view(2, 1, 1, 1)
    log_p = bernoulli(logits).log_prob(torch.zeros(2, 1, 1, 1, dtype=torch.float64))
    torch.testing.assert_close(log_p, torch.tensor([-200.0, 0.0], dtype=torch.float64))


def test_bernoulli_draws_are_images_of_zeros_and_ones():
    torch.manual_seed(0)
    draws = bernoulli(torch.full((2, 1, 2, 2), 1.0)).sample((4000,))
    assert draws.shape == (4000, 2, 1, 2, 2) and set(draws.unique().tolist()) == {0.0, 1.0}
    standard_error = (0.7311 * 0.2689 / 4000) ** 0.5
    assert (draws.mean(0) - 0.7311).abs().max() < 5 * standard_error


@pytest.mark.parametrize(
    ("pixels", "found"),
    [
        (torch.linspace(0.25, 0.75, 4), "0.25"),
        (torch.tensor([0.0, 1.0, 1.0, 255.0]), "255"),
        (torch.tensor([-1.0, 0.0, 1.0, 1.0]), "-1"),
    ],
)
def test_bernoulli_refuses_grey_images_and_says_what_to_do(pixels, found):
    p_x = bernoulli(torch.zeros(3, 1, 2, 2))
    with pytest.raises(ValueError, match=f"pixels that are 0 or 1; got {found} among them: .*binarize.*gaussian") as e:
        p_x.log_prob(pixels.view(1, 2, 2).expand(3, 1, 2, 2))
    assert "\n" not in str(e.value) and (e.value.__suppress_context__ or e.value.__context__ is None)


@every_family
@pytest.mark.parametrize(
    "x",
    [
        torch.ones(3, 2, 2),
        torch.ones(3, 1, 2, 1),
        torch.ones(2, 2),
        torch.ones(3, 4),
        torch.ones(3, 1, 2, 2, dtype=torch.uint8),
    ],
    ids=["no channel", "width 1", "one bare image", "flat", "bytes"],
)
def test_images_of_another_shape_or_type_are_never_broadcast(family, x):
    with pytest.raises(ValueError, match=r"floats of shape \(…, 1, 2, 2\); got torch"):
        family(torch.zeros(3, 1, 2, 2)).log_prob(x)


@every_family
def test_a_sample_axis_in_front_is_broadcast(family):
    outputs, x = torch.randn(5, 3, 1, 2, 2), torch.ones(3, 1, 2, 2)
    one_by_one = torch.stack([family(output).log_prob(x) for output in outputs])
    torch.testing.assert_close(family(outputs).log_prob(x), one_by_one)


def test_bernoulli_refuses_nan():
    with pytest.raises(ValueError, match="nan"):
        bernoulli(torch.zeros(3, 1, 2, 2)).log_prob(torch.full((3, 1, 2, 2), torch.nan))


@pytest.mark.parametrize("shape", [(3, 1, 2, 3), (2, 1, 2, 2)], ids=["another image shape", "another batch size"])
def test_bernoulli_names_shapes_that_do_not_match(shape):
    with pytest.raises((ValueError, RuntimeError), match=r"(?i)broadcast|size|shape"):
        bernoulli(torch.zeros(3, 1, 2, 2)).log_prob(torch.ones(shape))


# --- Gaussian --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sigma", [0.1, 0.5, 1.0, 3.0])
def test_gaussian_agrees_with_torch(sigma):
    mean, x = random(*SHAPE), random(*SHAPE, seed=1)
    expected = pixel_sum(Normal(mean, sigma).log_prob(x))
    torch.testing.assert_close(gaussian(mean, sigma).log_prob(x), expected, rtol=1e-12, atol=0)


def test_gaussian_is_minus_half_the_squared_error_and_a_constant():
    mean, x = random(*SHAPE), random(*SHAPE, seed=1)
    squared, pixels = ((x - mean).numpy() ** 2).sum((1, 2, 3)), 2 * 3 * 4
    np.testing.assert_allclose(
        gaussian(mean).log_prob(x).numpy(), -squared / 2 - pixels / 2 * np.log(2 * np.pi), rtol=1e-12
    )
    np.testing.assert_allclose(
        gaussian(mean, 0.5).log_prob(x).numpy(),
        -squared / (2 * 0.25) - pixels / 2 * np.log(2 * np.pi * 0.25),
        rtol=1e-12,
    )


def test_gaussian_density_integrates_to_one():
    x = torch.linspace(-6, 6, 4001, dtype=torch.float64)
    density = gaussian(torch.full((1, 1, 1), 0.7, dtype=torch.float64), 0.3).log_prob(x.view(-1, 1, 1, 1)).exp()
    assert torch.trapezoid(density, x).item() == pytest.approx(1, abs=1e-12)


def test_gaussian_moments_and_entropy_agree_with_torch():
    mean = random(*SHAPE)
    p_x, oracle = gaussian(mean, 0.5), Normal(mean, 0.5)
    assert torch.equal(p_x.mean, mean)
    torch.testing.assert_close(p_x.variance, oracle.variance)
    torch.testing.assert_close(p_x.entropy(), pixel_sum(oracle.entropy()))


def test_gaussian_draws_have_the_mean_and_the_deviation():
    torch.manual_seed(0)
    draws = gaussian(torch.full((1, 1, 2), 2.0), 0.5).sample((20_000,))
    assert (draws.mean(0) - 2).abs().max() < 5 * 0.5 / 20_000**0.5
    assert (draws.std(0) - 0.5).abs().max() < 5 * 0.5 / 40_000**0.5


def test_gaussian_keeps_the_type_of_the_mean():
    for dtype in (torch.float32, torch.float64):
        assert (
            gaussian(torch.zeros(2, 1, 1, 1, dtype=dtype), 0.5).log_prob(torch.ones(2, 1, 1, 1, dtype=dtype)).dtype
            == dtype
        )


def test_gaussian_names_shapes_that_do_not_match():
    with pytest.raises((ValueError, RuntimeError), match=r"(?i)size|shape"):
        gaussian(torch.zeros(3, 1, 2, 2)).log_prob(torch.ones(2, 1, 2, 2))


@pytest.mark.parametrize("sigma", [0, -0.5, float("nan"), float("inf")])
def test_sigma_must_be_positive_and_finite(sigma):
    with pytest.raises(
        ValueError, match=f"sigma, a standard deviation, must be a finite number, more than 0; got {sigma}"
    ):
        gaussian(torch.zeros(1, 2, 2), sigma)


# --- Gaussians with a sigma of their own -----------------------------------------------------------------------------


@pytest.mark.parametrize("log_sigma", [-4.0, -0.7, 0.0, 1.5])
def test_gaussian_learned_agrees_with_torch(log_sigma):
    mean, x = random(*SHAPE), random(*SHAPE, seed=1)
    p_x = gaussian_learned(mean, torch.tensor(log_sigma, dtype=torch.float64))
    expected = pixel_sum(Normal(mean, np.exp(log_sigma)).log_prob(x))
    torch.testing.assert_close(p_x.log_prob(x), expected, rtol=1e-12, atol=0)
    assert torch.equal(p_x.mean, mean) and p_x.stddev.unique().item() == pytest.approx(np.exp(log_sigma), rel=1e-14)


def test_the_best_log_sigma_is_half_the_log_of_the_mean_squared_error():
    mean, x = random(*SHAPE), random(*SHAPE, seed=1)
    best = 0.5 * (x - mean).square().mean().log()
    around = [gaussian_learned(mean, best + step).log_prob(x).sum() for step in (-1e-3, 0.0, 1e-3)]
    assert around[1] > around[0] and around[1] > around[2]
    log_sigma = best.clone().requires_grad_()
    gaussian_learned(mean, log_sigma).log_prob(x).sum().backward()
    assert abs(log_sigma.grad.item()) < 1e-10


def test_gaussian_pixelwise_agrees_with_torch():
    outputs, x = 3 * random(5, 2, 2, 3, 4), random(*SHAPE, seed=1)
    mean, sigma = outputs[:, 0], 0.01 + outputs[:, 1].exp().log1p()
    p_x = gaussian_pixelwise(outputs)
    torch.testing.assert_close(p_x.log_prob(x), pixel_sum(Normal(mean, sigma).log_prob(x)), rtol=1e-12, atol=0)
    torch.testing.assert_close(p_x.stddev, sigma, rtol=1e-13, atol=0)
    assert torch.equal(p_x.mean, mean)


def test_a_pixels_own_sigma_has_a_floor_and_with_it_the_density_a_bound():
    p_x = gaussian_pixelwise(torch.stack([torch.zeros(1, 1, 1), torch.full((1, 1, 1), -1e3)]).double())
    assert p_x.stddev.item() == pytest.approx(0.01) and SMALLEST_SIGMA == 0.01
    assert p_x.log_prob(torch.zeros(1, 1, 1).double()).item() == pytest.approx(-np.log(0.01 * np.sqrt(2 * np.pi)))


def test_draws_of_pixels_with_a_sigma_of_their_own_have_it():
    torch.manual_seed(0)
    p_x = gaussian_pixelwise(2 * random(2, 1, 2, 2))
    draws = p_x.sample((20_000,))
    assert ((draws.mean(0) - p_x.mean).abs() < 5 * p_x.stddev / 20_000**0.5).all()
    assert ((draws.std(0) - p_x.stddev).abs() < 5 * p_x.stddev / 40_000**0.5).all()


# --- continuous Bernoulli --------------------------------------------------------------------------------------------


def one_pixel(values, dtype=torch.float64):
    return torch.as_tensor(values, dtype=dtype).view(-1, 1, 1, 1)


def exact_mean(logit):
    """½ coth(a/2) + ½ - 1/a, at 0 its limit ½."""
    return 0.5 if logit == 0 else 0.5 / np.tanh(logit / 2) + 0.5 - 1 / logit


def exact_variance(logit):
    """1/a² - 1 / (4 sinh²(a/2)); near 0 its series."""
    if abs(logit) < 0.1:
        return 1 / 12 - logit**2 / 240 + logit**4 / 6048
    return 1 / logit**2 - (0.25 / np.sinh(logit / 2) ** 2 if abs(logit) < 600 else 0)


def simpson(values):
    """The integral over [0, 1] of a function, from its values at an odd number of points, the first axis."""
    return (values[0] + values[-1] + 4 * values[1:-1:2].sum(0) + 2 * values[2:-1:2].sum(0)) / 3 / (len(values) - 1)


GREY = np.linspace(0, 1, 4001)


@pytest.mark.parametrize("logit", [-50, -17, -3, -0.1, -0.0999, -1e-6, 0, 1e-6, 0.05, 0.0999, 0.1, 0.11, 1, 17, 50])
def test_continuous_bernoulli_integrates_to_one_and_to_its_mean(logit):
    p_x = continuous_bernoulli(one_pixel([logit]))
    density = p_x.log_prob(one_pixel(GREY)).exp().numpy()
    assert simpson(density) == pytest.approx(1, abs=1e-9)
    assert simpson(GREY * density) == pytest.approx(p_x.mean.item(), abs=1e-9)


def test_continuous_bernoulli_agrees_with_torch_where_that_is_accurate():
    logits = torch.cat([torch.linspace(-12, -0.3, 40), torch.linspace(0.3, 12, 40)]).double().view(8, 2, 5, 1)
    x = torch.rand(8, 2, 5, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    theirs = ContinuousBernoulli(logits=logits)
    torch.testing.assert_close(
        continuous_bernoulli(logits).log_prob(x), pixel_sum(theirs.log_prob(x)), rtol=1e-9, atol=1e-9
    )
    torch.testing.assert_close(continuous_bernoulli(logits).mean, theirs.mean, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("dtype", "atol"), [(torch.float32, 3e-6), (torch.float64, 1e-9)], ids=["float32", "float64"])
@pytest.mark.parametrize("x", [0.0, 0.3, 1.0])
def test_continuous_bernoulli_and_its_gradient_are_right_for_every_logit(dtype, atol, x):
    logits = one_pixel(LOGITS, dtype).requires_grad_()
    exact = logits.detach().double().flatten().numpy()
    log_prob = continuous_bernoulli(logits).log_prob(one_pixel([x] * len(LOGITS), dtype))
    # log p = a (x - 1/2) - log(sinh(a/2) / (a/2)), written for |a|, with sinh's exponential taken out
    size = np.where(exact == 0, 1, np.abs(exact))
    log_sinhc = np.where(exact == 0, 0, size / 2 + np.log(-np.expm1(-size) / size))
    expected = exact * (x - 0.5) - log_sinhc
    # a x and the integral cancel: what is left is rounded as a is
    error = np.abs(log_prob.detach().double().numpy() - expected)
    assert (error <= atol + 2 * torch.finfo(dtype).eps * np.abs(exact)).all()
    (gradient,) = torch.autograd.grad(log_prob.sum(), logits)
    assert gradient.isfinite().all()
    np.testing.assert_allclose(gradient.double().flatten().numpy(), [x - exact_mean(a) for a in exact], atol=atol)


@pytest.mark.parametrize(("dtype", "atol"), [(torch.float32, 3e-6), (torch.float64, 1e-9)], ids=["float32", "float64"])
def test_the_mean_of_a_continuous_bernoulli_is_exact_and_its_slope_is_the_variance(dtype, atol):
    logits = one_pixel([logit for logit in LOGITS if logit > -50], dtype).requires_grad_()
    mean = continuous_bernoulli(logits).mean
    exact = logits.detach().double().flatten().numpy()
    np.testing.assert_allclose(mean.detach().double().flatten().numpy(), [exact_mean(a) for a in exact], atol=atol)
    (gradient,) = torch.autograd.grad(mean.sum(), logits)
    np.testing.assert_allclose(
        gradient.double().flatten().numpy(), [exact_variance(a) for a in exact], rtol=1e-5, atol=30 * atol
    )


@pytest.mark.parametrize("logit", [17.0, 20.0, 50.0])
def test_torchs_own_continuous_bernoulli_loses_its_gradient_where_this_one_does_not(logit):
    gradients = []
    for family in (lambda logits: ContinuousBernoulli(logits=logits, validate_args=False), continuous_bernoulli):
        logits = one_pixel([logit], torch.float32).requires_grad_()
        gradients += torch.autograd.grad(family(logits).log_prob(one_pixel([1.0], torch.float32)).sum(), logits)
    assert abs(gradients[0].item()) < 1e-6  # torch's normalising constant is clamped there
    assert gradients[1].item() == pytest.approx(1 - exact_mean(logit), rel=1e-5)


@pytest.mark.parametrize("logit", [-30.0, -3.0, -0.2, -0.05, -5e-4, 0.0, 0.09, 1.5, 8.0, 60.0])
def test_draws_of_a_continuous_bernoulli_follow_its_distribution(logit):
    torch.manual_seed(0)
    count = 20_000
    draws = continuous_bernoulli(one_pixel([logit])).sample((count,)).flatten().sort().values.numpy()
    variance = exact_variance(logit)
    assert abs(draws.mean() - exact_mean(logit)) < 4 * (variance / count) ** 0.5
    squares = (draws - exact_mean(logit)) ** 2
    assert abs(squares.mean() - variance) < 4 * squares.std() / count**0.5
    below = draws if logit == 0 else np.expm1(logit * draws) / np.expm1(logit)
    assert np.abs(below - (np.arange(count) + 0.5) / count).max() < 1.95 / count**0.5
    assert draws.min() >= 0 and draws.max() <= 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_draws_of_a_continuous_bernoulli_have_a_finite_gradient_that_moves_them_as_the_mean(dtype):
    torch.manual_seed(0)
    logits = one_pixel(LOGITS, dtype).requires_grad_()
    draws = continuous_bernoulli(logits).rsample((2000,))
    (gradient,) = torch.autograd.grad(draws.sum(), logits)
    assert draws.shape == (2000, len(LOGITS), 1, 1, 1) and gradient.isfinite().all()
    assert draws.min() >= 0 and draws.max() <= 1
    # the slope of the mean draw estimates the slope of the mean, which is the variance
    middle = [i for i, logit in enumerate(LOGITS) if 0.1 <= abs(logit) <= 30]
    np.testing.assert_allclose(
        gradient.double().flatten().numpy()[middle] / 2000, [exact_variance(LOGITS[i]) for i in middle], rtol=0.12
    )


@pytest.mark.parametrize("x", [-0.01, 1.01, 255.0])
def test_continuous_bernoulli_takes_grey_values_from_0_to_1(x):
    with pytest.raises(ValueError, match=r"grey values in \[0, 1\]; got values from"):
        continuous_bernoulli(torch.zeros(2, 1, 1, 1)).log_prob(torch.tensor([0.5, x]).view(2, 1, 1, 1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_mean_of_a_continuous_bernoulli_is_monotone_and_has_a_gradient_everywhere(dtype):
    logits = torch.tensor([-1e3, -100, -17, -0.1, -1e-4, 0, 1e-4, 0.1, 17, 100, 1e3], dtype=dtype, requires_grad=True)
    mean = ContinuousBernoulliPixels(logits).mean
    gradient = torch.autograd.grad(mean.sum(), logits)[0]
    assert (mean.diff() > 0).all() and (gradient > 0).all() and gradient.isfinite().all()
    torch.testing.assert_close(mean.flip(0), 1 - mean)  # black and white are alike


def test_a_continuous_bernoulli_refuses_nan():
    with pytest.raises(ValueError, match=r"grey values in \[0, 1\]"):
        ContinuousBernoulliPixels(torch.zeros(1, 2, 2)).log_prob(torch.full((1, 2, 2), float("nan")))


# --- half precision, and the validation switch -----------------------------------------------------------------------


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_outputs_in_half_precision_are_raised_to_float32_and_nothing_is_lost_after_that(name):
    family, x = make_likelihood(name, SHAPE[1:]), (random(*SHAPE, seed=1) > 0).float()
    outputs = random(5, family.out_features).bfloat16()
    half, whole = family(outputs).log_prob(x), family(outputs.float()).log_prob(x)
    assert half.dtype == torch.float32 and torch.equal(half, whole)


@pytest.mark.parametrize("sigma", [0.05, 0.1])
def test_sigma_is_not_rounded_with_the_outputs(sigma):
    mean, x = random(*SHAPE).bfloat16(), random(*SHAPE, seed=1).float()
    expected = pixel_sum(Normal(mean.double(), sigma).log_prob(x.double()))
    torch.testing.assert_close(gaussian(mean, sigma).log_prob(x).double(), expected, rtol=1e-6, atol=0)


BAD = {
    "bernoulli": 0.5,
    "gaussian": float("nan"),
    "gaussian_pixelwise": float("nan"),
    "gaussian_learned": float("nan"),
    "continuous_bernoulli": 1.5,
}


@pytest.mark.parametrize("name", FAMILIES)
def test_values_are_looked_at_while_torchs_validation_is_on_and_shapes_always(name):
    outputs, bad = torch.zeros(2, 1, 2, 2), torch.full((2, 1, 2, 2), BAD[name])
    with pytest.raises(ValueError, match=r"Bernoulli|Gaussian"):
        FAMILIES[name](outputs).log_prob(bad)
    with validation(False):
        assert FAMILIES[name](outputs).log_prob(bad).shape == (2,)
        with pytest.raises(ValueError, match="floats of shape"):
            FAMILIES[name](outputs).log_prob(bad[:, 0])
    with pytest.raises(ValueError, match=r"Bernoulli|Gaussian"):
        FAMILIES[name](outputs).log_prob(bad)


def test_the_validation_switch_is_put_back_also_after_an_error():
    before = torch.distributions.Distribution._validate_args
    with pytest.raises(KeyError), validation(not before):
        raise KeyError
    assert torch.distributions.Distribution._validate_args == before


@every_family
def test_numbers_that_are_not_finite_may_come_out_of_a_decoder(family):
    """A diverging model meets the trainer's check, which says what to do, and not torch's check of parameters."""
    assert family(torch.full((2, 1, 2, 2), float("nan"))).log_prob(torch.ones(2, 1, 2, 2)).isnan().all()


@pytest.mark.parametrize("family", LIKELIHOODS.values())
def test_images_are_those_of_mnist_unless_another_shape_is_given(family):
    assert family().image_shape == (1, 28, 28)
