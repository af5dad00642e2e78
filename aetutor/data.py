"""Images and labels: the bundled MNIST, and other sets through torchvision."""

import gzip
import hashlib
import reprlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from aetutor import doors
from aetutor.distributions import validating

Labels = Tensor | np.ndarray | Sequence[int]  # class indices

MNIST_DIR = Path(__file__).parent / "mnist"
DEFAULT_ROOT = Path.home() / ".cache" / "aetutor"
DIGITS = tuple("0123456789")

# name in this course -> (class in torchvision.datasets, folder below root in which torchvision looks for its files)
TORCHVISION_SETS = {
    "fashion-mnist": ("FashionMNIST", "FashionMNIST/raw"),
    "kmnist": ("KMNIST", "KMNIST/raw"),
    "cifar10": ("CIFAR10", "."),
}


class DataError(RuntimeError):
    """A data file is missing or damaged; the message says which one, and what to do."""


@dataclass(frozen=True)
class ImageData:
    """Images uint8 `(N, C, H, W)` in 0…255 and labels int64 `(N,)`, split for training and testing."""

    name: str
    train_x: Tensor
    train_y: Tensor
    test_x: Tensor
    test_y: Tensor
    class_names: tuple[str, ...]

    def to(self, device: str | torch.device) -> "ImageData":
        """The same data on another device."""
        moved = {key: getattr(self, key).to(device) for key in ("train_x", "train_y", "test_x", "test_y")}
        return replace(self, **moved)

    def __repr__(self) -> str:
        return (
            f"{self.name}: {len(self.train_x):,} training and {len(self.test_x):,} test images of shape "
            f"{tuple(self.train_x.shape[1:])}, {len(self.class_names)} classes"
        )


def load(name: str, *, root: str | Path | None = None, download: bool = False) -> ImageData:
    """Load a data set by name: "mnist", "fashion-mnist", "kmnist" or "cifar10".

    MNIST comes with the package: it needs no network, and `root` and `download` have no meaning for it. The others go
    through `torchvision.datasets`, which keeps its files below `root` (default: ~/.cache/aetutor).

    Raises: ValueError for an unknown name, DataError for a file that is missing or damaged.
    """
    if name == "mnist":
        return _load_mnist()
    if name in TORCHVISION_SETS:
        return _load_torchvision(name, Path(root or DEFAULT_ROOT), download)
    raise ValueError(f"Unknown data set {name!r}: choose one of {', '.join(['mnist', *TORCHVISION_SETS])}.")


def to_unit(x: Tensor) -> Tensor:
    """uint8 images 0…255 -> float32 in [0, 1], any shape. Raises TypeError for any other dtype."""
    if not isinstance(x, Tensor) or x.dtype != torch.uint8:
        raise TypeError(
            "to_unit takes a tensor of uint8 images, with values 0…255; got a "
            f"{type(x).__name__} of {getattr(x, 'dtype', 'no dtype')}."
        )
    return x.float() / 255


def bytes_to_unit(x: Tensor) -> Tensor:
    """uint8 images by `to_unit`, floats as they are: what the trainer does unless told otherwise."""
    return to_unit(x) if x.dtype == torch.uint8 else x


def binarize(x: Tensor, threshold: float = 0.5) -> Tensor:
    """Images -> float 0.0 or 1.0: 1 where the grey value is above `threshold`, any shape.

    Takes uint8 images 0…255 or float images in [0, 1]; the threshold is always in units of [0, 1]. Raises ValueError
    for a threshold or grey values outside [0, 1], or NaN; TypeError for other integers.
    """
    doors.tensor("x", x, "images, uint8 or floats in [0, 1]")
    doors.number("threshold", threshold, 0, 1)
    if x.dtype == torch.uint8:
        return (x > int(threshold * 255)).float()  # whole numbers above t are those above its whole part
    if not x.is_floating_point():
        raise TypeError(f"binarize takes uint8 images 0…255, or float images in [0, 1]; got {x.dtype}.")
    if not ((x >= 0) & (x <= 1)).all():
        raise ValueError(f"binarize takes float images in [0, 1]; got {value_range(x)}.")
    return (x > threshold).to(x.dtype)


