"""Measurements that notebook 02 quotes: where the noise of a denoising gradient comes from; how long a network must
train until it beats the memory with a doubled sigma; what networks trained at other levels reach there; and why the
score is hard to learn where there is little noise.

    python benchmarks/denoising.py        (about four minutes on two cores)
"""

from functools import partial

import torch
from report import Row, labelled, show

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
        inputs = {"as it is": (at_half, 1), "input rescaled": (at_half, 0.5 / (1 - level))}
        found = [decibels(test_x, model.reconstruct(factor * x_tilde)) for model, factor in inputs.values()]
        beside = f"trained there: {decibels(test_x, there.reconstruct(x_tilde))}"
        rows.append(Row(f"PSNR of a DAE trained at masking 0.5, masking {level}", labelled(inputs, found), beside))
    return rows


def decibels(x, x_hat):
    """The mean PSNR, as it is printed."""
    return f"{psnr(x, x_hat.detach()).mean():.1f} dB"


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
        cosines, lengths = [], (15, 60)
        for epochs in lengths:
            torch.manual_seed(0)
            model = Autoencoder(64, (128, 128), image_shape=(1, 1, 2), likelihood="gaussian")
            loss = partial(denoising_loss, corrupt=partial(corruption.gaussian, level=sigma))
            Trainer(model, loss, device="cpu").fit(points, epochs=epochs, batch_size=500, lr=1e-2, progress=False)
            step = model.reconstruct(x_tilde).detach() - x_tilde
            cosines.append(f"{cosine(step, exact).mean():.3f}")
        measured = labelled((f"{epochs} epochs" for epochs in lengths), cosines)
        beside = f"scores of two halves of the data: {cosine(*halves).mean():.3f}"
        rows.append(Row(f"cosine between a network's correction and the score in 2-D, σ = {sigma}", measured, beside))
    return rows


def measure():
    """Rows for the noise of the gradient, for patience at one level, for other levels, and for little noise."""
    mnist = load("mnist")
    train_x, test_x = to_unit(mnist.train_x), to_unit(mnist.test_x)
    masking, rows = partial(corruption.mask, level=0.5), []
    for epochs in (0, 2):
        v_1, v_2 = gradient_noise(trained(mnist.train_x, masking, epochs=epochs), masking, test_x[:IMAGES])
        measured = f"between images: {v_1:.0f}; within an image, by the noise: {v_2:.0f}, {v_2 / (v_1 + v_2):.0%}"
        left = f"left with 4 corruptions an image: {(v_1 + v_2 / 4) / (v_1 + v_2):.0%}; with 4 times the images: 25%"
        rows.append(Row(f"variance of a DAE's gradient, after {epochs} epochs", measured, left))
    noise = partial(corruption.gaussian, level=SIGMA)
    x, memory = test_x[:1000], OptimalMemory(train_x)
    x_tilde = noise(x, generator=torch.Generator().manual_seed(0))
    remembered = labelled(
        ("the memory", "the memory, 2 σ"), (decibels(x, memory.posterior_mean(x_tilde, f * SIGMA)) for f in (1, 2))
    )
    for K, hidden, epochs in ((32, (256,), 2), (32, (256,), 10), (64, (512,), 2), (64, (512,), 10)):
        model = trained(mnist.train_x, noise, K, hidden, epochs)
        what = f"PSNR of 1,000 test images, σ = {SIGMA}, DAE, K = {K}, hidden {hidden[0]}, {epochs} epochs"
        rows.append(Row(what, decibels(x, model.reconstruct(x_tilde)), remembered))
    return rows + other_levels(mnist, test_x) + little_noise(mnist)


if __name__ == "__main__":
    show(measure())
