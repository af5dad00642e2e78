"""Measurements that notebook 02 quotes: where the noise of a denoising gradient comes from; how long a network must
train until it beats the memory with a doubled sigma; what networks trained at other levels reach there; and why the
score is hard to learn where there is little noise.

    python benchmarks/denoising.py        (about four minutes on two cores)
"""

from functools import partial

import torch
from tabulate import tabulate

from aetutor import Autoencoder, Trainer, corruption, denoising_loss, load, psnr, to_unit
from aetutor.evaluation import OptimalMemory

IMAGES, DRAWS = 150, 8  # for the gradients
SIGMA = 0.5
LITTLE = 0.1  # of noise, for the score in two dimensions


def trained(images, corrupt, K=32, hidden=(256,), epochs=2):
    torch.manual_seed(0)
    model = Autoencoder(K, hidden, likelihood="gaussian")
    if epochs:
        Trainer(model, partial(denoising_loss, corrupt=corrupt)).fit(
            images, epochs=epochs, batch_size=250, lr=5e-3, progress=False
        )
    return model.cpu()


def gradient_noise(model, corrupt, x):
    """(v_1, v_2): the variance of an image's gradient, summed over all weights, between images and within an image."""
    means, within = [], 0.0
    for image in x.split(1):
        draws = torch.stack([gradient(model, corrupt, image) for _ in range(DRAWS)])
        means.append(draws.mean(0))
        within += draws.var(0).sum().item() / len(x)
    return torch.stack(means).var(0).sum().item() - within / DRAWS, within  # the means still hold v_2 / DRAWS


def gradient(model, corrupt, x):
    model.zero_grad()
    denoising_loss(model, x, corrupt).mean().backward()
    return torch.cat([weight.grad.flatten() for weight in model.parameters()])


def other_levels(mnist, test_x):
    """PSNR of the network trained at masking 0.5 and of one trained at the level of the test."""
    at_half = trained(mnist.train_x, partial(corruption.mask, level=0.5))
    rows = []
    for level in (0.25, 0.75, 0.9):
        noise = partial(corruption.mask, level=level)
        x_tilde, there = noise(test_x, generator=torch.Generator().manual_seed(0)), trained(mnist.train_x, noise)
        inputs = {"as it is": (at_half, 1), "rescaled": (at_half, 0.5 / (1 - level)), "trained there": (there, 1)}
        rows.append(
            [level]
            + [psnr(test_x, model.reconstruct(factor * x_tilde).detach()).mean() for model, factor in inputs.values()]
        )
    print(
        tabulate(
            rows,
            ["masking", "trained at 0.5", "its input rescaled", "trained there"],
            tablefmt="github",
            floatfmt=("g", ".1f", ".1f", ".1f"),
        )
    )


def little_noise(mnist):
    """The score of zeros and ones in two dimensions: by a network, after few and many epochs, and by half the data."""
    some = to_unit(mnist.train_x[mnist.train_y < 2]).flatten(1)
    points = (some - some.mean(0)) @ torch.linalg.eigh(some.T.cov()).eigenvectors.flip(1)[:, :2]
    points = (points / points.std()).view(-1, 1, 1, 2)
    points = points[torch.randperm(len(points), generator=torch.Generator().manual_seed(0))]
    memories, rows = [OptimalMemory(half) for half in points.chunk(2)], []
    for sigma in (0.25, LITTLE):
        x_tilde = corruption.gaussian(points[:2000], sigma, torch.Generator().manual_seed(1))
        halves = [memory.posterior_mean(x_tilde, sigma) - x_tilde for memory in memories]
        exact = OptimalMemory(points).posterior_mean(x_tilde, sigma) - x_tilde
        cosine = partial(torch.nn.functional.cosine_similarity, dim=-1)
        row = [sigma, cosine(*halves).mean()]
        for epochs in (15, 60):
            torch.manual_seed(0)
            model = Autoencoder(64, (128, 128), image_shape=(1, 1, 2), likelihood="gaussian")
            loss = partial(denoising_loss, corrupt=partial(corruption.gaussian, level=sigma))
            Trainer(model, loss, device="cpu").fit(points, epochs=epochs, batch_size=500, lr=5e-3, progress=False)
            row.append(cosine(model.reconstruct(x_tilde).detach() - x_tilde, exact).mean())
        rows.append(row)
    print(
        tabulate(
            rows,
            ["sigma", "cosine between two halves' scores", "network and score, 15 epochs", "60 epochs"],
            tablefmt="github",
            floatfmt=".3f",
        )
    )


def main():
    mnist = load("mnist")
    train_x, test_x = to_unit(mnist.train_x), to_unit(mnist.test_x)
    masking, rows = partial(corruption.mask, level=0.5), []
    for epochs in (0, 2):
        v_1, v_2 = gradient_noise(trained(mnist.train_x, masking, epochs=epochs), masking, test_x[:IMAGES])
        rows.append([epochs, v_1, v_2, f"{v_2 / (v_1 + v_2):.0%}", f"{(v_1 + v_2 / 4) / (v_1 + v_2):.0%}", "25%"])
    print(
        tabulate(
            rows,
            [
                "epochs",
                "v_1, between images",
                "v_2, within an image",
                "share of v_2",
                "left with 4 corruptions",
                "left with 4 × the images",
            ],
            tablefmt="github",
            floatfmt=".0f",
        )
    )
    noise = partial(corruption.gaussian, level=SIGMA)
    x, memory = test_x[:1000], OptimalMemory(train_x)
    x_tilde = noise(x, generator=torch.Generator().manual_seed(0))
    rows = [
        [f"memory, {factor} σ", psnr(x, memory.posterior_mean(x_tilde, factor * SIGMA)).mean()] for factor in (1, 2)
    ]
    for K, hidden, epochs in ((32, (256,), 2), (32, (256,), 10), (64, (512,), 2), (64, (512,), 10)):
        x_hat = trained(mnist.train_x, noise, K, hidden, epochs).reconstruct(x_tilde).detach()
        rows.append([f"DAE, K = {K}, hidden {hidden[0]}, {epochs} epochs", psnr(x, x_hat).mean()])
    print(tabulate(rows, [f"1,000 test images, σ = {SIGMA}", "PSNR [dB]"], tablefmt="github", floatfmt=".1f"))
    other_levels(mnist, test_x)
    little_noise(mnist)


if __name__ == "__main__":
    main()
