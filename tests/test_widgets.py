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
from traitlets import TraitError

from aetutor import widgets
from aetutor.corruption import gaussian, mask, salt_and_pepper
from aetutor.drawing import as_mnist
from aetutor.evidence import Evidence, log_px_quadrature
from aetutor.models import CVAE, VAE
from aetutor.plots import code_map
from aetutor.widgets import (
    BottleneckExplorer,
    DrawPad,
    Explorer,
    LatentExplorer,
    LikelihoodExplorer,
    NoiseExplorer,
    PosteriorExplorer,
    PosteriorPad,
    StyleExplorer,
    StylePad,
    png,
)
from aetutor.widgets.charts import Chart
from aetutor.widgets.controls import CHOSEN, Thumbnails

CORRUPT = {"masking": mask, "Gaussian": gaussian, "salt and pepper": salt_and_pepper}


def images(count=4, channels=1):
    return torch.rand(count, channels, 3, 5, generator=torch.Generator().manual_seed(0))


def methods():
    """Each code size gives a picture of its own."""
    return {
        "PCA": {k: lambda x, k=k: x * k / 10 for k in (8, 2, 4)},
        "autoencoder": {k: lambda x, k=k: 1 - x * k / 10 for k in (2, 4, 8)},
    }


def explorer(**start):
    return moved_to(BottleneckExplorer(images(), methods()), **start)


def moved_to(widget, **start):
    for name, value in start.items():
        widget.controls[name].value = value
    return widget


def decoded(data):
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture)


def enlarged(image, block):
    """What the picture must be: every pixel a block, in bytes."""
    pixels = np.round(np.clip(image.numpy(), 0, 1) * 255).astype(np.uint8)
    blocks = np.kron(pixels, np.ones((1, block, block), np.uint8))
    return blocks[0] if len(blocks) == 1 else blocks.transpose(1, 2, 0)


def screen(widget):
    """All that the widget shows: pictures, what stands beneath them, chart and text."""
    values = [{name: part.value for name, part in parts.items()} for parts in (widget.images, widget.beneath)]
    return [*values, widget.chart_image and widget.chart_image.value, widget.readout.value]


def on_the_screen(widget, pictures, sides):
    """Each panel holds its picture, enlarged to its side, and its caption; the text below is the readout's."""
    assert list(widget.images) == list(pictures) == list(sides)
    for name, picture in pictures.items():
        block = max(1, round(sides[name] / max(picture.shape[1:])))
        assert np.array_equal(decoded(widget.images[name].value), enlarged(picture, block)), name
    beneath = {name: label.value for name, label in widget.beneath.items()}
    assert beneath == widget.captions(pictures, **widget.settings())
    assert widget.readout.value == widget.readout_text(pictures, **widget.settings())


def below(box):
    return [box] + [inner for child in getattr(box, "children", ()) for inner in below(child)]


# --- png -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("side", "block"), [(5, 1), (20, 4), (22, 4), (23, 5), (140, 28)])
def test_png_holds_the_picture_enlarged_without_smoothing(channels, side, block):
    image = images(1, channels)[0]
    assert np.array_equal(decoded(png(image, side)), enlarged(image, block))


def test_png_clips_and_rounds():
    row = torch.tensor([[[-0.5, 0.0, 0.5, 1.0, 1.5, 0.4999]]], requires_grad=True)
    assert decoded(png(row, 1)).tolist() == [[0, 0, 128, 255, 255, 127]]


def test_png_makes_mnist_five_times_as_large_and_leaves_large_pictures_as_they_are():
    for size, block in ((28, 5), (141, 1), (300, 1)):
        image = torch.rand(1, size, 2, generator=torch.Generator().manual_seed(0))
        assert np.array_equal(decoded(png(image)), enlarged(image, block))


# --- thumbnails ------------------------------------------------------------------------------------------------------


def many(count=23):
    return torch.rand(count, 1, 28, 28, generator=torch.Generator().manual_seed(1))


def seen(thumbnails):
    """(image, word, framed) of each thumbnail that is seen."""
    slots = [slot for slot in thumbnails.slots if slot.layout.visibility == "visible"]
    return [(slot.image.value, slot.button.description, CHOSEN in slot.button.layout.border) for slot in slots]


@pytest.mark.parametrize(("place", "page"), [(0, range(10)), (9, range(10)), (10, range(10, 20)), (22, range(20, 23))])
def test_ten_thumbnails_are_seen_with_their_labels_and_the_chosen_one_is_framed(place, page):
    labels = torch.arange(23) * 3 % 10
    thumbnails = Thumbnails(many(), labels)
    thumbnails.value = place
    assert seen(thumbnails) == [(png(many()[i], 56), str(3 * i % 10), i == place) for i in page]
    assert seen(Thumbnails(many()[:3])) == [(png(many()[i], 56), str(i), i == 0) for i in range(3)]


def test_a_click_chooses_the_thumbnail_and_tells_it_once():
    thumbnails, told = Thumbnails(many()), []
    thumbnails.observe(lambda change: told.append(change.new), "value")
    for button in (thumbnails.slots[4].button, thumbnails.next, thumbnails.slots[1].button, thumbnails.slots[1].button):
        button.click()
    assert told == [4, 10, 11] and [framed for *_, framed in seen(thumbnails)].index(True) == 1
    thumbnails.next.click()
    thumbnails.next.click()
    assert told[3:] == [20, 0]


@pytest.mark.parametrize("count", [2, 5, 23])
def test_random_always_chooses_another_image_and_in_time_every_one(count):
    thumbnails, visited = Thumbnails(many(count)), [0]
    for _ in range(40 * count):
        thumbnails.random.click()
        visited.append(thumbnails.value)
    assert set(visited) == set(range(count)) and all(a != b for a, b in itertools.pairwise(visited))


def test_a_single_image_has_nothing_beside_it():
    thumbnails = Thumbnails(many(1))
    thumbnails.random.click()
    assert thumbnails.value == 0 and thumbnails.next not in below(thumbnails)
    with pytest.raises(TraitError, match="The images are 0 to 0; got 1"):
        thumbnails.value = 1


def test_a_move_within_the_ten_encodes_no_thumbnail_anew(monkeypatch):
    thumbnails, encoded = Thumbnails(many()), []
    monkeypatch.setattr(widgets.controls, "png", lambda image, side: encoded.append(side) or png(image, side))
    thumbnails.value = 7
    assert encoded == []
    thumbnails.value = 12
    assert len(encoded) == 10


# --- charts ----------------------------------------------------------------------------------------------------------

