"""The widgets, without a browser: a control moves, the picture's bytes and the text follow."""

import importlib.resources
import io
import math
import re
import runpy
import sys

import ipywidgets
import numpy as np
import pytest
import torch
from PIL import Image

from aetutor import widgets
from aetutor.corruption import gaussian, mask, salt_and_pepper
from aetutor.data import as_mnist
from aetutor.widgets import PIXEL, BottleneckExplorer, DrawPad, Explorer, NoiseExplorer, png

CORRUPT = {"masking": mask, "Gaussian": gaussian, "salt and pepper": salt_and_pepper}


def images(count=4, channels=1):
    return torch.rand(count, channels, 3, 5, generator=torch.Generator().manual_seed(0))


def methods():
    """Each code size gives a picture of its own."""
    return {"PCA": {k: lambda x, k=k: x * k / 10 for k in (8, 2, 4)},
            "autoencoder": {k: lambda x, k=k: 1 - x * k / 10 for k in (2, 4, 8)}}


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


# --- the bottleneck explorer -----------------------------------------------------------------------------------------


def shows(widget, size, index):
    x = images()[index]
    pictures = {"original": x, "PCA": x * size / 10, "autoencoder": 1 - x * size / 10}
    assert list(widget.images) == list(pictures)
    for name, picture in pictures.items():
        assert np.array_equal(decoded(widget.images[name].value), enlarged(picture)), name
    errors = {name: np.square(y.double().numpy() - x.double().numpy()).sum() for name, y in pictures.items()}
    assert widget.readout.value == (f"K = {size}, image {index}. Squared error, summed over the pixels: "
                                    f"PCA {errors['PCA']:.1f}, autoencoder {errors['autoencoder']:.1f}.")


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


@pytest.mark.parametrize("sizes", [{"PCA": [2, 4], "autoencoder": [2, 8]}, {"PCA": [2, 4], "autoencoder": [2]},
                                   {"PCA": []}, {}])
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
    with pytest.raises(ValueError, match="one float image or more; got 4 in torch.uint8"):
        BottleneckExplorer((images() * 255).byte(), methods())


# --- the noise explorer ----------------------------------------------------------------------------------------------


def denoisers():
    """Each kind and level gives a picture of its own."""
    return {"shade": lambda x, kind, level: x * (1 - level / 2) + len(kind) / 100,
            "turn": lambda x, kind, level: 1 - level * x}


def noise_explorer(**start):
    widget = NoiseExplorer(images(), denoisers())
    for name, value in start.items():
        widget.controls[name].value = value
    return widget


def decibels(x, y):
    error = np.square(x.double().numpy() - y.double().numpy()).mean()
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
    values = {name: decibels(pictures["clean"], y) for name, y in pictures.items() if name != "clean"}
    expected = ", ".join(f"{name} {value:.1f}" for name, value in values.items())
    assert widget.readout.value == f"{settings}. PSNR in dB: {expected}."


def shows_noise(widget, kind, level, index):
    shows_pictures(widget, noisy_and_restored(images()[index], kind, level, seed=index),
                   f"{kind}, level {level:.2f}, image {index}")


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
    shows_noise(widget, **{"kind": "masking", "level": 0.5, "index": widget.controls["image"].value} |
                ({control: value} if control != "image" else {}))


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
    x = torch.rand(1, 1, 20, 20, generator=torch.Generator().manual_seed(0)) + 0.1
    widget = NoiseExplorer(x, denoisers())
    left = [widget.pictures("masking", level / 20, 0)["noisy"] for level in range(21)]
    for lower, higher in zip(left, left[1:], strict=False):
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


@pytest.mark.parametrize(("x", "f", "given"), [
    (images()[:0], denoisers(), "0 in torch.float32 and 2 methods"), (images(), {}, "4 in torch.float32 and 0 methods"),
    ((images() * 255).byte(), denoisers(), "4 in torch.uint8 and 2 methods")], ids=["no images", "no methods", "bytes"])
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
    with pytest.raises(ImportError, match="needs the package anywidget, .*`pip install anywidget`") as caught:
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
