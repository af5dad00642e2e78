"""The widgets, without a browser: a control moves, the picture's bytes and the text follow."""

import importlib.resources
import io
import itertools
import math
import re
import runpy
import sys

import ipywidgets
import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from PIL import Image
from torch.distributions import ContinuousBernoulli

from aetutor import widgets
from aetutor.corruption import gaussian, mask, salt_and_pepper
from aetutor.drawing import as_mnist
from aetutor.evidence import Evidence, log_px_quadrature
from aetutor.models import CVAE, VAE
from aetutor.plots import code_map
from aetutor.widgets import (
    PIXEL,
    BottleneckExplorer,
    DrawPad,
    Explorer,
    LatentExplorer,
    LikelihoodExplorer,
    NoiseExplorer,
    PosteriorExplorer,
    StyleExplorer,
    png,
)

CORRUPT = {"masking": mask, "Gaussian": gaussian, "salt and pepper": salt_and_pepper}


def images(count=4, channels=1):
    return torch.rand(count, channels, 3, 5, generator=torch.Generator().manual_seed(0))


def methods():
    """Each code size gives a picture of its own."""
    return {
        "PCA": {k: lambda x, k=k: x * k / 10 for k in (8, 2, 4)},
        "autoencoder": {k: lambda x, k=k: 1 - x * k / 10 for k in (2, 4, 8)},
    }


def explorer():
    return BottleneckExplorer(images(), methods())


def decoded(data):
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture)


def enlarged(image, scale=PIXEL):
    """What the picture must be: every pixel a block, in bytes."""
    pixels = np.round(np.clip(image.numpy(), 0, 1) * 255).astype(np.uint8)
    blocks = np.kron(pixels, np.ones((1, scale, scale), np.uint8))
    return blocks[0] if len(blocks) == 1 else blocks.transpose(1, 2, 0)


# --- png -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("scale", [1, 4])
def test_png_holds_the_picture_enlarged_without_smoothing(channels, scale):
    image = images(1, channels)[0]
    assert np.array_equal(decoded(png(image, scale)), enlarged(image, scale))


def test_png_clips_and_rounds():
    row = torch.tensor([[[-0.5, 0.0, 0.5, 1.0, 1.5, 0.4999]]], requires_grad=True)
    assert decoded(png(row, 1)).tolist() == [[0, 0, 128, 255, 255, 127]]


@pytest.mark.parametrize(
    ("shape", "scale"), [((1, 3, 5), 5), ((3, 100, 2), 5), ((1, 2, 100), 5), ((1, 101, 2), 1), ((3, 2, 101), 1)]
)
def test_png_enlarges_small_pictures_five_times_and_leaves_large_ones_as_they_are(shape, scale):
    image = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    assert np.array_equal(decoded(png(image)), enlarged(image, scale))
    assert np.array_equal(decoded(png(image, 2)), enlarged(image, 2))


# --- the bottleneck explorer -----------------------------------------------------------------------------------------


def shows(widget, size, index):
    x = images()[index]
    pictures = {"original": x, "PCA": x * size / 10, "autoencoder": 1 - x * size / 10}
    assert list(widget.images) == list(pictures)
    for name, picture in pictures.items():
        assert np.array_equal(decoded(widget.images[name].value), enlarged(picture)), name
    errors = {name: np.square(x_hat.double().numpy() - x.double().numpy()).sum() for name, x_hat in pictures.items()}
    assert widget.readout.value == (
        f"K = {size}, image {index}. Squared error, summed over the pixels: "
        f"PCA {errors['PCA']:.1f}, autoencoder {errors['autoencoder']:.1f}."
    )


def test_it_opens_on_the_smallest_code_and_the_first_image():
    shows(explorer(), 2, 0)


def test_moving_a_slider_changes_pictures_and_text():
    widget = explorer()
    before = {name: image.value for name, image in widget.images.items()}
    widget.controls["code_size"].value = 8
    shows(widget, 8, 0)
    assert widget.images["PCA"].value != before["PCA"] and widget.images["original"].value == before["original"]
    widget.controls["image"].value = 3
    shows(widget, 8, 3)
    assert widget.images["original"].value != before["original"]
    widget.controls["code_size"].value = 4
    shows(widget, 4, 3)


def test_the_controls_offer_every_size_in_order_and_every_image():
    controls = explorer().controls
    assert tuple(controls["code_size"].options) == (2, 4, 8)
    assert (controls["image"].min, controls["image"].max) == (0, 3)
    assert all(control.description for control in controls.values())


def test_controls_pictures_and_text_are_on_the_screen():
    widget = explorer()

    def below(box):
        return [box] + [inner for child in getattr(box, "children", ()) for inner in below(child)]

    on_screen = below(widget)
    assert all(part in on_screen for part in [*widget.controls.values(), *widget.images.values(), widget.readout])
    names = [part.value for part in on_screen if type(part).__name__ == "Label"]
    assert names == ["original", "PCA", "autoencoder"]


def test_pictures_and_text_can_be_asked_for_other_settings():
    widget = explorer()
    pictures = widget.pictures(code_size=4, image=2)
    assert torch.equal(pictures["PCA"], images()[2] * 4 / 10) and torch.equal(pictures["original"], images()[2])
    assert widget.readout_text(pictures, code_size=4, image=2).startswith("K = 4, image 2.")
    shows(widget, 2, 0)


def test_models_that_carry_gradients_are_shown_without():
    weight = torch.ones((), requires_grad=True)
    widget = BottleneckExplorer(images(), {"model": {2: lambda x: weight * x}})
    assert not widget.pictures(code_size=2, image=0)["model"].requires_grad


def test_its_text_form_is_short():
    assert repr(explorer()) == "BottleneckExplorer: run this notebook to move code size K, image"


@pytest.mark.parametrize(
    "sizes", [{"PCA": [2, 4], "autoencoder": [2, 8]}, {"PCA": [2, 4], "autoencoder": [2]}, {"PCA": []}, {}]
)
def test_other_code_sizes_are_refused(sizes):
    wrong = {name: {k: lambda x: x for k in by_size} for name, by_size in sizes.items()}
    with pytest.raises(ValueError, match="must have the same code sizes, at least one; got") as caught:
        BottleneckExplorer(images(), wrong)
    assert str(sizes) in str(caught.value)


def test_no_images_are_refused():
    with pytest.raises(ValueError, match="image"):
        BottleneckExplorer(images()[:0], methods())


def test_an_explorer_must_say_what_it_shows():
    with pytest.raises(NotImplementedError):
        Explorer({}, ["picture"])


def test_bytes_are_refused():
    with pytest.raises(ValueError, match=r"one float image or more; got 4 in torch.uint8"):
        BottleneckExplorer((images() * 255).byte(), methods())


# --- the noise explorer ----------------------------------------------------------------------------------------------


def denoisers():
    """Each kind and level gives a picture of its own."""
    return {
        "shade": lambda x, kind, level: x * (1 - level / 2) + len(kind) / 100,
        "turn": lambda x, kind, level: 1 - level * x,
    }


def noise_explorer(**start):
    widget = NoiseExplorer(images(), denoisers())
    for name, value in start.items():
        widget.controls[name].value = value
    return widget