def value_range(x: Tensor) -> str:
    """What a tensor holds, for a message: its smallest and largest value, or NaN; and what to do with 0…255."""
    if x.is_floating_point():
        found = "NaN" if x.isnan().any() else f"values from {x.min():.3g} to {x.max():.3g}"
        return f"{found}: divide 0…255 by 255" if x.max() > 1 else found
    return f"values from {x.min()} to {x.max()}"


def unit_images(images: Tensor) -> Tensor:
    """Images to look at, `(N, C, H, W)`: uint8, or floats clipped to [0, 1], -> float32 on the CPU.

    Raises ValueError for another shape, or for a number of channels other than 1 (grey) and 3 (colour).
    """
    if not isinstance(images, Tensor) or images.dim() != 4 or images.shape[1] not in (1, 3) or len(images) == 0:
        given = tuple(images.shape) if hasattr(images, "shape") else type(images).__name__
        raise ValueError(f"Images to show must be a tensor (N, 1, H, W) or (N, 3, H, W), N at least 1; got {given}.")
    images = images.detach().cpu()
    return bytes_to_unit(images).float().clamp(0, 1)


def one_hot(y: Labels, num_classes: int) -> Tensor:
    """Labels `(…,)`, a tensor, a list or an array of integers -> float32 `(…, num_classes)`, a 1 at the label's place.

    Raises ValueError for labels that are not integers in 0…num_classes-1; on a GPU it looks at their range only while
    torch.distributions' validation is on.
    """
    num_classes = doors.whole_number("num_classes", num_classes)
    labels = as_labels(y, num_classes).long()
    looked_at = validating() or labels.device.type == "cpu"  # elsewhere a look waits for the device
    if looked_at and not torch.compiler.is_compiling() and ((labels < 0) | (labels >= num_classes)).any():
        raise ValueError(
            f"Labels must lie in 0…{num_classes - 1}; got {value_range(labels)}: "
            "correct them, or give a larger num_classes."
        )
    return torch.nn.functional.one_hot(labels, num_classes).float()


def as_labels(y: Labels, num_classes: int | None = None) -> Tensor:
    """Labels as a tensor: one of any integer dtype as it is, a list or an array of integers converted.

    `num_classes`, where it is known, helps to say what is wrong. Raises ValueError for anything but integers.
    """
    labels = y if isinstance(y, Tensor) else _converted(y)
    if labels is None or labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        allowed = "" if num_classes is None else f" 0…{num_classes - 1}"
        advice = (
            ": convert them with .long()" if isinstance(y, Tensor) else ": give a tensor, a list or an array of them"
        )
        if isinstance(y, Tensor) and y.dim() > 1 and y.shape[-1] == num_classes:
            advice += ", or a one-hot matrix with .argmax(-1)"
        given = y.dtype if isinstance(y, (Tensor, np.ndarray)) else reprlib.repr(y)
        raise ValueError(f"Labels must be integers{allowed}; got {given}{advice}.")
    return labels


def labels_of(x: Tensor, y: Labels, each: str = "an image") -> Tensor:
    """Labels y as a tensor `(N,)` on the device of x, one for each of x. Raises ValueError for another number."""
    labels = as_labels(y).to(x.device)
    if labels.shape != x.shape[:1]:
        raise ValueError(
            f"There must be one label {each}, shape {tuple(x.shape[:1])}; got labels of shape {tuple(labels.shape)}"
            f"{shape_advice(labels.shape, len(x))}."
        )
    return labels


def shape_advice(shape: torch.Size, count: int = 1, num_classes: int | None = None) -> str:
    """What to do with labels of a wrong shape, where that is clear: the end of a message."""
    if shape.numel() == 1 and count > 1:
        return f": torch.full(({count},), label) makes many of one"
    if len(shape) > 1 and shape[-1] == num_classes:
        return ": y.argmax(-1) makes labels of a one-hot matrix"
    return ": flatten them to one axis" if len(shape) > 1 and shape[-1] == 1 else ""


def check_images(x: Tensor, name: str = "x") -> None:
    """Raise ValueError unless x is a tensor of one image or more, without NaN or infinity."""
    if not isinstance(x, Tensor) or x.dim() == 0:
        raise ValueError(
            f"{name} must be a tensor of images (N, C, H, W), such as load('mnist').train_x; got {type(x).__name__}."
        )
    if len(x) == 0:
        raise ValueError(f"There are no images: {name} is empty.")
    if x.is_floating_point() and not x.isfinite().all():
        raise ValueError(
            f"{name} holds NaN or infinity, in {_bad_images(x)} of {len(x)} images: correct them or leave them out."
        )


