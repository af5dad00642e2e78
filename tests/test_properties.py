"""What must hold for every input in range, tried on inputs that Hypothesis chooses: finite, and invariant as the
mathematics is."""

import math
import os

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aetutor import checkpoint, corruption, data
from aetutor.distributions import BinaryPixels, ContinuousBernoulliPixels, GaussianPixels
from aetutor.drawing import as_mnist
from aetutor.evaluation import psnr
from aetutor.objectives import gaussian_kl

settings.register_profile(
    "here",
    max_examples=60,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=os.environ.get("CI") == "true",  # a test machine must find the same each time
)
settings.load_profile("here")

KINDS = st.sampled_from(list(corruption.KINDS))
SEEDS = st.integers(0, 2**31)


def numbers(low, high, dtype=torch.float64):
    """Tensors `(B, D)` of numbers in a range, its ends and 0 among them more often than by chance."""
    ends = [end for end in (low, high, 0.0) if low <= end <= high]
    number = st.one_of(st.floats(low, high, allow_subnormal=False), st.sampled_from(ends))
    shape = st.tuples(st.integers(1, 3), st.integers(1, 5))
    return shape.flatmap(
        lambda size: st.lists(number, min_size=size[0] * size[1], max_size=size[0] * size[1]).map(
            lambda values: torch.tensor(values, dtype=dtype).view(size)
        )
    )


def as_images(x):
    """`(B, D)` as images `(B, 1, 1, D)`."""
    return x[:, None, None]


# --- corruption ------------------------------------------------------------------------------------------------------


@given(KINDS, numbers(0, 1), st.floats(0, 1), SEEDS)
def test_noise_keeps_shape_and_dtype_and_is_finite(kind, x, level, seed):
    noisy = corruption.KINDS[kind](x, level, torch.Generator().manual_seed(seed))
    assert noisy.shape == x.shape and noisy.dtype == x.dtype and noisy.isfinite().all()


@given(KINDS, numbers(-1e6, 1e6), SEEDS)
def test_at_level_0_nothing_changes(kind, x, seed):
    assert torch.equal(corruption.KINDS[kind](x, 0.0, torch.Generator().manual_seed(seed)), x)


@given(numbers(0, 1), st.floats(0, 1), st.floats(0, 1), SEEDS)
def test_a_higher_level_masks_what_a_lower_one_masks_and_more(x, one, other, seed):
    low, high = sorted([one, other])
    less, more = (corruption.mask(x + 1, level, torch.Generator().manual_seed(seed)) for level in (low, high))
    assert ((less == 0) <= (more == 0)).all() and ((less == 0) | (less == x + 1)).all()


@given(numbers(0.1, 0.9), st.floats(0, 1), SEEDS)
def test_salt_and_pepper_gives_the_pixel_or_black_or_white(x, level, seed):
    noisy = corruption.salt_and_pepper(x, level, torch.Generator().manual_seed(seed))
    assert ((noisy == x) | (noisy == 0) | (noisy == 1)).all()


@given(numbers(-5, 5), st.floats(0, 10), st.floats(-5, 5), SEEDS)
def test_gaussian_noise_does_not_look_at_the_image(x, level, shift, seed):
    one, other = (corruption.gaussian(y, level, torch.Generator().manual_seed(seed)) for y in (x, x + shift))
    torch.testing.assert_close(other - one, torch.full_like(x, shift))


# --- data ------------------------------------------------------------------------------------------------------------


@given(numbers(0, 1), st.floats(0, 1, exclude_max=True))
def test_binary_images_stay_as_they_are_when_they_are_binarised_again(x, threshold):
    once = data.binarize(x, threshold)
    assert ((once == 0) | (once == 1)).all() and torch.equal(data.binarize(once, threshold), once)


@given(st.lists(st.integers(0, 255), min_size=1, max_size=20), st.floats(0, 1))
def test_bytes_and_grey_values_are_binarised_alike(values, threshold):
    x = torch.tensor(values, dtype=torch.uint8)
    assert torch.equal(data.binarize(x, threshold), data.binarize(x.double() / 255, threshold).float())
    assert torch.equal((data.to_unit(x) * 255).round().byte(), x)


@given(st.integers(1, 12).flatmap(lambda n: st.tuples(st.just(n), st.lists(st.integers(0, n - 1), min_size=1))))
def test_one_hot_vectors_name_their_label(given_labels):
    classes, labels = given_labels
    e_y = data.one_hot(labels, classes)
    assert e_y.argmax(-1).tolist() == labels and (e_y.sum(-1) == 1).all() and ((e_y == 0) | (e_y == 1)).all()


# --- objectives ------------------------------------------------------------------------------------------------------


@given(numbers(-1e3, 1e3), st.floats(-80, 80))
def test_the_kl_is_finite_never_negative_and_0_for_the_prior(mu, log_var):
    log_vars = torch.full_like(mu, log_var)
    kl = gaussian_kl(mu, log_vars)
    assert kl.isfinite().all() and (kl >= -1e-12).all()  # up to rounding
    assert (gaussian_kl(torch.zeros_like(mu), torch.zeros_like(mu)) == 0).all()


