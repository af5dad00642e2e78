"""What a beginner gets: `VAE(latent_dim=2)` and `fit(x, epochs=10)`, all defaults, on binarised MNIST; and the network
of notebook 03, which begins at the mean image.

    python benchmarks/defaults.py        (two minutes on two cores)
"""

import time

import torch
from report import Row, show

from aetutor import VAE, Trainer, binarize, elbo, load


def loss(model, x):
    """Minus the ELBO, `(B,)`."""
    return -elbo(model, x).elbo


def trained(images, begin_at_mean, seed):
    """(the model, seconds), by the defaults of `VAE` and `Trainer`."""
    torch.manual_seed(seed)
    model, started = VAE(latent_dim=2), time.perf_counter()
    if begin_at_mean:
        model.decoder[-1].bias.data = binarize(images).mean(0).flatten().clamp(0.01, 0.99).logit()
    Trainer(model, loss, seed=seed).fit(images, epochs=10, prepare=binarize, progress=False)
    return model.cpu(), time.perf_counter() - started


def measure():
    """A row for each way to begin: two seeds each."""
    mnist, rows = load("mnist"), []
    test_x = binarize(mnist.test_x)
    for name, begin_at_mean in (("all defaults", False), ("the last bias at the mean image", True)):
        found = []
        for seed in range(2):
            model, seconds = trained(mnist.train_x, begin_at_mean, seed)
            with torch.no_grad():
                found.append((elbo(model, test_x, samples=10).elbo.mean().item(), seconds))
        bounds, times = zip(*found, strict=True)
        rows.append(
            Row(
                f"VAE(latent_dim=2), ten epochs, {name}: ELBO of the binarised test images",
                " and ".join(f"{bound:.1f}" for bound in bounds) + " nats",
                "in " + " and ".join(f"{seconds:.0f}" for seconds in times) + " s",
            )
        )
    return rows


if __name__ == "__main__":
    show(measure())
