"""The book: runs the notebooks and makes pages of them, in book/_build/html (`make book`).

A notebook is run once; its executed copy in book/_run is used again until its code or the package changes.
"""

import base64
import hashlib
import json
import re
import shutil
import subprocess
import sys
from html import escape
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell
from PIL import Image

BOOK = Path(__file__).parent
ROOT = BOOK.parent
RUN, SOURCE, HTML = BOOK / "_run", BOOK / "_source", BOOK / "_build" / "html"
KATEX = ROOT / ".venv" / "math" / "node_modules" / "katex"

# where a number in parentheses is no equation: code, formulas, and what is HTML already
LITERAL = re.compile(r"(```.*?```|`[^`]*`|\$\$.*?\$\$|\$[^$]*\$|<[^>]*>)", re.DOTALL)
TAG = re.compile(r"\\tag\{(\d)\.(\d+)\}")
# the lines that say what to do where there is no package
SET_UP = re.compile(r"\Atry:\n    import aetutor[^\n]*\n.*?from None\n+", re.DOTALL)
NUMBER = re.compile(r"\((\d)\.(\d+)\)")
CHAPTERS = {path.name[1]: path.stem for path in sorted((ROOT / "notebooks").glob("0*.ipynb"))}


# --- running the notebooks -------------------------------------------------------------------------------------------


def show_frozen(cell: NotebookNode) -> str:
    """Code to be run before a cell, so that its explorer is shown as HTML, for the grid in the cell's metadata."""
    grid = json.dumps(cell.metadata.get("freeze", {}))
    return f"import aetutor.widgets.frozen as _frozen; _frozen.show_frozen(**{grid}); del _frozen"


SHOW_LIVE = "import aetutor.widgets.frozen as _frozen; _frozen.show_live(); del _frozen"  # as before


def has_explorer(cell: NotebookNode) -> bool:
    """Whether a cell ends with an explorer or a drawing pad."""
    last = cell.source.rstrip().rpartition("\n")[2]
    return cell.cell_type == "code" and re.match(r"\w+(Explorer|Pad)\(", last) is not None


def run(notebook: NotebookNode) -> NotebookNode:
    """Run a notebook's cells in a fresh kernel; explorers are shown as HTML. Raises CellExecutionError as nbclient."""
    client = NotebookClient(notebook, kernel_name="python3", timeout=900)
    with client.setup_kernel():
        for index, cell in enumerate(notebook.cells):
            if has_explorer(cell):
                client.execute_cell(new_code_cell(show_frozen(cell)), index, store_history=False)
            if cell.cell_type == "code":
                client.execute_cell(cell, index)
    return notebook


def fingerprint(notebook: NotebookNode) -> str:
    """Of everything that decides what a notebook's run gives: its cells, and the package."""
    package = sorted(path for path in (ROOT / "aetutor").rglob("*") if path.suffix in {".py", ".js"})
    cells = [[cell.cell_type, cell.source, cell.metadata.get("freeze")] for cell in notebook.cells]
    parts = [json.dumps(cells).encode(), *(path.read_bytes() for path in package)]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def kept(path: Path) -> NotebookNode | None:
    """The notebook as it is after a run, from book/_run, or None where there is none or the notebook has changed."""
    if not (RUN / path.name).exists():
        return None
    notebook = nbformat.read(RUN / path.name, as_version=4)
    return notebook if notebook.metadata.get("fingerprint") == fingerprint(nbformat.read(path, as_version=4)) else None


def executed(path: Path) -> NotebookNode:
    """The notebook after a run with frozen explorers: the one that was kept, else it is run now, and kept."""
    if notebook := kept(path):
        return notebook
    print(f"Running {path.name}.", flush=True)
    notebook = nbformat.read(path, as_version=4)
    mark = fingerprint(notebook)
    keep(run(notebook), mark, path.name)
    return notebook


def keep(notebook: NotebookNode, mark: str, name: str) -> None:
    """Keep an executed notebook for the next build."""
    RUN.mkdir(exist_ok=True)
    notebook.metadata["fingerprint"] = mark
    nbformat.write(notebook, RUN / name)