@given(numbers(-10, 10), SEEDS)
def test_the_kl_knows_no_order_and_no_sign_of_mu_and_adds_up_over_dimensions(mu, seed):
    generator = torch.Generator().manual_seed(seed)
    log_var = torch.randn(mu.shape, generator=generator, dtype=mu.dtype)
    order = torch.randperm(mu.shape[1], generator=generator)
    kl = gaussian_kl(mu, log_var)
    torch.testing.assert_close(gaussian_kl(mu[:, order], log_var[:, order]), kl)
    torch.testing.assert_close(gaussian_kl(-mu, log_var), kl)
    torch.testing.assert_close(sum(gaussian_kl(mu[:, k : k + 1], log_var[:, k : k + 1]) for k in range(len(order))), kl)


# --- likelihoods -----------------------------------------------------------------------------------------------------


@given(numbers(-1e4, 1e4), SEEDS)
def test_a_bernoulli_is_finite_below_0_and_knows_no_colour(logits, seed):
    x = as_images(torch.randint(0, 2, logits.shape, generator=torch.Generator().manual_seed(seed)).double())
    logits = as_images(logits)
    log_p = BinaryPixels(logits).log_prob(x)
    assert log_p.isfinite().all() and (log_p <= 0).all()
    torch.testing.assert_close(BinaryPixels(-logits).log_prob(1 - x), log_p)  # black and white exchanged


@given(numbers(-1e4, 1e4), st.floats(0, 1))
def test_a_continuous_bernoulli_is_finite_and_symmetric(logits, grey):
    logits = as_images(logits)
    x = torch.full_like(logits, grey)
    log_p = ContinuousBernoulliPixels(logits).log_prob(x)
    assert log_p.isfinite().all()
    torch.testing.assert_close(ContinuousBernoulliPixels(-logits).log_prob(1 - x), log_p, atol=1e-8, rtol=1e-8)


@given(numbers(-1e3, 1e3), st.floats(1e-2, 1e2), st.floats(-1e3, 1e3))
def test_a_gaussian_depends_on_the_distance_alone(mean, sigma, shift):
    mean = as_images(mean)
    x = mean.flip(-1)
    log_p = GaussianPixels(mean, sigma).log_prob(x)
    assert log_p.isfinite().all()
    torch.testing.assert_close(GaussianPixels(mean + shift, sigma).log_prob(x + shift), log_p, rtol=1e-6, atol=1e-4)
    scaled = GaussianPixels(2 * mean, 2 * sigma).log_prob(2 * x)
    torch.testing.assert_close(scaled, log_p - math.log(2), rtol=1e-9, atol=1e-9)


# --- evaluation and drawing ------------------------------------------------------------------------------------------


@given(numbers(0, 1), numbers(0, 1))
def test_the_psnr_is_symmetric(x, y):
    y = y.flatten()[: x.numel()].repeat(x.numel())[: x.numel()].view(x.shape)
    x, y = as_images(x), as_images(y)
    torch.testing.assert_close(psnr(x, y), psnr(y, x))
    assert (psnr(x, x) == math.inf).all()


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 40), st.integers(0, 40), SEEDS)
def test_a_drawing_is_the_same_wherever_it_lies(height, width, down, right, seed):
    ink = torch.rand(height, width, generator=torch.Generator().manual_seed(seed)) + 0.01
    pads = []
    for top, left in ((0, 0), (down, right)):
        pad = torch.zeros(80, 80)
        pad[top : top + height, left : left + width] = ink.clamp(max=1)
        pads.append(as_mnist(pad))
    assert torch.equal(*pads) and pads[0].max() <= 1 and pads[0].min() >= 0 and pads[0].max() > 0


# --- checkpoints -----------------------------------------------------------------------------------------------------

LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**60), 2**60), st.floats(allow_nan=False), st.text(max_size=5),
    st.lists(st.floats(-1, 1), min_size=1, max_size=3).map(torch.tensor),
)  # fmt: skip
STATES = st.dictionaries(
    st.text(max_size=4),
    st.recursive(
        LEAVES, lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=3), part, max_size=3)
    ),
    max_size=4,
)


def same(a, b):
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    return len(a) == len(b) and all(map(same, a, b)) if isinstance(a, list) else a == b and type(a) is type(b)


@given(state=STATES)
def test_every_state_comes_back_as_it_was(state, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "a-state.pt"
    checkpoint.save(state, path)
    found = checkpoint.load(path)
    assert same(found, state) and checkpoint.same_form(found, state)


@pytest.mark.parametrize("share", [0.01, 0.3, 0.8])
@given(state=STATES)
def test_half_a_file_is_refused(share, state, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "half-a-state.pt"
    checkpoint.save(state, path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ValueError, match="is not a whole checkpoint"):
        checkpoint.load(path)
