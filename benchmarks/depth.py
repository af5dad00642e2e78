"""What depth adds, and what patience adds: notebook 01's autoencoders after 2 and after 20 epochs, against PCA.

    python benchmarks/depth.py        (about four minutes on two cores)
"""

import torch
from tabulate import tabulate

from aetutor import Autoencoder, Trainer, load, reconstruction_loss, squared_error, to_unit


def main():
    mnist = load("mnist")
    train_x, test_x = to_unit(mnist.train_x), to_unit(mnist.test_x)
    mean = train_x.mean(0)
    centred = (train_x - mean).flatten(1)
    components = torch.linalg.eigh(centred.T.double() @ centred.double()).eigenvectors.flip(1).float()
    rows = []
    for K in (2, 8, 32):
        P = components[:, :K]
        pca = squared_error(lambda x, P=P: ((x - mean).flatten(1) @ P @ P.T).view_as(x) + mean, test_x)
        row = [K, f"{pca:.1f}"]
        for epochs in (2, 20):
            torch.manual_seed(0)
            model = Autoencoder(latent_dim=K, hidden=(256,), likelihood="gaussian")
            Trainer(model, reconstruction_loss).fit(mnist.train_x, epochs=epochs, batch_size=250, lr=5e-3)
            error = squared_error(model.cpu().reconstruct, test_x)
            row.append(f"{error:.1f} ({1 - error / pca:.0%} less)")
        rows.append(row)
    print(tabulate(rows, ["K", "PCA", "deep, 2 epochs", "deep, 20 epochs"], tablefmt="github"))


if __name__ == "__main__":
    main()
