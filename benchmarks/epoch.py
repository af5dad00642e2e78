"""One training epoch of the standard VAE (784-400-20) by `Trainer`, by a bare loop of the same mathematics written out
by hand, and the matrix products alone, side by side in one process.

    python benchmarks/epoch.py

The bare loop has the same recipe, and no checks, history or distributions. The matrix products are those of the
forward and the backward pass, on tensors of the same sizes, and nothing else. On a CUDA GPU also `Trainer` with
`capture=True`. All are measured in turn, several times; the ratios of the medians are what counts, since the seconds
depend on the machine, its load and its threads.
"""

import statistics
import time
from functools import partial
from itertools import pairwise

import torch
from report import Row, show
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from aetutor import VAE, Trainer, binarize, choose_device, elbo, load

BATCHES, ROUNDS, K, HIDDEN = (128, 250, 500), 5, 20, 400


def synchronised(device):
    """The time, once the device has done all it was asked."""
    if device.type != "cpu":
        torch.accelerator.synchronize()
    return time.perf_counter()


def matrix_products(images, batch):
    """Seconds for the products of an epoch: x Wᵀ, the gradients of W and, but for the first layer of all, of x."""
    device, layers = images.device, []
    for sizes in ((784, HIDDEN, 2 * K), (K, HIDDEN, 784)):
        for n, m in pairwise(sizes):
            layers.append([torch.randn(size, device=device) for size in ((batch, n), (m, n), (batch, m))])
    started = synchronised(device)
    for _ in range(len(images) // batch):
        for i, (x, weight, gradient) in enumerate(layers):
            x @ weight.T, gradient.T @ x
            if i > 0:
                gradient @ weight
    return synchronised(device) - started


def bare_loop(images, batch):
    """Seconds for an epoch as one writes it by hand."""
    encoder = nn.Sequential(nn.Linear(784, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, 2 * K)).to(images.device)
    decoder = nn.Sequential(nn.Linear(K, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, 784)).to(images.device)
    weights = [*encoder.parameters(), *decoder.parameters()]
    optimizer = torch.optim.Adam(weights, lr=1e-3, betas=(0.9, 0.99), fused=True)
    steps = -(-len(images) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 1e-3, total_steps=steps, pct_start=0.1, anneal_strategy="linear", cycle_momentum=False
    )
    started = synchronised(images.device)
    for index in torch.randperm(len(images), device=images.device).split(batch):
        x = (images[index] > 127).float().flatten(1)
        mu, log_var = encoder(x).chunk(2, 1)
        logits = decoder(mu + (log_var / 2).exp() * torch.randn_like(mu))
        kl = 0.5 * (mu.square() + log_var.exp() - 1 - log_var).sum()
        loss = (binary_cross_entropy_with_logits(logits, x, reduction="sum") + kl) / len(x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return synchronised(images.device) - started


def trainer(images, batch, capture=False):
    """Seconds for an epoch of the package's; to record CUDA graphs, before it, is not counted."""
    run = Trainer(VAE(K, (HIDDEN,)), lambda model, x: -elbo(model, x).elbo, images.device, capture=capture)
    return run.fit(images, epochs=1, batch_size=batch, lr=1e-3, prepare=binarize, progress=False).seconds[0]


def measure():
    """Rows for each batch size: against the bare loop, against the products alone, and recorded against not."""
    images, rows = load("mnist").train_x.to(choose_device()), []
    ways = [matrix_products, bare_loop, trainer]
    if images.device.type == "cuda":
        ways.append(partial(trainer, capture=True))
    for batch in BATCHES:
        runs = [[run(images, batch) for run in ways] for _ in range(ROUNDS + 1)]  # the first of them warms up
        products, bare, ours, *recorded = (statistics.median(times) for times in zip(*runs[1:], strict=True))
        what = f"a training epoch of the VAE 784-400-20, batch {batch}, by Trainer"
        rows.append(
            Row(what, f"{ours:.2f} s", f"a bare loop of the same mathematics: {bare:.2f} s", f"{ours / bare:.2f}")
        )
        rows.append(
            Row(what, f"{ours:.2f} s", f"its matrix products alone: {products:.2f} s", f"{ours / products:.1f}")
        )
        for seconds in recorded:
            rows.append(
                Row(
                    f"{what}, capture=True",
                    f"{seconds:.2f} s",
                    f"without: {ours:.2f} s",
                    f"{ours / seconds:.1f} × faster",
                )
            )
    return rows


if __name__ == "__main__":
    show(measure())
