"""Installed by pip into a fresh environment, without make, and with the ipywidgets of Google Colab."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent
COLAB = "ipywidgets==7.7.1"


def run(*command, **options):
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, env=environment, **options)


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """The Python of a fresh environment that holds the course and JupyterLab, from a copy of this folder."""
    folder = tmp_path_factory.mktemp("elsewhere")
    files = run("git", "ls-files", "aetutor", "pyproject.toml", "README.md", "LICENSE", cwd=ROOT)
    if files.returncode:
        pytest.skip("not a git repository")
    copy = folder / "copy"
    for name in files.stdout.split("\n")[:-1]:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes((ROOT / name).read_bytes())
    python = folder / "environment" / "bin" / "python"
    made = run(sys.executable, "-m", "uv", "venv", "--python", sys.executable, python.parent.parent)
    if made.returncode == 0:
        made = run(sys.executable, "-m", "uv", "pip", "install", "--python", python, f"{copy}[lab,draw]", COLAB)
    if made.returncode:
        reason = f"The environment could not be made: {made.stderr[-500:]}"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    return python


def test_the_package_there_is_the_installed_one_and_whole(python, tmp_path):
    code = "import aetutor; print(aetutor.__file__); print(len(aetutor.load('mnist').train_x))"
    done = run(python, "-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    file, images = done.stdout.split()
    assert "site-packages" in file and images == "60000"


def test_jupyterlab_is_there(python):
    assert run(python, "-m", "jupyterlab", "--version").stdout.startswith("4.")


def test_every_explorer_is_built_and_moved_with_colabs_ipywidgets(python, tmp_path):
    version = run(python, "-c", "import ipywidgets; print(ipywidgets.__version__)").stdout.strip()
    assert version == COLAB.rpartition("=")[2]
    done = run(python, ROOT / "tests" / "explorers.py", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("moved") == 9


def test_a_page_is_written_there_too(python, tmp_path):
    code = (
        f"import sys; sys.path.append({str(ROOT / 'tests')!r}); import aetutor, explorers\n"
        "aetutor.freeze(explorers.make('LatentExplorer'), 'page.html', z1=3, z2=3)"
    )
    done = run(python, "-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "page.html").stat().st_size > 10_000


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("0*.ipynb")), ids=lambda path: path.name)
def test_a_notebook_without_the_package_says_what_to_do(path, tmp_path):
    cell = next(cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code")
    done = run(sys.executable, "-S", "-c", cell.source, cwd=tmp_path)  # without the installed packages
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 1 and last.startswith(
        "ModuleNotFoundError: aetutor is not installed for this kernel. In "
    )
    assert all(way in last for way in ("make lab", 'pip install ".[lab,draw]"', "jupyter lab", "Colab: %pip install"))
