"""Checkpoints: whole or not there, and no code run on reading."""

import os
import pickle
import random
import signal
import stat
import subprocess
import sys
import threading

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


# --- what killed processes and a bad disk leave ----------------------------------------------------------------------


def process_that_is_no_more():
    done = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    return int(done.stdout)


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_writes_is_not(tmp_path):
    dead, living = f"run.pt.{process_that_is_no_more()}.tmp", f"run.pt.{os.getppid()}.tmp"
    for name in (dead, living, "run.pt.old.tmp", "other.pt.1.tmp"):
        (tmp_path / name).write_bytes(b"half")
    checkpoint.save(STATE, tmp_path / "run.pt")
    assert sorted(os.listdir(tmp_path)) == sorted([living, "other.pt.1.tmp", "run.pt", "run.pt.old.tmp"])


def test_a_flipped_bit_is_seen_or_changes_nothing(tmp_path):
    path, generator = tmp_path / "run.pt", random.Random(0)
    checkpoint.save(STATE, path)
    whole = path.read_bytes()
    refused = 0
    for _ in range(300):
        place, bit = generator.randrange(len(whole)), 1 << generator.randrange(8)
        path.write_bytes(whole[:place] + bytes([whole[place] ^ bit]) + whole[place + 1 :])
        try:
            assert same(checkpoint.load(path), STATE)
        except ValueError as error:
            assert str(error) == f"{path} is not a whole checkpoint of this package; give another file."
            refused += 1
    assert refused > 30


@pytest.mark.parametrize("count", [0, 4, 30, 200])
def test_random_bytes_after_an_archives_beginning_are_refused(tmp_path, count):
    (tmp_path / "run.pt").write_bytes(b"PK\x03\x04" + random.Random(0).randbytes(count))
    not_whole(tmp_path / "run.pt")


@pytest.mark.parametrize("write", [checkpoint.check_place, lambda path: checkpoint.save(STATE, path)])
def test_a_device_is_refused_and_never_replaced(write, tmp_path):
    """A pipe stands for it: under a mutant that replaces what it is given, /dev/null would be gone."""
    os.mkfifo(tmp_path / "run.pt")
    with pytest.raises(ValueError, match=r"run\.pt is a device: give the path of a file"):
        write(tmp_path / "run.pt")
    assert stat.S_ISFIFO(os.stat(tmp_path / "run.pt").st_mode)


def test_a_place_that_can_be_written_is_left_as_it_is(tmp_path):
    checkpoint.check_place(tmp_path / "new" / "run.pt")
    assert os.listdir(tmp_path / "new") == []
    (tmp_path / "new" / "run.pt").write_bytes(b"as before")
    checkpoint.check_place(tmp_path / "new" / "run.pt")
    assert (tmp_path / "new" / "run.pt").read_bytes() == b"as before"


def test_ctrl_c_waits_for_the_end_of_the_block():
    done = []
    with pytest.raises(KeyboardInterrupt), checkpoint.interrupts_wait():
        os.kill(os.getpid(), signal.SIGINT)
        done.append(1)
    assert done == [1] and signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_in_another_thread_nothing_waits():
    entered = []

    def work():
        with checkpoint.interrupts_wait():
            entered.append(signal.getsignal(signal.SIGINT) is signal.default_int_handler)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert entered == [True]


@pytest.mark.parametrize(
    "other",
    [{"a": 1}, {"a": 1, "b": [torch.zeros(2), True], "c": 0}, {"a": "1", "b": [torch.zeros(2), True]},
     {"a": 1, "b": [torch.zeros(3), True]}, {"a": 1, "b": [torch.zeros(2)]}, {"a": 1, "b": torch.zeros(2)}, [1], None],
)  # fmt: skip
def test_states_of_another_form_are_told_apart(other):
    state = {"a": 2.5, "b": [torch.ones(2), False]}
    assert checkpoint.same_form(state, {"a": 1, "b": [torch.zeros(2), True]})
    assert not checkpoint.same_form(state, other) or other is state


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.bfloat16, torch.int64])
def test_a_checksum_changes_with_any_value(dtype):
    x = torch.arange(24).view(2, 3, 4).to(dtype)
    y = x.clone()
    y[1, 2, 3] += 1
    assert checkpoint.checksum(x, None) == checkpoint.checksum(x.clone()) != checkpoint.checksum(y)
    assert checkpoint.checksum(x, x) != checkpoint.checksum(x)
