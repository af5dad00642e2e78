"""What depth adds, and what patience adds: notebook 01's autoencoders after 2 and after 20 epochs, against PCA; and
how far the linear one's eighth direction is from PCA's after 3 and after 10 epochs.

    python benchmarks/depth.py        (about four minutes on two cores)
"""

import torch
from report import Row, labelled, show

from aetutor import Autoencoder, Trainer, load, reconstruction_loss, squared_error, to_unit


def trained(images, model, **settings):
    Trainer(model, reconstruction_loss).fit(images, progress=False, **settings)
    return model.cpu()


def measure():
    """Rows for the linear autoencoder's angle, and for each size of the code."""
    mnist, rows = load("mnist"), []
    train_x, test_x = to_unit(mnist.train_x), to_unit(mnist.test_x)
    mean = train_x.mean(0)
    centred = (train_x - mean).flatten(1)
    components = torch.linalg.eigh(centred.T.double() @ centred.double()).eigenvectors.flip(1).float()
    for epochs in (3, 10):
        torch.manual_seed(0)
        linear = Autoencoder(latent_dim=8, hidden=(), likelihood="gaussian")
        model = trained(mnist.train_x, linear, epochs=epochs, batch_size=128, lr=1e-2)
        basis = torch.linalg.qr(model.decoder[0].weight.detach()).Q
        angle = torch.linalg.svdvals(components[:, :8].T @ basis).clamp(max=1).acos().rad2deg().max()
        what = f"linear autoencoder, K = 8, {epochs} epochs: largest principal angle to PCA's subspace"
        rows.append(Row(what, f"{angle:.0f} degrees"))
    for K in (2, 8, 32, 64):
        P = components[:, :K]
        pca = squared_error(lambda x, P=P: ((x - mean).flatten(1) @ P @ P.T).view_as(x) + mean, test_x)
        errors = []
        for epochs in (2, 20):
            torch.manual_seed(0)
            model = trained(mnist.train_x, Autoencoder(latent_dim=K, likelihood="gaussian"), epochs=epochs)
            error = squared_error(model.reconstruct, test_x)
            errors.append(f"{error:.1f} ({1 - error / pca:.0%} less)")
        measured = labelled(("2 epochs", "20 epochs"), errors)
        rows.append(Row(f"squared error of test images, deep autoencoder, K = {K}", measured, f"PCA: {pca:.1f}"))
    return rows


if __name__ == "__main__":
    show(measure())
