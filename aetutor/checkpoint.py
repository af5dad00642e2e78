"""Files that are either whole or not there: checkpoints of a training run, and models with their configuration."""

import glob
import io
import json
import os
import signal
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from numbers import Real
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from aetutor import doors

FORMAT = 1  # of the files with weights and configuration; a newer one is refused


def save(state: dict, path: str | Path) -> None:
    """Write the state of a training run: tensors, numbers, strings, lists and dicts of them."""
    content = io.BytesIO()  # first in memory: where torch writes to a file itself, a full disk is no OSError
    torch.save(state, content)
    write_whole(path, lambda file: file.write(content.getbuffer()))


def load(path: str | Path) -> dict:
    """Read what `save` wrote, tensors on the CPU; no code in the file is run (`weights_only=True`).

    Raises FileNotFoundError, or ValueError for a file that is not a whole checkpoint.
    """
    path = doors.path("checkpoint", path)
    if not path.exists():
        raise FileNotFoundError(f"There is no checkpoint {path}: train with checkpoint={str(path)!r} first.")
    # zipfile and torch.load raise many kinds of errors for a file that is not one of theirs
    with path.open("rb") as file, suppress(Exception):
        with zipfile.ZipFile(file) as archive:
            damaged = archive.testzip()  # the archive's own checksums, of which torch.load looks at none
        if not damaged:
            file.seek(0)
            return torch.load(file, map_location="cpu", weights_only=True)
    raise ValueError(f"{path} is not a whole checkpoint of this package; give another file.")


def save_weights(weights: dict[str, Tensor], config: dict[str, Any], path: str | Path) -> None:
    """Write weights and the configuration that rebuilds their model to one safetensors file."""
    import safetensors.torch

    tensors = {name: value.detach().cpu().contiguous() for name, value in weights.items()}
    metadata = {"aetutor": json.dumps({"format": FORMAT, **config})}
    content = safetensors.torch.save(tensors, metadata)
    write_whole(path, lambda file: file.write(content))


def load_weights(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save_weights` wrote: (weights on the CPU, configuration). A safetensors file holds no code.

    Raises FileNotFoundError, and ValueError for a file that is not whole, is something else, or is of a newer format.
    """
    from safetensors import SafetensorError, safe_open

    path = doors.path("path", path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}: model.save({str(path)!r}) writes one.")
    try:
        with safe_open(path, framework="pt") as file:
            config = json.loads((file.metadata() or {})["aetutor"])
            form = config.pop("format")
            weights = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 (no dict)
    except SafetensorError:
        raise ValueError(f"{path} is not a whole safetensors file: save the model again with model.save.") from None
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        raise ValueError(f"{path} was not written by model.save: it does not say which model it holds.") from None
    if form != FORMAT:
        raise ValueError(f"{path} has the format {form}, and this version of aetutor reads {FORMAT}: update aetutor.")
    return weights, config


def write_whole(path: str | Path, write: Callable[[BinaryIO], Any]) -> None:
    """Write a file so that a crash at any moment leaves the old one or the new one, never half of one.

    A temporary file in the same folder, flush, fsync, rename; those that killed processes left there are removed.
    Raises ValueError for a path that is a folder or a device.
    """
    path = doors.path("path", path)
    _check_kind(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(path)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def check_place(path: str | Path, name: str = "checkpoint") -> None:
    """Raise, before a long run and not after it, unless a file can be written at `path`.

    ValueError for a path that is a folder or a device; OSError, of the kind that writing would raise, for one that
    cannot be written.
    """
    path = doors.path(name, path)
    _check_kind(path)
    trial = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        trial.open("wb").close()
        trial.unlink()
    except OSError as error:
        raise OSError(error.errno, f"{path} cannot be written ({error.strerror}): give another path") from None


def _check_kind(path: Path) -> None:
    if path.exists() and not path.is_file():
        raise ValueError(f"{path} is a {'folder' if path.is_dir() else 'device'}: give the path of a file.")


def _remove_leftovers(path: Path) -> None:
    """Remove the temporary files beside `path` whose processes are no more."""
    for leftover in path.parent.glob(f"{glob.escape(path.name)}.*.tmp"):
        process = leftover.name.split(".")[-2]
        if process.isdigit() and not _is_running(int(process)):
            leftover.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    if os.name == "nt":  # where the question itself would end the process
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True


@contextmanager
def interrupts_wait() -> Iterator[None]:
    """A Ctrl-C inside the block takes effect at its end, so that what happens there happens as a whole."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield  # no Ctrl-C comes here
        return
    caught = []
    signal.signal(signal.SIGINT, lambda *given: caught.append(given))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if caught:
        before(*caught[0])


def same_form(value: Any, other: Any) -> bool:
    """Whether two states are made alike: the same keys, lengths, shapes and kinds, whatever the numbers."""
    if isinstance(other, Tensor):
        return isinstance(value, Tensor) and value.shape == other.shape and value.dtype == other.dtype
    if isinstance(other, dict):
        keys = isinstance(value, dict) and value.keys() == other.keys()
        return keys and all(same_form(value[key], other[key]) for key in other)
    if isinstance(other, (list, tuple)):
        lengths = isinstance(value, (list, tuple)) and len(value) == len(other)
        return lengths and all(same_form(*pair) for pair in zip(value, other, strict=True))
    return type(value) is type(other) or (isinstance(value, Real) and isinstance(other, Real))


def checksum(*tensors: Tensor | None) -> str:
    """Eight hexadecimal digits that change with any value of the tensors (CRC-32)."""
    crc = 0
    for tensor in tensors:
        if tensor is not None:
            crc = zlib.crc32(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes(), crc)
    return f"{crc:08x}"


def copy_to_cpu(value: Any) -> Any:
    """A copy of tensors on the CPU, through dicts and lists; anything else as it is."""
    if isinstance(value, Tensor):
        return value.detach().cpu().clone()
    if isinstance(value, dict):
        return {key: copy_to_cpu(item) for key, item in value.items()}
    return [copy_to_cpu(item) for item in value] if isinstance(value, list) else value
