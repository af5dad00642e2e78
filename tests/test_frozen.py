"""Explorers in a page without a kernel: the grid, the packing, and, in a real browser, page against Python."""

import base64
import io
import itertools
import json
import re
import statistics

import numpy as np
import pytest
import torch
from explorers import FROZEN, PADS, SEVEN, draw, make
from PIL import Image

import aetutor
from aetutor import corruption
from aetutor.drawing import as_mnist
from aetutor.models import CVAE, VAE
from aetutor.networks import mlp
from aetutor.widgets import DrawPad, StylePad, frozen, png


def pixels(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGBA")).astype(int)


def laid_over(base, over):
    """What one sees where two pictures lie over each other, the upper one with places that are not there."""
    return np.where(over[..., 3:] > 0, over, base)[..., :3]


# --- the grid --------------------------------------------------------------------------------------------------------


def words(explorer, name, wanted=None):
    return [choice.word for choice in frozen.choices_of(name, explorer.controls[name], wanted)]


def test_without_a_wish_a_page_has_ten_images_all_buttons_thirteen_places_of_a_slider_and_three_draws():
    explorer = make("NoiseExplorer")
    assert words(explorer, "image") == [str(i) for i in range(10)]
    assert words(explorer, "kind") == ["masking", "Gaussian", "salt and pepper"]
    levels = [float(word) for word in words(explorer, "level")]
    assert len(levels) == 13 and levels[0] == 0 and levels[-1] == 1 and np.ptp(np.diff(levels)) <= 0.05 + 1e-9
    assert words(explorer, "noise") == ["0", "1", "2"]


def test_a_page_has_as_many_values_as_are_asked_for_or_just_those():
    explorer = make("NoiseExplorer")
    assert words(explorer, "level", 3) == ["0", "0.5", "1"]
    assert words(explorer, "level", 1) == ["0"]
    assert words(explorer, "level", [0.25, 0.8]) == ["0.25", "0.8"]
    assert words(explorer, "level", 100) == [f"{i / 20:g}" for i in range(21)]
    assert words(explorer, "image", [3, 1]) == ["3", "1"]
    assert words(explorer, "kind", 1) == ["masking"]
    assert words(explorer, "noise", 5) == ["0", "1", "2", "3", "4"]


def test_the_page_opens_on_the_present_settings_or_the_nearest():
    explorer = make("NoiseExplorer")
    explorer.controls["level"].value, explorer.controls["kind"].value = 0.8, "Gaussian"
    chosen = {
        name: [choice.word for choice in frozen.choices_of(name, control, wanted) if choice.chosen]
        for (name, control), wanted in zip(explorer.controls.items(), (None, None, [0.1, 0.7], None), strict=True)
    }
    assert chosen == {"image": ["0"], "kind": ["Gaussian"], "level": ["0.7"], "noise": ["0"]}


@pytest.mark.parametrize(
    "grid, said",
    [
        ({"lvl": 3}, "has the controls image, kind, level, noise; got lvl"),
        ({"level": [0.5, 7.0]}, r"level has the values 0.0, 0.05.*got \[7.0\]"),
        ({"kind": ["rain"]}, r"masking, Gaussian, salt and pepper; got \['rain'\]"),
        ({"image": 0}, "image must be a whole number, 1 or more; got 0"),
        ({"image": []}, r"image has the values 0, 1.*got \[\]"),
        ({"level": 21, "noise": 30}, "5000 settings at most; got 18900: 10 of image, 3 of kind, 21 of level, 30 of"),
    ],
)
def test_a_grid_that_cannot_be_is_refused_in_a_sentence(grid, said, tmp_path):
    with pytest.raises(ValueError, match=said):
        aetutor.freeze(make("NoiseExplorer"), tmp_path / "page.html", **grid)
    assert not (tmp_path / "page.html").exists()


# --- packing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FROZEN)
def test_every_state_of_the_page_is_what_the_explorer_shows_for_these_settings(name):
    explorer = make(name)
    choices = {
        key: frozen.choices_of(key, control, FROZEN[name].get(key)) for key, control in explorer.controls.items()
    }
    data = json.loads(json.dumps(frozen.packed(explorer, choices)))
    files = [base64.b64decode(file) for file in data["pictures"]]
    settings = list(itertools.product(*choices.values()))
    assert len(data["states"]) == len(settings) and len(set(files)) == len(files)
    for (panels, readout), setting in zip(data["states"], settings, strict=True):
        values = {key: choice.value for key, choice in zip(choices, setting, strict=True)}
        images = explorer.pictures(**values)
        captions = dict.fromkeys(images, "") | explorer.captions(images, **values)
        expected = [(png(images[panel], 1), captions[panel]) for panel in explorer.sides]
        if explorer.chart_image:
            expected.append((explorer.chart(images, **values), ""))
        for (base, over, caption), (picture, text) in zip(panels, expected, strict=True):
            seen = pixels(files[base])[..., :3] if over < 0 else laid_over(*(pixels(files[i]) for i in (base, over)))
            assert np.array_equal(seen, pixels(picture)[..., :3]) and data["texts"][caption] == text
        assert data["texts"][readout] == explorer.readout_text(images, **values)


def test_a_map_with_a_cross_costs_little_more_than_the_cross():
    explorer = make("LatentExplorer")
    choices = {name: frozen.choices_of(name, control, 7) for name, control in explorer.controls.items()}
    data = frozen.packed(explorer, choices)
    over = [len(data["pictures"][panels[1][1]]) for panels, _ in data["states"] if panels[1][1] >= 0]
    assert len(over) >= 47 and max(over) < len(data["pictures"][data["states"][0][0][1][0]])


def unpacked(packed):
    """Its layers [(weights (inputs, outputs), biases)], by numpy."""
    numbers, layers = np.frombuffer(base64.b64decode(packed["weights"]), "<f2").astype(np.float32), []
    for inputs, outputs in itertools.pairwise(packed["sizes"]):
        weights, biases, numbers = np.split(numbers, [inputs * outputs, (inputs + 1) * outputs])
        layers.append((weights.reshape(inputs, outputs), biases))
    assert len(numbers) == 0
    return layers


@pytest.mark.parametrize("hidden, activation", [((), "none"), ((5,), "silu"), ((5, 4), "relu")])
def test_a_network_is_packed_with_its_sizes_activation_and_weights(hidden, activation):
    torch.manual_seed(0)
    network = mlp(3, *hidden, 2, **({"activation": activation} if hidden else {}))
    packed = frozen.network(network)
    assert packed["sizes"] == [3, *hidden, 2] and packed["activation"] == activation
    linear = [layer for layer in network if isinstance(layer, torch.nn.Linear)]
    for (weights, biases), layer in zip(unpacked(packed), linear, strict=True):
        np.testing.assert_allclose(weights.T, layer.weight.detach(), rtol=1e-3, atol=1e-6)
        np.testing.assert_allclose(biases, layer.bias.detach(), rtol=1e-3, atol=1e-6)


def test_what_a_page_cannot_compute_is_refused():
    with pytest.raises(ValueError, match="kind of noise -> trained model; got only functions: median"):
        frozen.fragment(DrawPad({"median": lambda x, kind, level: x}))
    with pytest.raises(ValueError, match="bernoulli, gaussian, gaussian_learned; got gaussian_pixelwise"):
        frozen.model(VAE(likelihood="gaussian_pixelwise"))
    with pytest.raises(ValueError, match="takes a Bernoulli likelihood; got gaussian"):
        frozen.fragment(StylePad(CVAE(likelihood="gaussian")))


# --- the page --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("pages")


@pytest.mark.parametrize("name", [*FROZEN, *PADS])
def test_a_page_is_one_file_that_asks_for_no_other(name, folder):
    path = aetutor.freeze(make(name), folder / f"{name}.html", "Mine & <yours>", **FROZEN.get(name, {}))
    text = path.read_text(encoding="utf-8")
    assert "<title>Mine &amp; &lt;yours&gt;</title>" in text and "[[" not in re.sub(
        r"<script.*?</script>", "", text, flags=re.S
    )
    assert not re.search(r"""(src|href)=["'](?!data:)|@import|url\(|fetch\(|\bimport\b.*from""", text)


@pytest.fixture
def opened(browser, folder):
    """A function that opens the page of an explorer in the browser, at a width; errors and requests fail the test."""
    pages, wrong = [], []

    def open_page(name, width=1000):
        path = folder / f"{name}.html"
        if not path.exists():
            aetutor.freeze(make(name), path, **FROZEN.get(name, {}))
        page = browser.new_page(viewport={"width": width, "height": 1200})
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text))
        page.on("request", lambda request: request.url.startswith(("file:", "data:")) or wrong.append(request.url))
        page.goto(path.as_uri())
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert wrong == []


