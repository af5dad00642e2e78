"""Corruptions: their moments in standard errors, their edges exactly, their ranges."""

import math

import numpy as np
import pytest
import torch

from aetutor import corruption
from aetutor.corruption import gaussian, mask, moments, of_kind, salt_and_pepper

KINDS = [mask, gaussian, salt_and_pepper]
NAMES = ["masking", "Gaussian", "salt and pepper"]
LEVEL = 0.3


def images(count=20_000, dtype=torch.float64):
    """The same four grey values, over and over: (count, 1, 2, 2)."""
    return torch.tensor([[[0.0, 0.25], [0.6, 1.0]]], dtype=dtype).expand(count, 1, 2, 2)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def assert_moments(sample, mean, variance):
    """The sample's mean and variance over its first axis agree with the given ones, within four standard errors."""
    assert_mean(sample, mean)
    assert_mean((sample - mean) ** 2, variance)


def assert_mean(values, expected):
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


@pytest.mark.parametrize("corrupt", [mask, salt_and_pepper])
def test_level_0_changes_nothing_even_where_the_draw_is_exactly_0(corrupt, monkeypatch):
    monkeypatch.setattr(torch, "rand", lambda *shape, **settings: torch.zeros(*shape))
    assert torch.equal(corrupt(images(5).float(), 0.0), images(5).float())


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
    with pytest.raises(ValueError, match=r"must be a number in \[0, 1\]; got 1.5"):
        corrupt(images(1), 1.5)


@pytest.mark.parametrize("corrupt", KINDS)
def test_bytes_are_refused(corrupt):
    with pytest.raises(ValueError, match=r"float images; got torch.uint8"):
        corrupt(torch.zeros(1, 1, 2, 2, dtype=torch.uint8), LEVEL)


# --- kinds and their moments -----------------------------------------------------------------------------------------


def enumerated(kind, level, x):
    """What a pixel x can become: value -> probability, for the two kinds with finitely many values."""
    return {
        "masking": [(x, 1 - level), (0.0, level)],
        "salt and pepper": [(x, 1 - level), (0.0, level / 2), (1.0, level / 2)],
    }[kind]


def test_each_kind_has_its_name():
    assert list(corruption.KINDS.items()) == list(zip(NAMES, KINDS, strict=True))
    assert [of_kind(name) for name in NAMES] == KINDS


@pytest.mark.parametrize("kind", ["gaussian", "mask", "", None])
@pytest.mark.parametrize("ask", [of_kind, lambda kind: moments(kind, LEVEL, 0.1, 0.1)], ids=["of_kind", "moments"])
def test_an_unknown_kind_is_refused_and_the_known_ones_are_listed(ask, kind):
    with pytest.raises(ValueError, match=rf"corruption {kind!r}: choose one of masking, Gaussian, salt and pepper\."):
        ask(kind)


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("level", [0.0, 0.3, 0.8, 1.0])
def test_moments_are_those_of_the_draws(kind, level):
    x = images()
    scale, offset, sigma = moments(kind, level, x[0].mean().item(), x[0].square().mean().item())
    residual = of_kind(kind)(x, level, generator()) - (scale * x + offset)
    assert_mean(residual, 0.0)
    assert_mean(residual.square().flatten(1).mean(1), sigma**2)


@pytest.mark.parametrize("kind", ["masking", "salt and pepper"])
@pytest.mark.parametrize("level", [0.0, 0.05, 0.5, 0.9, 1.0])
def test_moments_are_those_of_the_enumerated_values(kind, level):
    grey = [0.0, 0.25, 0.6, 1.0, 1.0]
    scale, offset, sigma = moments(kind, level, np.mean(grey), np.mean(np.square(grey)))
    variances = []
    for x in grey:
        values, chances = np.array(enumerated(kind, level, x)).T
        assert scale * x + offset == pytest.approx(values @ chances, abs=1e-15)
        variances.append(np.square(values - values @ chances) @ chances)
    assert sigma**2 == pytest.approx(np.mean(variances), abs=1e-15)


@pytest.mark.parametrize("kind", NAMES)
def test_level_0_has_no_noise_and_level_1_what_the_docstrings_say(kind):
    assert moments(kind, 0, 0.13, 0.1) == (1, 0, 0)
    assert (
        moments(kind, 1, 0.13, 0.1)
        == {"masking": (0, 0, 0), "Gaussian": (1, 0, 1), "salt and pepper": (0, 0.5, 0.5)}[kind]
    )


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("grey", [0.0, 0.1, 0.7, 1.0])
def test_the_deviation_is_a_number_at_every_level_also_where_rounding_leaves_less_than_nothing(kind, grey):
    for level in np.linspace(0, 1, 201).tolist():
        sigma = moments(kind, level, grey, grey**2 - 1e-17)[2]
        assert isinstance(sigma, float) and 0 <= sigma <= 1


def test_gaussian_noise_may_be_larger_than_the_image():
    assert moments("Gaussian", 2.5, 0.13, 0.1) == (1, 0, 2.5)


@pytest.mark.parametrize(
    ("kind", "level"),
    [(kind, level) for kind in NAMES for level in (-0.1, math.nan, math.inf)]
    + [("masking", 1.5), ("salt and pepper", 1.5)],
)
def test_moments_refuse_the_levels_that_the_corruption_refuses(kind, level):
    with pytest.raises(ValueError) as expected:
        of_kind(kind)(images(1), level)
    with pytest.raises(ValueError, match=rf"level of a corruption must be .*; got {level}") as caught:
        moments(kind, level, 0.13, 0.1)
    assert str(caught.value) == str(expected.value)


@pytest.mark.parametrize("corrupt", KINDS)
@pytest.mark.parametrize("level", ["0.5", None, torch.tensor([0.5, 0.5]), float("nan")])
def test_a_level_that_is_no_number_is_refused(corrupt, level):
    with pytest.raises(ValueError, match="level of a corruption must be a number"):
        corrupt(images(1), level)


@pytest.mark.parametrize("corrupt", KINDS)
def test_images_that_are_no_tensor_are_refused(corrupt):
    with pytest.raises(ValueError, match="tensors of float images; got float64"):
        corrupt(images(1).double().numpy(), LEVEL)


def test_masking_leaves_no_trace_of_a_lost_pixel():
    x = torch.full((1000,), -1.0)
    x[::2] = float("nan")
    lost = mask(x, 1.0)
    assert (lost == 0).all() and not torch.signbit(lost).any()
