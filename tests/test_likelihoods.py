"""The likelihoods, against torch.distributions, plain numpy and enumeration."""

from itertools import product

import numpy as np
import pytest
import torch
from torch.distributions import Bernoulli, Normal

from aetutor.likelihoods import LIKELIHOODS, bernoulli, check_sigma, gaussian

SHAPE = (5, 2, 3, 4)


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def pixel_sum(log_prob):
    return log_prob.sum((-3, -2, -1))


def test_the_two_families_go_by_their_names():
    assert LIKELIHOODS == {"bernoulli": bernoulli, "gaussian": gaussian}


@pytest.mark.parametrize("family", LIKELIHOODS.values())
@pytest.mark.parametrize("shape", [(1, 2, 2), (5, 1, 2, 2), (4, 5, 3, 2, 2)])
def test_one_event_is_one_image(family, shape):
    p_x = family(torch.zeros(shape))
    assert p_x.batch_shape == shape[:-3] and p_x.event_shape == shape[-3:]
    assert p_x.log_prob(torch.ones(shape)).shape == shape[:-3]


@pytest.mark.parametrize("family", [bernoulli, lambda mean: gaussian(mean, 0.5)], ids=["bernoulli", "gaussian"])
def test_they_can_be_expanded_as_every_distribution_can(family):
    parameters, x = random(1, 2, 2), random(3, 1, 2, 2, seed=1).sign().relu()
    p_x = family(parameters).expand((3,))
    assert p_x.batch_shape == (3,) and torch.equal(p_x.log_prob(x), family(parameters.expand(3, 1, 2, 2)).log_prob(x))


# --- Bernoulli -------------------------------------------------------------------------------------------------------


def test_bernoulli_is_minus_the_cross_entropy():
    logits, x = 3 * random(*SHAPE), (random(*SHAPE, seed=1) > 0).double()
    y = 1 / (1 + np.exp(-logits.numpy()))
    expected = (x.numpy() * np.log(y) + (1 - x.numpy()) * np.log(1 - y)).sum((1, 2, 3))
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


@pytest.mark.parametrize(("pixels", "found"), [
    (torch.linspace(0.25, 0.75, 4), "0.25"),
    (torch.tensor([0.0, 1.0, 1.0, 255.0]), "255"),
    (torch.tensor([-1.0, 0.0, 1.0, 1.0]), "-1"),
])
def test_bernoulli_refuses_grey_images_and_says_what_to_do(pixels, found):
    p_x = bernoulli(torch.zeros(3, 1, 2, 2))
    with pytest.raises(ValueError, match=f"pixels that are 0 or 1; got {found} among them: .*binarize.*gaussian") as e:
        p_x.log_prob(pixels.view(1, 2, 2).expand(3, 1, 2, 2))
    assert "\n" not in str(e.value) and (e.value.__suppress_context__ or e.value.__context__ is None)


@pytest.mark.parametrize("family", [bernoulli, gaussian])
@pytest.mark.parametrize("x", [torch.ones(3, 2, 2), torch.ones(3, 1, 2, 1), torch.ones(2, 2), torch.ones(3, 4),
                               torch.ones(3, 1, 2, 2, dtype=torch.uint8)],
                         ids=["no channel", "width 1", "one bare image", "flat", "bytes"])
def test_images_of_another_shape_or_type_are_never_broadcast(family, x):
    with pytest.raises(ValueError, match=r"floats of shape \(…, 1, 2, 2\); got torch"):
        family(torch.zeros(3, 1, 2, 2)).log_prob(x)


@pytest.mark.parametrize("family", [bernoulli, gaussian])
def test_a_sample_axis_in_front_is_broadcast(family):
    outputs, x = torch.randn(5, 3, 1, 2, 2), torch.ones(3, 1, 2, 2)
    one_by_one = torch.stack([family(output).log_prob(x) for output in outputs])
    torch.testing.assert_close(family(outputs).log_prob(x), one_by_one)


def test_bernoulli_refuses_nan():
    with pytest.raises(ValueError, match="nan"):
        bernoulli(torch.zeros(3, 1, 2, 2)).log_prob(torch.full((3, 1, 2, 2), torch.nan))


@pytest.mark.parametrize("shape", [(3, 1, 2, 3), (2, 1, 2, 2)], ids=["another image shape", "another batch size"])
def test_bernoulli_names_shapes_that_do_not_match(shape):
    with pytest.raises((ValueError, RuntimeError), match="(?i)broadcast|size|shape"):
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
    np.testing.assert_allclose(gaussian(mean).log_prob(x).numpy(), -squared / 2 - pixels / 2 * np.log(2 * np.pi),
                               rtol=1e-12)
    np.testing.assert_allclose(gaussian(mean, 0.5).log_prob(x).numpy(),
                               -squared / (2 * 0.25) - pixels / 2 * np.log(2 * np.pi * 0.25), rtol=1e-12)


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
        assert gaussian(torch.zeros(2, 1, 1, 1, dtype=dtype), 0.5).log_prob(torch.ones(2, 1, 1, 1, dtype=dtype)).dtype \
            == dtype


def test_gaussian_names_shapes_that_do_not_match():
    with pytest.raises((ValueError, RuntimeError), match="(?i)size|shape"):
        gaussian(torch.zeros(3, 1, 2, 2)).log_prob(torch.ones(2, 1, 2, 2))


@pytest.mark.parametrize("sigma", [0, -0.5, float("nan"), float("inf")])
def test_sigma_must_be_positive_and_finite(sigma):
    with pytest.raises(ValueError, match=f"sigma is a standard deviation .*positive and finite; got {sigma}"):
        check_sigma(sigma)
    with pytest.raises(ValueError, match="sigma"):
        gaussian(torch.zeros(1, 2, 2), sigma)
