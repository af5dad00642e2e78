"""Two measurements that notebook 02 quotes: where the noise of a denoising gradient comes from, and how long a network
must train until it beats the memory with a doubled sigma.

    python benchmarks/denoising.py        (about two minutes on two cores)
"""

from functools import partial

import torch
from tabulate import tabulate

from aetutor import Autoencoder, Trainer, corruption, denoising_loss, load, psnr, to_unit
from aetutor.evaluation import OptimalMemory

IMAGES, DRAWS = 150, 8  # for the gradients
SIGMA = 0.5


def trained(images, corrupt, K=32, hidden=(256,), epochs=2):
    torch.manual_seed(0)
    model = Autoencoder(K, hidden, likelihood="gaussian")
    if epochs:
        Trainer(model, partial(denoising_loss, corrupt=corrupt)).fit(
            images, epochs=epochs, batch_size=250, lr=5e-3, progress=False)
    return model.cpu()


def gradient_noise(model, corrupt, x):
    """(b, w): the variance of an image's gradient, summed over all weights, between images and within an image."""
    means, within = [], 0.0
    for image in x.split(1):
        draws = torch.stack([gradient(model, corrupt, image) for _ in range(DRAWS)])
        means.append(draws.mean(0))
        within += draws.var(0).sum().item() / len(x)
    return torch.stack(means).var(0).sum().item() - within / DRAWS, within  # the means still hold w / DRAWS


def gradient(model, corrupt, x):
    model.zero_grad()
    denoising_loss(model, x, corrupt).mean().backward()
    return torch.cat([weight.grad.flatten() for weight in model.parameters()])


def main():
    mnist = load("mnist")
    train_x, test_x = to_unit(mnist.train_x), to_unit(mnist.test_x)
    masking, rows = partial(corruption.mask, level=0.5), []
    for epochs in (0, 2):
        b, w = gradient_noise(trained(mnist.train_x, masking, epochs=epochs), masking, test_x[:IMAGES])
        rows.append([epochs, b, w, f"{w / (b + w):.0%}", f"{(b + w / 4) / (b + w):.0%}", "25%"])
    print(tabulate(rows, ["epochs", "b, between images", "w, within an image", "share of w", "left with 4 corruptions",
                          "left with 4 × the images"], tablefmt="github", floatfmt=".0f"))
    noise = partial(corruption.gaussian, level=SIGMA)
    x, memory = test_x[:1000], OptimalMemory(train_x)
    x_tilde = noise(x, generator=torch.Generator().manual_seed(0))
    rows = [[f"memory, {factor} σ", psnr(x, memory.posterior_mean(x_tilde, factor * SIGMA)).mean()]
            for factor in (1, 2)]
    for K, hidden, epochs in ((32, (256,), 2), (32, (256,), 10), (64, (512,), 2), (64, (512,), 10)):
        y = trained(mnist.train_x, noise, K, hidden, epochs).reconstruct(x_tilde).detach()
        rows.append([f"DAE, K = {K}, hidden {hidden[0]}, {epochs} epochs", psnr(x, y).mean()])
    print(tabulate(rows, [f"1,000 test images, σ = {SIGMA}", "PSNR [dB]"], tablefmt="github", floatfmt=".1f"))


if __name__ == "__main__":
    main()
