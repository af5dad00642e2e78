"""The package as a whole: what importing it costs, and what it offers."""

import importlib
import inspect
import pkgutil
import subprocess
import sys
from functools import cache

import pytest

import aetutor

MODULES = [
    "aetutor",
    *(
        module.name
        for module in pkgutil.walk_packages(aetutor.__path__, "aetutor.")
        if not module.name.endswith("__main__")
    ),
]
HEAVY = {"matplotlib", "ipywidgets", "torchvision", "IPython", "tqdm", "PIL", "jupyterlab"}

PROBE = """
import sys, time
import torch
before = torch.get_rng_state(), torch.get_default_dtype(), set(sys.modules)
start = time.perf_counter()
import aetutor
seconds = time.perf_counter() - start
assert torch.equal(torch.get_rng_state(), before[0]) and torch.get_default_dtype() == before[1]
print("probe", seconds, *{name.partition(".")[0] for name in set(sys.modules) - before[2]})
"""


@cache
def fresh_import():
    """What `import aetutor` does beyond torch, in a process of its own: seconds, packages it brings, what it prints."""
    result = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True)
    printed, _, words = result.stdout.partition("probe ")
    seconds, *packages = words.split()
    return float(seconds), set(packages), printed + result.stderr


def test_importing_brings_nothing_heavy():
    assert "aetutor" in fresh_import()[1] and not fresh_import()[1] & HEAVY


def test_importing_prints_nothing():
    assert fresh_import()[2] == ""


def test_importing_is_quick():
    seconds = fresh_import()[0]
    for _ in range(2):  # a busy machine may be slow once
        if seconds >= 0.15:
            seconds = min(seconds, fresh_import.__wrapped__()[0])
    assert seconds < 0.15


@pytest.mark.parametrize("name", MODULES)
def test_names_that_are_exported_exist(name):
    module = importlib.import_module(name)
    exported = getattr(module, "__all__", [])
    assert len(exported) == len(set(exported)) and all(hasattr(module, one) for one in exported)


def test_the_package_exports_what_the_course_is_built_on():
    wanted = {
        "Autoencoder",
        "EXERCISES",
        "History",
        "Trainer",
        "binarize",
        "check",
        "load",
        "reconstruction_loss",
        "show_source",
        "to_unit",
        "verify",
    }
    assert wanted <= set(aetutor.__all__)


def test_every_exported_name_is_imported_and_no_other():
    public = {name for name, value in vars(aetutor).items() if not name.startswith("_") and not inspect.ismodule(value)}
    assert public | {"freeze"} == set(aetutor.__all__)  # which is imported when it is asked for
    assert aetutor.freeze is aetutor.widgets.frozen.freeze
    with pytest.raises(AttributeError, match="has no attribute 'frieze'"):
        aetutor.frieze  # noqa: B018


def public_things():
    """Every public function and class that a module of the package defines, as "module.name"."""
    for name in MODULES:
        for key, value in vars(importlib.import_module(name)).items():
            defined_here = getattr(value, "__module__", None) == name
            if defined_here and not key.startswith("_") and (inspect.isfunction(value) or inspect.isclass(value)):
                yield pytest.param(value, id=f"{name}.{key}")


@pytest.mark.parametrize("thing", list(public_things()))
def test_what_is_public_has_a_docstring(thing):
    doc = vars(thing).get("__doc__") if inspect.isclass(thing) else thing.__doc__
    assert doc and doc.strip() and not doc.startswith(f"{thing.__name__}(")  # a dataclass writes its signature there


@pytest.mark.parametrize("name", MODULES)
def test_every_module_says_what_it_is(name):
    assert importlib.import_module(name).__doc__.strip()


def test_the_version_is_the_projects():
    from importlib.metadata import PackageNotFoundError, version

    try:
        assert aetutor.__version__ == version("aetutor")
    except PackageNotFoundError:
        pytest.skip("the package is not installed")
