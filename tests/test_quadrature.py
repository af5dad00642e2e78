"""The sums over the plane of codes, against sums over one fine grid, written out."""

import pytest
import torch
from torch.distributions import Normal

from aetutor.evaluation import log_px_quadrature, posterior_grid
from aetutor.likelihoods import LIKELIHOODS
from aetutor.models import CVAE, VAE
from aetutor.quadrature import batches, check_labels, check_plane, log_joint, refine


@torch.no_grad()
def curved_vae(likelihood, scale=4.0):
    """A decoder that bends: the posteriors are far from Gaussian, and at a scale of 40 they are narrow."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        vae = VAE(2, (6,), (1, 2, 3), likelihood=likelihood).double()
        vae.decoder[0].weight.normal_()
    vae.decoder[-1].weight *= scale
    if vae.log_sigma is not None:
        vae.tenth_log_sigma.fill_(-0.07)
    return vae


def images(likelihood, count=2):
    x = torch.rand(count, 1, 2, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return x.round() if likelihood == "bernoulli" else x


@torch.no_grad()
def fine_sums(vae, x, radius=7.0, points=701):
    """log p(x) and the ELBO, pair by pair: exp(log p(x|z) + log p(z)) and q (log p(x, z) - log q), times the cell."""
    axis = torch.linspace(-radius, radius, points, dtype=torch.float64)
    z, cell = torch.cartesian_prod(axis, axis), (axis[1] - axis[0]) ** 2
    p_x, log_prior = vae.decode(z), Normal(0.0, 1.0).log_prob(z).sum(1)
    sums = []
    for image in x:
        numbers = vae.encoder(image.flatten())
        joint = p_x.log_prob(image.expand(len(z), 1, 2, 3)) + log_prior
        log_q = Normal(numbers[:2], (numbers[2:] / 2).exp()).log_prob(z).sum(1)
        sums.append((joint.exp().sum().log() + cell.log(), (log_q.exp() * (joint - log_q)).sum() * cell))
    return [torch.stack(column) for column in zip(*sums, strict=True)]


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_the_quadrature_agrees_with_a_fine_grid_for_every_family(likelihood):
    vae, x = curved_vae(likelihood), images(likelihood)
    evidence, (log_px, elbo) = log_px_quadrature(vae, x), fine_sums(vae, x)
    # both are off at the bends of the decoder, by the square of their steps
    assert ((evidence.log_px - log_px).abs() <= evidence.error + 1e-3).all() and (evidence.error <= 0.01).all()
    assert ((evidence.elbo - elbo).abs() <= evidence.error + 1e-3).all()
    assert (log_px - elbo > 0.01).all() and (evidence.log_px - evidence.elbo > -1e-9).all()


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian", "continuous_bernoulli"])
def test_narrow_posteriors_converge_too(likelihood):
    vae, x = curved_vae(likelihood, scale=40.0), images(likelihood)
    evidence, (log_px, elbo) = log_px_quadrature(vae, x), fine_sums(vae, x)
    assert ((evidence.log_px - log_px).abs() <= evidence.error + 0.005).all()
    assert ((evidence.elbo - elbo).abs() <= evidence.error + 0.005).all()


@pytest.mark.parametrize(("likelihood", "scale"), [(name, 4.0) for name in LIKELIHOODS] + [("gaussian", 15.0)])
def test_the_error_bounds_the_difference_to_a_much_finer_tolerance(likelihood, scale):
    vae, x = curved_vae(likelihood, scale), images(likelihood)
    rough, fine = (log_px_quadrature(vae, x, tolerance=tolerance) for tolerance in (0.05, 2e-3))
    assert (rough.error <= 0.05).all() and (fine.error <= 2e-3).all()
    for one, other in ((rough.log_px, fine.log_px), (rough.elbo, fine.elbo)):
        assert ((one - other).abs() <= rough.error + fine.error).all()
    assert (fine.log_px - fine.elbo >= 0).all() and (rough.log_px - rough.elbo >= -1e-9).all()


def test_an_image_alone_has_the_evidence_that_it_has_among_others():
    vae, x = curved_vae("bernoulli", 15.0), images("bernoulli", 4)
    together = log_px_quadrature(vae, x)
    for i in range(4):
        alone = log_px_quadrature(vae, x[i : i + 1])
        assert (together.log_px[i] - alone.log_px[0]).abs() < 1e-6 and (together.elbo[i] - alone.elbo[0]).abs() < 1e-6


def test_the_evidence_of_all_binary_images_sums_to_one():
    vae = curved_vae("bernoulli")
    x = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=torch.float64)] * 6).view(64, 1, 2, 3)
    assert log_px_quadrature(vae, x).log_px.exp().sum().item() == pytest.approx(1, abs=1e-3)


def test_refine_gives_three_numbers_an_image_on_the_square_that_it_is_given():
    vae, x = curved_vae("gaussian"), images("gaussian")
    with torch.no_grad():
        log_px, elbo, error = refine(vae, x, None, 6.0, 0.01)
        wider = refine(vae, x, None, 9.0, 0.01)
    evidence = log_px_quadrature(vae, x)
    assert log_px.shape == elbo.shape == error.shape == (2,) and (error <= 0.01).all()
    torch.testing.assert_close(log_px, evidence.log_px, rtol=0, atol=0.01)
    torch.testing.assert_close(elbo, evidence.elbo, rtol=0, atol=0.01)
    torch.testing.assert_close(wider[0], log_px, rtol=0, atol=0.01)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_the_joint_of_all_pairs_is_the_sum_of_likelihood_and_prior(likelihood):
    vae, x = curved_vae(likelihood), images(likelihood, 3)
    z = 2 * torch.randn(5, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with torch.no_grad():
        joint, p_x = log_joint(vae, x, None, z), vae.decode(z)
        by_hand = torch.stack([p_x.log_prob(image.expand(5, 1, 2, 3)) for image in x])
    assert joint.shape == (3, 5)
    torch.testing.assert_close(joint, by_hand + Normal(0.0, 1.0).log_prob(z).sum(1), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_the_posterior_on_a_grid_is_the_joint_over_the_evidence(likelihood):
    vae, x = curved_vae(likelihood), images(likelihood)
    axis, posterior = posterior_grid(vae, x, radius=7.0, points=281)
    with torch.no_grad():
        joint = log_joint(vae, x, None, torch.stack([axis[100:110], axis[150:160]], 1))
    expected = joint - log_px_quadrature(vae, x, tolerance=2e-3).log_px[:, None]
    torch.testing.assert_close(posterior[:, range(100, 110), range(150, 160)], expected, rtol=0, atol=5e-3)


def test_batches_go_in_step_with_their_labels():
    x, y = torch.arange(7.0), torch.arange(7)
    assert [(a.tolist(), b.tolist()) for a, b in batches(x, y, 3)] == [
        ([0, 1, 2], [0, 1, 2]),
        ([3, 4, 5], [3, 4, 5]),
        ([6], [6]),
    ]
    assert [(len(a), b) for a, b in batches(x, None, 3)] == [(3, None), (3, None), (1, None)]
    assert [(len(a), b) for a, b in batches(x[:6], None, 3)] == [(3, None), (3, None)]


def test_only_the_plane_is_taken():
    check_plane(VAE(2, (), (1, 2, 2)))
    with pytest.raises(ValueError, match="works in two latent dimensions; this model has 5: use log_px_importance"):
        check_plane(VAE(5, (), (1, 2, 2)))


# --- given the label -------------------------------------------------------------------------------------------------


@torch.no_grad()
def curved_cvae(likelihood):
    with torch.random.fork_rng():
        torch.manual_seed(3)
        cvae = CVAE(2, (6,), (1, 2, 3), likelihood=likelihood, num_classes=3).double()
        cvae.decoder[0].weight.normal_()
    cvae.decoder[-1].weight *= 2
    return cvae


class GivenLabel:
    """The unconditional model of one class, as far as `fine_sums` cares: the label is a constant, put in by hand."""

    def __init__(self, cvae, y):
        e_y = torch.eye(3, dtype=torch.float64)[y]
        self.encoder = lambda features: cvae.encoder(torch.cat([features, e_y]))
        self.decode = lambda z: cvae.likelihood(*cvae._outputs(torch.cat([z, e_y.expand(len(z), 3)], 1)))


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_the_quadrature_given_labels_agrees_with_a_fine_grid_for_every_family(likelihood):
    cvae, x, y = curved_cvae(likelihood), images(likelihood), torch.tensor([2, 0])
    evidence = log_px_quadrature(cvae, x, y)
    sums = [fine_sums(GivenLabel(cvae, label), image[None]) for image, label in zip(x, y, strict=True)]
    log_px, elbo = (torch.cat(column) for column in zip(*sums, strict=True))
    assert ((evidence.log_px - log_px).abs() <= evidence.error + 1e-3).all()
    assert ((evidence.elbo - elbo).abs() <= evidence.error + 1e-3).all()
    other = log_px_quadrature(cvae, x, (y + 1) % 3)
    assert ((evidence.log_px - other.log_px).abs() > 0.02).all()


def test_labels_keep_their_place_while_some_images_are_refined_further_or_in_other_blocks_than_others():
    cvae, x, y = curved_cvae("bernoulli"), images("bernoulli", 6), torch.tensor([2, 0, 1, 1, 2, 0])
    with torch.no_grad():
        cvae.decoder[-1].weight *= 10
    together = log_px_quadrature(cvae, x, y)
    alone = [log_px_quadrature(cvae, x[i : i + 1], y[i : i + 1]) for i in range(6)]
    torch.testing.assert_close(together.log_px, torch.cat([one.log_px for one in alone]), rtol=0, atol=1e-6)
    torch.testing.assert_close(together.elbo, torch.cat([one.elbo for one in alone]), rtol=0, atol=1e-6)


@pytest.mark.parametrize("label", [0, 1, 2])
def test_given_any_label_the_evidence_of_all_binary_images_sums_to_one(label):
    x = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=torch.float64)] * 6).view(64, 1, 2, 3)
    evidence = log_px_quadrature(curved_cvae("bernoulli"), x, torch.full((64,), label))
    assert evidence.log_px.exp().sum().item() == pytest.approx(1, abs=1e-3)


def test_the_joint_given_labels_pairs_each_image_with_its_own():
    cvae, x, y = curved_cvae("bernoulli"), images("bernoulli", 5), torch.tensor([2, 0, 2, 1, 0])
    z = 2 * torch.randn(4, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with torch.no_grad():
        joint = log_joint(cvae, x, y, z)
        by_hand = torch.stack(
            [
                torch.stack([cvae.decode(code, label).log_prob(image) for code in z])
                for image, label in zip(x, y, strict=True)
            ]
        )
    torch.testing.assert_close(joint, by_hand + Normal(0.0, 1.0).log_prob(z).sum(1), rtol=0, atol=1e-8)


def test_labels_are_one_an_image_for_a_model_that_takes_them():
    cvae, x = curved_cvae("bernoulli"), images("bernoulli", 3)
    check_labels(cvae, x, None)
    check_labels(cvae, x, torch.tensor([0, 1, 2]))
    for y, got in (
        (torch.tensor([0, 1]), r"labels of shape \(2,\)"),
        (torch.tensor(1), r"labels of shape \(\)"),
        (torch.eye(3), r"labels of shape \(3, 3\)"),
    ):
        with pytest.raises(ValueError, match=rf"one label an image, shape \(3,\); got {got}: y.argmax\(-1\) makes"):
            check_labels(cvae, x, y)
    for y, got in (([0, 1, 2], r"\[0, 1, 2\]"), (torch.tensor([0, 1, 2]).numpy(), r"array\(\[0, 1, 2\]\)")):
        with pytest.raises(ValueError, match=f"tensor of class indices; got {got}: torch.as_tensor"):
            check_labels(cvae, x, y)
    with pytest.raises(ValueError, match=r"^VAE takes no labels"):
        check_labels(curved_vae("bernoulli"), x, torch.tensor([0, 1, 2]))


@torch.no_grad()
def test_a_guess_much_narrower_than_the_grid_has_the_closed_forms_elbo():
    with torch.random.fork_rng():
        torch.manual_seed(5)
        vae = VAE(2, (), (1, 3, 4), likelihood="gaussian", sigma=0.5).double()
    vae.encoder[0].weight[2:] = 0
    vae.encoder[0].bias[2:] = torch.tensor([-14.0, -18.0])  # standard deviations of 1/1100 and 1/8100
    x = torch.rand(3, 1, 3, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    weight, bias, q_z = vae.decoder[0].weight, vae.decoder[0].bias, vae.encode(x)
    covariance = weight @ weight.T + 0.25 * torch.eye(12, dtype=torch.float64)
    log_px = torch.distributions.MultivariateNormal(bias, covariance).log_prob(x.flatten(1))
    # E_q[‖x - x_hat‖²] = ‖x - x_hat(mu)‖² + Σ_k sigma_k² ‖W_k‖²
    log_px_z = vae.decode(q_z.mean).log_prob(x) - q_z.variance @ weight.square().sum(0) / 0.5
    kl = torch.distributions.kl_divergence(q_z, vae.prior())
    exact = log_px_quadrature(vae, x)
    torch.testing.assert_close(exact.log_px, log_px, rtol=0, atol=1e-6)
    torch.testing.assert_close(exact.elbo, log_px_z - kl, rtol=0, atol=1e-6)
    assert (exact.error < 0.01).all()


@pytest.mark.parametrize("of", [log_px_quadrature, posterior_grid])
def test_grey_images_are_refused_by_a_bernoulli_model(of):
    with pytest.raises(ValueError, match="takes pixels that are 0 or 1"):
        of(curved_vae("bernoulli"), images("gaussian"))
