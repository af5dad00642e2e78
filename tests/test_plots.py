"""The plots: what stands where, how lines differ, and how a figure is shown."""

import io
import itertools

import IPython.display
import matplotlib
import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.offsetbox import AnnotationBbox
from PIL import Image

from aetutor import plots
from aetutor.training import History

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def no_figure_stays():
    yield
    plt.close("all")


def images(count, channels=1, height=3, width=4):
    """Every pixel of every image has a value of its own."""
    total = count * channels * height * width
    return (torch.arange(total, dtype=torch.float64).view(count, channels, height, width) + 1) / (total + 2)


# --- tile ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "columns", "rows"), [(1, 1, 1), (6, 3, 2), (5, 3, 2), (2, 4, 1), (4, 1, 4)])
@pytest.mark.parametrize("channels", [1, 3])
def test_each_image_stands_in_its_place_and_the_rest_is_white(count, columns, rows, channels):
    x = images(count, channels)
    picture, gap = plots.tile(x, columns), plots.GAP
    expected = np.ones((rows * (3 + gap) - gap, columns * (4 + gap) - gap, channels), np.float32)
    for i, image in enumerate(x.numpy()):
        top, left = (i // columns) * (3 + gap), (i % columns) * (4 + gap)
        expected[top : top + 3, left : left + 4] = image.transpose(1, 2, 0)
    assert np.array_equal(picture, expected[..., 0] if channels == 1 else expected)


def test_tile_leaves_no_value_outside_the_unit_interval():
    assert plots.tile(torch.tensor([-1.0, 0.5, 2.0]).view(3, 1, 1, 1), 3)[0, ::3].tolist() == [0.0, 0.5, 1.0]


def test_tile_takes_images_that_carry_a_gradient():
    assert plots.tile(images(2).requires_grad_(), 2).shape == (3, 10)


# --- pictures --------------------------------------------------------------------------------------------------------


def test_image_grid_draws_the_tiles_in_grey_from_black_to_white():
    ax = plots.image_grid(images(6), columns=3)
    (drawn,) = ax.get_images()
    assert isinstance(ax, Axes) and np.array_equal(drawn.get_array(), plots.tile(images(6), 3))
    assert drawn.get_clim() == (0, 1) and drawn.get_cmap().name == "gray" and not ax.axison


def test_image_grid_draws_where_it_is_told():
    ax = plt.subplots()[1]
    assert plots.image_grid(images(2), ax=ax) is ax


def test_image_rows_puts_each_label_beside_its_row():
    x, x_hat = images(3), 1 - images(3)
    ax = plots.image_rows({"original": x, "copy": x_hat})
    picture = ax.get_images()[0].get_array()
    assert np.array_equal(picture, plots.tile(torch.cat([x, x_hat]), 3))
    assert [label.get_text() for label in ax.get_yticklabels()] == ["original", "copy"]
    for tick, row in zip(ax.get_yticks(), (x, x_hat), strict=True):
        assert picture[int(tick), 0] == pytest.approx(row[0, 0, 1, 0].item())


def test_image_rows_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="same"):
        plots.image_rows({"original": images(3), "copy": images(2)})


def test_image_rows_writes_heads_above_columns_and_frames_the_images_it_is_told():
    x, marks = images(3), torch.tensor([True, False, True])
    ax = plots.image_rows({"a": x, "b": x}, heads=["one", "two", "three"], framed={"b": marks})
    assert [label.get_text() for label in ax.get_xticklabels()] == ["one", "two", "three"]
    assert ax.get_xticks().tolist() == [2, 2 + 6, 2 + 12]  # images 4 wide, gaps of 2
    assert all(tick.label2.get_visible() and not tick.label1.get_visible() for tick in ax.xaxis.get_major_ticks())
    for frame, column in zip(ax.patches, (0, 2), strict=True):
        (left, top), (right, bottom) = frame.get_bbox().min, frame.get_bbox().max
        # pixel i goes from i - 0.5 to i + 0.5; the second row's pixels are 5 to 7
        assert column * 6 - 2 < left < column * 6 - 0.5 and column * 6 + 3.5 < right < column * 6 + 5
        assert 3 <= top < 4.5 and 7.5 < bottom <= 9 and not frame.get_fill()


def test_image_rows_writes_beneath_the_images_it_is_told():
    x = images(3, height=28, width=28)
    beneath = {"copy": [9.7, "10.6", 8]}
    ax = plots.image_rows({"original": x, "copy": x, "again": x}, beneath=beneath, framed={"again": [0, 0, 1]})
    picture, step = ax.get_images()[0].get_array(), 28 + plots.TEXT_LINE + plots.GAP
    for row, column in itertools.product(range(3), range(3)):
        drawn = picture[step * row : step * row + 28, 30 * column : 30 * column + 28]
        assert np.array_equal(drawn, x[column, 0].float())
        assert (picture[step * row + 28 : step * (row + 1), :] == 1).all()  # room for the text, white
    assert [text.get_text() for text in ax.texts] == ["9.7", "10.6", "8"]
    plots._finish(ax.figure)
    ax.figure.draw_without_rendering()
    for column, text in enumerate(ax.texts):
        box = ax.transData.inverted().transform(text.get_window_extent())
        (left, low), (right, high) = box  # rows count downwards
        assert (left + right) / 2 == pytest.approx(30 * column + 13.5, abs=0.5)
        assert step + 27.5 <= high < low <= 2 * step - 0.5  # between its image and the next row's
    assert [int(tick) for tick in ax.get_yticks()] == [14, step + 14, 2 * step + 14]
    (frame,) = ax.patches
    assert 2 * step - 2 < frame.get_y() < 2 * step and 28 < frame.get_height() < 32


def test_bytes_keep_their_greys_above_a_text_and_beside_floats():
    x = torch.full((2, 1, 5, 5), 51, dtype=torch.uint8)
    ax = plots.image_rows({"bytes": x, "floats": x / 255}, beneath={"floats": [1, 2]})
    picture, step = ax.get_images()[0].get_array(), 5 + plots.TEXT_LINE + plots.GAP
    assert np.allclose(picture[:5, :5], 0.2) and np.allclose(picture[step : step + 5, :5], 0.2)
    assert (picture[5:step] == 1).all()


