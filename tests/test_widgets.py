"""The widgets, without a browser: a control moves, the picture's bytes and the text follow."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from aetutor.widgets import PIXEL, BottleneckExplorer, Explorer, png


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
