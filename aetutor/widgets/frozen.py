"""Explorers in a page without a kernel: what they show for a grid of settings is computed once and packed.

A drawing pad cannot be computed beforehand: its networks go into the page instead, which runs them (page/pads.js).
"""

import base64
import io
import json
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from html import escape
from itertools import count, product
from numbers import Integral
from pathlib import Path
from typing import NamedTuple

import ipywidgets
import numpy as np
import torch
from PIL import Image
from torch import nn

from aetutor import doors
from aetutor.checkpoint import check_place, write_whole
from aetutor.networks import ACTIVATIONS
from aetutor.widgets.base import CHART_WIDTH, Explorer, png
from aetutor.widgets.controls import Redraw, Thumbnails

PAGE = Path(__file__).parent / "page"
IMAGES, STEPS, DRAWS = 10, 13, 3  # how many values a row of images, a slider and a button have, unless it is said
MOST = 5000  # settings in one page
LATEST = 12  # pictures that a new one is compared with
LARGE, LITTLE = 2000, 0.02  # bytes of a picture that may be worth it, and the share of its pixels that differ

_numbers = count(1)  # of the explorers of this process, so that each in a page has a name of its own


def freeze(explorer: Explorer, path: str | Path, title: str = "", **grid: int | Iterable) -> Path:
    """Write one HTML file in which the explorer works without a kernel or a network, to send to a friend.

    Args:
        explorer: an explorer or a drawing pad, with your trained models.
        path: of the file, which is replaced if there is one.
        title: the page's heading; without it, the explorer's name.
        grid: for a control by its name, how many of its values the page has, or which: `z1=25`, `level=[0, 0.5, 1]`.
            Without it: all of a row of buttons, ten images, 13 values of a slider, three draws of noise.

    Returns the path. Raises ValueError for a name that is no control, a value that the control does not have, and more
    than 5,000 settings together.
    """
    if not isinstance(explorer, Explorer):
        raise TypeError(
            f"freeze takes an explorer, such as LatentExplorer(model, x, y); got {doors.kind_of(explorer)}."
        )
    check_place(path, "path")
    parts = {
        "title": escape(title or type(explorer).__name__),
        "style": style(),
        "explorer": fragment(explorer, **grid),
        "script": script(),
    }
    page = (PAGE / "page.html").read_text(encoding="utf-8")
    for name, text in parts.items():
        page = page.replace(f"[[{name}]]", text)
    write_whole(path, lambda file: file.write(page.encode()))
    return Path(path)


def show_frozen(**grid: int | Iterable) -> None:
    """From here on, this notebook's explorers come with their `fragment` as HTML, from which book/build.py makes pages.

    Of the grid each explorer takes what is meant for its own controls.
    """
    from IPython import get_ipython

    def frozen(explorer):
        return fragment(explorer, **{name: wanted for name, wanted in grid.items() if name in explorer.controls})

    get_ipython().display_formatter.formatters["text/html"].for_type(Explorer, frozen)


def show_live() -> None:
    """From here on, explorers are shown as widgets again."""
    from IPython import get_ipython

    get_ipython().display_formatter.formatters["text/html"].pop(Explorer, None)


def style() -> str:
    """The CSS of the explorers in a page."""
    return (PAGE / "explorer.css").read_text(encoding="utf-8")


def script() -> str:
    """Their JavaScript, as one classic script: a page that is opened from a folder may load no module."""
    drawpad = Path(__file__).with_name("drawpad.js").read_text(encoding="utf-8")
    pads, explorer = ((PAGE / name).read_text(encoding="utf-8") for name in ("pads.js", "explorer.js"))
    return f"(() => {{\n{drawpad.replace('export default { render };', '')}\n{pads}\n{explorer}}})();\n"


def fragment(explorer: Explorer, **grid: int | Iterable) -> str:
    """The explorer as HTML with all its data; `style` and `script` bring it to life. Arguments as for `freeze`."""
    if unknown := ", ".join(grid.keys() - explorer.controls.keys()):
        raise ValueError(f"{type(explorer).__name__} has the controls {', '.join(explorer.controls)}; got {unknown}.")
    choices = {name: choices_of(name, control, grid.get(name)) for name, control in explorer.controls.items()}
    data, name = explorer.in_page() or packed(explorer, choices), f"explorer-{next(_numbers)}"
    data["values"] = {name: [choice.value for choice in given] for name, given in choices.items()}
    controls = [
        _control(f"{name}-{key}", title, explorer.controls[key], choices[key])
        for key, title in zip(explorer.controls, explorer.titles, strict=True)
    ]
    panels = [_panel(panel, f"--side: {explorer.sides[panel]}px", "panel") for panel in data["panels"]]
    if len(panels) > 6:  # a large one, and beside it the others, five in a row
        panels = [panels[0], f'<div class="panels five">{"".join(panels[1:])}</div>']
    safe = json.dumps(data).replace("</", r"<\/")  # so that no text ends the script
    chart = _panel("chart", f"--side: {CHART_WIDTH}px", "panel chart") if explorer.chart_image else ""
    return (
        f'<section class="aetutor-explorer" id="{name}" data-kind="{type(explorer).__name__}">'
        f'{"".join(controls)}<div class="panels">{"".join(panels)}</div>{chart}<p class="readout" role="status"></p>'
        f'<script type="application/json">{safe}</script></section>\n'
    )