# what one sees of each panel: picture and what lies over it, drawn in their own size; its caption; and the readout
SEEN = """async () => {
    const pixels = async (panel) => {
        const canvas = document.createElement('canvas');
        const [picture, over] = panel.querySelectorAll('img');
        await Promise.all([picture.decode(), over.decode()]);
        [canvas.width, canvas.height] = [picture.naturalWidth, picture.naturalHeight];
        const pen = canvas.getContext('2d');
        pen.imageSmoothingEnabled = false;
        for (const image of [picture, over]) pen.drawImage(image, 0, 0, canvas.width, canvas.height);
        return [canvas.toDataURL().split(',')[1], panel.querySelector('output').textContent];
    };
    return [await Promise.all([...document.querySelectorAll('figure')].map(pixels)),
            document.querySelector('.readout').textContent];
}"""


def seen(page):
    """([(picture as pixels, caption) a panel], readout) in the page."""
    panels, readout = page.evaluate(SEEN)
    return [(pixels(base64.b64decode(data))[..., :3], caption) for data, caption in panels], readout


def in_python(explorer, values):
    """The same from the explorer itself."""
    images = explorer.pictures(**values)
    captions = dict.fromkeys(images, "") | explorer.captions(images, **values)
    panels = [(pixels(png(images[panel], 1))[..., :3], captions[panel]) for panel in explorer.sides]
    if explorer.chart_image:
        panels.append((pixels(explorer.chart(images, **values))[..., :3], ""))
    return panels, explorer.readout_text(images, **values)


