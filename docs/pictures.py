"""Takes the README's pictures out of the committed notebooks: `python docs/pictures.py`."""

import base64
import itertools
from pathlib import Path

import nbformat

ROOT = Path(__file__).parent.parent
# picture of the README -> (notebook, beginning of the figure's caption)
PICTURES = {"docs/copies.png": ("notebooks/01_ae.ipynb", "*Figure 9.")}


def figure(notebook: str, caption: str) -> bytes:
    """The PNG that stands before the caption in the notebook's outputs."""
    for cell in nbformat.read(ROOT / notebook, as_version=4).cells:
        outputs = cell.get("outputs", [])
        for picture, text in itertools.pairwise(outputs):
            if text.get("data", {}).get("text/markdown", "").startswith(caption):
                return base64.b64decode(picture.data["image/png"])
    raise ValueError(f"{notebook} has no figure whose caption begins with {caption!r}.")


if __name__ == "__main__":
    for path, (notebook, caption) in PICTURES.items():
        (ROOT / path).write_bytes(figure(notebook, caption))
        print("written:", path)
