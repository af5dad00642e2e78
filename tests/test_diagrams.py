"""The diagrams: which images they hold, what their arrows join, and that their words can be read."""

import itertools

import IPython.display
import matplotlib
import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.text import Annotation

from aetutor import diagrams, plots

matplotlib.use("Agg")

torch.manual_seed(0)
X, X_TILDE, X_HAT = torch.rand(3, 1, 28, 28)
Z, MU, SIGMA = torch.randn(8), torch.randn(8), torch.rand(8) + 0.1

# name -> (diagram, its images from left to right, its codes, its words)
DIAGRAMS = {
    "autoencoder": (
        lambda ax=None: diagrams.autoencoder(X, Z, X_HAT.requires_grad_(), ax),
        [X, X_HAT],
        [Z],
        ["image $x$", "28 × 28 = 784 pixels", "encoder", "$K$ = 8 numbers", "decoder", "copy", "loss"],
    ),
    "denoising": (
        lambda ax=None: diagrams.denoising(X, X_TILDE, Z, X_HAT, ax),
        [X, X_TILDE, X_HAT],
        [Z],
        ["clean image $x$", "$q_D(", "corrupted", "encoder", "$K$ = 8", "decoder", "restored", "loss", "clean image"],
    ),
    "vae": (
        lambda ax=None: diagrams.vae(X, MU, SIGMA, X_HAT, ax),
        [X, X_HAT],
        [MU, SIGMA],
        [
            "encoder",
            "$\\mu$",
            "$\\sigma$",
            "\\varepsilon \\sim",
            "z = \\mu + \\sigma\\varepsilon",
            "decoder",
            "KL",
            "log p",
        ],
    ),
    "cvae": (
        lambda ax=None: diagrams.cvae(X, 7, MU, SIGMA, X_HAT, ax),
        [X, X_HAT],
        [MU, SIGMA],
        ["label 7\nbeside the pixels", "label 7\nbeside $z$", "encoder", "decoder", "KL", "reconstruction"],
    ),
}


@pytest.fixture(params=list(DIAGRAMS))
def diagram(request):
    """(Axes, images, codes, words)"""
    draw, *expected = DIAGRAMS[request.param]
    yield draw(), *expected
    plt.close("all")


def arrows(ax):
    """Every arrow: (start, end, whether it is dashed), in the units of the canvas."""
    found = []
    for text in ax.texts:
        if isinstance(text, Annotation) and text.arrow_patch:
            found.append((text.get_position(), text.xy, text.arrow_patch.get_linestyle() not in ("-", "solid")))
    return found


def test_a_diagram_holds_its_images_from_left_to_right_and_its_codes(diagram):
    ax, images, codes, _ = diagram
    pictures = [image for image in ax.get_images() if image.get_cmap().name == "gray"]
    assert [image.get_clim() for image in pictures] == [(0, 1)] * len(images)
    for drawn, image in zip(pictures, images, strict=True):
        assert np.array_equal(drawn.get_array(), image[0].detach())
    for left, right in itertools.pairwise(pictures):
        assert left.get_extent()[1] < right.get_extent()[0]
    strips = [image for image in ax.get_images() if image not in pictures]
    for strip, code in zip(strips, codes, strict=True):
        assert np.array_equal(strip.get_array(), code[None]) and strip.get_clim()[0] == -strip.get_clim()[1]
        assert strip.get_clim()[1] == pytest.approx(code.abs().max().item())


def test_a_diagram_says_its_words(diagram):
    ax, *_, words = diagram
    said = "\n".join(text.get_text() for text in ax.texts)
    assert [word for word in words if word not in said] == []


def test_no_two_texts_overlap_and_none_is_cut_off(diagram):
    ax = diagram[0]
    plots._finish(ax.figure)
    ax.figure.draw_without_rendering()
    boxes = {text.get_text(): text.get_window_extent() for text in ax.texts if text.get_text()}
    for (first, box), (second, other) in itertools.combinations(boxes.items(), 2):
        assert not box.overlaps(other), (first, second)
    canvas = ax.figure.bbox
    for name, box in boxes.items():
        assert canvas.x0 <= box.x0 and box.x1 <= canvas.x1 and canvas.y0 <= box.y0 and box.y1 <= canvas.y1, name
        for picture in ax.get_images():
            assert not box.overlaps(picture.get_window_extent()), name
    assert ax.figure.get_figwidth() * plots.SCREEN <= 760  # pixels of the screen


