"""What a beginner gets: `VAE(latent_dim=2)` and `fit(x, epochs=10)`, all defaults, on binarised MNIST; beside it the
same with ReLU, with PyTorch's own initialisation, and, as in notebook 03, begun at the mean image.

    python benchmarks/defaults.py        (four minutes on two cores)
"""

import time

import torch
from report import Row, show
from torch import nn

from aetutor import VAE, Trainer, binarize, elbo, load


def loss(model, x):
    """Minus the ELBO, `(B,)`."""
    return -elbo(model, x).elbo


def default(images):
    """All defaults."""
    return VAE(latent_dim=2)


def with_relu(images):
    """ReLU between the layers."""
    return VAE(latent_dim=2, activation="relu")


def with_pytorchs_initialisation(images):
    """The hidden weights as PyTorch draws them."""
    model = VAE(latent_dim=2)
    for layer in [*model.encoder, *model.decoder]:
        if isinstance(layer, nn.Linear):
            layer.reset_parameters()
    return model


def begun_at_the_mean_image(images):
    """The last bias at the logit of the mean image."""
    model = VAE(latent_dim=2)
    model.decoder[-1].bias.data = binarize(images).mean(0).flatten().clamp(0.01, 0.99).logit()
    return model


def measure():
    """A row for each way to begin: two seeds each."""
    mnist, rows = load("mnist"), []
    test_x = binarize(mnist.test_x)
    for begin in (default, with_relu, with_pytorchs_initialisation, begun_at_the_mean_image):
        bounds, times = [], []
        for seed in range(2):
            torch.manual_seed(seed)
            model, started = begin(mnist.train_x), time.perf_counter()
            Trainer(model, loss, "cpu", seed=seed).fit(mnist.train_x, epochs=10, prepare=binarize, progress=False)
            times.append(f"{time.perf_counter() - started:.0f}")
            with torch.no_grad():
                bounds.append(f"{elbo(model, test_x, samples=10).elbo.mean():.1f}")
        name = begin.__name__.replace("_", " ")
        what = f"VAE(latent_dim=2), ten epochs, {name}: ELBO of the binarised test images"
        rows.append(Row(what, " and ".join(bounds) + " nats", "in " + " and ".join(times) + " s"))
    return rows


if __name__ == "__main__":
    show(measure())
