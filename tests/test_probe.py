"""The probe, against logistic regression by Newton's method and true posteriors."""

import math

import numpy as np
import pytest
import torch
from torch.distributions import Normal

from aetutor.probe import Probe, fit_probe


def noise(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gaussian_classes(count, spread=1.0, seed=0, size=2):
    """Codes of three classes, N(mean_y, I) with probabilities 0.5, 0.2 and 0.3: codes, labels and log p(y|z)."""
    generator, p_y = torch.Generator().manual_seed(seed), torch.tensor([0.5, 0.2, 0.3]).double()
    y = torch.multinomial(p_y, count, replacement=True, generator=generator)
    means = spread * noise(3, size, seed=9)
    z = means[y] + torch.randn(count, size, generator=generator, dtype=torch.float64)
    return z, y, (Normal(means, 1.0).log_prob(z[:, None]).sum(2) + p_y.log()).log_softmax(1)


def scores(log_p_y, y):
    """(accuracy, cross-entropy) of the true posterior on these codes, in numpy."""
    log_p_y, y = log_p_y.numpy(), y.numpy()
    return (log_p_y.argmax(1) == y).mean(), -log_p_y[np.arange(len(y)), y].mean()


def by_newton(z, y, test_z, steps=30):
    """Multinomial logistic regression with ‖W‖² / 2N, by Newton's method in numpy: log p(y|z) of the test codes."""
    (count, size), classes = z.shape, y.max() + 1
    mean, std = z.mean(0), z.std(0)
    phi, test_phi = (np.concatenate([(codes - mean) / std, np.ones((len(codes), 1))], 1) for codes in (z, test_z))
    decay = np.tile(np.r_[np.ones(size), 0.0], classes) / count
    theta = np.zeros(classes * (size + 1))

    def log_p(features):
        logits = features @ theta.reshape(classes, size + 1).T
        return logits - np.log(np.exp(logits).sum(1, keepdims=True))

    for _ in range(steps):
        p = np.exp(log_p(phi))
        gradient = ((p - np.eye(classes)[y]).T @ phi / count).ravel() + decay * theta
        inner = np.einsum("nc,cd->ncd", p, np.eye(classes)) - p[:, :, None] * p[:, None]
        hessian = np.einsum("ncd,ni,nj->cidj", inner, phi, phi).reshape(len(theta), -1) / count + np.diag(decay)
        theta = theta - np.linalg.lstsq(hessian, gradient, rcond=None)[0]  # all biases may move together
    return log_p(test_phi)


@pytest.mark.parametrize("spread", [0.0, 1.0, 4.0])
@pytest.mark.parametrize("size", [1, 2, 5])
def test_the_fit_probe_is_logistic_regression_by_newtons_method(spread, size):
    (z, y, _), (test_z, test_y, _) = gaussian_classes(80, spread, 1, size), gaussian_classes(50, spread, 2, size)
    z, test_z = 3 * z + 5, 3 * test_z + 5
    expected = scores(torch.from_numpy(by_newton(z.numpy(), y.numpy(), test_z.numpy())), test_y)
    probe = fit_probe(z, y, test_z, test_y)
    assert isinstance(probe, Probe) and probe.accuracy == expected[0]
    assert probe.cross_entropy == pytest.approx(expected[1], abs=2e-4)


@pytest.mark.parametrize("spread", [0.3, 1.0, 3.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_with_many_codes_the_fit_probe_is_the_posterior_of_gaussian_classes(spread, dtype):
    (z, y, _), (test_z, test_y, log_p_y) = gaussian_classes(20_000, spread, 1), gaussian_classes(10_000, spread, 2)
    accuracy, entropy = scores(log_p_y, test_y)
    probe = fit_probe(z.to(dtype), y, test_z.to(dtype), test_y)
    assert probe.accuracy == pytest.approx(accuracy, abs=0.004)
    assert probe.cross_entropy == pytest.approx(entropy, abs=0.002)


def test_codes_without_the_class_leave_its_entropy():
    y, test_y = (torch.arange(count) % 10 % 4 for count in (20_000, 10_000))  # probabilities 0.3, 0.3, 0.2, 0.2
    z, test_z = noise(20_000, 2, seed=1), noise(10_000, 2, seed=2)
    entropy = -2 * (0.3 * math.log(0.3) + 0.2 * math.log(0.2))
    for hidden, tolerance in (((), 2e-3), ((8,), 0.02)):
        probe = fit_probe(z, y, test_z, test_y, hidden, epochs=5)
        assert probe.cross_entropy == pytest.approx(entropy, abs=tolerance) and abs(probe.accuracy - 0.3) < 0.02
    constant = fit_probe(torch.full_like(z, 0.1), y, torch.full_like(test_z, 0.1), test_y)
    assert constant.cross_entropy == pytest.approx(entropy, abs=1e-6) and constant.accuracy == 0.3


def test_codes_far_apart_give_the_class_away_and_stay_finite():
    z, y, _ = gaussian_classes(2000, 300.0)
    probe = fit_probe(z[:1000], y[:1000], z[1000:], y[1000:])
    assert probe.accuracy == 1 and 0 < probe.cross_entropy < 0.02


def test_the_information_is_at_least_the_entropy_less_the_cross_entropy():
    """I(z; y) of two Gaussians on a line, by a sum over the line; the linear probe's bound is tight here."""
    z = torch.linspace(-10, 10, 4001, dtype=torch.float64)
    joint = 0.5 * torch.stack([Normal(mean, 1.0).log_prob(z).exp() for mean in (-1.0, 1.0)])
    information = (joint * (joint / (0.5 * joint.sum(0))).log()).sum().item() * 0.005
    y = torch.arange(80_000) % 2
    codes = (2.0 * y - 1 + noise(80_000, seed=3))[:, None]
    bound = math.log(2) - fit_probe(codes[:40_000], y[:40_000], codes[40_000:], y[40_000:]).cross_entropy
    assert bound == pytest.approx(information, abs=0.012)  # four standard errors of 40,000 codes
    assert 0.1 < information < math.log(2)


def test_an_mlp_reads_what_is_not_linear():
    """Two classes around the same place, one three times as wide: the true posterior is quadratic."""
    y = torch.arange(12_000) % 2
    z = (1 + 2 * y)[:, None] * noise(12_000, 2, seed=4)
    log_p_y = torch.stack([Normal(0.0, scale).log_prob(z).sum(1) for scale in (1.0, 3.0)], 1).log_softmax(1)
    fit, held = slice(0, 8000), slice(8000, 12_000)
    accuracy, entropy = scores(log_p_y[held], y[held])
    linear, curved = (fit_probe(z[fit], y[fit], z[held], y[held], hidden) for hidden in ((), (32,)))
    assert linear.cross_entropy > 0.68 and linear.accuracy < 0.6
    assert accuracy - 0.02 < curved.accuracy and entropy - 0.005 < curved.cross_entropy < entropy + 0.02


def test_it_is_the_test_codes_that_are_scored():
    z, y, _ = gaussian_classes(3000, 300.0)
    probe = fit_probe(z[:1000], y[:1000], z[1000:], y[1000:].flip(0))
    assert probe.accuracy == pytest.approx(0.38, abs=0.04) and probe.cross_entropy > 3  # Σ p_y² = 0.38


def test_units_and_names_of_the_classes_do_not_matter():
    (z, y, _), (test_z, test_y, _) = gaussian_classes(200, 1.0, 1), gaussian_classes(100, 1.0, 2)
    plain = fit_probe(z, y, test_z, test_y)
    scale, shift, names = torch.tensor([1e-3, 50.0]).double(), torch.tensor([7.0, -2.0]), torch.tensor([40, -3, 5])
    other = fit_probe(z * scale + shift, names[y], test_z * scale + shift, names[test_y])
    assert other.accuracy == plain.accuracy and other.cross_entropy == pytest.approx(plain.cross_entropy, abs=1e-4)


@pytest.mark.parametrize("hidden", [(), (5,)])
def test_a_probe_repeats_exactly_and_leaves_everything_as_it_was(hidden):
    z, y, _ = gaussian_classes(300)
    z.requires_grad_()
    arguments, copy = (z[:200], y[:200], z[200:], y[200:], hidden, 2), z.detach().clone()
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = fit_probe(*arguments)
    assert torch.equal(torch.get_rng_state(), before) and z.grad is None and torch.equal(z.detach(), copy)
    torch.manual_seed(6)
    with torch.no_grad():
        assert fit_probe(*arguments) == first and not torch.is_grad_enabled()
    if hidden:
        assert fit_probe(*arguments, seed=1) != first and fit_probe(*arguments[:5], epochs=3) != first


@pytest.mark.parametrize(
    "change",
    [
        {"z": torch.zeros(6)},
        {"z": torch.zeros(6, 1, 2)},
        {"z": torch.zeros(5, 2)},
        {"z": torch.zeros(6, 2).long()},
        {"z": torch.full((6, 2), math.nan)},
        {"y": torch.zeros(6)},
        {"y": torch.zeros(6, 1).long()},
        {"test_z": torch.zeros(4, 3)},
        {"test_z": torch.zeros(4, 2).double()},
        {"test_y": torch.zeros(3).long()},
        {"z": torch.zeros(0, 2), "y": torch.zeros(0).long()},
    ],
)
def test_codes_and_labels_that_are_none_are_named(change):
    arguments = {
        "z": torch.zeros(6, 2),
        "y": torch.arange(6) % 2,
        "test_z": torch.zeros(4, 2),
        "test_y": torch.arange(4) % 2,
    }
    with pytest.raises(
        ValueError, match=r"takes finite float codes \(N, K\).*; got torch|one label a code|must be integers"
    ):
        fit_probe(**arguments | change)


def test_a_class_that_was_not_fitted_is_named():
    z, y = torch.zeros(4, 2), torch.tensor([0, 2, 0, 2])
    with pytest.raises(ValueError, match=r"knows the labels \[0, 2\]; got others in test_y: fit it to all of them"):
        fit_probe(z, y, z, torch.tensor([0, 1, 2, 0]))


def test_labels_of_the_probe_may_be_lists_and_arrays_of_any_integers():
    z, y, _ = gaussian_classes(60)
    expected = fit_probe(z[:40], y[:40], z[40:], y[40:])
    for kind in (lambda y: y.tolist(), lambda y: y.numpy(), lambda y: y.to(torch.uint16), lambda y: y.to(torch.int8)):
        assert fit_probe(z[:40], kind(y[:40]), z[40:], kind(y[40:])) == expected
