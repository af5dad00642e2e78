"""A probe: how well a class can be read from codes."""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from aetutor import doors
from aetutor.data import Labels, labels_of
from aetutor.devices import RandomStream
from aetutor.networks import mlp
from aetutor.training import Trainer


class Probe(NamedTuple):
    """How well a probe reads the class of test codes: the share that is right, and the mean of -log p(y|z), in nats."""

    accuracy: float
    cross_entropy: float


@torch.enable_grad()  # it trains, also where it is called under no_grad
def fit_probe(
    z: Tensor, y: Labels, test_z: Tensor, test_y: Labels, hidden: tuple[int, ...] = (), epochs: int = 20, seed: int = 0
) -> Probe:
    """How much of the label is in the code: a classifier p(y|z) of its own, fitted to codes and tested on others.

    Codes `(N, K)`, integer labels `(N,)`, others to test it on -> `Probe`. With `hidden=()` it is multinomial logistic
    regression on standardised codes, weight decay ‖W‖² / 2N; else an MLP, `epochs` of Adam from `seed`. It leaves your
    random state alone. For draws of z from q(z|x), not their means, I(z; y) >= H(y) - cross_entropy (Barber and Agakov
    2003; notebook 04, equation 4.5). Raises ValueError for other codes or labels, and a test label that
    does not occur in y.
    """
    _check_codes(z, z)
    _check_codes(test_z, z)
    labels, test_y = labels_of(z, y, "a code").long(), labels_of(test_z, test_y, "a code").long()
    classes, labels = labels.unique(return_inverse=True)
    if not torch.isin(test_y, classes).all():
        raise ValueError(f"The probe knows the labels {classes.tolist()}; got others in test_y: fit it to all of them.")
    test_y = torch.searchsorted(classes, test_y)
    std, mean = torch.std_mean(z.detach(), 0, correction=0)
    z, test_z = ((codes.detach() - mean) / torch.where(std > 0, std, 1) for codes in (z, test_z))
    with RandomStream(z.device, seed):
        classifier = mlp(z.shape[1], *hidden, len(classes)).to(z)
    if hidden:
        Trainer(classifier, lambda net, z, y: cross_entropy(net(z), y, reduction="none"), z.device, seed=seed).fit(
            z, labels, epochs=epochs, batch_size=min(256, len(z)), lr=5e-3, progress=False
        )
    else:
        _fit_linear(classifier, z, labels)
    logits = classifier(test_z).detach()
    return Probe((logits.argmax(1) == test_y).sum().item() / len(test_y), cross_entropy(logits, test_y).item())


def _fit_linear(classifier: Any, z: Tensor, y: Tensor) -> None:
    optimizer = torch.optim.LBFGS(classifier.parameters(), max_iter=500, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        # the mean of -log p(y|z), and ‖W‖² / 2N, which keeps W finite where the classes do not overlap
        value = cross_entropy(classifier(z), y) + classifier[0].weight.square().sum() / (2 * len(z))
        value.backward()
        return value

    optimizer.step(loss)


def _check_codes(z: Tensor, like: Tensor) -> None:
    doors.tensor("z", z, "codes (N, K)")
    if (
        z.dim() != 2
        or z.shape[1] != like.shape[1]
        or z.dtype != like.dtype
        or not z.is_floating_point()
        or not z.isfinite().all()
        or len(z) == 0
    ):
        raise ValueError(
            "The probe takes finite float codes (N, K), N at least 1, and test codes of the same kind; got "
            f"{z.dtype} {tuple(z.shape)}."
        )