def decibels(x, x_hat):
    error = np.square(x.double().numpy() - x_hat.double().numpy()).mean()
    return 10 * math.log10(1 / error) if error else math.inf


def noisy_and_restored(x, kind, level, seed):
    """What must be shown for an image (C, H, W), each method called by hand."""
    noisy = CORRUPT[kind](x[None], level, torch.Generator().manual_seed(seed))[0]
    return {"clean": x, "noisy": noisy, "shade": noisy * (1 - level / 2) + len(kind) / 100, "turn": 1 - level * noisy}


def shows_pictures(widget, pictures, settings):
    """The panels hold these pictures, and the readout names the settings and each picture's PSNR."""
    assert list(widget.images) == list(pictures)
    for name, picture in pictures.items():
        assert np.array_equal(decoded(widget.images[name].value), enlarged(picture)), name
    values = {name: decibels(pictures["clean"], x_hat) for name, x_hat in pictures.items() if name != "clean"}
    expected = ", ".join(f"{name} {value:.1f}" for name, value in values.items())
    assert widget.readout.value == f"{settings}. PSNR in dB: {expected}."


def shows_noise(widget, kind, level, index):
    shows_pictures(
        widget,
        noisy_and_restored(images()[index], kind, level, seed=index),
        f"{kind}, level {level:.2f}, image {index}",
    )


def test_noise_controls_are_kind_level_and_image():
    controls = noise_explorer().controls
    assert list(controls) == ["kind", "level", "image"]
    assert list(controls["kind"].options) == list(CORRUPT)
    assert (controls["level"].min, controls["level"].max, controls["image"].min, controls["image"].max) == (0, 1, 0, 3)
    assert all(control.description for control in controls.values())


def test_it_opens_on_masking_at_one_half_of_the_first_image():
    shows_noise(noise_explorer(), "masking", 0.5, 0)


@pytest.mark.parametrize("kind", CORRUPT)
@pytest.mark.parametrize("level", [0.0, 0.35, 1.0])
@pytest.mark.parametrize("index", [0, 3])
def test_it_shows_the_noise_asked_for_and_what_each_method_makes_of_it(kind, level, index):
    shows_noise(noise_explorer(kind=kind, level=level, image=index), kind, level, index)


@pytest.mark.parametrize(("control", "value"), [("kind", "Gaussian"), ("level", 0.8), ("image", 2)])
def test_moving_a_noise_control_changes_the_pictures_and_the_text(control, value):
    widget = noise_explorer()
    before, text = {name: image.value for name, image in widget.images.items()}, widget.readout.value
    widget.controls[control].value = value
    changed = {name for name, image in widget.images.items() if image.value != before[name]}
    assert changed == {"noisy", "shade", "turn"} | ({"clean"} if control == "image" else set())
    assert widget.readout.value != text
    shows_noise(
        widget,
        **{"kind": "masking", "level": 0.5, "index": widget.controls["image"].value}
        | ({control: value} if control != "image" else {}),
    )


def test_level_0_shows_the_image_itself():
    widget = noise_explorer(level=0.0)
    assert widget.images["noisy"].value == widget.images["clean"].value
    assert widget.readout.value.startswith("masking, level 0.00, image 0. PSNR in dB: noisy inf, shade ")


@pytest.mark.parametrize("kind", CORRUPT)
def test_an_image_has_the_same_noise_each_time_and_another_than_its_neighbour(kind):
    x = images()[:1].expand(3, -1, -1, -1)
    widget = NoiseExplorer(x, denoisers())
    first, again, other = (widget.pictures(kind, 0.5, image)["noisy"] for image in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_a_higher_masking_level_only_removes_more_pixels():
    x = 0.1 + 0.9 * torch.rand(1, 1, 20, 20, generator=torch.Generator().manual_seed(0))
    widget = NoiseExplorer(x, denoisers())
    left = [widget.pictures("masking", level / 20, 0)["noisy"] for level in range(21)]
    for lower, higher in itertools.pairwise(left):
        assert ((higher == 0) | (higher == lower)).all() and (higher != 0).sum() < (lower != 0).sum()
    assert torch.equal(left[0], x[0]) and not left[-1].any()


def test_a_higher_level_makes_the_same_gaussian_noise_larger():
    noise = [noise_explorer().pictures("Gaussian", level, 1)["noisy"] - images()[1] for level in (0.2, 0.8)]
    torch.testing.assert_close(4 * noise[0], noise[1])


def test_looking_at_noise_leaves_the_global_random_state_alone():
    before = torch.get_rng_state()
    noise_explorer(kind="Gaussian", level=0.9, image=2)
    assert torch.equal(torch.get_rng_state(), before)


def test_denoisers_that_carry_gradients_are_shown_without():
    weight = torch.ones((), requires_grad=True)
    widget = NoiseExplorer(images(), {"model": lambda x, kind, level: weight * x})
    assert not widget.pictures("masking", 0.5, 0)["model"].requires_grad


def test_denoisers_see_a_batch_of_one_the_kind_and_the_level():
    calls = []
    NoiseExplorer(images(), {"spy": lambda *call: calls.append((call[0].shape, *call[1:])) or call[0]})
    assert calls == [((1, 1, 3, 5), "masking", 0.5)]


@pytest.mark.parametrize(
    ("x", "f", "given"),
    [
        (images()[:0], denoisers(), "0 in torch.float32 and 2 methods"),
        (images(), {}, "4 in torch.float32 and 0 methods"),
        ((images() * 255).byte(), denoisers(), "4 in torch.uint8 and 2 methods"),
    ],
    ids=["no images", "no methods", "bytes"],
)
def test_without_images_or_methods_there_is_nothing_to_explore(x, f, given):
    with pytest.raises(ValueError, match=f"one float image or more, and one method or more; got {given}"):
        NoiseExplorer(x, f)


def test_the_noise_explorers_text_form_is_short():
    assert repr(noise_explorer()) == "NoiseExplorer: run this notebook to move noise, level, image"


# --- the drawing pad -------------------------------------------------------------------------------------------------

EMPTY_PAD = "Draw a digit in the black square, with the mouse or a finger."


def seven():
    """A drawing (112, 112) in bytes, grey at its foot, that no turn or mirror leaves as it is."""
    drawn = np.zeros((112, 112), np.uint8)
    drawn[20:30, 25:85], drawn[30:60, 75:85], drawn[60:95, 60:70] = 255, 255, 130
    return drawn


def shows_drawing(pad, drawn, kind="masking", level=0.5):
    x = as_mnist(torch.from_numpy(drawn.astype(np.float32) / 255))
    shows_pictures(pad, noisy_and_restored(x, kind, level, seed=0), f"{kind}, level {level:.2f}")


def test_the_pad_opens_empty_and_says_what_to_do():
    pad = DrawPad(denoisers())
    assert list(pad.controls) == ["drawing", "kind", "level"]
    assert list(pad.images) == ["clean", "noisy", "shade", "turn"]
    assert pad.readout.value == EMPTY_PAD and pad.controls["drawing"].value == b""
    clean = decoded(pad.images["clean"].value)
    assert clean.shape == (28 * PIXEL, 28 * PIXEL) and not clean.any()


def test_a_drawing_is_centred_made_noisy_and_restored():
    pad = DrawPad(denoisers())
    pad.controls["drawing"].value = seven().tobytes()
    shows_drawing(pad, seven())
    other = np.rot90(seven()).copy()
    pad.controls["drawing"].value = other.tobytes()
    shows_drawing(pad, other)


@pytest.mark.parametrize("kind", CORRUPT)
@pytest.mark.parametrize("level", [0.0, 0.7])
def test_kind_and_level_change_what_becomes_of_the_drawing(kind, level):
    pad = DrawPad(denoisers())
    pad.controls["drawing"].value = seven().tobytes()
    pad.controls["kind"].value, pad.controls["level"].value = kind, level
    shows_drawing(pad, seven(), kind, level)


def test_a_drawing_of_another_size_is_a_square_too():
    pad = DrawPad(denoisers())
    pad.controls["drawing"].value = seven()[::2, ::2].tobytes()
    shows_drawing(pad, seven()[::2, ::2])


@pytest.mark.parametrize("cleared", [bytes(112 * 112), b""], ids=["black", "nothing"])
def test_a_cleared_pad_is_as_at_the_start(cleared):
    pad = DrawPad(denoisers())
    start = {name: image.value for name, image in pad.images.items()}
    pad.controls["drawing"].value = seven().tobytes()
    assert pad.readout.value != EMPTY_PAD and pad.images["clean"].value != start["clean"]
    pad.controls["drawing"].value = cleared
    assert pad.readout.value == EMPTY_PAD and {name: image.value for name, image in pad.images.items()} == start


def test_a_stroke_arrives_from_the_browser_as_a_buffer():
    pad = DrawPad(denoisers())
    data = {"method": "update", "state": {}, "buffer_paths": [["value"]]}
    pad.controls["drawing"]._handle_msg({"content": {"data": data}, "buffers": [memoryview(seven().tobytes())]})
    shows_drawing(pad, seven())


def test_the_pads_parts_are_on_the_screen_and_its_text_form_is_short():
    pad = DrawPad(denoisers())
    assert pad.children[0] is pad.controls["drawing"] and isinstance(pad.controls["drawing"], ipywidgets.DOMWidget)
    assert repr(pad) == "DrawPad: run this notebook to move the drawing, noise, level"


def test_without_anywidget_the_pad_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "anywidget", None)
    with pytest.raises(ImportError, match=r"needs the package anywidget, .*`pip install anywidget`") as caught:
        DrawPad(denoisers())
    assert "\n" not in str(caught.value)


