"""`python -m aetutor doctor`: whether the course can run here, a line for each thing that it needs."""

import importlib.metadata
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple

MEMORY, DISK = 2.0, 0.2  # GB that a notebook needs


class Finding(NamedTuple):
    """One line: whether all is well (None: the course runs, with less), what was looked at, what to do."""

    good: bool | None
    what: str
    remedy: str = ""

    def __str__(self) -> str:
        sign = {True: "✓", None: "–", False: "✗"}[self.good]
        return f"{sign} {self.what}" + (f": {self.remedy}" if self.remedy else "")


def packages() -> Iterator[Finding]:
    """Each package that the course asks for, in the version that is here."""
    from packaging.requirements import Requirement

    yield Finding(sys.version_info >= (3, 11), f"Python {sys.version.split()[0]}", "")
    for text in importlib.metadata.requires("aetutor") or []:
        wanted = Requirement(text)
        extra = next(
            (name for name in ("lab", "draw") if wanted.marker and wanted.marker.evaluate({"extra": name})), ""
        )
        if wanted.marker and not extra:
            continue
        try:
            version = importlib.metadata.version(wanted.name)
        except importlib.metadata.PackageNotFoundError:
            use = {"draw": "needed for the drawing pads only", "lab": "or another program for notebooks"}.get(extra, "")
            remedy = f"pip install {wanted.name!r}" + (f" ({use})" if use else "")
            yield Finding(None if extra else False, f"{wanted.name} is not installed", remedy)
            continue
        good = wanted.specifier.contains(version, prereleases=True)
        what = f"{wanted.name} {version}"
        yield Finding(good, what) if good else Finding(False, what, f'pip install "{wanted.name}{wanted.specifier}"')


def device() -> Iterator[Finding]:
    """Where models are trained, and with how many threads."""
    import torch

    from aetutor.devices import choose_device

    chosen = choose_device()
    name = torch.cuda.get_device_name() if chosen.type == "cuda" else f"{os.cpu_count()} processors"
    yield Finding(True, f"device {chosen}, {name}, {torch.get_num_threads()} threads")
    if sys.platform == "linux" and not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys():
        yield Finding(None, "threads spin while they wait", "export GOMP_SPINCOUNT=1000 where other programs run, too")


def data() -> Iterator[Finding]:
    """MNIST, by its hashes."""
    from aetutor.data import DataError, load

    try:
        yield Finding(True, f"{load('mnist')}, hashes as they should be")
    except DataError as error:
        yield Finding(False, "MNIST", str(error))


def kernel() -> Iterator[Finding]:
    """The kernel that the notebooks ask for."""
    try:
        from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
    except ImportError:
        yield Finding(None, "no Jupyter in this environment", 'pip install ".[lab]" in the project\'s folder')
        return
    try:
        program = KernelSpecManager().get_kernel_spec("python3").argv[0]
    except NoSuchKernel:
        yield Finding(False, "no kernel python3", "pip install ipykernel")
        return
    here = program in ("python", "python3") or os.path.realpath(program) == os.path.realpath(sys.executable)
    remedy = (
        ""
        if here
        else f"in JupyterLab choose a kernel of {sys.executable}, or run: {sys.executable} -m ipykernel install"
    )
    yield Finding(True if here else None, f"kernel python3 runs {program}", remedy)


def widgets() -> Iterator[Finding]:
    """An explorer is built and moved."""
    try:
        import torch

        from aetutor.widgets import NoiseExplorer

        explorer = NoiseExplorer(torch.ones(2, 1, 4, 4), {"nothing": lambda x, kind, level: x})
        before = explorer.images["noisy"].value
        explorer.controls["level"].value = 1.0
        good = explorer.images["noisy"].value != before
    except Exception as error:
        yield Finding(False, f"widgets: {type(error).__name__}: {error}", "pip install --upgrade ipywidgets")
        return
    yield Finding(good, "widgets are built and follow their controls")


def room() -> Iterator[Finding]:
    """Free memory and disk."""
    memory = _free_memory()
    if memory:
        remedy = "" if memory >= MEMORY else f"close other programs: a notebook needs up to {MEMORY:.0f} GB"
        yield Finding(memory >= MEMORY, f"{memory:.1f} GB of memory are free", remedy)
    disk = shutil.disk_usage(".").free / 1e9
    remedy = "" if disk >= DISK else "make room: notebooks and checkpoints are saved here"
    yield Finding(disk >= DISK, f"{disk:.1f} GB of disk are free", remedy)


def _free_memory() -> float:
    """In GB; 0 where the system does not say."""
    try:
        with open("/proc/meminfo") as lines:
            return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable")) / 1e6
    except (OSError, StopIteration):
        return 0.0


EXAMINATIONS: list[Callable[[], Iterator[Finding]]] = [packages, device, data, kernel, widgets, room]


def doctor() -> int:
    """Print a line for each finding; 1 if one of them would stop the course, else 0."""
    findings = []
    for examine in EXAMINATIONS:
        for finding in examine():
            print(finding, flush=True)
            findings.append(finding)
    stopped = any(finding.good is False for finding in findings)
    print("Something above would stop the course." if stopped else "The course can run here.")
    return int(stopped)


def main(arguments: list[str]) -> int:
    """Run the command; 2, with a sentence, for another one."""
    if arguments == ["doctor"]:
        return doctor()
    print(f"python -m aetutor doctor looks whether the course can run here; got {' '.join(arguments) or 'no command'}.")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