def test_signed_rows_are_white_at_0_red_above_blue_below_and_each_image_is_scaled_for_itself():
    x = torch.tensor([[0.0, 4.0, -4.0, 2.0], [0.0, -0.1, 0.05, 0.1]], dtype=torch.float64).view(2, 1, 1, 4)
    ax = plots.signed_rows({"first": x.requires_grad_(), "second": 0 * x})
    picture = np.asarray(ax.get_images()[0].get_array())
    assert [label.get_text() for label in ax.get_yticklabels()] == ["first", "second"]
    assert (picture[:, 4:6] == 1).all() and (picture[1:] == 1).all()  # the gaps, and images of zeros
    first, second = picture[0, :4], picture[0, 6:]
    assert (first[0] == 1).all() and np.array_equal(first[1], second[3]) and np.array_equal(first[2], second[1])
    red, blue = first[1], first[2]
    assert red[0] > 2 * red[2] and blue[2] > 2 * blue[0] and blue.sum() < red.sum()  # in grey, blue is the darker
    np.testing.assert_allclose(first[3], (1 + red) / 2, atol=0.01)


# --- curves ----------------------------------------------------------------------------------------------------------


def test_lines_differ_in_dash_and_colour():
    ax = plots.curves([1, 2], {str(i): [i, i + 1] for i in range(len(plots.STYLES))}, "x", "y")
    lines = ax.get_lines()
    # get_linestyle answers "--" for every dash of one's own: compare what is drawn
    assert len({str(line._unscaled_dash_pattern) for line in lines}) == len({line.get_color() for line in lines}) == 6


def test_curves_draw_the_numbers_and_name_the_axes():
    ax = plots.curves(
        torch.tensor([1.0, 2.0]),
        {"a": torch.tensor([3.0, 4.0], requires_grad=True), "b": np.ones(2)},
        "epoch",
        "loss [nats]",
    )
    first, second = ax.get_lines()
    assert isinstance(ax, Axes) and first.get_xydata().tolist() == [[1, 3], [2, 4]]
    assert second.get_xydata().tolist() == [[1, 1], [2, 1]]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "loss [nats]")


def test_markers_come_when_asked_for():
    plain, marked = (plots.curves([1, 2], {"a": [1, 2], "b": [2, 1]}, "x", "y", markers=m) for m in (False, True))
    assert {line.get_marker() for line in plain.get_lines()} == {"None"}
    assert [line.get_marker() for line in marked.get_lines()] == ["o", "s"]


def test_points_are_crosses_without_a_line():
    ax = plots.curves([1, 2], {"computed": [1, 2]}, "x", "y", points={"measured": [1.1, 1.9]})
    _, points = ax.get_lines()
    assert points.get_xydata().tolist() == [[1, 1.1], [2, 1.9]]
    assert (points.get_linestyle(), points.get_marker()) == ("None", "x")


@pytest.mark.parametrize(("validation", "labels"), [([], ["training"]), ([5.0, 4.0, 3.5], ["training", "validation"])])
def test_history_draws_the_losses_over_the_epochs(validation, labels):
    ax = plots.history(History([4.0, 3.0, 2.0], validation, [1.0, 1.0, 1.0]))
    assert [line.get_label() for line in ax.get_lines()] == labels
    assert ax.get_lines()[0].get_xydata().tolist() == [[1, 4], [2, 3], [3, 2]]
    assert ax.get_xlabel() == "epoch" and "nats" in ax.get_ylabel()
    assert all(tick == int(tick) for tick in ax.get_xticks())


def test_history_draws_where_it_is_told():
    ax = plt.subplots()[1]
    assert History([1.0], [], [1.0]).plot(ax) is ax


@pytest.mark.parametrize("count", [1, 2, 3])
def test_row_gives_axes_side_by_side_in_one_figure_no_wider_than_a_page(count):
    row = plots.row(count)
    row[0].figure.draw_without_rendering()
    boxes = [ax.get_window_extent() for ax in row]
    assert len(row) == count and len({ax.figure for ax in row}) == 1
    assert all(left.x1 <= right.x0 and left.y0 == right.y0 for left, right in itertools.pairwise(boxes))
    width, height = row[0].figure.get_size_inches()
    assert width * plots.SCREEN <= 830 and 2 < height <= 3.6
    assert count < 3 or boxes[0].height == pytest.approx(boxes[0].width, rel=0.25)  # three are nearly squares


# --- codes -----------------------------------------------------------------------------------------------------------


def test_each_code_is_a_dot_in_its_classs_colour():
    codes, labels = torch.arange(12.0).view(6, 2), torch.tensor([3, 1, 3, 7, 1, 3])
    ax = plots.code_scatter(codes, labels)
    assert isinstance(ax, Axes) and len(ax.collections) == 3
    for label, points in zip((1, 3, 7), ax.collections, strict=True):
        assert np.array_equal(points.get_offsets(), codes[labels == label])
        assert to_hex(points.get_facecolor()[0]) == plots.DIGIT_COLOURS[label].lower()
    assert len(set(plots.DIGIT_COLOURS)) == 10


def test_each_class_has_its_label_where_its_codes_are_densest():
    torch.manual_seed(0)
    centres = torch.tensor([[-2.0, 1.0], [3.0, 2.0]])
    dense = centres[:, None] + 0.1 * torch.randn(2, 60, 2)  # between these centres and (0, -5): a thin tail
    tail = centres[:, None] + torch.linspace(0.2, 1, 80)[:, None] * (torch.tensor([0.0, -5.0]) - centres[:, None])
    codes, labels = torch.cat([tail, dense], 1).flatten(0, 1), torch.tensor([4, 8]).repeat_interleave(140)
    ax = plots.code_scatter(codes, labels)
    assert [text.get_text() for text in ax.texts] == ["4", "8"]
    for text, centre, label in zip(ax.texts, centres, (4, 8), strict=True):
        assert np.linalg.norm(np.subtract(text.get_position(), centre.numpy())) < 0.2
        assert to_hex(text.get_bbox_patch().get_edgecolor()) == plots.DIGIT_COLOURS[label].lower()


def test_the_prior_is_two_circles_and_only_on_request():
    codes, labels = torch.zeros(2, 2), torch.zeros(2)
    assert not plots.code_scatter(codes, labels).patches
    ax = plots.code_scatter(codes, labels, reach=4, prior=True)
    ax.figure.draw_without_rendering()
    for circle, radius in zip(ax.patches, (1, 2), strict=True):
        outline = ax.transData.inverted().transform(circle.get_verts())
        np.testing.assert_allclose(np.linalg.norm(outline, axis=1), radius, rtol=0.01)
        assert not circle.get_fill()
    assert ax.get_aspect() == 1