def test_without_anywidget_the_other_widgets_work(monkeypatch):
    monkeypatch.setitem(sys.modules, "anywidget", None)
    fresh = runpy.run_path(widgets.images.__file__)
    assert fresh["NoiseExplorer"](images(), denoisers()).readout.value == noise_explorer().readout.value


def test_the_pads_script_is_shipped_used_and_renders():
    script = (importlib.resources.files("aetutor.widgets") / "drawpad.js").read_text(encoding="utf-8")
    assert str(DrawPad(denoisers()).controls["drawing"]._esm) == script
    assert re.search(r"^function render\(\{ model, el \}\)", script, re.M)
    assert re.search(r"^export default \{ render \};$", script, re.M)


# --- tiny variational autoencoders, every number worked out again in numpy -------------------------------------------

SHAPE, SIDE, POINTS = (1, 4, 5), 280, 48
LABELS = torch.tensor([7, 0, 4, 2])
SIGMOID = lambda a: 1 / (1 + np.exp(-a))  # noqa: E731


@torch.no_grad()
def vae(latent_dim=2, likelihood="bernoulli", shape=SHAPE, kind=VAE, hidden=3, **arguments):
    """Weights large enough that codes lie apart, and posteriors are neither the prior nor Gaussian."""
    with torch.random.fork_rng():
        torch.manual_seed(2)
        model = kind(latent_dim, (hidden,), shape, likelihood=likelihood, activation="relu", **arguments).double()
    for layer in (model.encoder[0], model.encoder[2], model.decoder[0], model.decoder[2]):
        layer.weight.mul_(2)
    model.encoder[2].weight[latent_dim:] *= 0.2  # the variances of q: from image to image not too different
    model.encoder[2].bias[latent_dim:] -= 1
    return model


def binary(count=4, shape=SHAPE):
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64).round()


def through(trunk, features):
    """Linear, max(a, 0), linear."""
    (v, b), (w, c) = ((layer.weight.detach().numpy(), layer.bias.detach().numpy()) for layer in trunk[::2])
    return np.maximum(features @ v.T + b, 0) @ w.T + c


def guess_of(model, x):
    """Means and standard deviations of q(z|x), (N, 2) each."""
    mu, log_var = np.split(through(model.encoder, x.numpy().reshape(len(x), -1)), 2, axis=1)
    return mu, np.exp(log_var / 2)


def log_joint_of(model, image, z):
    """log p(x|z) + log p(z) of one binary image, but for a constant: codes (..., 2) -> (...)."""
    logits, x = through(model.decoder, z), image.numpy().flatten()
    return (x * logits - np.logaddexp(0, logits)).sum(-1) - (z**2).sum(-1) / 2


def plane(left, right, bottom, top, points):
    """The codes of a picture, (rows, columns, 2): z_1 to the right, z_2 upwards."""
    return np.stack(np.meshgrid(np.linspace(left, right, points), np.linspace(top, bottom, points)), -1)


def on_the_screen(widget, pictures):
    """Each panel holds its picture: five times as large, or as it is if it is large."""
    assert list(widget.images) == list(pictures)
    for name, picture in pictures.items():
        scale = 1 if max(picture.shape) > 100 else 5
        assert np.array_equal(decoded(widget.images[name].value), enlarged(picture, scale)), name


def same_numbers(picture, expected):
    np.testing.assert_allclose(picture.numpy(), expected, rtol=1e-6, atol=1e-9)


# --- the latent explorer ---------------------------------------------------------------------------------------------


def latent_explorer(model=None, **arguments):
    return LatentExplorer(model or vae(), binary(), LABELS, **arguments)


@pytest.mark.parametrize("reach", [3.0, 5.0])
def test_the_latent_explorer_opens_at_the_origin_and_its_sliders_reach_both_ways(reach):
    widget = latent_explorer(reach=reach)
    assert list(widget.controls) == ["z1", "z2"]
    for name, control in widget.controls.items():
        assert (control.min, control.max, control.value, control.description) == (-reach, reach, 0, name)
    on_the_screen(widget, widget.pictures(0.0, 0.0))
    assert list(widget.images) == ["decoded", "test codes, and yours"]


@pytest.mark.parametrize(("z1", "z2"), [(0.0, 0.0), (1.5, -0.7), (-2.4, 2.9)])
def test_a_code_is_decoded_with_z1_first(z1, z2):
    widget = latent_explorer()
    widget.controls["z1"].value, widget.controls["z2"].value = z1, z2
    picture = widget.pictures(z1, z2)["decoded"]
    same_numbers(picture, SIGMOID(through(vae().decoder, np.array([z1, z2]))).reshape(SHAPE))
    assert not picture.requires_grad
    on_the_screen(widget, widget.pictures(z1, z2))


