"""The evidence log p(x) of a 2-D Bernoulli VAE on binarised MNIST by quadrature, its ELBO, and importance sampling; and
how much of a training gradient's variance the sampling of z makes.

    python benchmarks/evidence.py        (about two minutes on two cores)
"""

import time

import torch
from tabulate import tabulate

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


def main():
    mnist = load("mnist")
    test_x = binarize(mnist.test_x)
    torch.manual_seed(0)
    model, started = VAE(2, (256, 256, 128)), time.perf_counter()
    trainer = Trainer(model, lambda model, x: -elbo(model, x).elbo, device="cpu")
    trainer.fit(mnist.train_x, epochs=10, batch_size=200, lr=4e-3, prepare=binarize, progress=False)
    trained = time.perf_counter() - started
    with torch.no_grad():
        bound = elbo(model, test_x, samples=10).elbo.mean()
    print(f"10 epochs in {trained:.0f} s; ELBO of all 10,000 test images {bound:.1f} nats")
    untrained = VAE(2, (256, 256, 128))
    before, after = (sampling_share(vae, test_x[:300]) for vae in (untrained, model))
    print(f"share of z's sampling in the variance of an image's gradient: {before:.0%} untrained, {after:.0%} trained")

    started = time.perf_counter()
    exact = log_px_quadrature(model, test_x[:IMAGES])
    quadrature_seconds = time.perf_counter() - started
    started = time.perf_counter()
    sampled = log_px_importance(model, test_x[:IMAGES], SAMPLES)
    sampling_seconds = time.perf_counter() - started
    gap, missed = exact.log_px - exact.elbo, exact.log_px - sampled
    rows = [
        ["log p(x), quadrature", exact.log_px.mean(), "", exact.error.max(), quadrature_seconds],
        ["ELBO, the same quadrature", exact.elbo.mean(), gap.mean(), gap.max(), ""],
        [f"importance sampling, {SAMPLES:,} each", sampled.mean(), missed.mean(), missed.max(), sampling_seconds],
    ]
    print(
        tabulate(
            rows,
            [f"{IMAGES} test images", "mean [nats]", "below log p, mean", "worst (first line: error)", "seconds"],
            tablefmt="github",
            floatfmt=".2f",
        )
    )


if __name__ == "__main__":
    main()
