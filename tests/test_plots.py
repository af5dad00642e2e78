"""The plots: what stands where, how lines differ, and how a figure is shown."""

import io

import IPython.display
import matplotlib
import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
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


def test_autoencoder_picture_shows_image_code_and_copy():
    x, x_hat, z = images(1)[0], 1 - images(1)[0], torch.tensor([-2.0, 1.0, 0.5])
    ax = plots.autoencoder_picture(x, z, x_hat)
    left, right, code = ax.get_images()
    assert np.array_equal(left.get_array(), x[0].float()) and np.array_equal(right.get_array(), x_hat[0].float())
    assert left.get_extent()[1] <= code.get_extent()[0] < code.get_extent()[1] <= right.get_extent()[0]
    assert code.get_array().tolist() == [[-2.0, 1.0, 0.5]] and code.get_clim() == (-2, 2)
    words = " ".join(text.get_text() for text in ax.texts)
    assert all(word in words for word in ("image", "encoder", "3 numbers", "decoder", "reconstruction"))


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
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b"]


def test_one_line_needs_no_legend():
    assert plots.curves([1], {"a": [1]}, "x", "y").get_legend() is None


def test_markers_come_when_asked_for():
    plain, marked = (plots.curves([1, 2], {"a": [1, 2], "b": [2, 1]}, "x", "y", markers=m) for m in (False, True))
    assert {line.get_marker() for line in plain.get_lines()} == {"None"}
    assert [line.get_marker() for line in marked.get_lines()] == ["o", "s"]


def test_points_are_crosses_without_a_line():
    ax = plots.curves([1, 2], {"computed": [1, 2]}, "x", "y", points={"measured": [1.1, 1.9]})
    _, points = ax.get_lines()
    assert points.get_xydata().tolist() == [[1, 1.1], [2, 1.9]]
    assert (points.get_linestyle(), points.get_marker()) == ("None", "x")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["computed", "measured"]


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


def test_row_gives_axes_side_by_side_in_one_figure():
    row = plots.row(3)
    row[0].figure.draw_without_rendering()
    assert len(row) == 3 and len({ax.figure for ax in row}) == 1
    assert sorted(row, key=lambda ax: ax.get_position().x0) == row


def test_row_of_one_is_a_list_too():
    assert len(plots.row(1)) == 1


# --- codes -----------------------------------------------------------------------------------------------------------


def test_each_code_is_drawn_as_its_own_digit():
    codes, labels = torch.arange(12.0).view(6, 2), torch.tensor([3, 1, 3, 7, 1, 3])
    ax = plots.code_scatter(codes, labels)
    assert isinstance(ax, Axes) and len(ax.collections) == 3
    for label, points in zip((1, 3, 7), ax.collections, strict=True):
        assert np.array_equal(points.get_offsets(), codes[labels == label])
        assert to_hex(points.get_facecolor()[0]) == plots.DIGIT_COLOURS[label].lower()


def test_digits_have_shapes_and_colours_of_their_own():
    ax = plots.code_scatter(torch.zeros(10, 2), torch.arange(10))
    outlines = {points.get_paths()[0].vertices.tobytes() for points in ax.collections}
    assert len(outlines) == len(set(plots.DIGIT_COLOURS)) == 10


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
        assert (lines.min() + lines.max() + 1) / 2 == pytest.approx((1 + place / reach) / 2 * side, abs=1.5)


def test_code_map_draws_each_digit_in_its_own_shape_and_colour():
    maps = [plots.code_map(torch.zeros(1, 2), torch.tensor([label]), 1.0, 100) for label in range(10)]
    assert len({inked(picture).tobytes() for picture in maps}) == 10
    for picture, colour in zip(maps, plots.DIGIT_COLOURS, strict=True):
        absorbed = 1 - picture.numpy()[:, inked(picture)].min(1)  # the ink's, where the digit covers a whole pixel
        taken = 1 - np.array(to_rgb(colour))
        np.testing.assert_allclose(absorbed / absorbed.max(), taken / taken.max(), atol=0.02)


def test_code_map_holds_all_codes_within_its_reach_and_no_others():
    codes, labels = torch.tensor([[-2.0, 1.0], [1.0, 2.0], [0.0, -1.0], [9.0, 0.0]]), torch.tensor([4, 7, 4, 4])
    every = inked(plots.code_map(codes, labels, 3.0, 120))
    each = [inked(plots.code_map(codes[i : i + 1], labels[i : i + 1], 3.0, 120)) for i in range(4)]
    assert all(ink.any() for ink in each[:3]) and not each[3].any()
    assert np.array_equal(every, each[0] | each[1] | each[2])