@pytest.mark.parametrize(("z1", "z2"), [(0.0, 0.0), (1.5, -0.7), (-3.0, 3.0), (3.0, -3.0), (-0.4, 2.2)])
@pytest.mark.parametrize("reach", [3.0, 4.5])
def test_the_map_has_a_cross_at_the_code_and_is_as_before_elsewhere(z1, z2, reach):
    widget = latent_explorer(reach=reach)
    widget.pictures(0.3, -1.1)  # an earlier place: nothing may stay of it
    crossed = widget.pictures(z1, z2)["test codes, and yours"].numpy()
    plain = code_map(torch.from_numpy(guess_of(vae(), binary())[0]), LABELS, reach, SIDE).numpy()
    assert crossed.shape == plain.shape == (3, SIDE, SIDE)
    black = (crossed == 0).all(0)
    (row,), (column,) = black.all(1).nonzero()[0], black.all(0).nonzero()[0]
    assert column == pytest.approx((1 + z1 / reach) / 2 * (SIDE - 1), abs=0.501)
    assert row == pytest.approx((1 - z2 / reach) / 2 * (SIDE - 1), abs=0.501)
    elsewhere = np.ones((SIDE, SIDE), bool)
    elsewhere[row], elsewhere[:, column] = False, False
    assert np.array_equal(crossed[:, elsewhere], plain[:, elsewhere]) and (plain[:, elsewhere] < 0.5).any()


@pytest.mark.parametrize("index", range(4))
def test_the_cross_goes_through_the_digit_drawn_at_its_code(index):
    x, (z1, z2) = binary()[index : index + 1], guess_of(vae(), binary())[0][index]
    widget = LatentExplorer(vae(), x, LABELS[index : index + 1], reach=6.0)
    crossed = widget.pictures(z1, z2)["test codes, and yours"].numpy()
    black = (crossed == 0).all(0)
    digit = (crossed < 0.8).any(0)
    digit[black.all(1)], digit[:, black.all(0)] = False, False
    for lines, cross in zip(digit.nonzero(), (black.all(1), black.all(0)), strict=True):
        assert (lines.min() + lines.max()) / 2 == pytest.approx(cross.argmax(), abs=2)


@pytest.mark.parametrize(("z1", "z2"), [(0.0, 0.0), (1.2, -0.7), (-1.5, 0.4), (2.5, 1.5), (-3.0, -3.0)])
def test_the_latent_readout_has_the_priors_density_and_the_nearest_code(z1, z2):
    widget = latent_explorer()
    widget.controls["z1"].value, widget.controls["z2"].value = z1, z2
    prior = math.exp(-(z1**2 + z2**2) / 2) / (2 * math.pi)
    distances = np.hypot(*(guess_of(vae(), binary())[0] - [z1, z2]).T)
    assert widget.readout.value == (
        f"z = ({z1:.1f}, {z2:.1f}): p(z) = {prior:.4f}. The nearest test code is that of a "
        f"{LABELS.tolist()[distances.argmin()]}, {distances.min():.2f} away."
    )


def test_more_than_one_code_is_the_nearest_somewhere():
    texts = {
        re.search(r"that of a (\d)", latent_explorer().readout_text({}, *code))[1]
        for code in guess_of(vae(), binary())[0]
    }
    assert texts == {"7", "0", "4", "2"}


def test_the_latent_explorer_takes_single_precision():
    widget = LatentExplorer(vae().float(), binary().float(), LABELS)
    same = latent_explorer()
    assert widget.pictures(0.7, -0.4)["decoded"].dtype == torch.float32
    assert widget.readout_text({}, 0.7, -0.4) == same.readout_text({}, 0.7, -0.4)


def test_the_latent_explorers_text_form_is_short():
    assert repr(latent_explorer()) == "LatentExplorer: run this notebook to move z1, z2"


@pytest.mark.parametrize("explore", [LatentExplorer, PosteriorExplorer])
@pytest.mark.parametrize(
    ("latent_dim", "count", "labels"), [(3, 4, 4), (1, 4, 4), (2, 0, 0), (2, 4, 3), (2, 3, 4), (2, 0, 4)]
)
def test_other_latent_sizes_no_images_and_labels_of_another_length_are_refused(explore, latent_dim, count, labels):
    message = (
        "two latent dimensions, and images with a label each; got "
        f"{latent_dim} dimensions, {count} images and {labels} labels"
    )
    with pytest.raises(ValueError, match=message):
        explore(vae(latent_dim), binary()[:count], LABELS[:labels])


# --- the posterior explorer ------------------------------------------------------------------------------------------


def evidence_of(count):
    return Evidence(-10.0 * torch.arange(1.0, count + 1), -11.5 * torch.arange(1.0, count + 1), torch.zeros(count))


def posterior_explorer(count=4):
    """With evidence that is quick to come by."""
    return PosteriorExplorer(vae(), binary(), LABELS, evidence_of(count))


def moments(model, image):
    """Mean and standard deviation of p(z|x) in each direction, from a grid of its own."""
    z = plane(-7, 7, -7, 7, 351)
    weights = np.exp(log_joint_of(model, image, z))
    weights /= weights.sum()
    mean = (weights[..., None] * z).sum((0, 1))
    return mean, np.sqrt((weights[..., None] * (z - mean) ** 2).sum((0, 1)))


def test_the_posterior_explorer_opens_on_the_first_image_and_offers_all():
    widget = posterior_explorer()
    (control,) = widget.controls.values()
    assert (control.min, control.max, control.value, control.description) == (0, 3, 0, "image")
    assert repr(widget) == "PosteriorExplorer: run this notebook to move image"
    on_the_screen(widget, widget.pictures(0))


@pytest.mark.parametrize("index", range(4))
def test_image_posterior_and_guess_are_those_of_the_formulas(index):
    widget, model, image = posterior_explorer(), vae(), binary()[index]
    widget.controls["image"].value = index
    pictures = widget.pictures(index)
    assert list(pictures) == ["image", "reconstruction", "posterior p(z|x)", "guess q(z|x)"]
    (mu,), (sigma,) = guess_of(model, image[None])
    z = plane(*widget.square(index)[1], POINTS)
    log_joint, log_guess = log_joint_of(model, image, z), -(((z - mu) / sigma) ** 2).sum(-1) / 2
    same_numbers(pictures["image"], image)
    same_numbers(pictures["reconstruction"], SIGMOID(through(model.decoder, mu)).reshape(SHAPE))
    same_numbers(pictures["posterior p(z|x)"], np.exp(log_joint - log_joint.max())[None])
    same_numbers(pictures["guess q(z|x)"], np.exp(log_guess - log_guess.max())[None])
    assert not any(picture.requires_grad for picture in pictures.values())
    on_the_screen(widget, pictures)


