"""The evidence log p(x) of a 2-D Bernoulli VAE on binarised MNIST by quadrature, its ELBO, and importance sampling; and
how much of a training gradient's variance the sampling of z makes.

    python benchmarks/evidence.py        (about two minutes on two cores)
"""

import time

import torch
from report import Row, show

from aetutor import VAE, Trainer, binarize, elbo, load, log_px_importance, log_px_quadrature

IMAGES, SAMPLES = 500, 2000


def sampling_share(model, x):
    """The share of the sampling of z in the variance of a single image's gradient of the ELBO, over images x."""
    weights = list(model.parameters())
    total, within, mean = 0.0, 0.0, 0.0
    for image in x.split(1):
        one, two = (
            torch.cat([g.flatten() for g in torch.autograd.grad(elbo(model, image).elbo, weights)]) for _ in range(2)
        )
        total, within, mean = total + one.square().sum(), within + (one - two).square().sum() / 2, mean + one / len(x)
    return within / (total - len(x) * mean.square().sum())


def measure():
    """Rows for the training, the gradient's variance, the quadrature of all test images, and the estimates of some."""
    mnist = load("mnist")
    test_x, rows = binarize(mnist.test_x), []
    torch.manual_seed(0)
    untrained, model, started = VAE(latent_dim=2), VAE(latent_dim=2), time.perf_counter()
    Trainer(model, lambda model, x: -elbo(model, x).elbo, "cpu").fit(
        mnist.train_x, epochs=10, prepare=binarize, progress=False
    )
    rows.append(Row("2-D Bernoulli VAE, ten epochs of training", f"{time.perf_counter() - started:.0f} s"))
    started = time.perf_counter()
    every = log_px_quadrature(model, test_x)
    seconds, means = time.perf_counter() - started, [every.log_px.mean(), every.elbo.mean()]
    measured = f"{seconds:.1f} s; log p(x) {means[0]:.2f}, ELBO {means[1]:.2f} nats"
    beside = f"largest error: {every.error.max():.3f} nats"
    rows.append(Row("log p(x) and ELBO of its 10,000 test images by quadrature, to 0.01 nat", measured, beside))
    before, after = (sampling_share(vae, test_x[:300]) for vae in (untrained, model))
    what = "share of z's sampling in the variance of an image's gradient"
    rows.append(Row(what, f"{after:.0%} trained", f"{before:.0%} untrained"))
    exact, sampled = every.log_px[:IMAGES], log_px_importance(model, test_x[:IMAGES], SAMPLES)
    for name, estimate in (("ELBO", every.elbo[:IMAGES]), (f"importance sampling, {SAMPLES:,} draws", sampled)):
        missed = exact - estimate
        measured = f"{estimate.mean():.2f} nats; {missed.mean():.2f} too low, of one image {missed.max():.0f}"
        rows.append(Row(f"{IMAGES} test images: {name}", measured, f"log p(x) by quadrature: {exact.mean():.2f} nats"))
    return rows


if __name__ == "__main__":
    show(measure())
