"""Corruptions: their moments in standard errors, their edges exactly, their ranges."""

import math

import pytest
import torch

from aetutor.corruption import gaussian, mask, salt_and_pepper

KINDS = [mask, gaussian, salt_and_pepper]
LEVEL = 0.3


def images(count=20_000, dtype=torch.float64):
    """The same four grey values, over and over: (count, 1, 2, 2)."""
    return torch.tensor([[[0.0, 0.25], [0.6, 1.0]]], dtype=dtype).expand(count, 1, 2, 2)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def assert_moments(sample, mean, variance):
    """The sample's mean and variance over its first axis agree with the given ones, within four standard errors."""
    centred = sample - mean
    for values, expected in ((sample, mean), (centred**2, variance)):
        error = values.std(0) / math.sqrt(len(values))
        assert ((values.mean(0) - expected).abs() <= 4 * error + 1e-12).all()


def test_mask_has_the_moments_of_equation_2_1():
    x = images()[0]
    assert_moments(mask(images(), LEVEL, generator()), (1 - LEVEL) * x, LEVEL * (1 - LEVEL) * x**2)


def test_gaussian_adds_noise_of_the_level_given():
    x = images()[0]
    assert_moments(gaussian(images(), LEVEL, generator()), x, torch.full_like(x, LEVEL**2))


def test_salt_and_pepper_has_the_moments_of_its_mixture():
    x = images()[0]
    # the pixel with probability 1 - level, 0 and 1 with level / 2 each
    mean = (1 - LEVEL) * x + LEVEL / 2
    second = (1 - LEVEL) * x**2 + LEVEL / 2
    assert_moments(salt_and_pepper(images(), LEVEL, generator()), mean, second - mean**2)


def test_mask_leaves_the_survivors_as_they_are_where_dropout_does_not():
    x = torch.full((1000,), 0.4)
    assert set(mask(x, 0.5, generator()).tolist()) == {0.0, x[0].item()}
    assert torch.nn.functional.dropout(x, 0.5).max() == 2 * x[0]


def test_salt_and_pepper_puts_black_and_white_and_keeps_the_rest():
    x = torch.full((1000,), 0.4)
    assert set(salt_and_pepper(x, 0.5, generator()).tolist()) == {0.0, 1.0, x[0].item()}


def test_gaussian_noise_is_not_clipped():
    noisy = gaussian(images(), 1.0, generator())
    assert noisy.min() < -1 and noisy.max() > 2


@pytest.mark.parametrize("corrupt", KINDS)
def test_level_0_returns_the_image(corrupt):
    assert torch.equal(corrupt(images(5), 0.0), images(5))


def test_level_1_is_what_the_docstrings_say():
    x = images(1000)
    assert not mask(x, 1.0, generator()).any()
    assert set(salt_and_pepper(x, 1.0, generator()).unique().tolist()) == {0.0, 1.0}
    assert_moments(gaussian(images(), 1.0, generator()), images()[0], torch.ones(1, 2, 2, dtype=torch.float64))


@pytest.mark.parametrize("corrupt", KINDS)
def test_a_generator_repeats_the_draw_and_leaves_the_global_state_alone(corrupt):
    before = torch.get_rng_state()
    first, again, other = (corrupt(images(50), LEVEL, generator(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("corrupt", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_image_stays_as_it_was_and_the_type_and_shape_are_kept(corrupt, dtype):
    x = images(3, dtype).clone()
    noisy = corrupt(x, LEVEL)
    assert torch.equal(x, images(3, dtype)) and noisy.dtype == dtype and noisy.shape == x.shape


@pytest.mark.parametrize("corrupt", KINDS)
def test_every_image_of_a_batch_has_noise_of_its_own(corrupt):
    noisy = corrupt(images(2).expand(50, 2, 1, 2, 2), 0.5, generator())
    assert not torch.equal(noisy[:, 0], noisy[:, 1]) and not torch.equal(noisy[0], noisy[1])


@pytest.mark.parametrize("corrupt", KINDS)
@pytest.mark.parametrize("level", [-0.1, math.nan, math.inf])
def test_levels_that_make_no_sense_are_refused(corrupt, level):
    with pytest.raises(ValueError, match=rf"level of a corruption must be .*; got {level}"):
        corrupt(images(1), level)


@pytest.mark.parametrize("corrupt", [mask, salt_and_pepper])
def test_a_probability_above_1_is_refused(corrupt):
    with pytest.raises(ValueError, match=r"must be in \[0, 1\]; got 1.5"):
        corrupt(images(1), 1.5)


@pytest.mark.parametrize("corrupt", KINDS)
def test_bytes_are_refused(corrupt):
    with pytest.raises(ValueError, match="float images; got torch.uint8"):
        corrupt(torch.zeros(1, 1, 2, 2, dtype=torch.uint8), LEVEL)
