"""The objectives, against their formulas in numpy."""

import numpy as np
import pytest
import torch

from aetutor.models import Autoencoder
from aetutor.objectives import reconstruction_loss

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
    with pytest.raises(ValueError, match=r"0 or 1; got values from .*binarize"):
        reconstruction_loss(model(), grey())


def test_images_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"\(…, 1, 3, 4\); got \(7, 1, 4, 3\)"):
        reconstruction_loss(model(), grey().mT)


def test_bytes_are_refused():
    with pytest.raises(ValueError, match="float images; got torch.uint8"):
        reconstruction_loss(model(), grey().byte())