# --- the grid of settings --------------------------------------------------------------------------------------------


class Choice(NamedTuple):
    """One value of a control: what it is called, perhaps a picture of it, and whether it is the present one."""

    value: object
    word: str
    picture: bytes = b""
    chosen: bool = False


def choices_of(name: str, control: ipywidgets.Widget, wanted: int | Iterable | None = None) -> list[Choice]:
    """The values of a control that a page has, `wanted` of them or those that are wanted; none of a drawing area.

    Raises ValueError for values that the control does not have.
    """
    if isinstance(control, Thumbnails):
        every, most = range(len(control.pictures)), IMAGES
    elif isinstance(control, ipywidgets.ToggleButtons):
        every, most = list(control.options), len(control.options)
    elif isinstance(control, Redraw):
        every, most = range(wanted if isinstance(wanted, Integral) else DRAWS), DRAWS
    elif isinstance(control, ipywidgets.FloatSlider):
        steps = round((control.max - control.min) / control.step)
        every, most = [round(control.min + step * control.step, 9) for step in range(steps + 1)], STEPS
    else:
        return []
    if wanted is None or isinstance(wanted, Integral):
        values = thinned(every, most if wanted is None else doors.whole_number(name, wanted), control)
    else:
        values = list(wanted)
    strange = [value for value in values if value not in every]
    if strange or not values:
        raise ValueError(f"{name} has the values {', '.join(map(str, every))}; got {strange}: choose among them.")
    nearest = min(range(len(values)), key=lambda place: _apart(values[place], control.value))
    return [Choice(value, *_called(control, value), chosen=place == nearest) for place, value in enumerate(values)]


def thinned(every, most, control):
    """At most `most` values: of a slider evenly spread, of anything else the first."""
    if len(every) <= most or not isinstance(control, ipywidgets.FloatSlider):
        return list(every[:most])
    return [every[round(place * (len(every) - 1) / max(1, most - 1))] for place in range(most)]


def _apart(value, other):
    return abs(value - other) if isinstance(value, float) else value != other


def _called(control, value):
    if isinstance(control, Thumbnails):
        return control.words[value], png(control.pictures[value], 1)
    return (f"{value:g}" if isinstance(value, float) else str(value)), b""


# --- packing what is shown -------------------------------------------------------------------------------------------


def packed(explorer: Explorer, choices: Mapping[str, list[Choice]]) -> dict:
    """What the explorer shows for every combination of the choices, the last control changing first.

    "states" has for each of them a list of (picture, picture over it or -1, caption), a panel each and the chart last,
    and the readout: places in "pictures" (PNG files in base64) and in "texts". Raises ValueError for too many.
    """
    settings = [dict(zip(choices, values, strict=True)) for values in product(*choices.values())]
    if len(settings) > MOST:
        each = ", ".join(f"{len(given)} of {name}" for name, given in choices.items())
        raise ValueError(f"A page holds {MOST} settings at most; got {len(settings)}: {each}. Choose fewer of them.")
    pictures, texts, states = Pictures(), Numbered(), []
    for setting in settings:
        values = {name: choice.value for name, choice in setting.items()}
        images = explorer.pictures(**values)
        captions = dict.fromkeys(images, "") | explorer.captions(images, **values)
        panels = [[*pictures.add(name, png(images[name], 1)), texts.add(captions[name])] for name in explorer.sides]
        if explorer.chart_image:
            panels.append([*pictures.add("chart", explorer.chart(images, **values)), texts.add("")])
        states.append([panels, texts.add(explorer.readout_text(images, **values))])
    files = [base64.b64encode(picture).decode() for picture in pictures.files]
    return {"panels": list(explorer.sides), "pictures": files, "texts": list(texts.places), "states": states}


class Numbered:
    """Things without their repetitions, each with its place."""

    def __init__(self):
        self.places = {}

    def add(self, thing) -> int:
        return self.places.setdefault(thing, len(self.places))


