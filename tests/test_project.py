"""The project's frame: the two commands, the one list of dependencies, the licence, the package's files."""

import functools
import importlib.util
import inspect
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import nbformat
import pytest
import yaml

import aetutor.plots  # noqa: F401  (whose sources notebooks may show)

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGE = ROOT / "aetutor"

# in pieces, so that this file does not hold what it forbids
MACHINE_PATHS = re.compile(r"(?<![\w.~-])/(?:wor" + r"k|hom" + r"e|roo" + r"t|tm" + r"p|Use" + r"rs)/")
REGISTRY_HOSTS = re.compile(
    "|".join(
        [
            r"pypi\." + "org",
            "pythonho" + r"sted\.org",
            r"npmjs\." + "(?:org|com)",
            r"download\.py" + r"torch\.org",
            r"conda\." + "anaconda",
        ]
    )
)


def tracked_files() -> list[Path]:
    """The files that git tracks; skips where this is not a git checkout."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    try:
        names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this is not a git checkout")
    return [path for name in names.split("\0") if name and (path := ROOT / name).is_file()]


def forbidden(text: str) -> list[str]:
    """The machine's own paths and the registry hosts that a text names."""
    return [found[0] for pattern in (MACHINE_PATHS, REGISTRY_HOSTS) for found in pattern.finditer(text)]


def make_lines(markdown: str) -> list[str]:
    """The lines of a Markdown text's code blocks that run make."""
    blocks = re.findall(r"^```[^\n]*\n(.*?)^```", markdown, re.MULTILINE | re.DOTALL)
    return [line.strip() for block in blocks for line in block.splitlines() if re.match(r"\s*make\b", line)]