# --- from a notebook to a chapter ------------------------------------------------------------------------------------


def chapter(notebook: NotebookNode, name: str, figures: Path) -> NotebookNode:
    """An executed notebook as Sphinx reads it; its figures become files in a folder, with their descriptions."""
    count = 0
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = with_links(cell.source, name)
            continue
        cell.source = SET_UP.sub("", cell.source.removeprefix("# NBVAL_CHECK_OUTPUT\n"))
        cell.outputs = joined(cell.outputs)
        for output in cell.outputs:
            data = output.get("data", {})
            if "aetutor-explorer" in data.get("text/html", ""):
                output.data = {"text/html": data["text/html"]}
            elif "image/png" in data:
                count += 1
                file = figures / f"{name}-{count}.png"
                file.write_bytes(base64.b64decode(data["image/png"]))
                output.data = {"text/html": image(file, **output.metadata["image/png"])}
    return notebook


def joined(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Outputs in which what was printed piece by piece stands together."""
    whole: list[NotebookNode] = []
    for output in outputs:
        if whole and output.output_type == whole[-1].output_type == "stream" and output.name == whole[-1].name:
            whole[-1].text += output.text
        else:
            whole.append(output)
    return whole


def image(file: Path, alt: str, width: int) -> str:
    """A figure's HTML; its height is told, so that nothing moves when it is loaded."""
    with Image.open(file) as picture:
        height = round(picture.height * width / picture.width)
    return (
        f'<img class="figure" src="_static/figures/{file.name}" alt="{escape(alt)}" width="{width}" '
        f'height="{height}" loading="lazy">'
    )


def with_links(source: str, name: str) -> str:
    """Markdown in which an equation can be linked to, and each mention (n.k) of an equation is a link to it."""

    def link(mention: re.Match) -> str:
        page, place = CHAPTERS.get(mention[1]), f"eq-{mention[1]}-{mention[2]}"
        if page is None:
            return mention[0]
        return f'<a href="{"" if page == name else page + ".html"}#{place}">{mention[0]}</a>'

    parts = LITERAL.split(source)
    for place, part in enumerate(parts):
        if place % 2 == 0:
            parts[place] = NUMBER.sub(link, part)
        elif tag := TAG.search(part):
            parts[place] = f'<span class="equation" id="eq-{tag[1]}-{tag[2]}"></span>\n\n{part}'
    return "".join(parts)


# --- the pages -------------------------------------------------------------------------------------------------------


def build(notebooks: dict[str, NotebookNode], html: Path = HTML) -> int:
    """Write the pages of these executed notebooks, by their names, and of the package; returns Sphinx's exit status."""
    from aetutor.widgets import frozen

    shutil.rmtree(SOURCE, ignore_errors=True)
    figures = SOURCE / "_static" / "figures"
    figures.mkdir(parents=True)
    for name, notebook in notebooks.items():
        nbformat.write(chapter(notebook, name, figures), SOURCE / f"{name}.ipynb")
    for page in BOOK.glob("*.md"):
        shutil.copy(page, SOURCE)
    static = SOURCE / "_static"
    shutil.copy(BOOK / "book.css", static)
    (static / "explorer.css").write_text(frozen.style(), encoding="utf-8")
    (static / "explorer.js").write_text(frozen.script(), encoding="utf-8")
    shutil.copytree(KATEX / "dist" / "fonts", static / "fonts", ignore=shutil.ignore_patterns("*.ttf", "*.woff"))
    shutil.copy(KATEX / "dist" / "katex.min.css", static)
    shutil.rmtree(html, ignore_errors=True)
    options = ["-q", "-W", "--keep-going", "-c", BOOK, "-b", "html", "-d", html.parent / "doctrees"]
    return subprocess.run([sys.executable, "-m", "sphinx", *options, SOURCE, html]).returncode


def main() -> int:
    """Run what must be run, and build."""
    status = build({path.stem: executed(path) for path in sorted((ROOT / "notebooks").glob("0*.ipynb"))})
    if status == 0:
        print(f"The book is in {HTML.relative_to(ROOT)}: open index.html there, or copy the folder to any web server.")
    return status


if __name__ == "__main__":
    sys.exit(main())