def test_code_scatter_without_labels_is_grey_and_without_names_has_no_text():
    codes = torch.randn(30, 2, generator=torch.Generator().manual_seed(0))
    (dots,) = plots.code_scatter(codes, None).lines
    np.testing.assert_allclose(dots.get_xydata(), codes)
    assert dots.get_color() == plots.REFERENCE
    labels = torch.arange(30) % 3
    assert (
        len(plots.code_scatter(codes, labels).texts) == 3 and not plots.code_scatter(codes, labels, names=False).texts
    )


def test_code_scatter_has_a_title_and_a_reach_when_asked():
    codes, labels = torch.tensor([[0.5, -7.0], [9.0, 1.0]]), torch.tensor([1, 2])
    plain, told = plots.code_scatter(codes, labels), plots.code_scatter(codes, labels, title="epoch 3", reach=4)
    assert (plain.get_title(), told.get_title()) == ("", "epoch 3")
    assert plain.get_xlim()[1] > 9 and plain.get_ylim()[0] < -7
    assert (told.get_xlim(), told.get_ylim()) == ((-4, 4), (-4, 4))


@pytest.mark.parametrize("draw", [plots.code_scatter, lambda codes, labels: plots.code_map(codes, labels, 3.0, 50)])
def test_codes_of_another_size_are_refused_by_both_drawings(draw):
    for codes, labels in (
        (torch.zeros(4, 3), torch.zeros(4)),
        (torch.zeros(4, 1), torch.zeros(4)),
        (torch.zeros(4), torch.zeros(4)),
        (torch.zeros(4, 2), torch.zeros(5)),
    ):
        with pytest.raises(ValueError, match=r"two-dimensional codes \(N, 2\) and a label for each, ") as caught:
            draw(codes, labels)
        assert ("choose two dimensions, as in codes[:, :2]" in str(caught.value)) == (codes.shape == (4, 3))


def test_codes_may_be_arrays_carry_gradients_and_lie_in_lists():
    codes = torch.tensor([[0.5, -1.0], [1.0, 1.0]], requires_grad=True)
    maps = [plots.code_map(c, [1, 2], 3.0, 60) for c in (codes, codes.detach().numpy(), codes.tolist())]
    assert torch.equal(maps[0], maps[1]) and torch.equal(maps[0], maps[2])


def inked(picture):
    """Where a map (3, side, side) is not white, (side, side)."""
    return (picture.numpy() < 0.8).any(0)


@pytest.mark.parametrize(("z1", "z2"), [(0.0, 0.0), (1.5, -0.75), (-2.0, 1.0), (0.5, 2.5)])
@pytest.mark.parametrize(("reach", "side"), [(3.0, 120), (4.0, 57)])
def test_code_map_draws_a_code_where_it_lies(z1, z2, reach, side):
    picture = plots.code_map(torch.tensor([[z1, z2]], requires_grad=True), torch.tensor([0]), reach, side)
    assert picture.shape == (3, side, side) and (picture.dtype, picture.max()) == (torch.float32, 1)
    assert picture.min() >= 0
    for lines, place in zip(inked(picture).nonzero(), (-z2, z1), strict=True):
        # a label near the edge is cut off there
        middle = (lines.min() + lines.max() + 1) / 2
        assert middle == pytest.approx((1 + place / reach) / 2 * side, abs=3)


def test_code_map_has_each_classs_colour():
    for label, colour in enumerate(plots.DIGIT_COLOURS):
        picture = plots.code_map(torch.zeros(1, 2), torch.tensor([label]), 1.0, 100)
        away = (picture - torch.tensor(to_rgb(colour))[:, None, None]).abs().amax(0)
        assert (away < 0.02).sum() >= 8


def test_code_map_holds_all_codes_within_its_reach_and_no_others():
    codes, labels = torch.tensor([[-2.0, 1.0], [1.0, 2.0], [0.0, -1.0], [9.0, 0.0]]), torch.tensor([4, 7, 5, 4])
    every = inked(plots.code_map(codes, labels, 3.0, 120))
    each = [inked(plots.code_map(codes[i : i + 1], labels[i : i + 1], 3.0, 120)) for i in range(4)]
    assert all(ink.any() for ink in each[:3]) and not each[3].any()
    for z1, z2 in codes[:3].int().tolist():
        row, column = 20 * (3 - z2), 20 * (3 + z1)
        assert every[row - 3 : row + 3, column - 3 : column + 3].any()


def test_code_map_leaves_no_figure_open():
    plots.code_map(torch.zeros(1, 2), torch.tensor([1]), 3.0, 50)
    assert plt.get_fignums() == []


def test_manifold_puts_each_image_at_its_code():
    x = images(9, height=4, width=4)
    ax = plots.manifold(x, 3, (-3.0, 3.0, -1.5, 6.0))
    (drawn,) = ax.get_images()
    picture = drawn.get_array()
    assert picture.shape == (12, 12) and drawn.get_clim() == (0, 1) and drawn.origin == "upper"
    for i, image in enumerate(x[:, 0].float().numpy()):
        row, column = divmod(i, 3)
        assert np.array_equal(picture[4 * row : 4 * row + 4, 4 * column : 4 * column + 4], image)
    assert (ax.get_xlim(), ax.get_ylim()) == ((-3, 3), (-1.5, 6))  # the first row is the uppermost
    assert tuple(drawn.get_extent()) == (-3, 3, -1.5, 6) and (ax.get_xlabel(), ax.get_ylabel()) == ("$z_1$", "$z_2$")


