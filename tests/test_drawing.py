"""Drawings made like MNIST's images, against Pillow and by hand."""

import numpy as np
import pytest
import torch
from PIL import Image

from aetutor import data
from aetutor.drawing import as_mnist, from_strokes


@pytest.fixture(scope="module")
def mnist():
    return data.load("mnist")


def drawing(height, width, top, left, ink):
    """Ink `(h, w)` on a black sheet."""
    sheet = torch.zeros(height, width)
    sheet[top : top + ink.shape[0], left : left + ink.shape[1]] = ink
    return sheet


def box(image):
    """Where an image (1, H, W) has ink: top, left, height, width."""
    inked = np.argwhere(image[0].numpy() > 0)
    return (*inked.min(0).tolist(), *(inked.max(0) - inked.min(0) + 1).tolist())


def centre_of_mass(image):
    """(down, right), in pixels from the upper left corner of an image (1, H, W)."""
    grey = image[0].double().numpy()
    middles = np.arange(28) + 0.5
    return (grey.sum(1) @ middles / grey.sum(), grey.sum(0) @ middles / grey.sum())


@pytest.mark.parametrize("scale", [3, 4, 7])
@pytest.mark.parametrize("place", [(0, 0), (13, 80), (50, 100)])
def test_a_digit_of_mnist_drawn_large_and_anywhere_comes_back(mnist, scale, place):
    for x in data.to_unit(mnist.test_x[:20]):
        large = torch.from_numpy(np.kron(x[0].numpy(), np.ones((scale, scale), np.float32)))
        y = as_mnist(drawing(250, 300, *place, large))
        assert y.shape == (1, 28, 28) and y.dtype == torch.float32
        assert (y - x).square().sum() < 2.5  # one pixel aside, or turned, it is 5 or more


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [
        (40, 40, (20, 20)),
        (60, 30, (20, 10)),
        (30, 60, (10, 20)),
        (100, 7, (20, 1)),
        (1, 50, (1, 20)),
        (3, 5, (12, 20)),
        (20, 19, (20, 19)),
        (33, 100, (7, 20)),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_block_of_ink_is_scaled_to_20_pixels_and_keeps_its_shape_and_grey(height, width, expected, dtype):
    y = as_mnist(drawing(120, 130, 11, 17, torch.full((height, width), 0.7)).to(dtype))
    top, left, *size = box(y)
    assert tuple(size) == expected and y.shape == (1, 28, 28) and y.dtype == torch.float32
    torch.testing.assert_close(y[0, top : top + size[0], left : left + size[1]], torch.full(expected, 0.7))
    assert all(14 <= place <= 15 for place in np.round(centre_of_mass(y), 4))


@pytest.mark.parametrize(("height", "width", "size"), [(90, 63, (20, 14)), (31, 77, (8, 20)), (9, 6, (20, 13))])
def test_ink_is_scaled_as_pillow_scales_it(height, width, size):
    ink = torch.rand(height, width, generator=torch.Generator().manual_seed(0)) + 0.001
    expected = Image.fromarray(ink.numpy()).resize(size[::-1], Image.Resampling.BILINEAR)
    y = as_mnist(drawing(100, 100, 4, 15, ink))
    top, left, *found = box(y)
    assert tuple(found) == size
    torch.testing.assert_close(
        y[0, top : top + size[0], left : left + size[1]],
        torch.from_numpy(np.array(expected)).clamp(max=1),
        rtol=1e-5,
        atol=1e-5,
    )


@pytest.mark.parametrize("seed", range(10))
def test_the_centre_of_mass_comes_into_the_middle_pixel(seed):
    numbers = torch.Generator().manual_seed(seed)
    ink = torch.rand(50, 40, generator=numbers) * torch.linspace(0.3, 1.2, 50)[:, None].clamp(max=1)
    y = as_mnist(drawing(90, 80, 5, 30, ink))
    assert all(14 <= place <= 15 for place in np.round(centre_of_mass(y), 4))
    assert box(y)[2:] == (20, 16)


@pytest.mark.parametrize(
    ("rows", "columns", "corner"),
    [(slice(0, 3), slice(0, 3), (8, 8)), (slice(17, 20), slice(17, 20), (0, 0)), (slice(0, 3), slice(17, 20), (8, 0))],
    ids=["upper left", "lower right", "upper right"],
)
def test_a_centre_of_mass_near_a_corner_leaves_the_ink_within_the_image(rows, columns, corner):
    ink = torch.full((20, 20), 0.001)
    ink[rows, columns] = 1
    y = as_mnist(drawing(40, 40, 9, 3, ink))
    assert torch.equal(y, drawing(28, 28, *corner, ink)[None])


def test_a_dot_fills_the_box():
    y = as_mnist(drawing(50, 70, 49, 3, torch.full((1, 1), 0.6)))
    assert box(y)[2:] == (20, 20) and set(y.unique().tolist()) == {0.0, torch.tensor(0.6).item()}


@pytest.mark.parametrize("shape", [(1, 1), (28, 28), (112, 90), (0, 0)])
def test_an_empty_sheet_is_a_black_image(shape):
    y = as_mnist(torch.zeros(shape))
    assert torch.equal(y, torch.zeros(1, 28, 28)) and y.dtype == torch.float32


def test_the_drawing_stays_as_it_was():
    sheet = drawing(40, 40, 9, 3, torch.rand(20, 10))
    before = sheet.clone()
    as_mnist(sheet).fill_(0)
    assert torch.equal(sheet, before)


@pytest.mark.parametrize(
    "wrong",
    [torch.zeros(28, 28, dtype=torch.uint8), torch.zeros(28, 28).long(), torch.zeros(1, 28, 28), torch.zeros(784)],
    ids=["bytes", "integers", "a channel", "flat"],
)
def test_what_is_no_drawing_is_named(wrong):
    with pytest.raises(ValueError, match=rf"float tensor \(H, W\); got {wrong.dtype} of shape") as caught:
        as_mnist(wrong)
    assert str(caught.value).endswith(f"of shape {tuple(wrong.shape)}.")


@pytest.mark.parametrize("width", [5, 9])
def test_a_straight_stroke_is_a_bar(width):
    half = width // 2
    bar = torch.ones(width, 71)
    assert torch.equal(from_strokes([(20, 50), (90, 50)], width=width), as_mnist(drawing(112, 112, 50 - half, 20, bar)))
    assert torch.equal(
        from_strokes([(30, 10), (30, 80)], width=width), as_mnist(drawing(112, 112, 10, 30 - half, bar.T))
    )


def test_what_leaves_the_pad_of_112_pixels_is_cut():
    assert torch.equal(from_strokes([(20, 50), (150, 50)]), as_mnist(drawing(112, 112, 46, 20, torch.ones(9, 92))))
    assert torch.equal(from_strokes([(30, -20), (30, 150)]), as_mnist(drawing(112, 112, 0, 26, torch.ones(112, 9))))
    assert torch.equal(
        from_strokes([(20, 50), (30, 50)], [(20, 109), (30, 109)]),
        as_mnist(sum(drawing(112, 112, top, 20, torch.ones(rows, 11)) for top, rows in ((46, 9), (105, 7)))),
    )


def test_strokes_are_nine_pixels_wide_unless_told():
    assert torch.equal(from_strokes([(20, 50), (90, 50)]), from_strokes([(20, 50), (90, 50)], width=9))


def test_strokes_are_points_right_and_down_joined_in_order():
    y = from_strokes([(30, 20), (30, 90), (80, 90)])[0]  # an L
    top, left, height, width = box(y[None])
    middle = y[top : top + height // 2, left + width // 2 :]
    assert y[top : top + height, left].mean() > 0.8 and y[top + height - 1, left : left + width].mean() > 0.8
    assert middle.sum() == 0 and height == 20 > width


def test_several_strokes_add_their_ink():
    one, other = [(20, 20), (90, 20)], [(20, 90), (90, 90)]
    both = from_strokes(one, other)
    sheet = torch.zeros(112, 112)
    sheet[16:25, 20:91] = sheet[86:95, 20:91] = 1
    assert torch.equal(both, as_mnist(sheet)) and torch.equal(both, from_strokes(other, one))


def test_no_stroke_is_a_black_image():
    assert torch.equal(from_strokes(), torch.zeros(1, 28, 28))