@pytest.mark.parametrize("index", range(4))
def test_the_square_holds_four_standard_deviations_of_posterior_and_guess_and_is_no_larger(index):
    (mu,), (sigma,) = guess_of(vae(), binary()[index : index + 1])
    mean, spread = moments(vae(), binary()[index])
    low, high = np.minimum(mean - 4 * spread, mu - 4 * sigma), np.maximum(mean + 4 * spread, mu + 4 * sigma)
    centre, half = (low + high) / 2, (high - low).max() / 2
    left, right, bottom, top = posterior_explorer().square(index)[1]
    np.testing.assert_allclose([left, right], [centre[0] - half, centre[0] + half], atol=0.02)
    np.testing.assert_allclose([bottom, top], [centre[1] - half, centre[1] + half], atol=0.02)
    assert right - left == pytest.approx(top - bottom)
    assert left < mu[0] - 3.99 * sigma[0] and mu[0] + 3.99 * sigma[0] < right
    assert bottom < mu[1] - 3.99 * sigma[1] and mu[1] + 3.99 * sigma[1] < top


@torch.no_grad()
def linear_vae(mu, log_var, sigma=0.02):
    """Orthonormal columns W: p(z|x) is N(Wᵀ(x - b) / (1 + sigma²), sigma² / (1 + sigma²)); q is given."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = VAE(2, (), SHAPE, likelihood="gaussian", sigma=sigma).double()
        model.decoder[0].weight.copy_(torch.linalg.qr(torch.randn(20, 2, dtype=torch.float64)).Q)
    model.encoder[0].weight.zero_()
    model.encoder[0].bias.copy_(torch.tensor([*mu, *log_var]))
    return model


@torch.no_grad()
def images_of(model, codes):
    return model.decode(torch.tensor(codes, dtype=torch.float64)).mean


def encloses(square, mean, sigma):
    left, right, bottom, top = square
    (z1, z2), reach = mean, 4 * sigma - 1e-6
    return left <= z1 - reach and z1 + reach <= right and bottom <= z2 - reach and z2 + reach <= top


@pytest.mark.parametrize("code", [(1.037, -0.5), (-2.613, 2.0), (0.34, 3.111)])
def test_the_square_holds_a_posterior_that_is_narrow_and_far_from_the_guess(code):
    model = linear_vae((0.0, 0.0), (-9.0, -9.0), sigma=0.002)
    widget = PosteriorExplorer(model, images_of(model, [code]), LABELS[:1], evidence_of(1))
    assert encloses(widget.square(0)[1], code, 0.002) and encloses(widget.square(0)[1], (0, 0), math.exp(-4.5))


@pytest.mark.parametrize(("mu", "sigma", "code"), [((2.0, -2.0), 1.2, (6.0, -6.0)), ((-6.0, -2.0), 0.3, (-6.0, -6.0))])
def test_the_square_holds_a_posterior_far_out_to_which_the_guess_points(mu, sigma, code):
    model = linear_vae(mu, [2 * math.log(sigma)] * 2, sigma=0.1)
    widget = PosteriorExplorer(model, images_of(model, [code]), LABELS[:1], evidence_of(1))
    posterior = [z / 1.01 for z in code]
    assert encloses(widget.square(0)[1], posterior, 0.0995 * 0.99) and encloses(widget.square(0)[1], mu, sigma)


def test_the_square_holds_a_guess_that_is_far_out_or_wide():
    model = linear_vae((7.0, -5.0), (0.0, 2.0), sigma=0.5)
    widget = PosteriorExplorer(model, images_of(model, [(0.5, 0.5)]), LABELS[:1], evidence_of(1))
    left, right, bottom, top = widget.square(0)[1]
    assert encloses(widget.square(0)[1], (0.5 / 1.25, 0.5 / 1.25), 0.25**0.5 / 1.25**0.5 * 0.99)
    assert right >= 10.99 and top >= -5 + 4 * math.e - 0.01 and bottom <= -5 - 4 * math.e + 0.01
    # and is no larger: the wider of the two extents, 8e in z_2, is its side
    assert right - left == pytest.approx(8 * math.e, rel=1e-6)


@pytest.mark.parametrize("points", [48, 3])
def test_the_codes_of_the_square_go_through_z2_first(points):
    widget = posterior_explorer()
    z, square = widget.square(2) if points == 48 else widget.square(2, points)
    assert z.shape == (points**2, 2)
    same_numbers(z, plane(*square, points)[::-1].transpose(1, 0, 2).reshape(-1, 2))


def test_the_posterior_readout_has_the_evidence_the_bound_and_the_gap():
    model, x = vae().float(), binary().float()  # in single precision the quadrature is done sooner
    widget = PosteriorExplorer(model, x, LABELS)
    log_px, elbo, _ = log_px_quadrature(model, x)
    for index, (exact, bound) in enumerate(zip(log_px.tolist(), elbo.tolist(), strict=True)):
        widget.controls["image"].value = index
        left, right, bottom, top = widget.square(index)[1]
        assert widget.readout.value == (
            f"Image {index}, a {LABELS[index].item()}: log p(x) = {exact:.2f}, ELBO = {bound:.2f}, gap "
            f"{exact - bound:.2f} nats. The square is {right - left:.2f} wide, around ({(left + right) / 2:.2f}, "
            f"{(bottom + top) / 2:.2f})."
        )
        assert exact > bound + 0.1


@pytest.fixture
def quadratures(monkeypatch):
    """How many images the quadrature was asked for, call by call."""
    calls = []
    monkeypatch.setattr(
        widgets.latent, "log_px_quadrature", lambda model, x: calls.append(len(x)) or evidence_of(len(x))
    )
    return calls


def test_evidence_that_is_given_is_shown_and_not_computed_again(quadratures):
    widget = PosteriorExplorer(vae(), binary(), LABELS, Evidence(*(part - 1 for part in evidence_of(4))))
    widget.controls["image"].value = 2
    assert widget.readout.value.startswith("Image 2, a 4: log p(x) = -31.00, ELBO = -35.50, gap 4.50 nats.")
    assert quadratures == []


def test_evidence_that_is_not_given_is_computed_once(quadratures):
    widget = PosteriorExplorer(vae(), binary(), LABELS)
    widget.controls["image"].value = 3
    assert widget.readout.value.startswith("Image 3, a 2: log p(x) = -40.00, ELBO = -46.00, gap 6.00 nats.")
    assert quadratures == [4]


@pytest.mark.parametrize("count", [1, 3, 5])
def test_evidence_of_another_number_of_images_is_refused(count):
    with pytest.raises(ValueError, match=f"evidence must be that of the 4 images; got {count} values"):
        posterior_explorer(count)


@pytest.mark.parametrize("index", [0, 3])
def test_the_static_figure_shows_the_same_square_posterior_and_guess(index):
    widget, model = posterior_explorer(), vae()
    own = plt.subplots()[1]
    axes = [widget.plot(index), widget.plot(index, own)]
    assert axes[1] is own
    (mu,), (sigma,) = guess_of(model, binary()[index : index + 1])
    square = widget.square(index)[1]
    log_joint = log_joint_of(model, binary()[index], plane(*square, 120))
    for ax in axes:
        (shades,), (one, two) = ax.get_images(), ax.patches
        upwards = shades.get_array() if shades.origin == "upper" else shades.get_array()[::-1]
        np.testing.assert_allclose(upwards, np.exp(log_joint - log_joint.max()), rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose([*ax.get_xlim(), *ax.get_ylim()], square)
        for times, ellipse in ((1, one), (2, two)):
            np.testing.assert_allclose(ellipse.get_center(), mu)
            np.testing.assert_allclose([ellipse.get_width(), ellipse.get_height()], 2 * times * sigma)
        assert ax.get_title() == f"a {LABELS[index].item()}, gap {1.5 * (index + 1):.1f} nats"
        plt.close(ax.figure)


def test_the_posterior_explorer_takes_single_precision():
    widget = PosteriorExplorer(vae().float(), binary().float(), LABELS, evidence_of(4))
    for name, picture in widget.pictures(1).items():
        assert picture.dtype == torch.float32, name
        np.testing.assert_allclose(picture, posterior_explorer().pictures(1)[name], atol=1e-2)


# --- the likelihood explorer -----------------------------------------------------------------------------------------

FAMILIES = ["bernoulli", "gaussian", "gaussian_learned", "gaussian_pixelwise", "continuous_bernoulli"]


@torch.no_grad()
def family(likelihood, shape=SHAPE):
    model = vae(2, likelihood, shape, **{"sigma": 0.25} if likelihood == "gaussian" else {})
    if likelihood == "gaussian_learned":
        model.likelihood.tenth_log_sigma.fill_(-0.07)  # sigma = exp(-0.7) = 0.497
    return model


def grey(count=4, shape=SHAPE):
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


def likelihood_explorer():
    return LikelihoodExplorer({f"the {name}": family(name) for name in FAMILIES}, grey())


def outputs_of(model, x):
    """The decoder's numbers at the mean of q(z|x), an image each row."""
    return through(model.decoder, guess_of(model, x)[0])