def test_codes_may_lie_over_the_decoded_plane():
    x, codes = images(4, height=4, width=4), torch.tensor([[0.5, -1.0], [1.0, 9.0]])
    ax = plots.code_scatter(codes, [1, 2], reach=3, decoded=x)
    (drawn,) = ax.get_images()
    picture = np.asarray(drawn.get_array())
    assert tuple(drawn.get_extent()) == (-3, 3, -3, 3) and (ax.get_xlim(), ax.get_ylim()) == ((-3, 3), (-3, 3))
    assert drawn.origin == "upper" and drawn.zorder < ax.collections[0].zorder
    for i, image in enumerate(x[:, 0].float()):
        row, column = divmod(i, 2)
        part = picture[4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
        np.testing.assert_allclose(part, 1 - 0.3 * image, atol=1e-6)  # dark ink on white, and pale
    with pytest.raises(ValueError, match="reach"):
        plots.code_scatter(codes, [1, 2], decoded=x)


def test_pca_picture_joins_each_point_to_its_orthogonal_projection():
    torch.manual_seed(0)
    points, mean, direction = torch.randn(7, 2).double(), torch.tensor([1.0, -2.0]).double(), torch.tensor([3.0, 4.0])
    ax = plots.pca_picture(points, mean, direction.double())
    *segments, axis, cloud = ax.get_lines()
    assert np.array_equal(cloud.get_xydata(), points) and cloud.get_linestyle() == "None"
    unit, normal = np.array([0.6, 0.8]), np.array([-0.8, 0.6])
    for segment, point in zip(segments, points.numpy(), strict=True):
        start, foot = segment.get_xydata()
        assert np.array_equal(start, point)
        assert (foot - mean.numpy()) @ normal == pytest.approx(0) and (point - foot) @ unit == pytest.approx(0)
        ends = (axis.get_xydata() - mean.numpy()) @ unit
        assert ends.min() <= (foot - mean.numpy()) @ unit <= ends.max()
    np.testing.assert_allclose((axis.get_xydata() - mean.numpy()) @ normal, 0, atol=1e-12)
    assert ax.get_aspect() == 1  # a right angle looks like one


# --- a density and a guess -------------------------------------------------------------------------------------------

SQUARE = (-1.0, 3.0, 2.0, 4.5)
GUESS = torch.tensor([0.5, 3.6], requires_grad=True), torch.tensor([0.4, 0.25])


def log_bump(points=41):
    """Log values, z_1 along the rows, of a Gaussian bump at (2, 2.75), with standard deviations 0.3 and 0.15."""
    z1, z2 = np.linspace(*SQUARE[:2], points), np.linspace(*SQUARE[2:], points)
    return torch.from_numpy(-(((z1[:, None] - 2) / 0.3) ** 2) / 2 - ((z2 - 2.75) / 0.15) ** 2 / 2 - 2000)


def test_density_is_brightest_where_the_log_values_peak_and_as_bright_as_the_density_elsewhere():
    ax = plots.density(log_bump().requires_grad_(), SQUARE, *GUESS)
    ax.figure.canvas.draw()
    assert isinstance(ax, Axes) and (ax.get_xlim(), ax.get_ylim()) == (SQUARE[:2], SQUARE[2:])
    painted = np.asarray(ax.figure.canvas.buffer_rgba())[::-1].astype(float) / 255  # upwards, as display coordinates
    (left, bottom), (right, top) = np.ceil(ax.bbox.get_points()).astype(int) + np.array([[3], [-3]])  # less the frame
    rows, columns = np.mgrid[bottom:top, left:right].reshape(2, -1)
    colours = painted[rows, columns, :3]
    at = ax.transData.inverted().transform(np.stack([columns + 0.5, rows + 0.5], 1))
    grey = np.ptp(colours, axis=1) < 0.02  # and not the ellipses
    expected = np.exp(-(((at[:, 0] - 2) / 0.3) ** 2) / 2 - ((at[:, 1] - 2.75) / 0.15) ** 2 / 2)
    assert grey.mean() > 0.9 and colours[grey].max() == 1 and colours[grey].min() == 0
    # a cell is 0.1 wide and 0.0625 high: its shade is off by what the density changes in half of it, and a little
    assert np.abs(colours[grey, 0] - expected[grey]).max() < 0.35
    mean = (colours[grey, :1] * at[grey]).sum(0) / colours[grey, 0].sum()
    np.testing.assert_allclose(mean, [2, 2.75], atol=0.04)


def test_the_ellipses_lie_at_one_and_two_standard_deviations():
    mu, sigma = (part.detach().numpy() for part in GUESS)
    ax = plots.density(log_bump(), SQUARE, *GUESS)
    ax.figure.canvas.draw()
    assert len(ax.patches) == 2
    for times, ellipse in zip((1, 2), ax.patches, strict=True):
        outline = ax.transData.inverted().transform(ellipse.get_verts())
        np.testing.assert_allclose(np.square((outline - mu) / sigma).sum(1), times**2, rtol=0.01)
        np.testing.assert_allclose(outline.max(0) - outline.min(0), 2 * times * sigma, rtol=1e-3)
        assert not ellipse.get_fill()


def test_density_may_show_the_log_density_down_to_so_many_nats_below_the_peak():
    (shades,) = plots.density(log_bump(), SQUARE, *GUESS, nats=2.0).get_images()
    expected = np.maximum(0, 1 + (log_bump() - log_bump().max()).numpy() / 2)
    np.testing.assert_allclose(np.asarray(shades.get_array()), expected.T, atol=1e-6)


def test_density_is_drawn_where_it_is_told_and_names_its_axes():
    ax = plt.subplots()[1]
    assert plots.density(log_bump(), SQUARE, *GUESS, ax) is ax
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("$z_1$", "$z_2$")


# --- tables and fields -----------------------------------------------------------------------------------------------


def test_table_image_draws_the_table_from_white_to_its_largest_number():
    table = torch.tensor([[0.0, 0.25, 0.0], [1.0, 0.0, 0.5], [0.0, 0.75, 2.0]], requires_grad=True)
    ax = plots.table_image(table, ["a", "b", "c"], "noisy", "clean")
    (drawn,) = ax.get_images()
    assert isinstance(ax, Axes) and np.array_equal(drawn.get_array(), table.detach()) and drawn.get_clim() == (0, 2)
    shades = drawn.cmap(drawn.norm(np.array([0.0, 0.5, 2.0])))[:, :3]
    assert shades[0].tolist() == [1, 1, 1] and shades[2].max() < 0.1 and shades[0, 0] > shades[1, 0] > shades[2, 0]


def test_white_is_0_also_where_no_number_is():
    assert plots.table_image(torch.full((2, 2), 0.5), ["a", "b"], "", "").get_images()[0].get_clim() == (0, 0.5)


def test_table_image_names_rows_downwards_columns_and_axes():
    ax = plots.table_image(torch.eye(3), ["first", "second", "third"], "noisy", "clean")
    for axis in (ax.xaxis, ax.yaxis):
        assert [label.get_text() for label in axis.get_ticklabels()] == ["first", "second", "third"]
        assert axis.get_ticklocs().tolist() == [0, 1, 2]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("noisy", "clean")
    assert ax.yaxis_inverted() and not ax.xaxis_inverted() and ax.get_images()[0].origin == "upper"


def test_small_images_may_name_the_rows_and_columns_of_a_table():
    labels = torch.tensor([[[0.0, 0.0]], [[1.0, 1.0]], [[0.0, 1.0]]]).view(3, 1, 1, 2)
    ax = plots.table_image(torch.eye(3), labels, "noisy", "clean")
    assert not any(label.get_text() for label in (*ax.get_xticklabels(), *ax.get_yticklabels()))
    ax.figure.draw_without_rendering()
    boxes = [box for box in ax.artists if isinstance(box, AnnotationBbox)]
    below, beside = (sorted((box for box in boxes if box.xy[i] < 0), key=lambda b, i=i: b.xy[1 - i]) for i in (1, 0))
    table = ax.get_window_extent()
    for i, names in enumerate(zip(below, beside, labels[:, 0], strict=True)):
        *names, image = names
        for name in names:
            thumbnail = name.offsetbox.image
            inside = np.asarray(thumbnail.get_array())[1:-1, 1:-1]
            assert np.array_equal(inside, np.kron(image, np.ones((7, 7)))) and thumbnail.get_clim() == (0, 1)
        column, row = (name.get_window_extent() for name in names)
        (x, y) = ax.transData.transform((i, i))
        assert (column.x0 + column.x1) / 2 == pytest.approx(x, abs=1) and column.y1 < table.y0
        assert (row.y0 + row.y1) / 2 == pytest.approx(y, abs=1) and row.x1 < table.x0


def test_a_table_is_drawn_where_it_is_told():
    ax = plt.subplots()[1]
    assert plots.table_image(torch.eye(2), ["a", "b"], "", "", ax) is ax


@pytest.mark.parametrize("places", [[0.5, 0.5], [0.9, 0.95, 1.0], [0.1, 0.9, 0.5], [0.0, 0.01, 0.02, 0.6], [0.3]])
def test_names_are_spread_in_their_order_and_stay_below_the_top(places):
    moved = plots.spread(np.array(places), 0.13)
    order = np.argsort(places, kind="stable")
    assert (np.diff(moved[order]) >= 0.13 - 1e-5).all() and moved.max() <= 1 + 1e-9
    if len(places) == 1 or np.diff(np.sort(places)).min() >= 0.13:
        assert moved.tolist() == places


@pytest.mark.parametrize("upside_down", [False, True])
def test_an_arrow_ends_one_step_from_its_place(upside_down):
    place, step = np.array([1.0, 2.0]), np.array([4.0, -3.0])
    ax = plt.subplots()[1]
    ax.set(xlim=(-1, 9), ylim=(-3, 5), aspect="equal")
    plots._quiver(torch.tensor(place)[None], torch.tensor(step)[None], ax)
    ax.yaxis.set_inverted(upside_down)
    ax.figure.canvas.draw()
    painted = np.asarray(ax.figure.canvas.buffer_rgba()).astype(int)
    blue = (painted[..., 2] > 150) & (painted[..., 0] < 60)
    rows, columns = blue.nonzero()
    inks = ax.transData.inverted().transform(np.stack([columns + 0.5, blue.shape[0] - rows - 0.5], 1))
    along = (inks - place) @ step / 5  # the step is 5 long
    assert (along.min(), along.max()) == pytest.approx((0, 5), abs=0.15)
    assert np.abs((inks - place) @ [0.6, 0.8]).max() < 0.3


def test_score_field_is_the_log_density_with_noise_up_to_a_constant_and_arrows_of_one_length():
    torch.manual_seed(0)
    points, sigma = torch.randn(5, 2), 0.7
    places = torch.cartesian_prod(torch.linspace(-2, 2, 5), torch.linspace(-1, 3, 5))
    steps = torch.randn(25, 2)
    ax = plots.score_field(points, sigma, places, steps)
    (drawn,), (field,) = ax.get_images(), ax.collections
    assert tuple(drawn.get_extent()) == (-2, 2, -1, 3) and drawn.origin == "lower"
    x, y = np.meshgrid(np.linspace(-2, 2, 60), np.linspace(-1, 3, 60))
    gaussians = [np.exp(-((x - a) ** 2 + (y - b) ** 2) / (2 * sigma**2)) for a, b in points.tolist()]
    expected = np.log(np.mean(gaussians, 0))
    np.testing.assert_allclose(drawn.get_array(), np.maximum(expected - expected.max(), -12), atol=1e-4)
    np.testing.assert_allclose(field.XY, places)
    arrows = np.stack([field.U, field.V], 1)
    lengths = np.linalg.norm(arrows, axis=1)
    np.testing.assert_allclose(arrows / lengths[:, None], torch.nn.functional.normalize(steps), atol=1e-5)
    np.testing.assert_allclose(lengths, lengths[0], rtol=1e-5)
    assert 0.5 < lengths[0] < 1  # the places are 1 apart
    assert ax.get_aspect() == 1


def test_score_field_draws_the_steps_themselves_when_asked():
    places = torch.tensor([[-1.0, -1.0], [1.0, 1.0]])
    (field,) = plots.score_field(places, 1.0, places, 3 * places, unit=False).collections
    assert np.array_equal(np.stack([field.U, field.V], 1), 3 * places)


@pytest.mark.parametrize("parts", [(-75.3, 25.4, 4.2), (-75.3, 25.4, 0.1), (30.0, 12.5, 20.0)])
def test_the_steps_of_the_evidence_bar_add_up(parts):
    reconstruction, KL, gap = parts
    ax = plots.evidence_bar(*parts)
    ends = [sorted((0, reconstruction)), [reconstruction - KL, reconstruction], None]
    ends[2] = [reconstruction - KL, reconstruction - KL + gap]
    assert ax.get_xlim()[0] < min(map(min, ends)) and ax.get_xlim()[1] > max(map(max, ends))  # no bar is cut off
    for bar, end in zip(ax.patches, ends, strict=True):
        assert sorted((bar.get_bbox().x0, bar.get_bbox().x1)) == pytest.approx(end)
    rows = [bar.get_y() for bar in ax.patches]
    assert rows == sorted(rows, reverse=True)
    signed = [f"{number:+.1f}".replace("-", "−") for number in (reconstruction, -KL, gap)]
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names == [f"reconstruction: {signed[0]}", f"− KL: {signed[1]}", f"+ gap: {signed[2]}"]
    assert [line.get_xdata()[0] for line in ax.get_lines()] == pytest.approx(ends[2])
    for text, name, value in zip(ax.texts, ("ELBO", "$\\log p(x)$"), ends[2], strict=True):
        assert text.get_text() == f"{name} = {value:.1f}".replace("-", "−")
    plots._finish(ax.figure)
    ax.figure.draw_without_rendering()
    left, right = (text.get_window_extent() for text in ax.texts)
    assert left.x1 < right.x0 and left.x0 > ax.get_window_extent().x0


# --- show ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def shown(monkeypatch):
    calls = []
    monkeypatch.setattr(IPython.display, "display", lambda *args, **kwargs: calls.append((args, kwargs)))
    return calls


@pytest.mark.parametrize("what", [lambda ax: ax, lambda ax: ax.figure], ids=["Axes", "Figure"])
def test_show_gives_a_png_with_alternative_text_and_a_caption(shown, what):
    ax = plots.curves([1, 2], {"a": [1, 2]}, "x", "y")
    plots.show(what(ax), "The loss falls.", "A line that falls from 2 to 1.")
    ((picture,), options), ((caption,), _) = shown
    with Image.open(io.BytesIO(picture["image/png"])) as image:
        width = image.width // 2
        assert image.format == "PNG" and image.convert("RGB").getpixel((0, 0)) == (255, 255, 255)
    assert width == pytest.approx(plots.MIDDLE * plots.SCREEN, rel=0.05)
    metadata = {"image/png": {"alt": "A line that falls from 2 to 1.", "width": width}}
    assert options == {"raw": True, "metadata": metadata}
    assert picture.keys() == {"image/png", "text/plain"}
    assert picture["text/plain"] == "Figure: A line that falls from 2 to 1."
    assert caption.data.startswith("*The loss falls.*\n\n<details><summary>Description</summary>\n\nA line that falls")


def test_show_closes_no_other_figure(shown):
    other = plt.figure()
    plots.show(plots.image_grid(images(2, height=40, width=40), columns=2), "", "")
    assert plt.get_fignums() == [other.number]


def labels_in(ax):
    """The labels that `show` writes at the ends of lines: name -> text, with the figure laid out."""
    plots._finish(ax.figure)
    ax.figure.draw_without_rendering()
    return {text.get_text(): text for text in ax.texts}


def pixel_height(text):
    box = text.get_window_extent()
    return (box.y0 + box.y1) / 2


@pytest.mark.parametrize("scale", ["linear", "log"])
@pytest.mark.parametrize("upside_down", [False, True])
def test_a_lines_name_stands_to_the_right_of_its_end_in_its_colour(scale, upside_down):
    ax = plots.curves([1, 5, 10], {"up": [1, 10, 1000], "down": [900, 40, 4]}, "x", "y", points={"cross": [1, 1, 90]})
    ax.set(xscale=scale, yscale=scale)
    ax.set_ylim(*((2000, 0.5) if upside_down else (0.5, 2000)))
    labels = labels_in(ax)
    assert list(labels) == ["up", "down", "× cross"]
    if scale == "log":  # on the linear scale the two low ones are pushed apart
        for name, end in (("up", 1000), ("down", 4), ("× cross", 90)):
            assert pixel_height(labels[name]) == pytest.approx(ax.transData.transform((10, end))[1], abs=2)
    assert pixel_height(labels["up"]) == pytest.approx(ax.transData.transform((10, 1000))[1], abs=2)
    for line, text in zip(ax.get_lines(), labels.values(), strict=True):
        hue, ink = to_rgb(line.get_color()), to_rgb(text.get_color())
        np.testing.assert_allclose(np.divide(ink, max(ink) or 1), np.divide(hue, max(hue) or 1), atol=1e-6)
        assert text.get_window_extent().x0 > ax.get_window_extent().x1


def test_a_line_that_leaves_the_picture_is_named_where_it_leaves():
    ax = plots.curves([10, 0, 5], {"rising": [10, 0, 5], "flat": [1, 1, 1], "short": [np.nan, 3, 6]}, "x", "y")
    ax.set(xlim=(0, 7.5), ylim=(0, 9))
    labels = labels_in(ax)
    for name, height in (("rising", 7.5), ("flat", 1), ("short", 6)):
        assert pixel_height(labels[name]) == pytest.approx(ax.transData.transform((0, height))[1], abs=2)


@pytest.mark.parametrize(
    "ends", [[5.0] * 6, [1, 1.01, 1.02, 1.03, 3, 3.01], [0, 0, 0, 9, 9, 9], [3, 2.9, 3.05, 0, 9, 9]]
)
@pytest.mark.parametrize("panels", [1, 3])
def test_names_of_lines_that_end_together_do_not_overlap_and_keep_their_order(ends, panels):
    ax = plots.row(panels)[0]
    plots.curves([0, 1], {f"line {i}": [5 - i, end] for i, end in enumerate(ends)}, "x", "y", ax)
    labels = list(labels_in(ax).values())
    by_end = [labels[i] for i in np.argsort(ends, kind="stable")]
    for lower, upper in itertools.pairwise(by_end):
        assert lower.get_window_extent().y1 <= upper.get_window_extent().y0 + 1


def lightness(colour):
    """CIE L*, 0 to 100, of a colour: what is left of it in greyscale, and to the colour-blind."""
    luminance = relative_luminance(colour)
    return 116 * luminance ** (1 / 3) - 16 if luminance > 216 / 24389 else luminance * 24389 / 27


def relative_luminance(colour):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_roles_have_colours_that_differ_in_lightness():
    roles = [plots.DATA, plots.ENCODER, plots.CODE, plots.DECODER, plots.TRUTH]
    steps = np.diff(sorted(lightness(colour) for colour in roles))
    assert steps.min() > 8


def test_names_of_lines_can_be_read_on_white_whatever_the_lines_colour():
    ys = {str(i): [i, i] for i in range(len(plots.STYLES))}
    names = labels_in(plots.curves([0, 1], ys, "x", "y", colours={"0": plots.CODE}))
    for name, text in names.items():
        assert 1.05 / (relative_luminance(text.get_color()) + 0.05) >= 4.5, name


@pytest.mark.parametrize("ends", [[0.0, 0.1, 0.2, 9.0], [1.0, 9.8, 9.9, 10.0]])
def test_names_of_lines_stay_beside_the_picture(ends):
    ax = plots.curves([0, 1], {f"line {i}": [5, end] for i, end in enumerate(ends)}, "x", "y")
    ax.set_ylim(0, 10)
    labels, box = list(labels_in(ax).values()), ax.get_window_extent()
    assert all(box.y0 - 1 <= pixel_height(text) <= box.y1 + 1 for text in labels)
    for lower, upper in itertools.pairwise(labels):
        assert lower.get_window_extent().y1 <= upper.get_window_extent().y0 + 1


def test_curves_take_colours_of_roles_levels_and_marks():
    ax = plots.curves(
        [1, 2, 4],
        {"a": [30, 20, 19], "b": [29, 21, 20]},
        "epoch",
        "loss",
        colours={"b": plots.DECODER},
        levels={"floor": 12},
        marks={"trained here": 3},
    )
    labels = labels_in(ax)
    first, second, floor, mark = ax.get_lines()
    assert (first.get_color(), second.get_color()) == (plots.STYLES[0][0], plots.DECODER)
    assert list(floor.get_ydata()) == [12, 12] and list(mark.get_xdata()) == [3, 3]
    left, right = (ax.transData.inverted().transform(ends)[0] for ends in ax.get_window_extent().get_points())
    assert ax.get_ylim()[0] < 12 and (left, right) == pytest.approx(ax.get_xlim())
    for line, across in ((floor, 0), (mark, 1)):  # from edge to edge
        path = line.get_transform().transform(line.get_xydata())[:, across]
        assert path == pytest.approx(ax.get_window_extent().get_points()[:, across])
    assert list(labels) == ["trained here", "a", "b", "floor"]
    assert pixel_height(labels["floor"]) == pytest.approx(ax.transData.transform((0, 12))[1], abs=2)
    above = labels["trained here"].get_window_extent()
    assert (above.x0 + above.x1) / 2 == pytest.approx(ax.transData.transform((3, 0))[0], abs=1)
    assert above.y0 >= ax.get_window_extent().y1 - 1


def test_one_line_and_its_floor_are_both_named_and_the_floor_is_not_the_frame():
    ax = plots.curves([1, 2], {"a": [2, 1]}, "x", "y", levels={"floor": 0.955})  # below the line, but in its margin
    assert list(labels_in(ax)) == ["a", "floor"]
    assert ax.transAxes.inverted().transform(ax.transData.transform((1, 0.955)))[1] > 0.04


def test_one_line_needs_no_name():
    assert labels_in(plots.curves([1], {"a": [1]}, "x", "y")) == {}


def test_all_texts_have_one_size():
    ax = plots.image_rows({"a": images(2, height=40, width=40)})
    ax.set_title("A title", fontsize=20)
    ax.text(0, 0, "words", fontsize=4)
    labels_in(ax)
    assert {ax.title.get_fontsize(), ax.texts[0].get_fontsize()} == {plots.TEXT}


def texts_that_are_seen(figure):
    """All texts of a figure as `show` displays it: those on an axis only within its limits."""
    plots._finish(figure)
    figure.draw_without_rendering()
    for ax in figure.axes:
        yield from (text for text in (ax.title, *ax.texts) if text.get_text())
        for axis, (low, high) in ((ax.xaxis, sorted(ax.get_xlim())), (ax.yaxis, sorted(ax.get_ylim()))):
            yield axis.label
            for tick in axis.get_major_ticks():
                if low <= tick.get_loc() <= high:
                    yield from (text for text in (tick.label1, tick.label2) if text.get_visible())


def panels(count):
    axes = plots.row(count)
    for ax in axes:
        ends = {"autoencoder": 2.0, "DAE": 1.9, "median filter": 1.95, "shift": 1.0}
        plots.curves([0, 1], {name: [8, end] for name, end in ends.items()}, "level", "PSNR [dB]", ax)
        ax.set_title("masking")
    return axes[0]


DIGITS = images(12, height=28, width=28)
FIGURES = {
    "curves": lambda: plots.curves([1, 20], {"a": [9, 1], "b": [8, 1]}, "epoch", "loss", levels={"floor": 0.9}),
    "marked": lambda: plots.curves([1, 20], {"a": [9, 1]}, "epoch", "loss", marks={"here": 3, "there": 9}),
    "two panels": lambda: panels(2),
    "three panels": lambda: panels(3),
    "rows": lambda: plots.image_rows(
        {"original": DIGITS, "the nearest of all": DIGITS},
        heads=[f"{i} of {i}" for i in range(12)],
        beneath={"original": ["100.5"] * 12, "the nearest of all": ["100.5"] * 12},
    ),
    "codes": lambda: plots.code_scatter(torch.eye(2), [1, 2], title="epoch 1", reach=2, prior=True),
    "bar": lambda: plots.evidence_bar(-75.3, 25.4, 4.2),
    "table": lambda: plots.table_image(torch.rand(16, 16), [f"{i:04b}" for i in range(16)], "noisy", "clean"),
}


@pytest.mark.parametrize("name", list(FIGURES))
def test_no_two_texts_of_a_figure_overlap(name):
    figure = FIGURES[name]().figure
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts_that_are_seen(figure) if text.get_text()]
    assert len(boxes) > 4
    for (first, box), (second, other) in itertools.combinations(boxes, 2):
        assert not box.shrunk(0.98, 0.8).overlaps(other.shrunk(0.98, 0.8)), (first, second)  # boxes have some air


