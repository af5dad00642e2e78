"""What every explorer has: controls, pictures with a title above and a number beneath, a line of text."""

import io
from collections.abc import Mapping
from html import escape

import ipywidgets
from ipywidgets.widgets.widget_description import DescriptionWidget
from PIL import Image
from torch import Tensor

from aetutor.data import unit_images

SIDE = 140  # screen pixels along a picture's longer side, where an explorer has no reason for others
CHART_WIDTH = 560  # screen pixels

FRAME = "1px solid #808080"  # so that a black picture has an edge on a dark page


def png(image: Tensor, side: int = SIDE) -> bytes:
    """One image `(C, H, W)` in [0, 1] as PNG bytes, enlarged without smoothing.

    Each pixel becomes a square block, and the longer side as near to `side` as whole blocks allow. A larger image
    stays as it is.
    """
    pixels = (unit_images(image[None])[0] * 255).round().byte().permute(1, 2, 0).squeeze(-1)
    picture, block = Image.fromarray(pixels.numpy()), max(1, round(side / max(image.shape[1:])))
    enlarged = picture.resize((picture.width * block, picture.height * block), Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    enlarged.save(buffer, "png", compress_level=3)
    return buffer.getvalue()


class Explorer(ipywidgets.VBox):
    """Controls, a row of pictures and a line of text, drawn again whenever a control moves.

    A subclass names its controls, which are widgets with a `value`, and its pictures, each with the screen pixels along
    its longer side. What they show it computes from the settings, the controls' values by name, and nothing else:

    - `pictures(**settings)`: name -> (C, H, W) in [0, 1]; the name stands above the picture.
    - `captions(pictures, **settings)`: name -> what stands beneath the picture, a number or a few words.
    - `readout_text(pictures, **settings)`: the line below, for what belongs to no picture.
    - `chart(pictures, **settings)`, if there is one: a PNG at double resolution, to stand below the pictures.
    """

    def __init__(self, controls: Mapping[str, ipywidgets.Widget], sides: Mapping[str, int]):
        self.controls, self.sides = dict(controls), dict(sides)
        self.titles = [control.description for control in controls.values()]
        self.images = {name: ipywidgets.Image(layout={"max_width": "100%", "border": FRAME}) for name in sides}
        self.beneath = {name: ipywidgets.Label() for name in sides}
        self.panels = _line([self._panel(name) for name in sides], margin="8px 0 0 0")
        self.panels.add_class("aetutor-pictures")
        self.readout = ipywidgets.HTML()
        self.readout.add_class("aetutor-readout")
        wide = {"width": f"{CHART_WIDTH}px", "max_width": "100%"}
        self.chart_image = ipywidgets.Image(layout=wide) if self._has_chart() else None
        below = [self.chart_image, self.readout] if self._has_chart() else [self.readout]
        super().__init__([*self._rows(), self.panels, *below], layout={"padding": "4px"})
        for control in self.controls.values():
            control.observe(self.draw, names="value")
        self.draw()

    def settings(self) -> dict:
        """The controls' values, by name."""
        return {name: control.value for name, control in self.controls.items()}

    def draw(self, _change=None) -> None:
        """Put everything for the present settings on the screen; what is as before is not sent to it again."""
        settings = self.settings()
        pictures = self.pictures(**settings)
        for name, text in self.captions(pictures, **settings).items():
            self.beneath[name].value = text
        for name, picture in pictures.items():
            self.images[name].value = png(picture, self.sides[name])
        self.readout.value = self.readout_text(pictures, **settings)
        if self.chart_image:  # the last, since it may take longer when it is drawn for the first time
            self.chart_image.value = self.chart(pictures, **settings)

    def pictures(self, **settings) -> dict[str, Tensor]:
        raise NotImplementedError

    def captions(self, pictures: dict[str, Tensor], **settings) -> dict[str, str]:
        return {}

    def readout_text(self, pictures: dict[str, Tensor], **settings) -> str:
        return ""

    def chart(self, pictures: dict[str, Tensor], **settings) -> bytes:
        raise NotImplementedError

    def in_page(self) -> dict | None:
        """What a page without a kernel needs to compute the pictures itself; None where the settings are few enough for
        all pictures to be made beforehand (`aetutor.widgets.frozen`)."""
        return None

    def _has_chart(self):
        return type(self).chart is not Explorer.chart

    def _panel(self, name):
        """Title, picture and number, one below the other."""
        title = ipywidgets.HTML(f"<b style='white-space: nowrap'>{escape(name)}</b>", layout={"margin": "0"})
        layout = {"align_items": "center", "width": f"{self.sides[name] + 8}px", "margin": "0 10px 0 0"}
        return ipywidgets.VBox([title, self.images[name], self.beneath[name]], layout=layout)

    def _rows(self):
        """A row for each control, all labels in one column; a button stands in the row of the control before it."""
        rows = []
        for control, title in zip(self.controls.values(), self.titles, strict=True):
            if isinstance(control, ipywidgets.Button):
                rows[-1].append(control)
            elif isinstance(control, DescriptionWidget):
                rows.append([ipywidgets.Label(title, layout={"width": "84px"}), control])
                control.description = ""
            else:
                rows.append([control])
        return [_line(row) for row in rows]

    def __repr__(self):
        return f"{type(self).__name__}: run this notebook to move {', '.join(self.titles)}"


def _line(widgets, **layout):
    """Widgets beside each other; what finds no room goes below."""
    return ipywidgets.HBox(widgets, layout={"flex_flow": "row wrap", "align_items": "center"} | layout)
