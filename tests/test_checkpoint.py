"""Checkpoints: whole or not there, and no code run on reading."""

import os
import pickle

import pytest
import torch

from aetutor import checkpoint

STATE = {
    "weights": {"w": torch.arange(6.0).view(2, 3), "n": torch.tensor(3)},
    "losses": [1.5, float("inf")],
    "name": "ae",
    "steps": 7,
    "done": False,
    "nothing": None,
}


def same(a, b):
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return torch.equal(a, b) and a.dtype == b.dtype if isinstance(a, torch.Tensor) else a == b and type(a) is type(b)


def test_what_was_saved_is_loaded(tmp_path):
    checkpoint.save(STATE, tmp_path / "run.pt")
    assert same(checkpoint.load(tmp_path / "run.pt"), STATE)


def test_paths_may_be_strings_and_folders_are_made(tmp_path):
    path = str(tmp_path / "new" / "folder" / "run.pt")
    checkpoint.save(STATE, path)
    assert same(checkpoint.load(path), STATE)


def test_a_second_save_takes_the_place_of_the_first(tmp_path):
    checkpoint.save({"epoch": 1}, tmp_path / "run.pt")
    checkpoint.save({"epoch": 2}, tmp_path / "run.pt")
    assert checkpoint.load(tmp_path / "run.pt") == {"epoch": 2}
    assert os.listdir(tmp_path) == ["run.pt"]


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt(), RuntimeError("killed")], ids=repr)
@pytest.mark.parametrize("before", [True, False], ids=["over an old file", "the first"])
def test_a_save_that_dies_halfway_changes_nothing(tmp_path, monkeypatch, error, before):
    path = tmp_path / "run.pt"
    if before:
        checkpoint.save(STATE, path)

    def half(state, file):
        file.write(b"PK\x03\x04 half a file")
        raise error

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(type(error)):
        checkpoint.save({"epoch": 2}, path)
    assert os.listdir(tmp_path) == (["run.pt"] if before else [])
    assert not before or same(checkpoint.load(path), STATE)


def test_the_bytes_are_on_the_disk_before_the_name_changes(tmp_path, monkeypatch):
    events, fsync, replace = [], os.fsync, os.replace
    path = tmp_path / "run.pt"

    def logged_fsync(descriptor):
        events.append(("fsync", os.fstat(descriptor).st_size))
        fsync(descriptor)

    def logged_replace(source, target):
        events.append(("replace", os.path.getsize(source)))
        assert os.path.dirname(source) == str(tmp_path) and target == path
        replace(source, target)

    monkeypatch.setattr(os, "fsync", logged_fsync)
    monkeypatch.setattr(os, "replace", logged_replace)
    checkpoint.save(STATE, path)
    assert events == [("fsync", path.stat().st_size), ("replace", path.stat().st_size)]


def test_a_missing_file_is_named(tmp_path):
    path = tmp_path / "run.pt"
    with pytest.raises(FileNotFoundError, match=r"There is no checkpoint .*run.pt.*checkpoint="):
        checkpoint.load(path)


def not_whole(path):
    with pytest.raises(ValueError, match=r"run.pt is not a whole checkpoint .*; give another file") as caught:
        checkpoint.load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.99])
def test_a_truncated_file_is_refused(tmp_path, share):
    path = tmp_path / "run.pt"
    checkpoint.save(STATE, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    not_whole(path)


@pytest.mark.parametrize(
    "content",
    [
        b"hello world",
        b"{}\n",
        b"GIF89a",
        bytes(100),
        b"\x1f\x8b\x08\x00",
        b"epoch,loss\n",
        b"\x80\x02}q\x00.",
        b"%PDF-1.7\n",
        b"\xff\xfe\xfd",
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path, content):
    path = tmp_path / "run.pt"
    path.write_bytes(content)
    not_whole(path)


def test_a_file_that_cannot_be_read_is_not_called_damaged(tmp_path, monkeypatch):
    path = tmp_path / "run.pt"
    checkpoint.save(STATE, path)

    def denied(*_, **__):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("pathlib.Path.open", denied)
    with pytest.raises(PermissionError):
        checkpoint.load(path)


class Trap:
    """Unpickled carelessly, this makes a file."""

    def __init__(self, target):
        self.target = str(target)

    def __reduce__(self):
        return open, (self.target, "w")


@pytest.mark.parametrize(
    "write",
    [
        lambda state, path: torch.save(state, path),
        lambda state, path: path.write_bytes(pickle.dumps(state, protocol=2)),
    ],
    ids=["torch.save", "pickle"],
)
def test_code_in_a_file_is_not_run(tmp_path, write):
    path, sign = tmp_path / "run.pt", tmp_path / "it-ran"
    write({"weights": Trap(sign)}, path)
    sign.unlink(missing_ok=True)
    not_whole(path)
    assert not sign.exists()
