"""What depth adds, and what patience adds: notebook 01's autoencoders after 2 and after 20 epochs, against PCA; and
how far the linear one's eighth direction is from PCA's after 3 and after 10 epochs.

    python benchmarks/depth.py        (about five minutes on two cores)
"""

import torch
from tabulate import tabulate

from aetutor import Autoencoder, Trainer, load, reconstruction_loss, squared_error, to_unit


def trained(images, K, hidden, **settings):
    torch.manual_seed(0)
    model = Autoencoder(latent_dim=K, hidden=hidden, likelihood="gaussian")
    Trainer(model, reconstruction_loss).fit(images, progress=False, **settings)
    return model.cpu()


def main():
    mnist = load("mnist")
    train_x, test_x = to_unit(mnist.train_x), to_unit(mnist.test_x)
    mean = train_x.mean(0)
    centred = (train_x - mean).flatten(1)
    components = torch.linalg.eigh(centred.T.double() @ centred.double()).eigenvectors.flip(1).float()
    for epochs in (3, 10):
        model = trained(mnist.train_x, 8, (), epochs=epochs, batch_size=128, lr=1e-2)
        basis = torch.linalg.qr(model.decoder[0].weight.detach()).Q
        angle = torch.linalg.svdvals(components[:, :8].T @ basis).clamp(max=1).acos().rad2deg().max()
        print(f"linear, K = 8, {epochs} epochs: largest principal angle to PCA's subspace {angle:.0f} degrees")
    rows = []
    for K in (2, 8, 32):
        P = components[:, :K]
        pca = squared_error(lambda x, P=P: ((x - mean).flatten(1) @ P @ P.T).view_as(x) + mean, test_x)
        row = [K, f"{pca:.1f}"]
        for epochs in (2, 20):
            model = trained(mnist.train_x, K, (256,), epochs=epochs, batch_size=250, lr=5e-3)
            error = squared_error(model.reconstruct, test_x)
            row.append(f"{error:.1f} ({1 - error / pca:.0%} less)")
        rows.append(row)
    print(tabulate(rows, ["K", "PCA", "deep, 2 epochs", "deep, 20 epochs"], tablefmt="github"))


if __name__ == "__main__":
    main()
