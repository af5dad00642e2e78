"""Files that are either whole or not there: checkpoints of a training run, and models with their configuration."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

FORMAT = 1  # of the files with weights and configuration; a newer one is refused


def save(state: dict, path: str | Path) -> None:
    """Write the state of a training run: tensors, numbers, strings, lists and dicts of them."""
    write_whole(path, lambda file: torch.save(state, file))


def load(path: str | Path) -> dict:
    """Read what `save` wrote, tensors on the CPU; no code in the file is run (`weights_only=True`).

    Raises FileNotFoundError, or ValueError for a file that is not a whole checkpoint.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"There is no checkpoint {path}: train with checkpoint={str(path)!r} first.")
    with path.open("rb") as file:
        try:
            return torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # torch.load raises many kinds for a file that is not one of its own
            raise ValueError(f"{path} is not a whole checkpoint of this package; give another file.") from error


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

    path = Path(path)
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

    A temporary file in the same folder, flush, fsync, rename.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
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


def copy_to_cpu(value: Any) -> Any:
    """A copy of tensors on the CPU, through dicts and lists; anything else as it is."""
    if isinstance(value, Tensor):
        return value.detach().cpu().clone()
    if isinstance(value, dict):
        return {key: copy_to_cpu(item) for key, item in value.items()}
    return [copy_to_cpu(item) for item in value] if isinstance(value, list) else value