XS, LINES = [0.0, 0.5, 1.0], {"down": [8.0, 4.0, 2.0], "up": [2.0, 6.0, math.inf]}


def coloured(data):
    with Image.open(io.BytesIO(data)) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


def dots(chart, x, ys):
    """The middle of what changes when there are dots, in pixels: (right, down)."""
    changed = (coloured(chart.dotted(x, ys)) != coloured(chart.dotted(x, {}))).any(2)
    return changed.nonzero()[1].mean(), changed.nonzero()[0].mean()


def test_a_dot_lies_where_the_axes_have_its_values():
    chart = Chart(XS, LINES, "x", "y")
    places = {(x, y): dots(chart, x, {"down": y}) for x in XS for y in (2.0, 5.0, 8.0)}
    for axis, steps in ((0, [(0.0, 5.0), (0.5, 5.0), (1.0, 5.0)]), (1, [(0.5, 8.0), (0.5, 5.0), (0.5, 2.0)])):
        first, middle, last = (places[step][axis] for step in steps)
        assert first + 50 < last and middle == pytest.approx((first + last) / 2, abs=1)  # to the right, and down
    # on the line itself: its colour is there without a dot, too
    plain = coloured(chart.dotted(0, {}))
    for x, y in zip(XS, LINES["down"], strict=True):
        right, down = (round(place) for place in places.get((x, y)) or dots(chart, x, {"down": y}))
        around = plain[down - 4 : down + 5, max(0, right - 4) : right + 5]
        assert (around.max(2) - around.min(2)).max() > 100, (x, y)


def test_infinite_values_have_no_dot_and_equal_settings_the_same_chart():
    chart = Chart(XS, LINES, "x", "y")
    assert chart.dotted(1.0, {"up": math.inf}) == chart.dotted(1.0, {})
    first = chart.dotted(0.5, {"down": 4.0, "up": 6.0})
    chart.dotted(1.0, {"down": 2.0})
    assert chart.dotted(0.5, {"down": 4.0, "up": 6.0}) == first
    assert coloured(Chart(XS, {"all": [math.inf] * 3}, "x", "y").dotted(0, {})).shape == coloured(first).shape


# --- the bottleneck explorer -----------------------------------------------------------------------------------------


def shows(widget, size, index):
    x = images()[index]
    pictures = {"original": x, "PCA": x * size / 10, "autoencoder": 1 - x * size / 10}
    on_the_screen(widget, pictures, dict.fromkeys(pictures, 140))
    errors = {name: np.square(x_hat.double().numpy() - x.double().numpy()).sum() for name, x_hat in pictures.items()}
    assert {name: label.value for name, label in widget.beneath.items()} == {
        "original": f"image {index}",
        "PCA": f"error {errors['PCA']:.1f}",
        "autoencoder": f"error {errors['autoencoder']:.1f}",
    }
    assert widget.readout.value == (
        f"15 pixels through K = {size} and back. The error is ‖x − x̂‖², summed over the pixels."
    )


def test_it_opens_on_the_smallest_code_and_the_first_image():
    shows(explorer(), 2, 0)


def test_moving_a_control_changes_pictures_and_numbers():
    widget = explorer()
    before = screen(widget)[0]
    widget.controls["code_size"].value = 8
    shows(widget, 8, 0)
    assert widget.images["PCA"].value != before["PCA"] and widget.images["original"].value == before["original"]
    widget.controls["image"].slots[3].button.click()
    shows(widget, 8, 3)
    widget.controls["image"].random.click()
    assert widget.controls["image"].value != 3
    shows(widget, 8, widget.controls["image"].value)


def test_the_controls_offer_every_size_in_order_and_every_image():
    controls = explorer().controls
    assert list(controls) == ["image", "code_size"] and tuple(controls["code_size"].options) == (2, 4, 8)
    assert isinstance(controls["code_size"], ipywidgets.ToggleButtons)
    assert len(seen(controls["image"])) == 4


def test_labels_are_shown_if_there_are_any():
    widget = BottleneckExplorer(images(), methods(), torch.tensor([7, 0, 4, 2]))
    widget.controls["image"].value = 2
    assert widget.beneath["original"].value == "image 2, a 4"
    assert [word for _, word, _ in seen(widget.controls["image"])] == ["7", "0", "4", "2"]


def test_controls_pictures_titles_and_text_are_on_the_screen():
    widget = explorer()
    parts = [*widget.controls.values(), *widget.images.values(), *widget.beneath.values(), widget.readout]
    assert all(part in below(widget) for part in [*parts, widget.chart_image])
    words = [part.value for part in below(widget.panels) if type(part) is ipywidgets.HTML]
    assert [re.sub("<.*?>", "", word) for word in words] == ["original", "PCA", "autoencoder"]
    for name, image in widget.images.items():  # title, picture and number, one below the other
        (panel,) = (box for box in below(widget) if image in getattr(box, "children", ()))
        assert name in panel.children[0].value and panel.children[1:] == (image, widget.beneath[name])
    assert "code size K" in [part.value for part in below(widget) if type(part) is ipywidgets.Label]


def test_a_title_is_text_and_no_html():
    widget = BottleneckExplorer(images(), {"<i>p & q</i>": {2: lambda x: x}})
    assert any("&lt;i&gt;p &amp; q&lt;/i&gt;" in str(getattr(part, "value", "")) for part in below(widget.panels))


def test_pictures_and_numbers_can_be_asked_for_other_settings():
    widget = explorer()
    pictures = widget.pictures(code_size=4, image=2)
    assert torch.equal(pictures["PCA"], images()[2] * 4 / 10) and torch.equal(pictures["original"], images()[2])
    error = (0.6 * images()[2]).square().sum()
    assert widget.captions(pictures, code_size=4, image=2)["PCA"] == f"error {error:.1f}"
    shows(widget, 2, 0)


def test_its_chart_has_the_errors_of_the_image_at_every_size(charts):
    widget = explorer(code_size=4, image=1)
    (x, ys, *_), ticks = charts[-1]
    image = images()[1]
    assert list(x) == [0, 1, 2] and ticks == {"ticks": [2, 4, 8]}
    for name, f in methods().items():
        expected = [(image - f[k](image)).square().sum().item() for k in (2, 4, 8)]
        assert ys[name] == pytest.approx(expected)
    same = Chart(x, ys, "code size K", "squared error", ticks=[2, 4, 8])
    assert widget.chart_image.value == same.dotted(1, {name: y[1] for name, y in ys.items()})
    assert widget.chart_image.layout.width == f"{same.picture.width // 2}px"  # crisp at double resolution


