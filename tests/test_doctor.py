"""`python -m aetutor doctor`."""

import importlib.metadata
import subprocess
import sys

import pytest

from aetutor import __main__ as doctor
from aetutor import data


def lines(capsys):
    return capsys.readouterr().out.splitlines()


def test_here_the_course_can_run(tmp_path):
    command = [sys.executable, "-m", "aetutor", "doctor"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    *findings, last = done.stdout.splitlines()
    assert last == "The course can run here." and all(line[0] in "✓–" for line in findings)
    for what in (
        "Python 3.",
        "torch ",
        "ipywidgets ",
        "device cpu",
        "mnist: 60,000",
        "kernel",
        "widgets",
        "memory",
        "disk",
    ):
        assert any(what in line for line in findings), what


@pytest.mark.parametrize("arguments", [[], ["nurse"], ["doctor", "now"]])
def test_another_command_is_told(arguments, capsys):
    assert doctor.main(arguments) == 2
    assert lines(capsys)[0].startswith("python -m aetutor doctor looks whether")


def test_damaged_data_would_stop_the_course(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(data, "MNIST_DIR", tmp_path)
    assert doctor.doctor() == 1
    printed = lines(capsys)
    assert any(line.startswith("✗ MNIST: The MNIST file") and "git checkout" in line for line in printed)
    assert printed[-1] == "Something above would stop the course."


def without(monkeypatch, missing):
    version = importlib.metadata.version

    def known(name):
        if name.lower() == missing:
            raise importlib.metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(importlib.metadata, "version", known)


@pytest.mark.parametrize(
    "missing, line, status",
    [
        ("anywidget", "– anywidget is not installed: pip install 'anywidget' (needed for the drawing pads only)", 0),
        ("jupyterlab", "– jupyterlab is not installed: pip install 'jupyterlab' (or another program for notebooks)", 0),
        ("matplotlib", "✗ matplotlib is not installed: pip install 'matplotlib'", 1),
    ],
)
def test_a_missing_package_stops_the_course_or_only_a_part(missing, line, status, monkeypatch, capsys):
    without(monkeypatch, missing)
    monkeypatch.setattr(doctor, "EXAMINATIONS", [doctor.packages])
    assert doctor.doctor() == status
    assert line in lines(capsys)


def test_a_version_that_is_too_old_is_told(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.0.1")
    findings = [str(finding) for finding in doctor.packages()]
    assert any(line.startswith('✗ torch 0.0.1: pip install "torch') and ">=2.10" in line for line in findings)


def test_without_room_it_says_so(monkeypatch):
    monkeypatch.setattr(doctor, "_free_memory", lambda: 0.5)
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1e7}))
    memory, disk = doctor.room()
    assert str(memory).startswith("✗ 0.5 GB of memory are free: close other programs")
    assert str(disk).startswith("✗ 0.0 GB of disk are free: make room")


def test_widgets_that_do_not_follow_are_seen(monkeypatch):
    from aetutor.widgets import Explorer

    monkeypatch.setattr(Explorer, "draw", lambda self, change=None: None)
    (finding,) = doctor.widgets()
    assert not finding.good


def test_a_kernel_of_another_python_is_told(monkeypatch):
    kernelspec = pytest.importorskip("jupyter_client.kernelspec")

    class Spec:
        argv = ("/opt/other/bin/python", "-m", "ipykernel_launcher")

    monkeypatch.setattr(kernelspec.KernelSpecManager, "get_kernel_spec", lambda self, name: Spec)
    (finding,) = doctor.kernel()
    assert finding.good is None and "choose a kernel of" in finding.remedy