def mean_of(likelihood, outputs):
    if likelihood == "continuous_bernoulli":
        return ContinuousBernoulli(logits=torch.from_numpy(outputs)).mean.numpy()
    return {"bernoulli": SIGMOID, "gaussian_pixelwise": lambda a: a[..., : a.shape[-1] // 2]}.get(
        likelihood, lambda a: a
    )(outputs)


def test_the_likelihood_explorer_offers_all_models_in_order_and_all_images():
    widget = likelihood_explorer()
    assert list(widget.controls) == ["likelihood", "image"]
    assert list(widget.controls["likelihood"].options) == [f"the {name}" for name in FAMILIES]
    image = widget.controls["image"]
    assert (image.min, image.max, image.value) == (0, 3, 0) and widget.controls["likelihood"].value == "the bernoulli"
    assert repr(widget) == "LikelihoodExplorer: run this notebook to move likelihood, image"


@pytest.mark.parametrize("likelihood", FAMILIES)
@pytest.mark.parametrize("index", [0, 3])
def test_the_image_and_the_mean_of_its_likelihood_are_shown(likelihood, index):
    widget = likelihood_explorer()
    widget.controls["likelihood"].value, widget.controls["image"].value = f"the {likelihood}", index
    pictures = widget.pictures(f"the {likelihood}", index)
    assert list(pictures) == ["image", "mean of p(x|z)", "sample from p(x|z)"]
    assert not any(picture.requires_grad for picture in pictures.values())
    same_numbers(pictures["image"], grey()[index])
    (outputs,) = outputs_of(family(likelihood), grey()[index : index + 1])
    np.testing.assert_allclose(pictures["mean of p(x|z)"], mean_of(likelihood, outputs).reshape(SHAPE), rtol=1e-4)
    on_the_screen(widget, pictures)


@pytest.mark.parametrize(
    ("likelihood", "implied"),
    [
        ("bernoulli", "no single σ, so no implied β"),
        ("gaussian", "σ = 0.250, implied β = σ² = 0.0625"),
        ("gaussian_learned", "σ = 0.497, implied β = σ² = 0.2466"),
        ("gaussian_pixelwise", "no single σ, so no implied β"),
        ("continuous_bernoulli", "no single σ, so no implied β"),
    ],
)
@pytest.mark.parametrize("index", [0, 2])
def test_the_likelihood_readout_has_sigma_beta_and_the_errors_of_mean_and_sample(likelihood, implied, index):
    widget = likelihood_explorer()
    widget.controls["likelihood"].value, widget.controls["image"].value = f"the {likelihood}", index
    x, mean, sample = (picture.numpy() for picture in widget.pictures(f"the {likelihood}", index).values())
    assert widget.readout.value == (
        f"the {likelihood}, image {index}: {implied}. Mean squared error of a pixel: {((x - mean) ** 2).mean():.4f} "
        f"by the mean, {((x - sample) ** 2).mean():.4f} by the sample."
    )


def test_a_gaussian_whose_sigma_is_not_told_has_sigma_1():
    widget = LikelihoodExplorer({"plain": vae(2, "gaussian")}, grey())
    assert "image 0: σ = 1.000, implied β = σ² = 1.0000." in widget.readout.value


@pytest.mark.parametrize("likelihood", FAMILIES)
def test_a_sample_has_the_likelihoods_mean_and_spread(likelihood):
    shape, model = (1, 40, 50), family(likelihood, (1, 40, 50))
    x = grey(1, shape)
    sample = LikelihoodExplorer({"it": model}, x).pictures("it", 0)["sample from p(x|z)"].numpy().flatten()
    (outputs,) = outputs_of(model, x)
    mean, spread = mean_of(likelihood, outputs), outputs[2000:]
    variance = {
        "bernoulli": mean * (1 - mean),
        "gaussian": 0.25**2,
        "gaussian_learned": math.exp(-1.4),
        "gaussian_pixelwise": (0.01 + np.log1p(np.exp(spread))) ** 2 if len(spread) else None,
        "continuous_bernoulli": ContinuousBernoulli(logits=torch.from_numpy(outputs)).variance.numpy(),
    }[likelihood]
    residuals = (sample - mean) / variance**0.5  # 2000 of them, with mean 0 and variance 1
    assert abs(residuals.mean()) < 4 / 2000**0.5
    assert abs(residuals.var() - 1) < 4 * np.square(residuals).std() / 2000**0.5
    if likelihood == "bernoulli":
        assert set(sample.tolist()) == {0, 1}


@pytest.mark.parametrize("likelihood", FAMILIES)
def test_an_image_has_the_same_sample_each_time_and_another_than_its_neighbour(likelihood):
    widget = LikelihoodExplorer({"it": family(likelihood)}, grey(1).expand(3, -1, -1, -1))
    first, again, other = (widget.pictures("it", image)["sample from p(x|z)"] for image in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_a_larger_sigma_makes_the_same_noise_larger():
    widget = LikelihoodExplorer({sigma: vae(2, "gaussian", sigma=sigma) for sigma in (0.1, 0.4)}, grey())
    noise = [
        picture["sample from p(x|z)"] - picture["mean of p(x|z)"]
        for picture in (widget.pictures(sigma, 1) for sigma in (0.1, 0.4))
    ]
    torch.testing.assert_close(4 * noise[0], noise[1])


@pytest.mark.parametrize(
    ("models", "x", "given"),
    [
        ({}, grey(), "0 models and 4 images in torch.float64"),
        ({"it": vae()}, grey()[:0], "1 models and 0 images in torch.float64"),
        ({"it": vae()}, (grey() * 255).byte(), "1 models and 4 images in torch.uint8"),
    ],
    ids=["no models", "no images", "bytes"],
)
def test_without_models_or_images_there_are_no_likelihoods_to_explore(models, x, given):
    with pytest.raises(ValueError, match=f"one model or more, and one float image or more; got {given}"):
        LikelihoodExplorer(models, x)


# --- the style explorer ----------------------------------------------------------------------------------------------

ZOOM, COLUMNS, GAP, FAR = 3, 5, 2, -4.0
MOVES = [(0.0, 0.0), (1.2, -0.7), (-2.9, 0.4), (0.0, 3.0)]
IN_EVERY_CLASS = "its style in every class"


@torch.no_grad()
def cvae(latent_dim=2, num_classes=10, shape=SHAPE, most=(0, 1), likelihood="bernoulli"):
    """Of a style, the first of `most` varies most, then the second; the others little, but far from 0."""
    model = vae(latent_dim, likelihood, shape, CVAE, 12, num_classes=num_classes)
    others = [k for k in range(latent_dim) if k not in most]
    model.encoder[2].weight[most[0]] *= 4
    model.encoder[2].weight[others] *= 0.05
    model.encoder[2].bias[others] = FAR
    model.encoder[2].bias[[latent_dim + k for k in others]] += 3  # q is widest along them, too
    model.decoder[0].weight[:, latent_dim:] *= 2  # the label counts
    return model


def labels_of(model, count=4):
    return LABELS[:count] % model.num_classes


def style_explorer(model=None, count=4, **arguments):
    model = model or cvae()
    return StyleExplorer(model, binary(count, model.image_shape), labels_of(model, count), **arguments)


def with_label(model, features, y):
    """[features; e_y], a row each."""
    return np.concatenate([features, np.eye(model.num_classes)[np.asarray(y)]], 1)


def styles_of(model, x, y):
    """The means of q(z|x, y), (N, K)."""
    return through(model.encoder, with_label(model, x.numpy().reshape(len(x), -1), y))[:, : model.latent_dim]


def moved(style, axes, move):
    return style + sum(np.eye(len(style))[axis] * step for axis, step in zip(axes, move, strict=True))


def outputs_in_every_class(model, z):
    """The decoder's numbers for one code with each label, (C, D)."""
    classes = model.num_classes
    return through(model.decoder, with_label(model, np.repeat(z[None], classes, 0), range(classes)))


def laid_out(means, shape):
    """Images (C, D) on white, five in a row, 2 pixels between them, each pixel a block of 3 by 3: (channels, H, W)."""
    channels, height, width = shape
    rows = math.ceil(len(means) / COLUMNS)
    sheet = np.ones((channels, rows * height + (rows - 1) * GAP, COLUMNS * width + (COLUMNS - 1) * GAP))
    for place, mean in enumerate(means):
        top, left = place // COLUMNS * (height + GAP), place % COLUMNS * (width + GAP)
        sheet[:, top : top + height, left : left + width] = np.clip(mean, 0, 1).reshape(shape)
    return np.kron(sheet, np.ones((1, ZOOM, ZOOM)))


def shows_style(widget, model, index, axes, move):
    """Pictures, screen and text are those of the formulas: the style of an image with its label, moved along axes."""
    x, y = binary(len(widget.choices), model.image_shape), labels_of(model, len(widget.choices))
    z = moved(styles_of(model, x, y)[index], axes, move)
    outputs, pixels = outputs_in_every_class(model, z), x[index].numpy().flatten()
    pictures = widget.pictures(index, *move)
    assert list(pictures) == ["image", IN_EVERY_CLASS]
    same_numbers(pictures["image"], x[index])
    same_numbers(pictures[IN_EVERY_CLASS], laid_out(SIGMOID(outputs), model.image_shape))
    assert not any(picture.requires_grad for picture in pictures.values())
    same_numbers(widget.style(index, *move), z)
    on_the_screen(widget, pictures)
    log_px = (pixels * outputs - np.logaddexp(0, outputs)).sum(1)  # under each label
    places = ", ".join(f"z{axis + 1} = {z[axis]:.2f}" for axis in sorted(axes))
    assert widget.readout.value == (
        f"Image {index}, a {y[index].item()}: {places}. Under its own label "
        f"log p(x|z, y) = {log_px[y[index]]:.1f} nats."
    )
    if model.num_classes > 1:  # each label gives another picture than its neighbour, and the probabilities differ
        assert np.abs(np.diff(SIGMOID(outputs), axis=0)).max(1).min() > 0.05 and np.ptp(log_px) > 1


@pytest.mark.parametrize("reach", [3.0, 1.5])
def test_the_style_explorer_opens_on_the_first_image_unmoved_and_its_sliders_reach_both_ways(reach):
    widget = style_explorer(**{} if reach == 3 else {"reach": reach})
    assert list(widget.controls) == ["image", "first", "second"]
    image, *moves = widget.controls.values()
    assert (image.min, image.max, image.value, image.description) == (0, 3, 0, "image")
    for control, name in zip(moves, ("z1", "z2"), strict=True):
        assert (control.min, control.max, control.value, control.step) == (-reach, reach, 0, 0.1)
        assert control.description == f"add to {name}"
    shows_style(widget, cvae(), 0, (0, 1), (0.0, 0.0))
    assert list(widget.images) == ["image", IN_EVERY_CLASS]


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("index", [0, 3])
def test_an_images_style_is_moved_and_drawn_with_every_label(index, move):
    widget = style_explorer()
    widget.controls["image"].value = index
    widget.controls["first"].value, widget.controls["second"].value = move
    shows_style(widget, cvae(), index, (0, 1), move)


@pytest.mark.parametrize("most", [(0, 3), (3, 0), (1, 2), (2, 1), (3, 2)])
@pytest.mark.parametrize("move", MOVES)
def test_of_four_coordinates_the_two_that_vary_most_are_moved_and_the_others_stay(most, move):
    model, axes = cvae(4, most=most), sorted(most)
    styles = styles_of(model, binary(), LABELS)
    assert tuple(styles.var(0).argsort()[:1:-1]) == most and set(np.abs(styles).mean(0).argsort()[2:]) != set(most)
    widget = style_explorer(model)
    for name, axis in zip(("first", "second"), axes, strict=True):
        assert widget.controls[name].description == f"add to z{axis + 1}"
    widget.controls["image"].value = 2
    widget.controls["first"].value, widget.controls["second"].value = move
    shows_style(widget, model, 2, axes, move)
    others = [k for k in range(4) if k not in most]
    same_numbers(widget.style(2, *move)[others], styles[2, others])


def test_the_two_coordinates_of_two_stand_in_their_order_whichever_varies_more():
    model = cvae(most=(1, 0))
    first, second = styles_of(model, binary(), LABELS).var(0)
    widget = style_explorer(model)
    widget.controls["first"].value = 1.2
    assert second > 2 * first and repr(widget).endswith("move image, add to z1, add to z2")
    shows_style(widget, model, 0, (0, 1), (1.2, 0.0))


@pytest.mark.parametrize("num_classes", [1, 3, 5, 7, 10, 12])
@pytest.mark.parametrize("shape", [SHAPE, (1, 5, 6), (3, 3, 6)], ids=["small", "grey", "colour"])
def test_there_are_five_classes_in_a_row_with_white_between_and_after_them(num_classes, shape):
    model = cvae(num_classes=num_classes, shape=shape)
    widget = style_explorer(model)
    widget.controls["image"].value, widget.controls["second"].value = 1, -0.8
    (channels, height, width), rows = shape, {1: 1, 3: 1, 5: 1, 7: 2, 10: 2, 12: 3}[num_classes]
    assert widget.pictures(1, 0.0, -0.8)[IN_EVERY_CLASS].shape == (
        channels,
        3 * (rows * (height + 2) - 2),
        3 * (5 * (width + 2) - 2),
    )
    shows_style(widget, model, 1, (0, 1), (0.0, -0.8))


def test_the_same_image_has_another_style_with_another_label():
    model, x = cvae(), binary(1).expand(4, -1, -1, -1)
    widget = StyleExplorer(model, x, LABELS)
    styles = styles_of(model, x, LABELS)
    for index, style in enumerate(styles):
        same_numbers(widget.style(index), style)
        same_numbers(
            widget.pictures(index)[IN_EVERY_CLASS], laid_out(SIGMOID(outputs_in_every_class(model, style)), SHAPE)
        )
    assert len(np.unique(np.round(styles, 2), axis=0)) == 4


@pytest.mark.parametrize("latent_dim", [2, 4])
def test_one_image_is_enough(latent_dim):
    model = cvae(latent_dim)
    widget = style_explorer(model, 1)
    names = [widget.controls[name].description for name in ("first", "second")]
    axes = [int(name.removeprefix("add to z")) - 1 for name in names]  # of coordinates that do not vary, any two
    assert (widget.controls["image"].min, widget.controls["image"].max) == (0, 0)
    assert axes[0] < axes[1] and set(axes) <= set(range(latent_dim))
    widget.controls["first"].value, widget.controls["second"].value = -1.1, 0.6
    shows_style(widget, model, 0, axes, (-1.1, 0.6))


@pytest.mark.parametrize(("control", "value"), [("image", 2), ("first", -1.4), ("second", 0.9)])
def test_moving_a_style_control_changes_the_classes_and_the_text_and_can_be_undone(control, value):
    widget = style_explorer()
    before, text = {name: image.value for name, image in widget.images.items()}, widget.readout.value
    widget.controls[control].value = value
    changed = {name for name, image in widget.images.items() if image.value != before[name]}
    assert changed == {IN_EVERY_CLASS} | ({"image"} if control == "image" else set()) and widget.readout.value != text
    widget.controls[control].value = 0
    assert {name: image.value for name, image in widget.images.items()} == before and widget.readout.value == text


def test_a_gaussians_means_are_clipped_where_they_leave_black_and_white():
    model = cvae(likelihood="gaussian")
    (z, *_) = styles_of(model, binary(), LABELS)
    means, y = outputs_in_every_class(model, z), LABELS[0].item()
    assert means.min() < -0.1 and means.max() > 1.1
    widget = style_explorer(model)
    same_numbers(widget.pictures(0)[IN_EVERY_CLASS], laid_out(means, SHAPE))
    on_the_screen(widget, widget.pictures(0))
    squared_error = np.square(binary()[0].numpy().flatten() - means[y]).sum()
    log_px = -squared_error / 2 - means.shape[1] / 2 * math.log(2 * math.pi)
    assert widget.readout.value.endswith(f"log p(x|z, y) = {log_px:.1f} nats.")


def test_the_style_explorer_takes_single_precision():
    model, same = cvae(4, most=(3, 1)).float(), style_explorer(cvae(4, most=(3, 1)))
    widget = StyleExplorer(model, binary().float(), LABELS)
    assert widget.style(1, 0.7, -0.4).dtype == torch.float32
    for name, picture in widget.pictures(1, 0.7, -0.4).items():
        assert picture.dtype == torch.float32, name
        np.testing.assert_allclose(picture, same.pictures(1, 0.7, -0.4)[name], atol=1e-5)
    assert widget.readout_text({}, 1, 0.7, -0.4) == same.readout_text({}, 1, 0.7, -0.4)


def test_styles_can_be_asked_for_without_gradients_and_unmoved():
    widget = style_explorer()
    earlier = widget.style(2, 1.0, -1.0)  # another place: nothing may stay of it
    same_numbers(widget.style(2), styles_of(cvae(), binary(), LABELS)[2])
    assert not earlier.requires_grad and not widget.style(2).requires_grad
    assert torch.equal(widget.pictures(2)[IN_EVERY_CLASS], widget.pictures(2, 0.0, 0.0)[IN_EVERY_CLASS])
    assert widget.readout_text({}, 2) == widget.readout_text({}, 2, 0.0, 0.0)


def test_the_style_explorers_text_form_is_short():
    assert repr(style_explorer(cvae(4, most=(3, 1)))) == (
        "StyleExplorer: run this notebook to move image, add to z2, add to z4"
    )


@pytest.mark.parametrize(
    ("model", "reach", "given"),
    [
        (vae(), 3, "VAE with 2 and reach=3"),
        (vae(4), 3, "VAE with 4 and reach=3"),
        (cvae(1, most=(0,)), 3, "CVAE with 1 and reach=3"),
        (torch.nn.Linear(2, 2), 3, "Linear with no and reach=3"),
        (cvae(), 0, "CVAE with 2 and reach=0"),
        (cvae(), -1, "CVAE with 2 and reach=-1"),
        (cvae(), math.nan, "CVAE with 2 and reach=nan"),
    ],
)
def test_styles_of_other_models_and_a_reach_that_is_not_positive_are_refused(model, reach, given):
    with pytest.raises(ValueError) as caught:
        StyleExplorer(model, binary(), LABELS, reach)
    assert str(caught.value) == (
        f"The explorer needs a CVAE with two latent dimensions or more, and a reach above 0; got {given}."
    )


@pytest.mark.parametrize(
    ("x", "y", "given"),
    [
        (binary()[:0], LABELS[:0], "(0, 1, 4, 5) and (0,)"),
        (binary(), LABELS[:3], "(4, 1, 4, 5) and (3,)"),
        (binary()[:3], LABELS, "(3, 1, 4, 5) and (4,)"),
        (binary(), LABELS[0], "(4, 1, 4, 5) and ()"),
        (binary(), None, "(4, 1, 4, 5) and None"),
        (binary(), [3, 1, 4, 2], "(4, 1, 4, 5) and [3, 1, 4, 2]"),
        ([], LABELS, "[] and (4,)"),
    ],
)
def test_styles_need_images_and_a_label_each(x, y, given):
    with pytest.raises(ValueError) as caught:
        StyleExplorer(cvae(), x, y)
    assert str(caught.value) == f"The explorer needs images (N, C, H, W) and labels (N,), both tensors; got {given}."


# --- what the explorers of models leave behind -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("explore", "control"),
    [(latent_explorer, "z1"), (posterior_explorer, "image"), (likelihood_explorer, "image"), (style_explorer, "first")],
)
def test_looking_at_models_leaves_the_random_state_and_the_figures_alone(explore, control):
    before, figures = torch.get_rng_state(), plt.get_fignums()
    explore().controls[control].value = 2
    assert torch.equal(torch.get_rng_state(), before) and plt.get_fignums() == figures
