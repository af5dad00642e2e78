"""Linear-Gaussian models, plain and conditional, whose evidence, posterior and ELBO have a closed form; a wrapper.

p(x) = N(b, W Wᵀ + sigma² I); given a label y, p(x|y) = N(b + w_y, W Wᵀ + sigma² I). Oracles for several test files.
"""

import math

import torch
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from aetutor.models import CVAE, VAE

SHAPE, PIXELS, SIGMA = (1, 3, 4), 12, 0.5


def noise(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def linear_vae(orthogonal=False):
    """p(x) = N(b, W Wᵀ + sigma² I), 12 pixels and 2 latents; with orthogonal columns of W the posterior is diagonal."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        vae = VAE(2, (), (1, 3, 4), likelihood="gaussian", sigma=SIGMA).double()
    w = 0.4 * noise(PIXELS, 2, seed=2)
    with torch.no_grad():
        vae.decoder[0].weight.copy_(torch.linalg.qr(w).Q * torch.tensor([0.7, 1.6]) if orthogonal else w)
        vae.encoder[0].weight[2:] *= 0.3
        vae.encoder[0].bias[2:] -= 2
    return vae


def pictures(count=7):
    return torch.rand(count, 1, 3, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def parts(vae):
    return vae.decoder[0].weight.detach(), vae.decoder[0].bias.detach()


def exact_log_px(vae, x):
    w, b = parts(vae)
    return MultivariateNormal(b, w @ w.T + SIGMA**2 * torch.eye(PIXELS).double()).log_prob(x.flatten(1))


def exact_posterior(vae, x):
    """N(A⁻¹ Wᵀ (x - b) / sigma², A⁻¹) with A = I + Wᵀ W / sigma²."""
    w, b = parts(vae)
    covariance = torch.linalg.inv(torch.eye(2).double() + w.T @ w / SIGMA**2)
    return MultivariateNormal((x.flatten(1) - b) @ w @ covariance / SIGMA**2, covariance)


@torch.no_grad()
def exact_elbo(vae, x):
    w, b = parts(vae)
    mu, log_var = (x.flatten(1) @ vae.encoder[0].weight.T + vae.encoder[0].bias).chunk(2, 1)
    q_z = Normal(mu, (log_var / 2).exp())
    squared = (x.flatten(1) - b - mu @ w.T).square().sum(1) + q_z.variance @ w.square().sum(0)
    log_px_z = -squared / (2 * SIGMA**2) - PIXELS / 2 * math.log(2 * math.pi * SIGMA**2)
    return log_px_z - kl_divergence(q_z, Normal(0.0, 1.0)).sum(1)


@torch.no_grad()
def with_the_exact_posterior(vae):
    (w, b), covariance = parts(vae), exact_posterior(vae, pictures()).covariance_matrix
    to_mean = covariance[0] @ w.T / SIGMA**2
    vae.encoder[0].weight.copy_(torch.cat([to_mean, torch.zeros_like(to_mean)]))
    vae.encoder[0].bias.copy_(torch.cat([-to_mean @ b, covariance[0].diagonal().log()]))
    return vae


@torch.no_grad()
def with_encoder(vae, mu=(0.0, 0.0), log_var=(0.0, 0.0)):
    """The same q for every image."""
    vae.encoder[0].weight.zero_()
    vae.encoder[0].bias.copy_(torch.tensor([*mu, *log_var]))
    return vae


@torch.no_grad()
def linear_cvae(orthogonal=False):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        cvae = CVAE(2, (), (1, 3, 4), likelihood="gaussian", sigma=SIGMA, num_classes=3).double()
    plain = linear_vae(orthogonal)
    cvae.decoder[0].weight.copy_(torch.cat([plain.decoder[0].weight, 0.5 * noise(PIXELS, 3, seed=5)], 1))
    cvae.encoder[0].weight[2:] *= 0.3
    cvae.encoder[0].bias[2:] -= 2
    return cvae


@torch.no_grad()
def given_label(cvae, label):
    """The linear VAE of one class: its biases are b + w_y."""
    vae = linear_vae()
    for ours, theirs, inputs in ((vae.encoder[0], cvae.encoder[0], PIXELS), (vae.decoder[0], cvae.decoder[0], 2)):
        ours.weight.copy_(theirs.weight[:, :inputs])
        ours.bias.copy_(theirs.bias + theirs.weight[:, inputs + label])
    return vae


def of_each(function, cvae, x, y):
    return torch.cat([function(given_label(cvae, label), image[None]) for image, label in zip(x, y, strict=True)])


class Wrapped(torch.nn.Module):
    """A module of the user's that passes calls on."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def encode(self, *arguments):
        return self.model.encode(*arguments)

    def decode(self, *arguments):
        return self.model.decode(*arguments)
