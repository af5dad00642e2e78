"""The objectives, against their formulas in numpy."""

import functools
import itertools

import numpy as np
import pytest
import torch

from aetutor.corruption import mask
from aetutor.models import Autoencoder
from aetutor.objectives import denoising_loss, reconstruction_loss

SHAPE = (1, 3, 4)
PIXELS = 12


def model(**arguments):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Autoencoder(2, (5,), SHAPE, **arguments).double()


def grey():
    return torch.rand(7, *SHAPE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_bernoulli_loss_is_the_cross_entropy_of_each_image():
    ae, x = model(), grey().round()
    x_, y = x.numpy(), ae.reconstruct(x).detach().numpy()
    expected = -(x_ * np.log(y) + (1 - x_) * np.log(1 - y)).sum((1, 2, 3))
    losses = reconstruction_loss(ae, x)
    assert losses.shape == (7,) and (losses > 0).all()
    np.testing.assert_allclose(losses.detach().numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("sigma", [None, 0.3, 1.0, 2.0])
def test_gaussian_loss_is_the_scaled_squared_error_and_a_constant(sigma):
    ae, x = model(likelihood="gaussian", sigma=sigma), grey()
    variance = (sigma or 1.0) ** 2
    squared = ((x - ae.reconstruct(x)).detach().numpy() ** 2).sum((1, 2, 3))
    expected = squared / (2 * variance) + PIXELS / 2 * np.log(2 * np.pi * variance)
    np.testing.assert_allclose(reconstruction_loss(ae, x).detach().numpy(), expected, rtol=1e-12)


def test_each_image_has_its_own_loss():
    ae, x = model(), grey().round()
    alone = torch.cat([reconstruction_loss(ae, x[i:i + 1]) for i in range(7)])
    torch.testing.assert_close(reconstruction_loss(ae, x), alone, rtol=1e-12, atol=0)


def test_the_gradient_is_that_of_finite_differences():
    ae, x = model(likelihood="gaussian", sigma=0.5), grey()
    bias = ae.decoder[-1].bias
    (gradient,) = torch.autograd.grad(reconstruction_loss(ae, x).sum(), bias)
    step = 1e-5
    with torch.no_grad():
        bias[3] += step
        up = reconstruction_loss(ae, x).sum()
        bias[3] -= 2 * step
        down = reconstruction_loss(ae, x).sum()
    assert gradient[3].item() == pytest.approx(((up - down) / (2 * step)).item(), rel=1e-6)


def test_grey_images_with_a_bernoulli_likelihood_are_refused():
    with pytest.raises(ValueError, match=r"0 or 1; got .* among them: binarize"):
        reconstruction_loss(model(), grey())


def test_images_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"\(…, 1, 3, 4\); got \(7, 1, 4, 3\)"):
        reconstruction_loss(model(), grey().mT)


def test_bytes_are_refused():
    with pytest.raises(ValueError, match="float images; got torch.uint8"):
        reconstruction_loss(model(), grey().byte())


# --- the denoising loss ----------------------------------------------------------------------------------------------


def all_masks(x):
    """Every way to mask an image of four pixels, (16, 1, 2, 2), in place of random ones."""
    kept = torch.tensor(list(itertools.product([0.0, 1.0], repeat=4)), dtype=x.dtype)
    return x[0, 0] * kept.view(16, 1, 2, 2)


def test_denoising_loss_is_the_mean_over_the_corruptions_against_the_clean_image():
    ae = Autoencoder(2, (3,), (1, 2, 2), likelihood="gaussian", sigma=0.5).double()
    x = torch.rand(1, 1, 2, 2, dtype=torch.float64)
    masked = all_masks(x[None])
    each = iter(masked[:, None])
    loss = denoising_loss(ae, x, lambda clean: next(each), samples=16)
    by_hand = [-torch.distributions.Normal(ae.reconstruct(one), 0.5).log_prob(x[0]).sum() for one in masked]
    torch.testing.assert_close(loss, torch.stack(by_hand).mean()[None], rtol=1e-12, atol=1e-12)


def test_denoising_loss_without_noise_is_the_reconstruction_loss():
    ae, x = Autoencoder(2, (3,), (1, 2, 2), likelihood="gaussian").double(), torch.rand(5, 1, 2, 2).double()
    for samples in (1, 3):
        torch.testing.assert_close(denoising_loss(ae, x, lambda copies: copies, samples), reconstruction_loss(ae, x))


def test_denoising_loss_estimates_the_enumerated_expectation():
    ae = Autoencoder(2, (3,), (1, 2, 2), likelihood="gaussian").double()
    x = torch.rand(1, 1, 2, 2, dtype=torch.float64)
    each = iter(all_masks(x[None])[:, None])
    exact = denoising_loss(ae, x, lambda clean: next(each), samples=16).item()
    draw = functools.partial(mask, level=0.5, generator=torch.Generator().manual_seed(0))
    estimates = torch.stack([denoising_loss(ae, x, draw, samples=20)[0] for _ in range(500)])
    assert abs(estimates.mean() - exact) <= 4 * estimates.std() / 500**0.5


def test_denoising_loss_draws_samples_times_and_gives_one_number_an_image():
    seen = []
    ae = Autoencoder(2, (3,), (1, 2, 2), likelihood="gaussian")
    loss = denoising_loss(ae, torch.rand(5, 1, 2, 2), lambda copies: seen.append(copies.shape) or copies, samples=7)
    assert loss.shape == (5,) and seen == [(5, 1, 2, 2)] * 7


def test_denoising_loss_refuses_a_corruption_that_changes_the_shape():
    with pytest.raises(ValueError, match=r"shape \(5, 1, 2, 2\); it gave \(5, 2, 2\)"):
        denoising_loss(Autoencoder(2, (), (1, 2, 2)), torch.rand(5, 1, 2, 2), lambda x: x[:, 0])


@pytest.mark.parametrize("samples", [0, -1, 1.5, "3"])
def test_denoising_loss_refuses_no_samples(samples):
    with pytest.raises(ValueError, match=f"1 or more; got {samples}"):
        denoising_loss(Autoencoder(2, (), (1, 2, 2)), torch.rand(5, 1, 2, 2), lambda x: x, samples)