def assert_same(found, expected, atol=0):
    assert found[1] == expected[1]
    for (picture, caption), (other, text) in zip(found[0], expected[0], strict=True):
        assert caption == text and picture.shape == other.shape
        assert np.abs(picture - other).max() <= atol


@pytest.mark.slow
@pytest.mark.parametrize("name", FROZEN)
def test_each_control_moved_shows_the_pictures_that_python_shows(name, opened):
    page, explorer = opened(name), make(name)
    choices = {
        key: frozen.choices_of(key, control, FROZEN[name].get(key)) for key, control in explorer.controls.items()
    }
    values = {key: next(choice.value for choice in given if choice.chosen) for key, given in choices.items()}
    assert_same(seen(page), in_python(explorer, values))
    for key, given in choices.items():
        control = page.locator(f"[data-control={key}]")
        if control.locator("input[type=range]").count():
            control.locator("input").focus()
            page.keyboard.press("End")
            values[key] = given[-1].value
        elif control.locator("input[type=radio]").count():
            control.locator("label").nth(1).click()  # by the mouse, then on by the keyboard, which comes round
            for _ in range(len(given) - 2):
                page.keyboard.press("ArrowRight")
            values[key] = given[-1].value
        else:
            control.get_by_role("button").click()
            values[key] = given[1].value
        before = seen(page)
        assert_same(before, in_python(explorer, values))


