"""A JupyterLab of our own, and a notebook that is run in it in a real browser."""

import copy
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import nbformat
from nbformat import NotebookNode
from running import NOTEBOOKS, Record, attached, go_on, read, run_of

# another folder, for a quick look at a widget in a notebook of one's own
FOLDER = Path(os.environ.get("BROWSER_NOTEBOOKS", NOTEBOOKS))
TOKEN = "a-token-of-this-test"
NOTEBOOK = "window.jupyterapp.shell.currentWidget"
KERNEL = f"{NOTEBOOK}?.context?.sessionContext?.session?.kernel"
IDLE = f"{KERNEL}?.status === 'idle'"


# --- the server ------------------------------------------------------------------------------------------------------


class Lab(NamedTuple):
    """A server that runs: its address, and the folder of all that it reads and writes."""

    address: str
    folder: Path


@contextmanager
def server(folder: Path) -> Iterator[Lab]:
    """A JupyterLab on copies of the notebooks: nothing of the user's is read or written."""
    for name in ("config", "data", "runtime", "ipython", "settings", "workspaces", "app"):
        (folder / name).mkdir()
    settings = {
        "@jupyterlab/notebook-extension:tracker": {"windowingMode": "defer", "recordTiming": True},
        "@jupyterlab/docmanager-extension:plugin": {"autosave": False},
        "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
    }
    (folder / "app" / "overrides.json").write_text(json.dumps(settings))
    config = {
        "LabApp": {
            "expose_app_in_browser": True,
            "news_url": None,
            "app_settings_dir": str(folder / "app"),
            "user_settings_dir": str(folder / "settings"),
            "workspaces_dir": str(folder / "workspaces"),
        }
    }
    (folder / "config" / "jupyter_lab_config.json").write_text(json.dumps(config))
    shutil.copytree(FOLDER, folder / "notebooks", ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_DATA_DIR": str(folder / "data"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "IPYTHONDIR": str(folder / "ipython"),
    }
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        "--no-browser",
        f"--port={port}",
        "--ServerApp.port_retries=0",
        f"--IdentityProvider.token={TOKEN}",
        f"--ServerApp.root_dir={folder / 'notebooks'}",
        "--allow-root",
    ]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        wait_for_port(process, port, folder / "log")
        yield Lab(f"http://127.0.0.1:{port}", folder)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def wait_for_port(process, port, log, seconds=90):
    for _ in range(2 * seconds):
        assert process.poll() is None, f"JupyterLab ended: {log.read_text()[-2000:]}"
        try:
            return socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.5)
    raise TimeoutError(f"JupyterLab did not start in {seconds} s: {log.read_text()[-2000:]}")


# --- a notebook in the browser ---------------------------------------------------------------------------------------


class Opened(NamedTuple):
    """A notebook after Run All: the browser's page, whose errors `page.wrong` lists, the notebook as it stands in the
    file, and the connection file of its kernel, in which `verify` is watched."""

    page: object
    notebook: NotebookNode
    connection: Path


@contextmanager
def run_all(browser, lab: Lab, path: Path) -> Iterator[Opened]:
    """Open a notebook and run all its cells; its kernel is shut down at the end."""
    page = browser.new_page(viewport={"width": 1300, "height": 1000})
    page.wrong = []
    page.on("pageerror", lambda error: page.wrong.append(str(error)))
    page.goto(f"{lab.address}/lab/tree/{path.name}?reset&token={TOKEN}")
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=120_000)
    page.wait_for_function(IDLE, timeout=120_000)
    notebook, number = read(path), page.evaluate(f"{KERNEL}.id")
    connection = lab.folder / "runtime" / f"kernel-{number}.json"
    with attached(notebook, connection) as kernel:
        kernel.watch()
    page.evaluate("window.finished = window.jupyterapp.commands.execute('notebook:run-all-cells').then(() => true)")
    page.wait_for_function("window.finished", timeout=900_000)
    page.wait_for_function(IDLE, timeout=120_000)
    yield Opened(page, notebook, connection)
    page.evaluate(f"{NOTEBOOK}.context.sessionContext.shutdown()")
    page.close()


def record(opened: Opened, chapter: str) -> Record:
    """What `running.record` gives, from the run in the browser: the same kernel goes on."""
    executed, runs = copy.deepcopy(opened.notebook), []
    for i, shown in enumerate(cells(opened.page)):
        if shown["cell_type"] == "code":
            executed.cells[i].outputs = nbformat.from_dict(shown["outputs"])
            runs.append(run_of(i, seconds(shown["metadata"]["execution"]), executed.cells[i].outputs))
    with attached(opened.notebook, opened.connection) as kernel:
        return go_on(kernel, executed, runs, chapter)


def seconds(execution: dict) -> float:
    """How long a cell took, by the times that JupyterLab notes in its metadata."""
    begun, ended = (datetime.fromisoformat(execution[name]) for name in ("iopub.execute_input", "shell.execute_reply"))
    return (ended - begun).total_seconds()


def cells(page) -> list[dict]:
    """Each cell as the browser's model has it: type, source, execution_count, outputs, metadata."""
    return page.evaluate(f"{NOTEBOOK}.content.widgets.map(w => w.model.toJSON())")


def show(page, index):
    """Scroll a cell into view."""
    page.evaluate(
        f"async () => {{ const nb = {NOTEBOOK}.content; nb.activeCellIndex = {index};"
        f" await nb.scrollToItem({index}, 'start'); }}"
    )
    page.wait_for_timeout(300)
