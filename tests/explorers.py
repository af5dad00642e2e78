"""Every kind of explorer, small, with untrained networks; run as a program it moves all their controls."""

import torch

from aetutor import corruption
from aetutor.evidence import Evidence
from aetutor.models import CVAE, VAE, Autoencoder
from aetutor.widgets import (
    BottleneckExplorer,
    DrawPad,
    LatentExplorer,
    LikelihoodExplorer,
    NoiseExplorer,
    PosteriorExplorer,
    PosteriorPad,
    StyleExplorer,
    StylePad,
)

LABELS = torch.arange(12) % 10
SEVEN = [(0.25, 0.25), (0.75, 0.25), (0.45, 0.85)]  # a drawing, in shares of the canvas' sides


def draw(page, canvas, points=SEVEN):
    """Draw through the points on a pad in a browser's page, with the mouse button down."""
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    places = [(box["x"] + right * box["width"], box["y"] + down * box["height"]) for right, down in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=8)
    page.mouse.up()


def digits(count=12):
    """Blurred spots: images that networks without training turn into different pictures."""
    torch.manual_seed(0)
    return torch.nn.functional.avg_pool2d(torch.rand(count, 1, 34, 34).round(), 7, 1)


def trained(kind=VAE, K=2, **settings):
    """A model whose weights are large enough for its pictures to differ from place to place."""
    torch.manual_seed(0)
    model = kind(K, hidden=(32, 16), **settings).requires_grad_(False)
    for network in (model.encoder, model.decoder):
        network[-1].weight.mul_(3)
    return model


def make(name):
    """An explorer of each kind, small."""
    x, vae, cvae = digits(), trained(), trained(CVAE)
    known = Evidence(torch.arange(12.0) - 99, torch.arange(12.0) - 100, torch.zeros(12))
    halves = {name: lambda x, kind, level, share=share: x * share for name, share in (("half", 0.5), ("third", 0.3))}
    by_kind = {kind: trained(Autoencoder, likelihood="gaussian") for kind in corruption.KINDS}
    return {
        "BottleneckExplorer": lambda: BottleneckExplorer(x, {"less": {2: lambda x: x / 2, 4: lambda x: x / 4}}, LABELS),
        "NoiseExplorer": lambda: NoiseExplorer(x, halves, LABELS),
        "LatentExplorer": lambda: LatentExplorer(vae, x, LABELS),
        "PosteriorExplorer": lambda: PosteriorExplorer(vae, x.round(), LABELS, known),
        "LikelihoodExplorer": lambda: LikelihoodExplorer({"one": vae, "two": trained(K=3)}, x, LABELS),
        "StyleExplorer": lambda: StyleExplorer(cvae, x.round(), LABELS),
        "DrawPad": lambda: DrawPad({"half": halves["half"], "networks": by_kind}),
        "PosteriorPad": lambda: PosteriorPad(vae, x.round(), LABELS),
        "StylePad": lambda: StylePad(cvae),
    }[name]()


FROZEN = {
    "BottleneckExplorer": {"image": 3},
    "NoiseExplorer": {"image": 2, "level": 3, "noise": 2},
    "LatentExplorer": {"z1": 3, "z2": 5},
    "PosteriorExplorer": {"image": 3},
    "LikelihoodExplorer": {"image": 3},
    "StyleExplorer": {"image": 2, "first": 3, "second": 2},
}
PADS = ["DrawPad", "PosteriorPad", "StylePad"]


def other_value(control):
    """A value that the control has and does not show now."""
    if hasattr(control, "options"):
        return next(option for option in control.options if option != control.value)
    if hasattr(control, "step"):
        return control.max
    return bytes([0] * 6000 + [255] * 3000 + [0] * 3544) if isinstance(control.value, bytes) else control.value + 1


def shown(explorer):
    return [image.value for image in explorer.images.values()], explorer.readout.value


def move_everything():
    """Move each control of each explorer: all that is shown must be what the explorer computes for its settings."""
    for name in [*FROZEN, *PADS]:
        explorer = make(name)
        drawing = explorer.controls.get("drawing")
        for key, control in sorted(explorer.controls.items(), key=lambda pair: pair[1] is not drawing):
            before = shown(explorer)
            control.value = other_value(control)
            assert shown(explorer) != before, f"{name}: nothing follows {key}"
            assert explorer.readout.value == explorer.readout_text(
                explorer.pictures(**explorer.settings()), **explorer.settings()
            )
        print(name, "moved")


if __name__ == "__main__":
    move_everything()
