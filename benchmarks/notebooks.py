"""The four notebooks, each top to bottom in a fresh kernel, in seconds and in epochs of the standard training loop
(benchmarks/time_to_quality.py), which is timed before each of them; and the ten slowest cells.

    python benchmarks/notebooks.py     (five minutes on two cores)
"""

import statistics
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from report import Row, show
from time_to_quality import standard_epoch

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
SLOWEST = 10


def run(path):
    """Seconds for each code cell of a notebook: [(seconds, notebook, number of the cell, its first line)]."""
    notebook, cells = nbformat.read(path, as_version=4), []
    client = NotebookClient(notebook, kernel_name="python3", timeout=600)
    with client.setup_kernel():
        for index, cell in enumerate(notebook.cells):
            if cell.cell_type == "code":
                started = time.perf_counter()
                client.execute_cell(cell, index)
                cells.append((time.perf_counter() - started, path.name, len(cells) + 1, cell.source.split("\n")[0]))
    return cells


def measure():
    """A row for each notebook, one for all, and one for each of the slowest cells."""
    epochs, cells, rows = [standard_epoch()], [], []
    for path in NOTEBOOKS:
        cells.append(run(path))
        epochs.append(standard_epoch())
    epoch = statistics.median(epochs)
    totals = {path.name: sum(seconds for seconds, *_ in found) for path, found in zip(NOTEBOOKS, cells, strict=True)}
    totals["the four notebooks"] = sum(totals.values())
    beside = f"an epoch of the standard training loop: {epoch:.1f} s"
    for name, seconds in totals.items():
        rows.append(Row(f"{name}, top to bottom", f"{seconds:.0f} s", beside, f"{seconds / epoch:.1f} epochs"))
    for seconds, name, number, line in sorted((cell for found in cells for cell in found), reverse=True)[:SLOWEST]:
        rows.append(Row(f"{name}, cell {number}: {line[:50]}", f"{seconds:.1f} s", beside, f"{seconds / epoch:.1f}"))
    return rows


if __name__ == "__main__":
    show(measure())