def _bad_images(x: Tensor) -> int:
    return int((~x.isfinite()).reshape(len(x), -1).any(1).sum())


def _converted(y: Any) -> Tensor | None:
    """A list or an array of integers as a tensor; None for anything else."""
    if isinstance(y, (str, bytes)) or not isinstance(y, (Sequence, np.ndarray)):
        return None
    try:
        array = np.asarray(y)
    except (TypeError, ValueError):  # lists of different lengths
        return None
    if array.dtype.kind not in "iu" and array.size:
        return None
    return torch.from_numpy(np.ascontiguousarray(array).astype(np.int64))


def _load_mnist() -> ImageData:
    sums = _checksums(MNIST_DIR / "SHA256SUMS")
    parts = {}
    for split, prefix in {"train": "train", "test": "t10k"}.items():
        parts[f"{split}_x"] = _read_idx(f"{prefix}-images-idx3-ubyte", sums).unsqueeze(1)
        parts[f"{split}_y"] = _read_idx(f"{prefix}-labels-idx1-ubyte", sums).long()
    return ImageData("mnist", class_names=DIGITS, **parts)


def _checksums(path: Path) -> dict[str, str]:
    try:
        return {name: digest for digest, name in (line.split() for line in path.read_text("ascii").splitlines())}
    except FileNotFoundError:
        raise DataError(_damaged(path, "is missing")) from None
    except ValueError:
        raise DataError(_damaged(path, "is not a list of hashes")) from None


def _read_idx(name: str, sums: dict[str, str]) -> Tensor:
    """One IDX file: four bytes (0, 0, type, dimensions), the sizes as big-endian 32-bit numbers, then the bytes."""
    path = MNIST_DIR / f"{name}.gz"
    try:
        raw = gzip.decompress(path.read_bytes())
    except FileNotFoundError:
        raise DataError(_damaged(path, "is missing")) from None
    except (OSError, EOFError, zlib.error):
        raise DataError(_damaged(path, "cannot be unpacked")) from None
    if hashlib.sha256(raw).hexdigest() != sums.get(name):
        raise DataError(_damaged(path, "does not hold the bytes that SHA256SUMS names"))
    sizes = np.frombuffer(raw, ">i4", count=raw[3], offset=4)
    pixels = np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3])
    return torch.from_numpy(pixels.reshape(sizes).copy())


def _damaged(path: Path, what: str) -> str:
    return (
        f"The MNIST file {path} {what}: restore it with `git checkout -- aetutor/mnist` in a clone, "
        "or install aetutor again."
    )


def _load_torchvision(name: str, root: Path, download: bool) -> ImageData:
    import torchvision

    class_name, folder = TORCHVISION_SETS[name]
    dataset = getattr(torchvision.datasets, class_name)
    files = _archives(dataset)
    # torchvision unpacks archives only on its download path, which stays offline when their checksums agree
    unpack = all(torchvision.datasets.utils.check_integrity(root / folder / file, md5) for file, md5 in files.items())
    try:
        train = dataset(root, train=True, download=download or unpack)
        test = dataset(root, train=False, download=download or unpack)
    except (RuntimeError, OSError) as error:
        raise DataError(
            f"{name} is not (or not whole) below {root}: put {', '.join(files)} into {root / folder}, or call "
            f"load({name!r}, root=…, download=True) where there is a network. torchvision said: "
            f"{' '.join(str(error).split())}"
        ) from None
    (train_x, train_y), (test_x, test_y) = _tensors(train), _tensors(test)
    return ImageData(name, train_x, train_y, test_x, test_y, tuple(train.classes))


def _archives(dataset: Any) -> dict[str, str]:
    """The archives of a torchvision data set: file name -> MD5."""
    return dict(dataset.resources) if hasattr(dataset, "resources") else {dataset.filename: dataset.tgz_md5}


def _tensors(dataset: Any) -> tuple[Tensor, Tensor]:
    images, labels = torch.as_tensor(dataset.data), torch.as_tensor(dataset.targets)
    # grey sets come as (N, H, W), colour sets as (N, H, W, C)
    images = images.unsqueeze(1) if images.dim() == 3 else images.permute(0, 3, 1, 2).contiguous()
    return images, labels.long()