def test_code_map_leaves_no_figure_open():
    plots.code_map(torch.zeros(1, 2), torch.tensor([1]), 3.0, 50)
    assert plt.get_fignums() == []


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


@pytest.mark.parametrize(
    "draw",
    [
        lambda ax: plots.table_image(torch.eye(2), ["a", "b"], "", "", ax),
        lambda ax: plots.arrows(*torch.ones(3, 2, 2), ax),
    ],
    ids=["table_image", "arrows"],
)
def test_tables_and_fields_are_drawn_where_they_are_told(draw):
    ax = plt.subplots()[1]
    assert draw(ax) is ax


def test_arrows_stand_at_their_places_over_the_points():
    points, places = torch.arange(6.0).view(3, 2), torch.tensor([[0.0, 1.0], [2.0, 5.0]], requires_grad=True)
    steps = torch.tensor([[0.5, -1.0], [0.25, 2.0]])
    ax = plots.arrows(points, places, steps)
    (line,), (field,) = ax.get_lines(), ax.collections
    assert isinstance(ax, Axes) and line.get_xydata().tolist() == points.tolist()
    assert (line.get_linestyle(), line.get_marker()) == ("None", ".")
    assert np.array_equal(field.XY, places.detach())
    assert np.array_equal(np.stack([field.U, field.V], 1), steps)
    assert ax.get_aspect() == 1


@pytest.mark.parametrize("upside_down", [False, True])
def test_an_arrow_ends_one_step_from_its_place(upside_down):
    place, step = np.array([1.0, 2.0]), np.array([4.0, -3.0])
    ax = plots.arrows(torch.tensor([[0.0, -2.0], [8.0, 4.0]]), torch.tensor(place)[None], torch.tensor(step)[None])
    ax.yaxis.set_inverted(upside_down)
    ax.figure.canvas.draw()
    painted = np.asarray(ax.figure.canvas.buffer_rgba()).astype(int)
    blue = (painted[..., 2] > 150) & (painted[..., 0] < 60)
    rows, columns = blue.nonzero()
    inks = ax.transData.inverted().transform(np.stack([columns + 0.5, blue.shape[0] - rows - 0.5], 1))
    along = (inks - place) @ step / 5  # the step is 5 long
    assert (along.min(), along.max()) == pytest.approx((0, 5), abs=0.15)
    assert np.abs((inks - place) @ [0.6, 0.8]).max() < 0.3


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
    assert options == {"raw": True, "metadata": {"image/png": {"alt": "A line that falls from 2 to 1."}}}
    assert picture.keys() == {"image/png", "text/plain"}
    assert picture["text/plain"] == "Figure: A line that falls from 2 to 1."
    assert caption.data.startswith("*The loss falls.*\n\n<details><summary>Description</summary>\n\nA line that falls")
    with Image.open(io.BytesIO(picture["image/png"])) as image:
        assert image.format == "PNG" and image.width > 300 and image.convert("RGB").getpixel((0, 0)) == (255, 255, 255)


def test_show_closes_the_figure(shown):
    plots.show(plots.image_grid(images(2, height=40, width=40), columns=2), "", "")
    assert plt.get_fignums() == []


def test_show_closes_no_other_figure(shown):
    other = plt.figure()
    plots.show(plots.image_grid(images(2, height=40, width=40), columns=2), "", "")
    assert plt.get_fignums() == [other.number]


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


def drawn(ax, dpi):
    """The figure's pixels as it stands."""
    png = io.BytesIO()
    ax.figure.savefig(png, dpi=dpi, facecolor="white")
    with Image.open(png) as image:
        return np.asarray(image.convert("RGB")).astype(int)


@pytest.mark.parametrize("seconds", [{}, {"seconds": 0.5}])
def test_an_animation_shows_one_figure_after_the_other_and_the_last_for_longer(shown, seconds):
    axes = coloured_axes(["red", "lime", "blue"])
    expected = [drawn(ax, 70) for ax in axes]
    plots.show_animation(axes, "Colours.", "Three colours.", **seconds)
    frames = frames_of(shown[0][0][0]["image/png"])
    length = 1000 * seconds.get("seconds", 0.8)
    assert [duration for _, duration in frames] == [length, length, 3 * length]
    for (frame, _), figure in zip(frames, expected, strict=True):
        assert frame.shape == figure.shape and np.abs(frame - figure).mean() < 2  # a palette's colours are near enough


def test_an_animation_runs_endlessly_and_its_first_figure_stands_where_none_runs(shown):
    axes = coloured_axes(["red", "blue"])
    expected = drawn(axes[0], 70)
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
    assert options == {"raw": True, "metadata": {"image/png": {"alt": "A red figure; then a blue one."}}}
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
    expected = drawn(ax, 70)
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