@pytest.fixture
def charts(monkeypatch):
    """The arguments of each chart that is drawn."""
    calls = []

    class Spy(Chart):
        def __init__(self, *arguments, **named):
            calls.append((arguments, named))
            super().__init__(*arguments, **named)

    monkeypatch.setattr(widgets.images, "Chart", Spy)
    return calls


def test_a_move_runs_each_method_once_and_draws_a_chart_only_for_another_image(charts):
    calls = []
    widget = BottleneckExplorer(images(), {"spy": {k: lambda x, k=k: calls.append(k) or x for k in (2, 4)}})
    calls.clear()
    for control, value, expected in (("code_size", 4, [4]), ("image", 1, [4, 2, 4]), ("image", 0, [4])):
        widget.controls[control].value = value
        assert calls == expected
        calls.clear()
    assert len(charts) == 2


def test_models_that_carry_gradients_are_shown_without():
    weight = torch.ones((), requires_grad=True)
    widget = BottleneckExplorer(images(), {"model": {2: lambda x: weight * x}})
    assert not widget.pictures(code_size=2, image=0)["model"].requires_grad


def test_its_text_form_is_short():
    assert repr(explorer()) == "BottleneckExplorer: run this notebook to move image, code size K"


@pytest.mark.parametrize(
    "sizes", [{"PCA": [2, 4], "autoencoder": [2, 8]}, {"PCA": [2, 4], "autoencoder": [2]}, {"PCA": []}, {}]
)
def test_other_code_sizes_are_refused(sizes):
    wrong = {name: {k: lambda x: x for k in by_size} for name, by_size in sizes.items()}
    with pytest.raises(ValueError, match="must have the same code sizes, at least one; got") as caught:
        BottleneckExplorer(images(), wrong)
    assert str(sizes) in str(caught.value)


@pytest.mark.parametrize(
    ("x", "y", "given"),
    [
        (images()[:0], None, "0 in torch.float32 and no labels"),
        ((images() * 255).byte(), None, "4 in torch.uint8 and no labels"),
        (images(), torch.arange(3), "4 in torch.float32 and 3 labels"),
    ],
    ids=["no images", "bytes", "labels of another number"],
)
@pytest.mark.parametrize(
    "explore",
    [
        lambda x, y: BottleneckExplorer(x, methods(), y),
        lambda x, y: NoiseExplorer(x, denoisers(), y),
        lambda x, y: LikelihoodExplorer({"it": vae()}, x, y),
    ],
    ids=["bottleneck", "noise", "likelihood"],
)
def test_the_explorers_need_float_images_and_a_label_each_or_none(explore, x, y, given):
    with pytest.raises(ValueError, match=f"one float image or more, and a label for each or none; got {given}"):
        explore(x, y)


def test_without_methods_or_models_there_is_nothing_to_explore():
    with pytest.raises(ValueError, match="one method or more; got none"):
        NoiseExplorer(images(), {})
    with pytest.raises(ValueError, match="one model or more; got none"):
        LikelihoodExplorer({}, images())


def test_an_explorer_must_say_what_it_shows():
    with pytest.raises(NotImplementedError):
        Explorer({}, {"picture": 140})


# --- the noise explorer ----------------------------------------------------------------------------------------------


def denoisers():
    """Each kind and level gives a picture of its own."""
    return {
        "shade": lambda x, kind, level: x * (1 - level / 2) + len(kind) / 100,
        "turn": lambda x, kind, level: 1 - level * x,
    }


def noise_explorer(**start):
    return moved_to(NoiseExplorer(images(), denoisers()), **start)


def psnr_of(x, x_hat):
    error = np.square(x.double().numpy() - x_hat.double().numpy()).mean()
    return -10 * math.log10(error) if error else math.inf


def noisy_and_restored(x, kind, level, seed):
    """What must be shown for an image (C, H, W), each method called by hand."""
    noisy = CORRUPT[kind](x[None], level, torch.Generator().manual_seed(seed))[0]
    return {"clean": x, "noisy": noisy, "shade": noisy * (1 - level / 2) + len(kind) / 100, "turn": 1 - level * noisy}


def shows_restored(widget, pictures, name):
    """The panels hold these pictures, and beneath each stands its PSNR; beneath the clean one its name."""
    on_the_screen(widget, pictures, dict.fromkeys(pictures, 140))
    values = {other: psnr_of(pictures["clean"], picture) for other, picture in pictures.items()}
    expected = {other: f"{value:.1f} dB" if value < math.inf else "no error" for other, value in values.items()}
    assert {other: label.value for other, label in widget.beneath.items()} == expected | {"clean": name}
    assert widget.readout.value == PSNR


def shows_noise(widget, kind, level, index, seed):
    shows_restored(widget, noisy_and_restored(images()[index], kind, level, seed), f"image {index}")


PSNR = "PSNR beneath each picture, in decibels: 3 dB more is half the squared error."


def test_noise_controls_are_image_kind_level_and_draw():
    controls = noise_explorer().controls
    assert list(controls) == ["image", "kind", "level", "noise"]
    assert list(controls["kind"].options) == list(CORRUPT)
    assert isinstance(controls["kind"], ipywidgets.ToggleButtons)
    assert (controls["level"].min, controls["level"].max, controls["level"].step) == (0, 1, 0.05)
    assert repr(noise_explorer()) == "NoiseExplorer: run this notebook to move image, noise, level, draw new noise"


def test_it_opens_on_masking_at_one_half_of_the_first_image():
    shows_noise(noise_explorer(), "masking", 0.5, 0, seed=0)


@pytest.mark.parametrize("kind", CORRUPT)
@pytest.mark.parametrize("level", [0.0, 0.35, 1.0])
@pytest.mark.parametrize(("index", "noise", "seed"), [(0, 0, 0), (3, 0, 3), (3, 2, 11)])
def test_it_shows_the_noise_asked_for_and_what_each_method_makes_of_it(kind, level, index, noise, seed):
    shows_noise(noise_explorer(kind=kind, level=level, image=index, noise=noise), kind, level, index, seed)


def test_a_click_draws_new_noise():
    widget = noise_explorer(image=1)
    for draw in range(1, 4):
        before = screen(widget)
        widget.controls["noise"].click()
        assert widget.settings()["noise"] == draw
        changed = {name for name, data in screen(widget)[0].items() if data != before[0][name]}
        assert changed == {"noisy", "shade", "turn"}
        shows_noise(widget, "masking", 0.5, 1, seed=4 * draw + 1)


