"""Seconds to the test loss at which the standard script ends: its way, and this package's.

    python benchmarks/time_to_quality.py        (some five minutes on two cores)

The standard way is the program with which VAEs have been taught for ten years: 784-400-20 with ReLU, grey images from
a `DataLoader` of torchvision's MNIST in batches of 128, Adam at 1e-3, ten epochs, the cross-entropy of grey pixels plus
the KL divergence. Only its training loop is timed, without the tests and prints between the epochs. Ours is the same
model with SiLU and the same loss, by `Trainer`.
"""

import gzip
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path

import torch
from report import Row, show
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from aetutor import VAE, Trainer, gaussian_kl, load, to_unit
from aetutor.data import MNIST_DIR

ROUNDS, K, HIDDEN, STANDARD_EPOCHS = 3, 20, 400, 10


class StandardVAE(nn.Module):
    """The standard script's model."""

    def __init__(self):
        super().__init__()
        self.fc1, self.fc21, self.fc22 = nn.Linear(784, HIDDEN), nn.Linear(HIDDEN, K), nn.Linear(HIDDEN, K)
        self.fc3, self.fc4 = nn.Linear(K, HIDDEN), nn.Linear(HIDDEN, 784)

    def forward(self, x):
        h = self.fc1(x).relu()
        mu, log_var = self.fc21(h), self.fc22(h)
        z = mu + torch.randn_like(mu) * (0.5 * log_var).exp()
        return self.fc4(self.fc3(z).relu()), mu, log_var


def loss_sum(logits, x, mu, log_var):
    """The standard script's loss, summed over the images."""
    kl = -0.5 * (1 + log_var - mu.square() - log_var.exp()).sum()
    return binary_cross_entropy_with_logits(logits, x, reduction="sum") + kl


def torchvision_mnist(folder, train):
    """The bundled files as torchvision's MNIST, which opens each image and makes a tensor of it."""
    from torchvision import datasets, transforms

    raw = Path(folder) / "MNIST" / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    for file in MNIST_DIR.glob("*.gz"):
        (raw / file.stem).write_bytes(gzip.decompress(file.read_bytes()))
    return datasets.MNIST(folder, train=train, transform=transforms.ToTensor())


def standard(train_set, epochs=STANDARD_EPOCHS):
    """(the model, seconds of its training loop alone)."""
    model = StandardVAE()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    started = time.perf_counter()
    for _ in range(epochs):
        for images, _ in torch.utils.data.DataLoader(train_set, batch_size=128, shuffle=True):
            x = images.view(-1, 784)
            optimizer.zero_grad()
            logits, mu, log_var = model(x)
            (loss_sum(logits, x, mu, log_var) / len(x)).backward()
            optimizer.step()
    return model, time.perf_counter() - started


def standard_epoch():
    """Seconds of one epoch of the standard training loop: the unit in which the course is measured."""
    with tempfile.TemporaryDirectory() as folder:
        return standard(torchvision_mnist(folder, train=True), epochs=1)[1]


def parts(model, x):
    """Of our model, what the standard one gives: logits `(B, 784)`, mu and log_var."""
    q_z = model.encode(x.view(-1, 1, 28, 28))
    return model.decode(q_z.rsample()).base_dist.logits.flatten(1), q_z.mean, q_z.base_dist.log_var


def grey_loss(model, x):
    """The same loss image by image, `(B,)`."""
    logits, mu, log_var = parts(model, x)
    cross_entropy = binary_cross_entropy_with_logits(logits, x.flatten(1), reduction="none").sum(1)
    return cross_entropy + gaussian_kl(mu, log_var)


def ours(images, seed):
    """(the model, seconds of its training, everything that `fit` does)."""
    model, started = VAE(K, (HIDDEN,)), time.perf_counter()
    # begin at the mean image: no step is spent on learning that the border is black
    model.decoder[-1].bias.data = to_unit(images).mean(0).flatten().clamp(0.01, 0.99).logit()
    trainer = Trainer(model, grey_loss, "cpu", seed=seed)
    trainer.fit(images, epochs=3, batch_size=400, lr=1.5e-2, progress=False)
    return model, time.perf_counter() - started


@torch.no_grad()
def test_loss(forward, x):
    """The mean of the standard script's loss over the test images; `forward` gives logits, mu and log_var."""
    logits, mu, log_var = forward(x)
    return loss_sum(logits, x, mu, log_var).item() / len(x)


def measure():
    """One row: both ways, three times in turn."""
    mnist, found = load("mnist"), []
    test_x = to_unit(mnist.test_x).flatten(1)
    with tempfile.TemporaryDirectory() as folder:
        train_set = torchvision_mnist(folder, train=True)
        for seed in range(ROUNDS):
            torch.manual_seed(seed)
            theirs, seconds = standard(train_set)
            model, our_seconds = ours(mnist.train_x, seed)
            found.append((seconds, test_loss(theirs, test_x), our_seconds, test_loss(partial(parts, model), test_x)))
    seconds, loss, our_seconds, our_loss = (statistics.median(values) for values in zip(*found, strict=True))
    reached = "" if our_loss <= loss else ", NOT REACHED"
    return [
        Row(
            "VAE 784-400-20, grey cross-entropy, to the standard script's loss",
            f"{our_seconds:.1f} s, test loss {our_loss:.2f}{reached}",
            f"the standard training loop, {STANDARD_EPOCHS} epochs: {seconds:.1f} s, test loss {loss:.2f}",
            f"{seconds / our_seconds:.1f} x faster",
        )
    ]


if __name__ == "__main__":
    show(measure())
