"""One training epoch of notebook 01's autoencoder against its matrix products alone, side by side in one process.

    python benchmarks/epoch.py

The matrix products are those of the forward and the backward pass, on tensors of the same sizes, and nothing else: no
loss, no optimiser, no data. The two are measured in turn, several times; the ratio of the medians is what counts, since
the seconds depend on the machine and its load.
"""

import itertools
import statistics
import time

import torch
from tabulate import tabulate

from aetutor import Autoencoder, Trainer, binarize, choose_device, load, reconstruction_loss

BATCH, ROUNDS, SIZES = 250, 5, (784, 256, 8, 256, 784)


def synchronised(device):
    """The time, once the device has done all it was asked."""
    if device.type != "cpu":
        torch.accelerator.synchronize()
    return time.perf_counter()


def matrix_products(device, steps):
    """Seconds for the products of `steps` training steps: x Wᵀ, the gradients of W and, but for the first, of x."""
    pairs = list(itertools.pairwise(SIZES))
    layers = [tuple(torch.randn(s, device=device) for s in ((BATCH, n), (m, n), (BATCH, m))) for n, m in pairs]
    started = synchronised(device)
    for _ in range(steps):
        for i, (x, weight, gradient) in enumerate(layers):
            x @ weight.T, gradient.T @ x
            if i > 0:
                gradient @ weight
    return synchronised(device) - started


def epoch(images, likelihood, prepare):
    model = Autoencoder(latent_dim=SIZES[2], hidden=SIZES[1:2], likelihood=likelihood)
    trainer = Trainer(model, reconstruction_loss)
    return trainer.fit(images, epochs=1, batch_size=BATCH, lr=5e-3, prepare=prepare, progress=False).seconds[0]


def main():
    device = choose_device()
    images = load("mnist").train_x.to(device)
    runs = {
        "matrix products alone": lambda: matrix_products(device, len(images) // BATCH),
        "epoch, Gaussian": lambda: epoch(images, "gaussian", None),
        "epoch, Bernoulli": lambda: epoch(images, "bernoulli", binarize),
    }
    seconds = {name: [run() for _ in range(ROUNDS + 1)][1:] for name, run in runs.items()}  # the first round warms up
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    least = medians["matrix products alone"]
    rows = [(name, f"{median:.2f} s", f"{median / least:.2f}") for name, median in medians.items()]
    print(f"{device}, {torch.get_num_threads()} threads, 60,000 images, batch {BATCH}, median of {ROUNDS}")
    print(tabulate(rows, ["", "seconds", "against the products"], tablefmt="github"))


if __name__ == "__main__":
    main()