class Pictures:
    """PNG files without repetitions; of a large one that differs little from an earlier one, only what differs."""

    def __init__(self):
        self.numbered, self.earlier = Numbered(), defaultdict(lambda: deque(maxlen=LATEST))

    @property
    def files(self) -> list[bytes]:
        return list(self.numbered.places)

    def add(self, panel: str, file: bytes) -> tuple[int, int]:
        """(place of a picture, place of the one to be laid over it or -1), which together show this PNG file."""
        if len(file) < LARGE or file in self.numbered.places:
            return self.numbered.add(file), -1
        image = Image.open(io.BytesIO(file))
        pixels = np.asarray(image.convert("RGB"))
        before = [
            (place, (pixels != other).any(2)) for place, other in self.earlier[panel] if other.shape == pixels.shape
        ]
        place, changed = min(before, key=lambda pair: pair[1].sum(), default=(-1, np.True_))
        if changed.mean() < LITTLE:
            over = np.dstack([pixels, 255 * changed]) * changed[..., None]
            return place, self.numbered.add(_png(Image.fromarray(over.astype(np.uint8))))
        place = self.numbered.add(_png(image))
        self.earlier[panel].append((place, pixels))
        return place, -1


def _png(image):
    buffer = io.BytesIO()
    image.save(buffer, "png", optimize=True)
    return buffer.getvalue()


def network(layers: nn.Sequential) -> dict:
    """A multilayer perceptron for page/pads.js: its sizes, its activation, and its weights in half precision.

    For each layer the weights `(inputs, outputs)`, then the biases, one after the other, in base64.
    """
    linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
    between = {type(layer) for layer in layers} - {nn.Linear}
    activation = next((name for name, kind in ACTIVATIONS.items() if kind in between), "none")
    numbers = torch.cat([torch.cat([layer.weight.T.flatten(), layer.bias]) for layer in linear])
    half = numbers.detach().cpu().to(torch.float16).numpy().astype("<f2")
    return {
        "sizes": [linear[0].in_features, *(layer.out_features for layer in linear)],
        "activation": activation,
        "weights": base64.b64encode(half.tobytes()).decode(),
    }


def model(trained: nn.Module) -> dict:
    """A trained model for page/pads.js: its networks, how many numbers are its code, and the decoder's last step.

    Raises ValueError for a likelihood whose mean is neither the decoder's output nor its sigmoid.
    """
    outputs = {"bernoulli": "sigmoid", "gaussian": "identity", "gaussian_learned": "identity"}
    if trained.likelihood.name not in outputs:
        raise ValueError(
            f"A page can compute models with the likelihoods {', '.join(outputs)}; got {trained.likelihood.name}."
        )
    return {
        "encoder": network(trained.encoder),
        "decoder": network(trained.decoder),
        "latent": trained.latent_dim,
        "output": outputs[trained.likelihood.name],
    }


# --- HTML ------------------------------------------------------------------------------------------------------------


def _control(name, title, control, choices):
    """A control of the page's own kind: keyboard, mouse, finger and screen reader know it."""
    key, words = name.rpartition("-")[2], [choice.word for choice in choices]
    start = next((place for place, choice in enumerate(choices) if choice.chosen), 0)
    if isinstance(control, ipywidgets.FloatSlider):
        words_of = escape(json.dumps(words))
        return (
            f'<div class="control" data-control="{key}" data-words="{words_of}">'
            f'<label for="{name}">{escape(title)}</label>'
            f'<input type="range" id="{name}" min="0" max="{len(words) - 1}" value="{start}"><output></output></div>'
        )
    if isinstance(control, Redraw):
        hidden = " hidden" * (len(choices) < 2)
        return f'<div class="control" data-control="{key}"{hidden}><button type="button">{escape(title)}</button></div>'
    if not choices:
        return f'<div class="control drawing" data-control="{key}"></div>'
    buttons = [
        f'<label>{_thumbnail(choice)}<input type="radio" name="{name}" value="{place}"{" checked" * choice.chosen}>'
        f"<span>{escape(choice.word)}</span></label>"
        for place, choice in enumerate(choices)
    ]
    return (
        f'<fieldset class="control" data-control="{key}"><legend>{escape(title)}</legend>{"".join(buttons)}</fieldset>'
    )


def _thumbnail(choice):
    code = base64.b64encode(choice.picture).decode()
    return f'<img src="data:image/png;base64,{code}" alt="" class="thumbnail">' if code else ""


def _panel(title, width, kind="panel"):
    return (
        f'<figure class="{kind}" style="{width}"><figcaption>{escape(title)}</figcaption><span class="frame">'
        f'<img class="picture" alt="{escape(title)}"><img class="over" alt=""></span><output></output></figure>'
    )
