"""Copies of the notebooks for a class, without solutions and outputs: `python docs/handout.py` or `make handout`."""

import re
from pathlib import Path

import nbformat
from nbformat import NotebookNode

ROOT = Path(__file__).parent.parent
SOLUTION = re.compile(r"\n*<details>\s*<summary>\s*(?:Solution|Answer|What we saw).*?</details>", re.DOTALL)


def handout(notebook: NotebookNode) -> NotebookNode:
    """The same notebook without folded solutions, answers and what we saw, and without outputs; hints stay."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = SOLUTION.sub("", cell.source).strip()
        else:
            cell.outputs, cell.execution_count = [], None
    notebook.cells = [cell for cell in notebook.cells if cell.source]
    return notebook


if __name__ == "__main__":
    folder = ROOT / "handout"
    folder.mkdir(exist_ok=True)
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        nbformat.write(handout(nbformat.read(path, as_version=4)), folder / path.name)
        print("written:", (folder / path.name).relative_to(ROOT))