def test_arrows_of_functions_are_solid_and_of_draws_dashed():
    counts = {name: sum(dashed for *_, dashed in arrows(draw())) for name, (draw, *_) in DIAGRAMS.items()}
    assert counts == {"autoencoder": 0, "denoising": 1, "vae": 1, "cvae": 1}
    denoising, vae = (DIAGRAMS[name][0]() for name in ("denoising", "vae"))
    (draw,) = [arrow for arrow in arrows(denoising) if arrow[2]]
    clean, noisy, _ = (image.get_extent() for image in denoising.get_images() if image.get_cmap().name == "gray")
    assert clean[1] <= draw[0][0] < draw[1][0] <= noisy[0]
    (draw,) = [arrow for arrow in arrows(vae) if arrow[2]]
    places = {text.get_text(): text.get_position() for text in vae.texts}
    epsilon, z = places["$\\varepsilon \\sim \\mathcal{N}(0, I)$"], places["$z = \\mu + \\sigma\\varepsilon$"]
    assert draw[0][0] == draw[1][0] == epsilon[0] == z[0] and epsilon[1] < draw[0][1] < draw[1][1] < z[1]
    plt.close("all")


@pytest.mark.parametrize("name", list(DIAGRAMS))
def test_the_loss_leads_from_the_output_to_the_clean_image(name):
    ax = DIAGRAMS[name][0]()
    clean, *_, output = (image.get_extent() for image in ax.get_images() if image.get_cmap().name == "gray")
    (path,) = [line.get_xydata() for line in ax.get_lines() if len(line.get_xdata()) == 3]
    assert output[0] < path[0, 0] < output[1] and output[3] < path[0, 1] < path[1, 1]  # it begins above the output
    (tip,) = [end for start, end, _ in arrows(ax) if start == tuple(path[-1])]
    assert clean[0] < tip[0] < clean[1] and clean[3] < tip[1] < clean[3] + 0.3  # and ends above the clean image
    plt.close("all")


def test_the_gradient_of_the_vae_reaches_mu_and_sigma_by_way_of_z_and_not_epsilon():
    ax = diagrams.vae(X, MU, SIGMA, X_HAT)
    mu, sigma = (image.get_extent() for image in ax.get_images() if image.get_cmap().name != "gray")
    ends = [patch._posA_posB for patch in ax.patches if isinstance(patch, FancyArrowPatch)]
    from_decoder, to_mu, to_sigma = ends
    assert to_mu[1][0] < to_mu[0][0] < from_decoder[1][0] < from_decoder[0][0]  # all go to the left
    for (_, (x, y)), strip in ((to_mu, mu), (to_sigma, sigma)):
        assert 0 <= x - strip[1] < 0.2 and min(abs(y - strip[2]), abs(y - strip[3])) < 0.1
    assert all(start[1] > 1.5 for start, _ in ends)  # none begins or ends at eps, which stands below
    plt.close("all")


def test_the_kl_concerns_what_the_encoder_gives():
    ax = diagrams.vae(X, MU, SIGMA, X_HAT)
    ax.figure.draw_without_rendering()
    (panel,) = [patch.get_window_extent() for patch in ax.patches if isinstance(patch, FancyBboxPatch)]
    places = {text.get_text(): text.get_window_extent() for text in ax.texts}
    strips = [image.get_window_extent() for image in ax.get_images() if image.get_cmap().name != "gray"]
    for box in (*strips, places["$\\mu$"], places["$\\sigma$"], places["KL to the prior"]):
        assert panel.x0 <= box.x0 and box.x1 <= panel.x1 and panel.y0 <= box.y0 and box.y1 <= panel.y1
    assert not panel.overlaps(places["$z = \\mu + \\sigma\\varepsilon$"])
    plt.close("all")


def test_the_label_enters_the_encoder_and_the_decoder_of_the_cvae():
    ax = diagrams.cvae(X, 7, MU, SIGMA, X_HAT)
    networks = [patch.get_xy() for patch in ax.patches if isinstance(patch, plt.Polygon)]
    downwards = [(start, end) for start, end, _ in arrows(ax) if start[0] == end[0] and end[1] > 2 and start[1] < 4]
    for (start, end), network in zip(downwards, networks, strict=True):
        assert network[:, 0].min() < end[0] < network[:, 0].max()
        edge = np.interp(end[0], *network[network[:, 1] > 2][np.argsort(network[network[:, 1] > 2][:, 0])].T)
        assert end[1] == pytest.approx(edge, abs=0.25) and start[1] > edge
    plt.close("all")


@pytest.mark.parametrize("name", list(DIAGRAMS))
def test_a_diagram_is_drawn_where_it_is_told_and_closed_by_show(name, monkeypatch):
    monkeypatch.setattr(IPython.display, "display", lambda *args, **kwargs: None)
    ax = plt.subplots()[1]
    assert DIAGRAMS[name][0](ax) is ax
    plots.show(ax, "", "")
    plots.show(DIAGRAMS[name][0](), "", "")
    assert plt.get_fignums() == []


def test_a_long_code_is_drawn_in_part_and_its_length_told():
    ax = diagrams.autoencoder(X, torch.randn(64), X_HAT)
    (strip,) = [image for image in ax.get_images() if image.get_cmap().name != "gray"]
    assert strip.get_array().shape == (1, 16) and any("64 numbers" in text.get_text() for text in ax.texts)
    plt.close("all")