@pytest.mark.parametrize(("control", "value"), [("kind", "Gaussian"), ("level", 0.8), ("image", 2)])
def test_moving_a_noise_control_changes_the_pictures_and_the_numbers_and_can_be_undone(control, value):
    widget = noise_explorer()
    before, first = screen(widget), widget.settings()[control]
    widget.controls[control].value = value
    changed = {name for name, data in screen(widget)[0].items() if data != before[0][name]}
    assert changed == {"noisy", "shade", "turn"} | ({"clean"} if control == "image" else set())
    assert screen(widget)[1] != before[1] and screen(widget)[2] != before[2]
    widget.controls[control].value = first
    assert screen(widget) == before


@pytest.mark.parametrize("kind", CORRUPT)
def test_its_chart_has_the_psnr_of_this_image_and_this_noise_at_eleven_levels(kind, charts):
    widget = noise_explorer(kind=kind, image=2, noise=1, level=0.35)
    (x, ys, *_), _ = charts[-1]
    assert x == pytest.approx([0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    for place, level in enumerate(x):
        pictures = noisy_and_restored(images()[2], kind, level, seed=6)
        assert list(ys) == ["noisy", "shade", "turn"]
        for name, y in ys.items():
            assert y[place] == pytest.approx(psnr_of(pictures["clean"], pictures[name]), abs=1e-3)
    now = {
        name: psnr_of(images()[2], picture) for name, picture in noisy_and_restored(images()[2], kind, 0.35, 6).items()
    }
    assert widget.chart_image.value == Chart(*charts[-1][0]).dotted(0.35, {name: now[name] for name in ys})


def test_a_move_of_the_level_runs_each_method_once_and_another_image_once_more_for_its_chart(charts):
    calls = []
    widget = NoiseExplorer(images(), {"spy": lambda x, kind, level: calls.append((x.shape, kind, level)) or x})
    calls.clear(), charts.clear()
    widget.controls["level"].value = 0.7
    assert calls == [((1, 1, 3, 5), "masking", 0.7)] and charts == []
    for control, value in (("image", 1), ("kind", "Gaussian"), ("noise", 1)):
        calls.clear()
        widget.controls[control].value = value
        assert len(calls) == 1 + 11
    calls.clear()
    widget.controls["noise"].value = 0  # was drawn before
    assert len(calls) == 1 and len(charts) == 3


def test_more_than_five_pictures_are_smaller():
    assert set(NoiseExplorer(images(), {str(i): lambda x, *_: x for i in range(3)}).sides.values()) == {140}
    assert set(NoiseExplorer(images(), {str(i): lambda x, *_: x for i in range(4)}).sides.values()) == {112}


def test_level_0_shows_the_image_itself():
    widget = noise_explorer(level=0.0)
    assert widget.images["noisy"].value == widget.images["clean"].value
    assert widget.beneath["noisy"].value == "no error"


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


# --- the drawing pad -------------------------------------------------------------------------------------------------

EMPTY_PAD = "Draw a digit in the black square, with the mouse or a finger."


def seven():
    """A drawing (112, 112) in bytes, grey at its foot, that no turn or mirror leaves as it is."""
    drawn = np.zeros((112, 112), np.uint8)
    drawn[20:30, 25:85], drawn[30:60, 75:85], drawn[60:95, 60:70] = 255, 255, 130
    return drawn


def shows_drawing(pad, drawn, kind="masking", level=0.5, seed=0):
    x = as_mnist(torch.from_numpy(drawn.astype(np.float32) / 255))
    shows_restored(pad, noisy_and_restored(x, kind, level, seed), "your drawing")


def pad_with(drawn, **start):
    return moved_to(DrawPad(denoisers()), drawing=drawn.tobytes(), **start)


def test_the_pad_opens_empty_and_says_what_to_do():
    pad = DrawPad(denoisers())
    assert list(pad.controls) == ["drawing", "kind", "level", "noise"]
    assert list(pad.images) == ["clean", "noisy", "shade", "turn"]
    assert pad.readout.value == EMPTY_PAD and pad.controls["drawing"].value == b""
    assert {label.value for label in pad.beneath.values()} == {""}
    clean = decoded(pad.images["clean"].value)
    assert clean.shape == (140, 140) and not clean.any()


def test_a_drawing_is_centred_made_noisy_and_restored():
    pad = pad_with(seven())
    shows_drawing(pad, seven())
    other = np.rot90(seven()).copy()
    pad.controls["drawing"].value = other.tobytes()
    shows_drawing(pad, other)
    shows_drawing(pad_with(seven()[::2, ::2]), seven()[::2, ::2])


@pytest.mark.parametrize("kind", CORRUPT)
@pytest.mark.parametrize(("level", "noise"), [(0.0, 0), (0.7, 0), (0.7, 3)])
def test_kind_level_and_draw_change_what_becomes_of_the_drawing(kind, level, noise):
    shows_drawing(pad_with(seven(), kind=kind, level=level, noise=noise), seven(), kind, level, noise)


@pytest.mark.parametrize("cleared", [bytes(112 * 112), b""], ids=["black", "nothing"])
def test_a_cleared_pad_is_as_at_the_start(cleared):
    pad = DrawPad(denoisers())
    start = screen(pad)
    pad.controls["drawing"].value = seven().tobytes()
    assert screen(pad)[-1] != EMPTY_PAD and screen(pad)[0]["clean"] != start[0]["clean"]
    pad.controls["drawing"].value = cleared
    assert screen(pad) == start


def test_a_stroke_arrives_from_the_browser_as_a_buffer():
    pad = DrawPad(denoisers())
    data = {"method": "update", "state": {}, "buffer_paths": [["value"]]}
    pad.controls["drawing"]._handle_msg({"content": {"data": data}, "buffers": [memoryview(seven().tobytes())]})
    shows_drawing(pad, seven())


def test_the_pads_parts_are_on_the_screen_and_its_text_form_is_short():
    pad = DrawPad(denoisers())
    assert pad.controls["drawing"] in below(pad) and isinstance(pad.controls["drawing"], ipywidgets.DOMWidget)
    assert repr(pad) == "DrawPad: run this notebook to move the drawing, noise, level, draw new noise"


def test_without_anywidget_the_pad_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "anywidget", None)
    with pytest.raises(ImportError, match=r"needs the package anywidget, .*`pip install anywidget`") as caught:
        DrawPad(denoisers())
    assert "\n" not in str(caught.value)


def test_without_anywidget_the_other_widgets_work(monkeypatch):
    monkeypatch.setitem(sys.modules, "anywidget", None)
    fresh = runpy.run_path(widgets.images.__file__)
    assert screen(fresh["NoiseExplorer"](images(), denoisers())) == screen(noise_explorer())


def test_the_pads_script_is_shipped_used_and_renders():
    script = (importlib.resources.files("aetutor.widgets") / "drawpad.js").read_text(encoding="utf-8")
    assert str(DrawPad(denoisers()).controls["drawing"]._esm) == script
    assert re.search(r"^function render\(\{ model, el \}\)", script, re.M)
    assert re.search(r"^export default \{ render \};$", script, re.M)


# --- tiny variational autoencoders, every number worked out again in numpy -------------------------------------------

SHAPE, MAP_SIDE, POINTS = (1, 4, 5), 280, 42
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


def same_numbers(picture, expected):
    np.testing.assert_allclose(picture.numpy(), expected, rtol=1e-6, atol=1e-9)


# --- the latent explorer ---------------------------------------------------------------------------------------------


def latent_explorer(model=None, **arguments):
    return LatentExplorer(model or vae(), binary(), LABELS, **arguments)


def shows_map(widget, z1, z2):
    on_the_screen(widget, widget.pictures(z1, z2), {"decoded": MAP_SIDE, "test codes, and yours": MAP_SIDE})


@pytest.mark.parametrize("reach", [3.0, 5.0])
def test_the_latent_explorer_opens_at_the_origin_and_its_sliders_reach_both_ways(reach):
    widget = latent_explorer(reach=reach)
    assert list(widget.controls) == ["z1", "z2"]
    for control in widget.controls.values():
        assert (control.min, control.max, control.value) == (-reach, reach, 0)
    shows_map(widget, 0.0, 0.0)
    assert list(widget.images) == ["decoded", "test codes, and yours"]


@pytest.mark.parametrize(("z1", "z2"), [(0.0, 0.0), (1.5, -0.7), (-2.4, 2.9)])
def test_a_code_is_decoded_with_z1_first(z1, z2):
    widget = latent_explorer()
    widget.controls["z1"].value, widget.controls["z2"].value = z1, z2
    picture = widget.pictures(z1, z2)["decoded"]
    same_numbers(picture, SIGMOID(through(vae().decoder, np.array([z1, z2]))).reshape(SHAPE))
    assert not picture.requires_grad
    shows_map(widget, z1, z2)


@pytest.mark.parametrize(("z1", "z2"), [(0.0, 0.0), (1.5, -0.7), (-3.0, 3.0), (3.0, -3.0), (-0.4, 2.2)])
@pytest.mark.parametrize("reach", [3.0, 4.5])
def test_the_map_has_a_cross_at_the_code_and_is_as_before_elsewhere(z1, z2, reach):
    widget = latent_explorer(reach=reach)
    widget.pictures(0.3, -1.1)  # an earlier place: nothing may stay of it
    crossed = widget.pictures(z1, z2)["test codes, and yours"].numpy()
    plain = code_map(torch.from_numpy(guess_of(vae(), binary())[0]), LABELS, reach, MAP_SIDE).numpy()
    assert crossed.shape == plain.shape == (3, MAP_SIDE, MAP_SIDE)
    black = (crossed == 0).all(0)
    (row,), (column,) = black.all(1).nonzero()[0], black.all(0).nonzero()[0]
    assert column == pytest.approx((1 + z1 / reach) / 2 * (MAP_SIDE - 1), abs=0.501)
    assert row == pytest.approx((1 - z2 / reach) / 2 * (MAP_SIDE - 1), abs=0.501)
    elsewhere = np.ones((MAP_SIDE, MAP_SIDE), bool)
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
def test_beneath_the_latent_pictures_stand_the_priors_density_and_the_nearest_code(z1, z2):
    widget = latent_explorer()
    widget.controls["z1"].value, widget.controls["z2"].value = z1, z2
    prior = math.exp(-(z1**2 + z2**2) / 2) / (2 * math.pi)
    distances = np.hypot(*(guess_of(vae(), binary())[0] - [z1, z2]).T)
    assert widget.beneath["decoded"].value == f"p(z) = {prior:.4f}"
    assert widget.beneath["test codes, and yours"].value == (
        f"nearest: a {LABELS.tolist()[distances.argmin()]}, {distances.min():.2f} away"
    )
    assert widget.readout.value == f"z = ({z1:.1f}, {z2:.1f}): the cross on the map, among the codes of 4 images."


def test_more_than_one_code_is_the_nearest_somewhere():
    texts = {
        re.search(r"a (\d)", latent_explorer().captions({}, *code)["test codes, and yours"])[1]
        for code in guess_of(vae(), binary())[0]
    }
    assert texts == {"7", "0", "4", "2"}


def test_the_latent_explorer_takes_single_precision():
    widget = LatentExplorer(vae().float(), binary().float(), LABELS)
    same = latent_explorer()
    assert widget.pictures(0.7, -0.4)["decoded"].dtype == torch.float32
    assert widget.captions({}, 0.7, -0.4) == same.captions({}, 0.7, -0.4)


def test_the_latent_explorers_text_form_is_short():
    assert repr(latent_explorer()) == "LatentExplorer: run this notebook to move z1, z2"


@pytest.mark.parametrize("explore", [LatentExplorer, PosteriorExplorer, PosteriorPad])
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


def visible(model, image):
    """The lowest and the highest code, in each direction, at which p(z|x) is at least e^-5 of its peak."""
    z = plane(-7, 7, -7, 7, 701)
    log_joint = log_joint_of(model, image, z)
    seen = z[log_joint > log_joint.max() - 5]
    return seen.min(0), seen.max(0)


def test_the_posterior_explorer_opens_on_the_first_image_and_offers_all():
    widget = posterior_explorer()
    assert list(widget.controls) == ["image"] and widget.settings() == {"image": 0}
    assert [word for _, word, _ in seen(widget.controls["image"])] == ["7", "0", "4", "2"]
    assert repr(widget) == "PosteriorExplorer: run this notebook to move image"
    on_the_screen(widget, widget.pictures(0), dict.fromkeys(widget.images, 168))


@pytest.mark.parametrize("index", range(4))
def test_image_posterior_and_guess_are_those_of_the_formulas(index):
    widget, model, image = posterior_explorer(), vae(), binary()[index]
    widget.controls["image"].value = index
    pictures = widget.pictures(index)
    assert list(pictures) == ["image", "reconstruction", "posterior p(z|x)", "encoder's q(z|x)"]
    (mu,), (sigma,) = guess_of(model, image[None])
    z = plane(*widget.square(index)[1], POINTS)
    log_joint, log_guess = log_joint_of(model, image, z), -(((z - mu) / sigma) ** 2).sum(-1) / 2
    same_numbers(pictures["image"], image)
    same_numbers(pictures["reconstruction"], SIGMOID(through(model.decoder, mu)).reshape(SHAPE))
    same_numbers(pictures["posterior p(z|x)"], np.exp(log_joint - log_joint.max())[None])
    same_numbers(pictures["encoder's q(z|x)"], np.exp(log_guess - log_guess.max())[None])
    assert not any(picture.requires_grad for picture in pictures.values())
    on_the_screen(widget, pictures, dict.fromkeys(pictures, 168))


@pytest.mark.parametrize("index", range(4))
def test_the_square_holds_four_standard_deviations_and_what_is_seen_and_is_no_larger(index):
    (mu,), (sigma,) = guess_of(vae(), binary()[index : index + 1])
    (mean, spread), (first, last) = moments(vae(), binary()[index]), visible(vae(), binary()[index])
    low = np.minimum(np.minimum(mean - 4 * spread, first), mu - 4 * sigma)
    high = np.maximum(np.maximum(mean + 4 * spread, last), mu + 4 * sigma)
    centre, half = (low + high) / 2, (high - low).max() / 2
    left, right, bottom, top = posterior_explorer().square(index)[1]
    np.testing.assert_allclose([left, right], [centre[0] - half, centre[0] + half], atol=0.05)
    np.testing.assert_allclose([bottom, top], [centre[1] - half, centre[1] + half], atol=0.05)
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


@pytest.mark.parametrize("points", [POINTS, 3])
def test_the_codes_of_the_square_go_through_z2_first(points):
    widget = posterior_explorer()
    z, square = widget.square(2) if points == POINTS else widget.square(2, points)
    assert z.shape == (points**2, 2)
    same_numbers(z, plane(*square, points)[::-1].transpose(1, 0, 2).reshape(-1, 2))


def test_beneath_the_densities_stand_the_evidence_and_the_bound_and_below_them_the_gap():
    model, x = vae().float(), binary().float()  # in single precision the quadrature is done sooner
    widget = PosteriorExplorer(model, x, LABELS)
    log_px, elbo, _ = log_px_quadrature(model, x)
    for index, (exact, bound) in enumerate(zip(log_px.tolist(), elbo.tolist(), strict=True)):
        widget.controls["image"].value = index
        left, right, bottom, top = widget.square(index)[1]
        error = (x[index] - widget.pictures(index)["reconstruction"]).square().sum().item()
        assert {name: label.value for name, label in widget.beneath.items()} == {
            "image": f"image {index}, a {LABELS[index].item()}",
            "reconstruction": f"squared error {error:.1f}",
            "posterior p(z|x)": f"log p(x) = {exact:.2f} nats",
            "encoder's q(z|x)": f"ELBO = {bound:.2f} nats",
        }
        assert widget.readout.value == (
            f"Gap: log p(x) − ELBO = {exact - bound:.2f} nats. Both squares are {right - left:.2f} wide, around "
            f"({(left + right) / 2:.2f}, {(bottom + top) / 2:.2f}) in the plane of codes."
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


def evidence_shown(widget):
    texts = [widget.beneath[name].value for name in ("posterior p(z|x)", "encoder's q(z|x)")]
    return [*texts, re.search(r"= ([\d.]+) nats", widget.readout.value)[1]]


def test_evidence_that_is_given_is_shown_and_not_computed_again(quadratures):
    widget = PosteriorExplorer(vae(), binary(), LABELS, Evidence(*(part - 1 for part in evidence_of(4))))
    widget.controls["image"].value = 2
    assert evidence_shown(widget) == ["log p(x) = -31.00 nats", "ELBO = -35.50 nats", "4.50"]
    assert quadratures == []


def test_evidence_that_is_not_given_is_computed_once(quadratures):
    widget = PosteriorExplorer(vae(), binary(), LABELS)
    widget.controls["image"].value = 3
    assert evidence_shown(widget) == ["log p(x) = -40.00 nats", "ELBO = -46.00 nats", "6.00"]
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


# --- the pad that draws a posterior ----------------------------------------------------------------------------------


@torch.no_grad()
def vae_of_digits():
    """Of images (1, 28, 28); its posteriors are as wide as those of the smaller images."""
    model = vae(shape=(1, 28, 28)).float()
    model.decoder[2].weight.mul_(0.1)
    return model


def digits():
    return binary(4, (1, 28, 28)).float()


def posterior_pad(drawing=None):
    pad = PosteriorPad(vae_of_digits(), digits(), LABELS)
    return pad if drawing is None else moved_to(pad, drawing=drawing.tobytes())


def seven_in_black_and_white():
    return (as_mnist(torch.from_numpy(seven().astype(np.float32) / 255)) >= 0.5).float()


def test_the_posterior_pad_opens_empty_says_what_to_do_and_does_so_again_when_it_is_cleared():
    pad = posterior_pad()
    assert list(pad.controls) == ["drawing"] and pad.readout.value == EMPTY_PAD
    assert {label.value for label in pad.beneath.values()} == {""}
    start = screen(pad)
    assert (
        not decoded(pad.images["your digit"].value).any() and decoded(pad.images["test codes, and yours"].value).any()
    )
    pad.controls["drawing"].value = seven().tobytes()
    assert screen(pad)[-1] != EMPTY_PAD
    pad.controls["drawing"].value = bytes(112 * 112)
    assert screen(pad) == start
    assert repr(pad) == "PosteriorPad: run this notebook to move the drawing"


def test_a_drawing_is_shown_with_its_copy_its_place_and_its_two_posteriors():
    pad, model, x = posterior_pad(seven()), vae_of_digits().double(), seven_in_black_and_white()
    pictures = pad.pictures(seven().tobytes())
    assert torch.equal(pictures["your digit"], x)
    (mu,), (sigma,) = guess_of(model, x[None])
    same = {"rtol": 1e-3, "atol": 1e-3}  # in single precision
    np.testing.assert_allclose(pictures["copy"], SIGMOID(through(model.decoder, mu)).reshape(1, 28, 28), **same)
    # the same square as the explorer's
    explorer = PosteriorExplorer(model, x[None].double(), LABELS[:1], evidence_of(1))
    z = plane(*explorer.square(0)[1], POINTS)
    log_joint, log_q = log_joint_of(model, x, z), -(((z - mu) / sigma) ** 2).sum(-1) / 2
    for name, log_density in (("posterior p(z|x)", log_joint), ("encoder's q(z|x)", log_q)):
        np.testing.assert_allclose(pictures[name], np.exp(log_density - log_density.max())[None], atol=0.1)
    black = (pictures["test codes, and yours"].numpy() == 0).all(0)
    place = (1 + np.array([1, -1]) * mu / 3) / 2 * 223
    assert [black.all(0).argmax(), black.all(1).argmax()] == pytest.approx(place.clip(0, 223), abs=0.501)
    on_the_screen(pad, pictures, pad.sides)


def test_beneath_a_drawing_stand_its_evidence_its_bound_and_the_nearest_code():
    pad, model, x = posterior_pad(seven()), vae_of_digits(), seven_in_black_and_white()[None]
    log_px, elbo, _ = log_px_quadrature(model, x)
    distances = np.hypot(*(guess_of(model, digits())[0] - guess_of(model, x)[0]).T)
    assert {name: label.value for name, label in pad.beneath.items()} == {
        "your digit": "centred",
        "copy": "the mean",
        "test codes, and yours": f"nearest: a {LABELS[distances.argmin()]}, {distances.min():.2f} away",
        "posterior p(z|x)": f"log p(x) = {log_px.item():.1f}",
        "encoder's q(z|x)": f"ELBO = {elbo.item():.1f}",
    }


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
    assert list(widget.controls) == ["image", "likelihood"]
    assert isinstance(widget.controls["likelihood"], ipywidgets.ToggleButtons)
    assert list(widget.controls["likelihood"].options) == [f"the {name}" for name in FAMILIES]
    assert widget.settings() == {"image": 0, "likelihood": "the bernoulli"} and len(seen(widget.controls["image"])) == 4
    assert repr(widget) == "LikelihoodExplorer: run this notebook to move image, likelihood"
    labelled = LikelihoodExplorer(widget.models, grey(), LABELS)
    assert labelled.beneath["image"].value == "image 0, a 7"


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
    on_the_screen(widget, pictures, dict.fromkeys(pictures, 168))


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
def test_sigma_and_beta_stand_below_and_the_errors_beneath_mean_and_sample(likelihood, implied, index):
    widget = likelihood_explorer()
    widget.controls["likelihood"].value, widget.controls["image"].value = f"the {likelihood}", index
    x, mean, sample = (picture.numpy() for picture in widget.pictures(f"the {likelihood}", index).values())
    assert {name: label.value for name, label in widget.beneath.items()} == {
        "image": f"image {index}",
        "mean of p(x|z)": f"MSE {((x - mean) ** 2).mean():.4f}",
        "sample from p(x|z)": f"MSE {((x - sample) ** 2).mean():.4f}",
    }
    assert widget.readout.value == f"the {likelihood}: {implied}. MSE is the mean squared error of a pixel."


def test_a_gaussian_whose_sigma_is_not_told_has_sigma_1():
    widget = LikelihoodExplorer({"plain": vae(2, "gaussian")}, grey())
    assert "plain: σ = 1.000, implied β = σ² = 1.0000." in widget.readout.value


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


# --- the style explorer ----------------------------------------------------------------------------------------------

FAR = -4.0
MOVES = [(0.0, 0.0), (1.2, -0.7), (-2.9, 0.4), (0.0, 3.0)]


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


def shows_style(widget, model, index, axes, move):
    """Pictures, screen and text are those of the formulas: the style of an image with its label, moved along axes."""
    x, y = binary(len(widget.choices), model.image_shape), labels_of(model, len(widget.choices))
    z = moved(styles_of(model, x, y)[index], axes, move)
    outputs, pixels = outputs_in_every_class(model, z), x[index].numpy().flatten()
    pictures = widget.pictures(index, *move)
    assert list(pictures) == ["image", *map(str, range(model.num_classes))]
    same_numbers(pictures["image"], x[index])
    for label, picture in enumerate(list(pictures.values())[1:]):
        same_numbers(picture, SIGMOID(outputs[label]).reshape(model.image_shape))
    assert not any(picture.requires_grad for picture in pictures.values())
    same_numbers(widget.style(index, *move), z)
    on_the_screen(widget, pictures, {"image": 224} | {str(label): 84 for label in range(model.num_classes)})
    log_px = (pixels * outputs - np.logaddexp(0, outputs)).sum(1)  # under each label
    assert {name: label.value for name, label in widget.beneath.items()} == (
        {"image": f"image {index}, a {y[index].item()}"} | {str(c): f"{value:.1f}" for c, value in enumerate(log_px)}
    )
    places = ", ".join(f"z{axis + 1} = {z[axis]:.2f}" for axis in sorted(axes))
    assert widget.readout.value == f"{places}. Beneath each class y: log p(x|z, y) of the image, in nats."
    if model.num_classes > 1:  # each label gives another picture than its neighbour, and the probabilities differ
        assert np.abs(np.diff(SIGMOID(outputs), axis=0)).max(1).min() > 0.05 and np.ptp(log_px) > 1


@pytest.mark.parametrize("reach", [3.0, 1.5])
def test_the_style_explorer_opens_on_the_first_image_unmoved_and_its_sliders_reach_both_ways(reach):
    widget = style_explorer(**{} if reach == 3 else {"reach": reach})
    assert list(widget.controls) == ["image", "first", "second"]
    for control in list(widget.controls.values())[1:]:
        assert (control.min, control.max, control.value, control.step) == (-reach, reach, 0, 0.1)
    assert widget.titles == ["image", "add to z1", "add to z2"]
    shows_style(widget, cvae(), 0, (0, 1), (0.0, 0.0))


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
    assert widget.titles[1:] == [f"add to z{axis + 1}" for axis in axes]
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


@pytest.mark.parametrize("num_classes", [1, 3, 12])
@pytest.mark.parametrize("shape", [SHAPE, (3, 3, 6)], ids=["grey", "colour"])
def test_there_is_a_picture_for_each_class(num_classes, shape):
    model = cvae(num_classes=num_classes, shape=shape)
    widget = style_explorer(model)
    widget.controls["image"].value, widget.controls["second"].value = 1, -0.8
    shows_style(widget, model, 1, (0, 1), (0.0, -0.8))


def test_a_move_of_a_style_runs_the_decoder_once():
    model, calls = cvae(), []
    widget = style_explorer(model)
    model.decoder.register_forward_hook(lambda *_: calls.append(1))
    widget.controls["first"].value = 0.5
    assert len(calls) == 1
    widget.controls["image"].value = 3
    assert len(calls) == 2


def test_the_same_image_has_another_style_with_another_label():
    model, x = cvae(), binary(1).expand(4, -1, -1, -1)
    widget = StyleExplorer(model, x, LABELS)
    styles = styles_of(model, x, LABELS)
    for index, style in enumerate(styles):
        same_numbers(widget.style(index), style)
        means = torch.stack(list(widget.pictures(index).values())[1:])
        same_numbers(means, SIGMOID(outputs_in_every_class(model, style)).reshape(10, *SHAPE))
    assert len(np.unique(np.round(styles, 2), axis=0)) == 4


@pytest.mark.parametrize("latent_dim", [2, 4])
def test_one_image_is_enough(latent_dim):
    model = cvae(latent_dim)
    widget = style_explorer(model, 1)
    # of coordinates that do not vary, any two
    axes = [int(title.removeprefix("add to z")) - 1 for title in widget.titles[1:]]
    assert axes[0] < axes[1] and set(axes) <= set(range(latent_dim))
    widget.controls["first"].value, widget.controls["second"].value = -1.1, 0.6
    shows_style(widget, model, 0, axes, (-1.1, 0.6))


@pytest.mark.parametrize(("control", "value"), [("image", 2), ("first", -1.4), ("second", 0.9)])
def test_moving_a_style_control_changes_the_classes_and_the_text_and_can_be_undone(control, value):
    widget = style_explorer()
    before = screen(widget)
    widget.controls[control].value = value
    changed = {name for name, data in screen(widget)[0].items() if data != before[0][name]}
    assert changed == {str(label) for label in range(10)} | ({"image"} if control == "image" else set())
    assert screen(widget)[1:] != before[1:]
    widget.controls[control].value = 0
    assert screen(widget) == before


def test_a_gaussians_means_are_clipped_where_they_leave_black_and_white():
    model = cvae(likelihood="gaussian")
    (z, *_) = styles_of(model, binary(), LABELS)
    means, y = outputs_in_every_class(model, z), LABELS[0].item()
    assert means.min() < -0.1 and means.max() > 1.1
    widget = style_explorer(model)
    same_numbers(widget.pictures(0)[str(y)], means[y].reshape(SHAPE))
    shown = decoded(widget.images[str(y)].value)
    assert np.array_equal(shown, enlarged(widget.pictures(0)[str(y)], round(84 / 5)))
    squared_error = np.square(binary()[0].numpy().flatten() - means[y]).sum()
    log_px = -squared_error / 2 - means.shape[1] / 2 * math.log(2 * math.pi)
    assert widget.beneath[str(y)].value == f"{log_px:.1f}"


def test_the_style_explorer_takes_single_precision():
    model, same = cvae(4, most=(3, 1)).float(), style_explorer(cvae(4, most=(3, 1)))
    widget = StyleExplorer(model, binary().float(), LABELS)
    assert widget.style(1, 0.7, -0.4).dtype == torch.float32
    for name, picture in widget.pictures(1, 0.7, -0.4).items():
        assert picture.dtype == torch.float32, name
        np.testing.assert_allclose(picture, same.pictures(1, 0.7, -0.4)[name], atol=1e-5)
    assert widget.captions({}, 1, 0.7, -0.4) == same.captions({}, 1, 0.7, -0.4)


def test_styles_can_be_asked_for_without_gradients_and_unmoved():
    widget = style_explorer()
    earlier = widget.style(2, 1.0, -1.0)  # another place: nothing may stay of it
    same_numbers(widget.style(2), styles_of(cvae(), binary(), LABELS)[2])
    assert not earlier.requires_grad and not widget.style(2).requires_grad
    assert torch.equal(widget.pictures(2)["7"], widget.pictures(2, 0.0, 0.0)["7"])
    assert widget.captions({}, 2) == widget.captions({}, 2, 0.0, 0.0)


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


# --- the pad that draws a style --------------------------------------------------------------------------------------


def style_pad(drawing=None, **settings):
    pad = StylePad(cvae(shape=(1, 28, 28)).float())
    return pad if drawing is None else moved_to(pad, drawing=drawing.tobytes(), **settings)


def test_the_style_pad_opens_empty_says_what_to_do_and_does_so_again_when_it_is_cleared():
    pad = style_pad()
    assert list(pad.controls) == ["drawing", "label"] and pad.settings() == {"drawing": b"", "label": "guess"}
    start = screen(pad)
    assert start[-1] == EMPTY_PAD and {label.value for label in pad.beneath.values()} == {""}
    pad.controls["drawing"].value = seven().tobytes()
    assert screen(pad)[-1] != EMPTY_PAD
    pad.controls["drawing"].value = b""
    assert screen(pad) == start
    assert repr(pad) == "StylePad: run this notebook to move the drawing, its label"


def elbos_at_the_mean(model, x):
    """log p(x|mu, y) - KL(q(z|x, y) ‖ p(z)) for each label y."""
    bounds = []
    for y in range(10):
        mu, log_var = np.split(through(model.encoder, with_label(model, x.reshape(1, -1), [y])), 2, axis=1)
        logits = through(model.decoder, with_label(model, mu, [y]))
        kl = 0.5 * (mu**2 + np.exp(log_var) - 1 - log_var).sum()
        bounds.append((x.flatten() * logits - np.logaddexp(0, logits)).sum() - kl)
    return np.array(bounds)


@pytest.mark.parametrize("label", ["guess", 3])
def test_the_style_of_a_drawing_is_shown_in_every_class(label):
    pad, model = style_pad(seven(), label=label), cvae(shape=(1, 28, 28))
    x = seven_in_black_and_white()
    own = int(elbos_at_the_mean(model, x.numpy()).argmax()) if label == "guess" else label
    outputs = outputs_in_every_class(model, styles_of(model, x[None].double(), [own])[0])
    pictures = pad.pictures(seven().tobytes(), label)
    assert list(pictures) == ["your digit", *map(str, range(10))] and torch.equal(pictures["your digit"], x)
    pixels, shown = x.numpy().flatten(), {"your digit": f"taken for a {own}"}
    for y, logits in enumerate(outputs):
        np.testing.assert_allclose(pictures[str(y)], SIGMOID(logits).reshape(1, 28, 28), rtol=1e-3, atol=1e-4)
        shown[str(y)] = f"{(pixels * logits - np.logaddexp(0, logits)).sum():.1f}"
    assert {name: beneath.value for name, beneath in pad.beneath.items()} == shown
    on_the_screen(pad, pictures, pad.sides)


def test_the_style_pad_needs_a_model_with_labels():
    with pytest.raises(ValueError, match="needs a CVAE, a model with labels; got VAE"):
        StylePad(vae(shape=(1, 28, 28)))
