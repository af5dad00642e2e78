"""Evaluation, against numpy."""

import numpy as np
import pytest
import torch

from aetutor.evaluation import psnr, squared_error


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