def run_make(*arguments: str) -> subprocess.CompletedProcess:
    """Run make as from a fresh shell, even when these tests were started by make."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    environment = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "ARGS", "NB")}
    return subprocess.run(["make", *arguments], cwd=ROOT, capture_output=True, text=True, env=environment)


def dry_run(*arguments: str) -> subprocess.CompletedProcess:
    """What `make` would do, without doing it."""
    return run_make("-n", *arguments)


# --- the commands ----------------------------------------------------------------------------------------------------


TARGETS = [
    "help",
    "lab",
    "test",
    "check",
    "test-oldest",
    "seeds",
    "mutation",
    "notebooks",
    "book",
    "handout",
    "lint",
    "benchmark",
]


@pytest.mark.parametrize("target", TARGETS)
def test_make_knows_the_target(target):
    done = dry_run(target)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_make_refuses_what_it_does_not_know():
    assert dry_run("no-such-target").returncode != 0


def test_plain_make_lists_every_command():
    assert re.findall(r"^make ([\w-]+)", run_make().stdout, re.MULTILINE) == TARGETS


def test_the_readmes_commands_are_in_the_makefile():
    lines = make_lines((ROOT / "README.md").read_text(encoding="utf-8"))
    assert any(line.split()[:2] == ["make", "lab"] for line in lines), lines
    assert any(line.split()[:2] == ["make", "test"] for line in lines), lines
    for line in lines:
        done = dry_run(*shlex.split(line, comments=True)[1:])
        assert done.returncode == 0, f"README.md says `{line}`: {done.stderr}"


def test_arguments_reach_jupyterlab_and_pytest():
    assert "--no-browser --port=8899" in dry_run("lab", "ARGS=--no-browser --port=8899").stdout
    assert re.search(r"-m pytest .*-k verify$", dry_run("test", "ARGS=-k verify").stdout, re.MULTILINE)


def test_ci_runs_the_readmes_test_command():
    script = ROOT / ".ci" / "run"
    assert script.read_text(encoding="utf-8").rstrip().endswith("\nmake test")
    assert os.access(script, os.X_OK)


# --- dependencies ----------------------------------------------------------------------------------------------------


def requirement_names(requirements: list[str]) -> set[str]:
    return {re.match(r"[\w.-]+", r)[0].lower() for r in requirements}


def conda_problems(environment: dict, project: dict) -> list[str]:
    """Where a conda environment departs from pyproject.toml."""
    listed = [d for d in environment["dependencies"] if isinstance(d, str)]
    by_pip = [r for d in environment["dependencies"] if isinstance(d, dict) for r in d["pip"]]
    python = [d.removeprefix("python") for d in listed if re.match(r"python\b", d)]
    allowed = requirement_names(project["dependencies"]) | {"python", "pip"}
    problems = []
    if python != [project["requires-python"]]:
        problems.append(f"python{python} instead of {project['requires-python']}")
    if "pip" not in listed or "-e .[lab,draw]" not in by_pip:
        problems.append("does not install this package by pip: -e .[lab,draw]")
    extra = requirement_names([*listed, *(r for r in by_pip if r != "-e .[lab,draw]")]) - allowed
    if extra:
        problems.append(f"{sorted(extra)} are not dependencies in pyproject.toml")
    return problems


def conda_environment() -> dict:
    return yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))


def test_environment_yml_agrees_with_pyproject():
    environment = conda_environment()
    assert environment["name"] == PROJECT["project"]["name"]
    assert conda_problems(environment, PROJECT["project"]) == []


@pytest.mark.parametrize(
    "dependencies",
    [
        ["python>=3.10", "pip", {"pip": ["-e .[lab,draw]"]}],
        ["python>=3.11", "pip", "pandas", {"pip": ["-e .[lab,draw]"]}],
        ["python>=3.11", "pip", {"pip": ["-e .[lab,draw]", "pandas"]}],
        ["python>=3.11", "pip", {"pip": ["-e ."]}],
        ["python>=3.11", "pip", {"pip": ["torch"]}],
        ["python>=3.11"],
    ],
)
def test_a_departure_is_seen(dependencies):
    assert conda_problems({"dependencies": dependencies}, PROJECT["project"] | {"requires-python": ">=3.11"})


def test_dependencies_are_ranges_with_a_lower_bound():
    for requirement in PROJECT["project"]["dependencies"]:
        assert ">=" in requirement and "==" not in requirement, requirement


def test_ruff_and_the_makefile_know_the_same_lowest_python():
    lowest = PROJECT["project"]["requires-python"].removeprefix(">=")
    assert PROJECT["tool"]["ruff"]["target-version"] == "py" + lowest.replace(".", "")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert f"sys.version_info < ({lowest.replace('.', ', ')})" in makefile
    assert f"Python {lowest} or newer" in makefile


# --- what the package holds ------------------------------------------------------------------------------------------


def test_the_licences_are_there_and_declared():
    declared = PROJECT["project"]["license-files"]
    assert {"LICENSE", "aetutor/mnist/NOTICE"} <= set(declared)
    assert "MIT License" in (ROOT / "LICENSE").read_text(encoding="utf-8")
    notice = (PACKAGE / "mnist" / "NOTICE").read_text(encoding="utf-8")
    assert all(word in notice for word in ("CC BY-SA 3.0", "LeCun", "Cortes", "Burges"))


def test_every_data_file_is_declared_as_package_data():
    patterns = PROJECT["tool"]["setuptools"]["package-data"]["aetutor"]
    data = [
        p.relative_to(PACKAGE).as_posix() for p in PACKAGE.rglob("*") if p.is_file() and p.suffix not in (".py", ".pyc")
    ]
    assert len([name for name in data if name.endswith(".gz")]) == 4
    assert [name for name in data if not any(fnmatch(name, pattern) for pattern in patterns)] == []


def test_every_subpackage_is_declared():
    found = {".".join(p.parent.relative_to(ROOT).parts) for p in PACKAGE.rglob("__init__.py")}
    assert found == set(PROJECT["tool"]["setuptools"]["packages"])


# --- nothing of one machine in the files -----------------------------------------------------------------------------


def test_no_tracked_file_names_a_machines_paths_or_a_registry():
    named = {}
    for path in tracked_files():
        try:
            named[path.relative_to(ROOT).as_posix()] = forbidden(path.read_text(encoding="utf-8"))
        except UnicodeDecodeError:
            continue  # not a text
    assert {name: found for name, found in named.items() if found} == {}


@pytest.mark.parametrize("text", ["see /" + "home/me/x", "'/" + "tmp/x'", "https://" + "pypi." + "org/simple"])
def test_a_forbidden_text_is_seen(text):
    assert forbidden(text)
    assert not forbidden("notebooks/home/x ~/.cache/aetutor ./tmp/x and PyPI")


# --- what the README promises ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_readmes_program_has_seven_lines_and_runs(capsys):
    program = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)[1]
    assert len([line for line in program.splitlines() if line.strip()]) <= 7
    exec(compile(program, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "History: 2 epochs" in printed
    assert 15 < float(printed.strip().rpartition(" ")[2]) < 25  # PCA has 29.4 with a code of eight numbers


def test_the_readmes_pictures_are_the_notebooks():
    spec = importlib.util.spec_from_file_location("pictures", ROOT / "docs" / "pictures.py")
    pictures = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pictures)
    for path, (notebook, caption) in pictures.PICTURES.items():
        assert (ROOT / path).read_bytes() == pictures.figure(notebook, caption), "run python docs/pictures.py"
        assert f"]({path})" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_a_handout_has_every_stub_and_hint_and_no_solution_answer_or_output():
    spec = importlib.util.spec_from_file_location("handout", ROOT / "docs" / "handout.py")
    docs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(docs)
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        notebook = docs.handout(nbformat.read(path, as_version=4))
        nbformat.validate(notebook)
        texts = "\n".join(cell.source for cell in notebook.cells)
        assert not re.search(r"<summary>\s*(Solution|Answer|What we saw)", texts)
        whole = path.read_text(encoding="utf-8")
        assert texts.count("<summary>Hint") == whole.count("<summary>Hint") > 4
        assert texts.count("<details>") == texts.count("</details>")
        assert not any(cell.get("outputs") for cell in notebook.cells)
        source = {cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"}
        assert source == {cell.source for cell in notebook.cells if cell.cell_type == "code"}


def test_the_minutes_of_the_exercises_are_their_sum():
    table = [line for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines() if ".ipynb)" in line]
    assert len(table) == len(list((ROOT / "notebooks").glob("*.ipynb")))
    for line in table:
        notebook = json.loads((ROOT / re.search(r"\((notebooks/\S+)\)", line)[1]).read_text(encoding="utf-8"))
        text = "".join("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "markdown")
        minutes = sum(map(int, re.findall(r"\((?:[Ee]asy|[Mm]edium|[Hh]ard), (\d+) minutes", text)))
        stated = int(re.search(r"(\d+) for (?:the )?\w+ exercises", text)[1])
        assert minutes == stated == int(re.search(r"(\d+) for \w+ exercises", line)[1])


def test_the_sources_that_notebooks_show_are_the_packages():
    shown = []
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        outputs = [output for cell in cells for output in cell.get("outputs", [])]
        texts = ["".join(output.get("data", {}).get("text/markdown", "")) for output in outputs]
        found = [re.fullmatch(r"`(aetutor\.[\w.]+)`\n\n```python\n(.*)```", text, re.DOTALL) for text in texts]
        shown += [match.groups() for match in found if match]
    assert shown
    for name, code in shown:
        module = max((m for m in sys.modules if name.startswith(f"{m}.")), key=len)
        thing = functools.reduce(getattr, name.removeprefix(f"{module}.").split("."), sys.modules[module])
        assert code == textwrap.dedent(inspect.getsource(thing)), f"{name} has changed: run make notebooks"