@pytest.mark.parametrize("draw", [*FIGURES.values(), lambda: plots.image_grid(DIGITS.repeat(3, 1, 1, 1), 36)])
def test_a_figure_is_shown_no_wider_than_a_page_and_at_double_resolution(shown, draw):
    plots.show(draw(), "", "alt")
    ((picture,), options), _ = shown
    width = options["metadata"]["image/png"]["width"]
    assert width <= 770  # pixels of the screen: what a page of a book has for a figure
    with Image.open(io.BytesIO(picture["image/png"])) as image:
        assert abs(image.width - 2 * width) <= 1
    assert len(picture["image/png"]) < 150_000  # fifteen of them leave a notebook small


def coloured_axes(colours):
    """Axes in figures of their own: the colours differ by much, so that no frame can pass for another."""
    axes = [plt.subplots(figsize=(2, 1.5))[1] for _ in colours]
    for ax, colour in zip(axes, colours, strict=True):
        ax.set_facecolor(colour)
        ax.plot([0, 1], [0, 1], color="black")
    return axes


def frames_of(png):
    """The pictures of an animated PNG and how long each is shown, in milliseconds."""
    with Image.open(io.BytesIO(png)) as image:
        assert image.format == "PNG"
        frames = []
        for i in range(image.n_frames):
            image.seek(i)
            frames.append((np.asarray(image.convert("RGB")).astype(int), image.info.get("duration")))
        return frames