@pytest.mark.slow
@pytest.mark.parametrize("name", [*FROZEN, *PADS])
def test_at_a_phones_width_nothing_is_cut_off_and_every_control_has_a_name(name, opened):
    page = opened(name, width=390)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for role in ("slider", "radio", "button"):
        for control in page.get_by_role(role).all():
            assert control.evaluate("c => c.labels?.[0]?.textContent || c.textContent")


@pytest.mark.slow
def test_a_finger_moves_a_slider(opened):
    page, explorer = opened("LatentExplorer"), make("LatentExplorer")
    box = page.locator("[data-control=z1] input").bounding_box()
    finger = page.context.new_cdp_session(page)
    places = [(box["x"] + share * box["width"], box["y"] + box["height"] / 2) for share in (0.5, 0.7, 0.99)]
    for kind, (x, y) in zip(("touchStart", "touchMove", "touchMove"), places, strict=True):
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
    finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert_same(seen(page), in_python(explorer, {"z1": 3.0, "z2": 0.0}))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["LatentExplorer", "NoiseExplorer", "StyleExplorer"])
def test_the_picture_follows_within_a_frame(name, opened, capsys):
    """From the event to the moment at which all new pictures are decoded: 16 ms are asked, of a quiet machine."""
    page = opened(name)
    times = page.evaluate(
        """async () => {
        const range = [...document.querySelectorAll('input[type=range]')].pop(), times = [];
        for (let i = 0; i < 20; i++) {
            range.value = i % (Number(range.max) + 1);
            const start = performance.now();
            range.dispatchEvent(new Event('input', {bubbles: true}));
            await Promise.all([...document.querySelectorAll('figure img')].map(image => image.decode()));
            times.push(performance.now() - start);
        }
        return times;
    }"""
    )
    with capsys.disabled():
        print(f"\n{name} in a page: {statistics.median(times):.1f} ms from input to pictures, median of {len(times)}")
    assert statistics.median(times) < 100


# --- drawing in the page ---------------------------------------------------------------------------------------------


def stroke(page, points):
    """Draw through the points, shares of the drawing area's sides; returns what the page has of it, as bytes."""
    canvas = page.locator("canvas.aetutor-drawpad")
    draw(page, canvas, points)
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return bytes(
        canvas.evaluate(
            """canvas => {
            const small = document.createElement('canvas');
            small.width = small.height = 112;
            const pen = small.getContext('2d');
            pen.drawImage(canvas, 0, 0, 112, 112);
            return [...pen.getImageData(0, 0, 112, 112).data].filter((_, i) => i % 4 === 0);
        }"""
        )
    )


def numbers_in(caption):
    return [float(number) for number in re.findall(r"-?\d+\.\d+", caption)]


@pytest.mark.slow
@pytest.mark.parametrize("name", PADS)
def test_a_pad_in_the_page_shows_what_python_computes_of_the_same_drawing(name, opened):
    page, pad = opened(name), make(name)
    empty = seen(page)
    assert empty[1].startswith("Draw a digit") and not any(caption for _, caption in empty[0])
    for points in (SEVEN, [(0.3, 0.5), (0.7, 0.55)]):
        drawing = stroke(page, points)
        settings = {"kind": "masking", "level": 0.0} if name == "DrawPad" else {}
        settings |= {"label": "guess"} if name == "StylePad" else {}
        if name == "DrawPad":  # without noise all is determined
            page.locator("[data-control=level] input").focus()
            page.keyboard.press("Home")
        images = pad.pictures(drawing=drawing, **settings)
        captions = pad.captions(images, drawing=drawing, **settings)
        shown = [panel for panel in pad.sides if panel in pad.in_page()["panels"]]
        for (picture, caption), panel in zip(seen(page)[0], shown, strict=True):
            other = pixels(png(images[panel], 1))[..., :3]
            assert np.abs(picture - other).max() <= 2.55  # 0.01 of a grey value
            words = [re.sub(r"-?\d+\.\d+", "#", text) for text in (caption, captions[panel])]
            assert words[0] == words[1]
            assert numbers_in(caption) == pytest.approx(numbers_in(captions[panel]), rel=0.01, abs=0.06)
    page.get_by_role("button", name="clear").click()
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    cleared = seen(page)
    assert cleared[1] == empty[1] and all(
        np.array_equal(a, b) for (a, _), (b, _) in zip(cleared[0], empty[0], strict=True)
    )


