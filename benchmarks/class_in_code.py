"""How much of the class stays in the code of a CVAE, and what that costs: notebook 04, sections 3, 6 and 7.

Trains conditional models of several sizes, networks and lengths, and prints for each, on the 10,000 test images: the
ELBO; what a probe reads from the code (accuracy, and the bound of equation 4.5 on I(z; y), in nats); how many images
Bayes' rule names rightly, with the ELBO (five samples) for log p(x|y); and in what share of 10,000 new digits a
separate classifier sees the class that was asked for. Last, linear discriminant analysis of the grey images with the
full covariance within the classes, for comparison with the linear CVAE of section 7.

    python benchmarks/class_in_code.py        (about ten minutes on two cores)
"""

import torch
from report import Row, labelled, show
from torch.nn.functional import cross_entropy

from aetutor import CVAE, Trainer, binarize, elbo, fit_probe, load, to_unit
from aetutor.networks import mlp

RUNS = [
    (2, (256, 256, 128), 8),
    (4, (256, 256, 128), 8),
    (16, (256, 256, 128), 8),
    (8, (256, 512), 10),
    (16, (256, 512), 10),
    (16, (512,), 10),
    (16, (256, 512), 20),
]


def train(mnist, model, loss, epochs):
    trainer = Trainer(model, loss, device="cpu")
    trainer.fit(mnist.train_x, mnist.train_y, epochs=epochs, batch_size=400, lr=7e-3, prepare=binarize, progress=False)
    return model.requires_grad_(False)


def labels_named(model, x):
    """The label with the largest ELBO of each image, `(N,)`: the classes of MNIST are nearly equally frequent."""
    bounds = [
        torch.cat([elbo(model, part, torch.full((len(part),), c), samples=5).elbo for part in x.split(500)])
        for c in range(10)
    ]
    return torch.stack(bounds, 1).argmax(1)


def linear_discriminant_accuracy(mnist):
    x, test_x = (to_unit(images).flatten(1).double() for images in (mnist.train_x, mnist.test_x))
    means = torch.stack([x[mnist.train_y == c].mean(0) for c in range(10)])
    within = (x - means[mnist.train_y]).T.cov() + 1e-4 * torch.eye(784)  # some pixels are always black
    weights = torch.linalg.solve(within, means.T)  # (784, 10)
    scores = test_x @ weights - (means.T * weights).sum(0) / 2 + (mnist.train_y.bincount() / len(x)).log()
    return (scores.argmax(1) == mnist.test_y).double().mean()


def measure():
    """A row for each model, and one for the linear discriminant."""
    mnist = load("mnist")
    train_x, test_x, train_y, test_y = binarize(mnist.train_x), binarize(mnist.test_x), mnist.train_y, mnist.test_y
    entropy = torch.distributions.Categorical(test_y.bincount() / len(test_y)).entropy().item()
    torch.manual_seed(0)
    judge = train(
        mnist,
        torch.nn.Sequential(torch.nn.Flatten(), mlp(784, 512, 10)),
        lambda net, x, y: cross_entropy(net(x), y, reduction="none"),
        4,
    )
    asked, rows = torch.arange(10).repeat(1000), []
    for latent_dim, hidden, epochs in RUNS:
        torch.manual_seed(0)
        model = train(mnist, CVAE(latent_dim, hidden), lambda model, x, y: -elbo(model, x, y).elbo, epochs)
        bound = elbo(model, test_x, test_y)
        z, test_z = model.encode(train_x, train_y).sample(), model.encode(test_x, test_y).sample()
        probe = fit_probe(z, train_y, test_z, test_y, hidden=(256,), epochs=10)
        bayes, agreed = labels_named(model, test_x) == test_y, judge(model.sample(asked)).argmax(1) == asked
        shares = (f"{hits.float().mean():.1%}" for hits in (bayes, agreed))
        measured = labelled(
            ("ELBO", "KL", "a probe reads", "I(z; y) at least", "Bayes' rule names", "new digits as asked"),
            (
                f"{bound.elbo.mean():.1f}",
                f"{bound.kl.mean():.1f}",
                f"{probe.accuracy:.0%}",
                f"{entropy - probe.cross_entropy:.2f} nats",
                *shares,
            ),
        )
        rows.append(Row(f"CVAE, K = {latent_dim}, hidden {hidden}, {epochs} epochs", measured))
    accuracy = f"{linear_discriminant_accuracy(mnist):.1%} right"
    return [*rows, Row("linear discriminant analysis, full covariance", accuracy)]


if __name__ == "__main__":
    show(measure())