def drawn(ax):
    """The figure's pixels at the screen's resolution."""
    png = io.BytesIO()
    plots._finish(ax.figure)
    ax.figure.savefig(png, dpi=plots.SCREEN, facecolor="white")
    with Image.open(png) as image:
        return np.asarray(image.convert("RGB")).astype(int)


@pytest.mark.parametrize("seconds", [{}, {"seconds": 0.5}])
def test_an_animation_shows_one_figure_after_the_other_and_the_last_for_longer(shown, seconds):
    axes = coloured_axes(["red", "lime", "blue"])
    expected = [drawn(ax) for ax in axes]
    plots.show_animation(axes, "Colours.", "Three colours.", **seconds)
    frames = frames_of(shown[0][0][0]["image/png"])
    length = 1000 * seconds.get("seconds", 0.8)
    assert [duration for _, duration in frames] == [length, length, 3 * length]
    for (frame, _), figure in zip(frames, expected, strict=True):
        assert frame.shape == figure.shape and np.abs(frame - figure).mean() < 2  # a palette's colours are near enough


def test_an_animation_runs_endlessly_and_its_first_figure_stands_where_none_runs(shown):
    axes = coloured_axes(["red", "blue"])
    expected = drawn(axes[0])
    plots.show_animation(axes, "Colours.", "Two colours.")
    png = shown[0][0][0]["image/png"]
    with Image.open(io.BytesIO(png)) as image:
        assert image.is_animated and image.info["loop"] == 0 and not image.info.get("default_image")
        assert np.abs(np.asarray(image.convert("RGB")).astype(int) - expected).mean() < 2
    # the chunk with the still picture, IDAT, comes after the first frame's control, and so is itself that frame
    assert 0 < png.index(b"acTL") < png.index(b"fcTL") < png.index(b"IDAT") < png.index(b"fdAT")