@pytest.mark.slow
def test_the_label_that_is_chosen_is_the_one_whose_style_is_taken(opened):
    page, pad = opened("StylePad"), make("StylePad")
    drawing = stroke(page, SEVEN)
    page.locator("[data-control=label]").get_by_text("3", exact=True).click()
    images = pad.pictures(drawing=drawing, label=3)
    found, _ = seen(page)
    assert found[0][1] == "taken for a 3"
    assert np.abs(found[4][0] - pixels(png(images["3"], 1))[..., :3]).max() <= 2.55


@pytest.fixture
def functions(browser):
    """A page in which the functions of pads.js can be called as `tested.name`."""
    names = "asMnist, mlp, CORRUPTIONS, random, numbersOf, rounded"
    page = browser.new_page()
    code = frozen.script()
    assert code.endswith("})();\n")
    page.add_script_tag(content=code.removesuffix("})();\n") + f"window.tested = {{ {names} }};\n}})();\n")
    yield page
    page.close()


@pytest.mark.slow
def test_a_drawing_is_centred_as_in_python(functions):
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        top, left, bottom, right = (torch.randint(0, 112, (4,), generator=generator)).tolist()
        drawing = torch.zeros(112, 112, dtype=torch.uint8)
        (top, bottom), (left, right) = sorted([top, bottom]), sorted([left, right])
        part = drawing[top : bottom + 1, left : right + 1]
        part[:] = torch.randint(0, 256, part.shape, generator=generator, dtype=torch.uint8)
        found = functions.evaluate(
            "bytes => [...tested.asMnist(new DataView(Uint8Array.from(bytes).buffer))]", drawing.flatten().tolist()
        )
        torch.testing.assert_close(torch.tensor(found).view(1, 28, 28), as_mnist(drawing / 255), atol=1e-5, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("activation", ["silu", "relu"])
def test_a_network_gives_the_numbers_of_pytorch(activation, functions):
    torch.manual_seed(0)
    network, x = mlp(784, 64, 32, 5, activation=activation).requires_grad_(False), torch.rand(784)
    found = functions.evaluate("([packed, x]) => [...tested.mlp(packed)(x)]", [frozen.network(network), x.tolist()])
    torch.testing.assert_close(torch.tensor(found), network(x), atol=5e-3, rtol=5e-3)


@pytest.mark.slow
def test_half_precision_is_read_as_numpy_reads_it(functions):
    halves = np.arange(65536, dtype=np.uint16).view(np.float16)
    halves = halves[np.isfinite(halves)]
    code = base64.b64encode(halves.astype("<f2").tobytes()).decode()
    assert functions.evaluate("code => [...tested.numbersOf(code)]", code) == halves.astype(float).tolist()


@pytest.mark.slow
@pytest.mark.parametrize("kind", corruption.KINDS)
def test_the_pages_noise_has_the_mean_and_variance_of_the_real_one(kind, functions):
    x = torch.full((20_000,), 0.3)
    x[::2] = 0.9
    code = f"x => [...tested.CORRUPTIONS['{kind}'](x, 0.4, tested.random(1))]"
    numbers = functions.evaluate(code, x.tolist())
    found = torch.tensor(numbers)
    scale, offset, sigma = corruption.moments(kind, 0.4, x.mean().item(), x.square().mean().item())
    error = found - (scale * x + offset)
    assert abs(error.mean().item()) < 5 * sigma / len(x) ** 0.5
    assert error.square().mean().sqrt().item() == pytest.approx(sigma, rel=0.05)
    assert functions.evaluate(code, x.tolist()) == numbers  # the same draw again
    assert functions.evaluate(code.replace("random(1)", "random(2)"), x.tolist()) != numbers