def test_an_animation_has_alternative_text_and_a_caption(shown):
    plots.show_animation(coloured_axes(["red", "blue"]), "From red to blue.", "A red figure; then a blue one.")
    ((picture,), options), ((caption,), _) = shown
    metadata = {"image/png": {"alt": "A red figure; then a blue one.", "width": 2 * plots.SCREEN}}  # 2 inches
    assert options == {"raw": True, "metadata": metadata}
    assert picture.keys() == {"image/png", "text/plain"}
    assert picture["text/plain"] == "Figure: A red figure; then a blue one."
    assert caption.data == (
        "*From red to blue.*\n\n<details><summary>Description</summary>\n\nA red figure; then a blue one.\n\n</details>"
    )


def test_an_animation_closes_its_own_figures(shown):
    other = plt.figure()
    plots.show_animation(coloured_axes(["red", "blue"]), "", "")
    assert plt.get_fignums() == [other.number]


def test_an_animation_of_one_figure_is_a_picture(shown):
    (ax,) = coloured_axes(["red"])
    expected = drawn(ax)
    plots.show_animation([ax], "", "")
    ((frame, _),) = frames_of(shown[0][0][0]["image/png"])
    assert np.abs(frame - expected).mean() < 2


def test_a_grid_shows_its_pixels(shown):
    black_and_white = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1).expand(2, 1, 20, 20)
    plots.show(plots.image_grid(black_and_white, columns=2), "", "")
    with Image.open(io.BytesIO(shown[0][0][0]["image/png"])) as image:
        grey = np.asarray(image.convert("L"))
    middle = grey[grey.shape[0] // 2]
    assert middle[len(middle) // 4] == 0 and middle[3 * len(middle) // 4] == 255


def test_grey_pictures_lose_nothing_and_coloured_ones_little():
    torch.manual_seed(0)
    grey = torch.randint(256, (64, 64, 1), dtype=torch.uint8).expand(64, 64, 3).numpy()
    for picture, mode, allowed in ((grey, "L", 0), (grey * np.uint8([1, 0, 0]), "P", 0)):
        png = io.BytesIO()
        Image.fromarray(picture).save(png, "png")
        with Image.open(plots._few_colours(png)) as small:
            assert small.mode == mode
            assert np.abs(np.asarray(small.convert("RGB")).astype(int) - picture).max() <= allowed


def test_a_coloured_picture_keeps_its_colours():
    ramp = np.stack([*np.meshgrid(np.arange(0, 256, 4), np.arange(0, 256, 4)), np.full((64, 64), 90)], -1)
    png = io.BytesIO()
    Image.fromarray(ramp.astype(np.uint8)).save(png, "png")
    with Image.open(plots._few_colours(png)) as small:
        away = np.abs(np.asarray(small.convert("RGB")).astype(int) - ramp)
        assert len(small.getcolors()) <= 256 and away.mean() < 5 and away.max() < 25


def test_bytes_are_shown_as_the_greys_they_are():
    greys = torch.arange(0, 250, 10, dtype=torch.uint8).view(1, 1, 5, 5)
    assert np.array_equal(plots.tile(greys, 1), plots.tile(greys.float() / 255, 1))


@pytest.mark.parametrize(
    "wrong",
    [torch.rand(3, 5, 5), torch.rand(2, 2, 5, 5), torch.rand(0, 1, 5, 5), np.ones((2, 1, 5, 5))],
    ids=["no channel", "two channels", "none", "array"],
)
def test_what_is_no_image_is_named(wrong):
    with pytest.raises(ValueError, match=r"\(N, 1, H, W\) or \(N, 3, H, W\), N at least 1; got \("):
        plots.image_grid(wrong)
