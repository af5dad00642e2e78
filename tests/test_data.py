"""The data: hashes, shapes, damage, and the torchvision path without a network."""

import gzip
import hashlib
import pickle
import shutil
import socket
import struct
import tarfile
import time

import numpy as np
import pytest
import torch

from aetutor import data

# SHA-256 of the unpacked files, as their publishers' files have it
SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
IDX_FILES = [f"{name}.gz" for name in SHA256]


@pytest.fixture(autouse=True)
def network(monkeypatch):
    """No network for any test here; the list holds the attempts."""
    attempts = []

    def refuse(address, *_, **__):
        attempts.append(address)
        raise OSError("there is no network in the tests")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", lambda self, address: refuse(address))
    return attempts


@pytest.fixture(scope="module")
def mnist():
    return data.load("mnist")


@pytest.fixture
def mnist_copy(tmp_path, monkeypatch):
    """A copy of the bundled files that a test may damage."""
    folder = tmp_path / "mnist"
    shutil.copytree(data.MNIST_DIR, folder)
    monkeypatch.setattr(data, "MNIST_DIR", folder)
    return folder


def unpacked(name):
    return gzip.decompress((data.MNIST_DIR / f"{name}.gz").read_bytes())


def one_sentence(message):
    return "\n" not in message and message.endswith(".")


# --- MNIST -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SHA256)
def test_bundled_file_has_the_canonical_hash(name):
    assert hashlib.sha256(unpacked(name)).hexdigest() == SHA256[name]


def test_bundled_list_of_hashes_is_the_canonical_one():
    assert data._checksums(data.MNIST_DIR / "SHA256SUMS") == SHA256


def test_mnist_has_its_notice_beside_it():
    notice = (data.MNIST_DIR / "NOTICE").read_text()
    assert all(word in notice for word in ("LeCun", "Cortes", "Burges", "CC BY-SA 3.0"))


def test_mnist_shapes_and_types(mnist):
    assert mnist.train_x.shape == (60_000, 1, 28, 28) and mnist.test_x.shape == (10_000, 1, 28, 28)
    assert mnist.train_y.shape == (60_000,) and mnist.test_y.shape == (10_000,)
    assert mnist.train_x.dtype == mnist.test_x.dtype == torch.uint8
    assert mnist.train_y.dtype == mnist.test_y.dtype == torch.int64
    assert mnist.name == "mnist" and mnist.class_names == tuple("0123456789")


def test_mnist_counts_of_each_digit(mnist):
    assert mnist.train_y.bincount().tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert mnist.test_y.bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_mnist_mean_and_deviation_are_the_published_ones(mnist):
    x = mnist.train_x.double() / 255
    assert x.mean().item() == pytest.approx(0.1307, abs=5e-5)
    assert x.std().item() == pytest.approx(0.3081, abs=5e-5)


@pytest.mark.parametrize(("split", "prefix"), [("train", "train"), ("test", "t10k")])
def test_mnist_pixels_and_labels_are_the_files_bytes(mnist, split, prefix):
    images = np.frombuffer(unpacked(f"{prefix}-images-idx3-ubyte")[16:], np.uint8).reshape(-1, 1, 28, 28)
    labels = np.frombuffer(unpacked(f"{prefix}-labels-idx1-ubyte")[8:], np.uint8)
    assert np.array_equal(getattr(mnist, f"{split}_x").numpy(), images)
    assert np.array_equal(getattr(mnist, f"{split}_y").numpy(), labels)


def test_mnist_arrays_can_be_written_to(mnist):
    image = mnist.test_x[:1].clone()
    mnist.test_x[0] = 0
    assert mnist.test_x[0].sum() == 0
    mnist.test_x[:1] = image


def test_mnist_needs_no_network(network):
    data.load("mnist")
    assert network == []


def test_mnist_loads_in_under_one_and_a_half_seconds():
    def seconds():
        start = time.perf_counter()
        data.load("mnist")
        return time.perf_counter() - start

    assert min(seconds() for _ in range(3)) < 1.5


def test_image_data_says_what_it_is(mnist):
    assert repr(mnist) == "mnist: 60,000 training and 10,000 test images of shape (1, 28, 28), 10 classes"


def test_image_data_moves_as_a_whole(mnist):
    moved = mnist.to("meta")
    assert {getattr(moved, part).device.type for part in ("train_x", "train_y", "test_x", "test_y")} == {"meta"}
    assert mnist.train_x.device.type == "cpu" and moved.class_names == mnist.class_names


# --- damaged files ---------------------------------------------------------------------------------------------------


def fails_with_one_sentence(folder, file, what):
    with pytest.raises(data.DataError, match=what) as caught:
        data.load("mnist")
    message = str(caught.value)
    assert str(folder / file) in message and "git checkout -- aetutor/mnist" in message
    assert one_sentence(message)
    assert caught.value.__context__ is None or caught.value.__suppress_context__  # no second traceback


@pytest.mark.parametrize("file", [*IDX_FILES, "SHA256SUMS"])
def test_missing_file_is_named(mnist_copy, file):
    (mnist_copy / file).unlink()
    fails_with_one_sentence(mnist_copy, file, "is missing")


@pytest.mark.parametrize("file", IDX_FILES)
def test_truncated_file_is_named(mnist_copy, file):
    path = mnist_copy / file
    path.write_bytes(path.read_bytes()[:-100])
    fails_with_one_sentence(mnist_copy, file, "cannot be unpacked")


@pytest.mark.parametrize(
    "content", [b"", b"<html>404 Not Found</html>", b"\x1f\x8b\x08\x00"], ids=["empty", "a web page", "four bytes"]
)
def test_file_that_is_something_else_is_named(mnist_copy, content):
    (mnist_copy / IDX_FILES[0]).write_bytes(content)
    fails_with_one_sentence(mnist_copy, IDX_FILES[0], "cannot be unpacked|does not hold the bytes")


def test_damage_in_the_packed_bytes_is_found(mnist_copy):
    path = mnist_copy / IDX_FILES[0]
    packed = bytearray(path.read_bytes())
    packed[1000:1010] = bytes(10)
    path.write_bytes(packed)
    fails_with_one_sentence(mnist_copy, IDX_FILES[0], "cannot be unpacked")


def test_one_changed_label_in_a_well_packed_file_is_found(mnist_copy):
    file = "t10k-labels-idx1-ubyte.gz"
    content = bytearray(gzip.decompress((mnist_copy / file).read_bytes()))
    content[-1] ^= 1
    (mnist_copy / file).write_bytes(gzip.compress(bytes(content)))
    fails_with_one_sentence(mnist_copy, file, "does not hold the bytes that SHA256SUMS names")


def test_one_file_in_the_place_of_another_is_found(mnist_copy):
    shutil.copy(mnist_copy / "t10k-images-idx3-ubyte.gz", mnist_copy / "train-images-idx3-ubyte.gz")
    fails_with_one_sentence(mnist_copy, "train-images-idx3-ubyte.gz", "does not hold the bytes")


@pytest.mark.parametrize(
    "content",
    [b"", b"0fa7898d\n", b"one two three\n", b"\xff\xfe\x00garbage"],
    ids=["empty", "half a line", "three words", "binary"],
)
def test_damaged_list_of_hashes_gives_one_sentence(mnist_copy, content):
    (mnist_copy / "SHA256SUMS").write_bytes(content)
    with pytest.raises(data.DataError, match="SHA256SUMS") as caught:
        data.load("mnist")
    assert one_sentence(str(caught.value))


@pytest.mark.parametrize("name", ["MNIST", "imagenet", "", None])
def test_unknown_name_lists_the_known_ones(name):
    with pytest.raises(ValueError, match=f"Unknown data set {name!r}: .*mnist, fashion-mnist, kmnist, cifar10"):
        data.load(name)


# --- sets that come through torchvision ------------------------------------------------------------------------------

CLASSES = {"fashion-mnist": "FashionMNIST", "kmnist": "KMNIST"}
TINY = {
    "train-images-idx3-ubyte.gz": (5, 28, 28),
    "train-labels-idx1-ubyte.gz": (5,),
    "t10k-images-idx3-ubyte.gz": (3, 28, 28),
    "t10k-labels-idx1-ubyte.gz": (3,),
}


def write_idx(path, array):
    """An IDX file of unsigned bytes, gzipped; returns its MD5."""
    header = struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    path.write_bytes(gzip.compress(header + array.tobytes()))
    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.fixture(params=CLASSES)
def tiny_set(request, tmp_path, monkeypatch):
    """A small set in the genuine format and place, whose MD5 sums torchvision is told: name, root, folder, arrays."""
    import torchvision

    name = request.param
    folder = tmp_path / CLASSES[name] / "raw"
    folder.mkdir(parents=True)
    numbers = np.random.default_rng(0)
    arrays = {
        file: numbers.integers(0, 10 if len(shape) == 1 else 256, shape, dtype=np.uint8) for file, shape in TINY.items()
    }
    md5 = {file: write_idx(folder / file, array) for file, array in arrays.items()}
    monkeypatch.setattr(getattr(torchvision.datasets, CLASSES[name]), "resources", list(md5.items()))
    return name, tmp_path, folder, arrays


def holds(images, arrays):
    train_x, train_y, test_x, test_y = (torch.from_numpy(arrays[file].astype(np.int64)) for file in TINY)
    return (
        torch.equal(images.train_x[:, 0].long(), train_x)
        and torch.equal(images.train_y, train_y)
        and torch.equal(images.test_x[:, 0].long(), test_x)
        and torch.equal(images.test_y, test_y)
    )


def test_torchvision_files_are_read_without_a_network(tiny_set, network):
    name, root, _, arrays = tiny_set
    images = data.load(name, root=root)
    assert holds(images, arrays)
    assert images.train_x.shape == (5, 1, 28, 28) and images.train_x.dtype == torch.uint8
    assert images.train_y.dtype == torch.int64
    assert images.name == name and len(images.class_names) == 10
    assert network == []


def test_torchvision_files_are_read_the_second_time_too(tiny_set, network):
    name, root, _, arrays = tiny_set
    data.load(name, root=str(root))
    assert holds(data.load(name, root=str(root)), arrays)
    assert network == []


def test_unpacked_torchvision_files_are_enough(tiny_set, network):
    name, root, folder, arrays = tiny_set
    for file in TINY:
        (folder / file.removesuffix(".gz")).write_bytes(gzip.decompress((folder / file).read_bytes()))
        (folder / file).unlink()
    assert holds(data.load(name, root=root), arrays)
    assert network == []


def says_which_files_go_where(error, name, folder, files):
    message = str(error.value)
    assert f"into {folder}" in message and "download=True" in message and name in message
    assert all(file in message for file in files)


@pytest.mark.parametrize("missing", TINY)
def test_missing_torchvision_file_says_which_files_go_where(tiny_set, network, missing):
    name, root, folder, _ = tiny_set
    (folder / missing).unlink()
    with pytest.raises(data.DataError) as caught:
        data.load(name, root=root)
    says_which_files_go_where(caught, name, folder, TINY)
    assert network == []


def test_damaged_torchvision_file_is_not_read(tiny_set, network):
    name, root, folder, _ = tiny_set
    with (folder / "train-images-idx3-ubyte.gz").open("ab") as file:
        file.write(b"more")
    with pytest.raises(data.DataError) as caught:
        data.load(name, root=root)
    says_which_files_go_where(caught, name, folder, TINY)
    assert network == []


def test_truncated_unpacked_torchvision_file_gives_a_data_error(tiny_set):
    name, root, folder, _ = tiny_set
    data.load(name, root=root)
    path = folder / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-10])
    for file in TINY:
        (folder / file).unlink()
    with pytest.raises(data.DataError) as caught:
        data.load(name, root=root)
    says_which_files_go_where(caught, name, folder, TINY)


@pytest.mark.parametrize(
    ("name", "folder"), [("fashion-mnist", "FashionMNIST/raw"), ("kmnist", "KMNIST/raw"), ("cifar10", ".")]
)
@pytest.mark.parametrize("download", [False, True])
def test_without_files_and_network_it_says_which_files_go_where(tmp_path, network, name, folder, download):
    files = ["cifar-10-python.tar.gz"] if name == "cifar10" else TINY
    with pytest.raises(data.DataError) as caught:
        data.load(name, root=tmp_path, download=download)
    says_which_files_go_where(caught, name, tmp_path / folder, files)
    assert bool(network) == download


def test_default_root_is_used_when_none_is_given(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "DEFAULT_ROOT", tmp_path / "cache")
    with pytest.raises(data.DataError) as caught:
        data.load("kmnist")
    says_which_files_go_where(caught, "kmnist", tmp_path / "cache" / "KMNIST" / "raw", TINY)


@pytest.fixture
def tiny_cifar(tmp_path, monkeypatch):
    """CIFAR-10's archive with two images in each batch: root and the pixels (12, 3, 32, 32), labels (12,)."""
    import torchvision

    root, source = tmp_path / "root", tmp_path / "cifar-10-batches-py"
    root.mkdir()
    source.mkdir()
    numbers = np.random.default_rng(1)
    pixels, labels = numbers.integers(0, 256, (12, 3, 32, 32), dtype=np.uint8), numbers.integers(0, 10, 12).tolist()
    batches = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    for i, file in enumerate(batches):
        part = slice(2 * i, 2 * i + 2)
        (source / file).write_bytes(pickle.dumps({"data": pixels[part].reshape(2, -1), "labels": labels[part]}))
    (source / "batches.meta").write_bytes(pickle.dumps({"label_names": [f"class {i}" for i in range(10)]}))
    with tarfile.open(root / "cifar-10-python.tar.gz", "w:gz") as archive:
        archive.add(source, source.name)

    def md5(path):
        return hashlib.md5(path.read_bytes()).hexdigest()

    cifar = torchvision.datasets.CIFAR10
    monkeypatch.setattr(cifar, "tgz_md5", md5(root / "cifar-10-python.tar.gz"))
    monkeypatch.setattr(cifar, "train_list", [[file, md5(source / file)] for file in batches[:5]])
    monkeypatch.setattr(cifar, "test_list", [["test_batch", md5(source / "test_batch")]])
    monkeypatch.setattr(cifar, "meta", cifar.meta | {"md5": md5(source / "batches.meta")})
    return root, torch.from_numpy(pixels), torch.tensor(labels)


def test_colour_images_come_with_the_channel_first(tiny_cifar, network):
    root, pixels, labels = tiny_cifar
    images = data.load("cifar10", root=root)
    assert torch.equal(images.train_x, pixels[:10]) and torch.equal(images.test_x, pixels[10:])
    assert torch.equal(images.train_y, labels[:10]) and torch.equal(images.test_y, labels[10:])
    assert images.train_x.is_contiguous() and images.class_names[3] == "class 3"
    assert network == []


def test_damaged_cifar_archive_is_not_read(tiny_cifar, network):
    root, *_ = tiny_cifar
    with (root / "cifar-10-python.tar.gz").open("ab") as file:
        file.write(b"more")
    with pytest.raises(data.DataError, match=r"put cifar-10-python\.tar\.gz into"):
        data.load("cifar10", root=root)
    assert network == []


# --- to_unit, binarize, one_hot --------------------------------------------------------------------------------------

ALL_BYTES = torch.arange(256).byte()


def test_to_unit_divides_by_255():
    unit = data.to_unit(ALL_BYTES.view(2, 2, 8, 8))
    assert unit.dtype == torch.float32 and unit.shape == (2, 2, 8, 8)
    assert np.array_equal(unit.flatten().numpy(), (np.arange(256, dtype=np.float32) / np.float32(255)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64, torch.bool])
def test_to_unit_takes_nothing_but_bytes(dtype):
    with pytest.raises(TypeError, match=f"uint8 images.* got a Tensor of {dtype}"):
        data.to_unit(torch.ones(2, dtype=dtype))


@pytest.mark.parametrize("threshold", [0, 0.25, 0.5, 100 / 255, 1])
def test_binarize_is_one_above_the_threshold(threshold):
    grey = np.arange(256)
    expected = torch.from_numpy(grey > round(threshold * 255, 9)).float()
    assert torch.equal(data.binarize(ALL_BYTES, threshold), expected)
    assert torch.equal(data.binarize(data.to_unit(ALL_BYTES), threshold), expected)


def test_binarize_cuts_mnist_at_one_half_by_default():
    assert torch.equal(data.binarize(ALL_BYTES), (ALL_BYTES >= 128).float())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_binarize_keeps_float_types_and_shapes(dtype):
    x = torch.rand(2, 1, 3, 4, dtype=dtype)
    binary = data.binarize(x, 0.3)
    assert binary.dtype == dtype and binary.shape == x.shape and set(binary.unique().tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize("threshold", [-0.1, 1.1, 127, float("nan")])
def test_binarize_refuses_thresholds_outside_the_unit_interval(threshold):
    with pytest.raises(
        ValueError, match=f"threshold must be a finite number, at least 0 and at most 1; got {threshold}"
    ):
        data.binarize(ALL_BYTES, threshold)


def test_binarize_refuses_integers_that_are_not_bytes():
    with pytest.raises((TypeError, ValueError), match=r"uint8.*int64"):
        data.binarize(ALL_BYTES.long())


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([0.0, 255.0, 17.0], "values from 0 to 255"),
        ([0.5, -0.01, 1.0], "values from -0.01 to 1"),
        ([0.5, float("nan"), 1.0], "NaN"),
    ],
)
def test_binarize_refuses_floats_that_are_no_grey_values(values, found):
    with pytest.raises(ValueError, match=rf"float images in \[0, 1\]; got {found}"):
        data.binarize(torch.tensor(values))


def test_one_hot_has_a_one_at_the_label():
    y = torch.tensor([[2, 0, 1], [1, 1, 3]])
    hot = data.one_hot(y, 4)
    assert hot.dtype == torch.float32
    assert torch.equal(hot, torch.eye(4)[y])


def test_one_hot_takes_byte_labels_and_no_labels():
    assert torch.equal(data.one_hot(torch.tensor([1, 0], dtype=torch.uint8), 2), torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
    assert data.one_hot(torch.zeros(0, dtype=torch.int64), 3).shape == (0, 3)


@pytest.mark.parametrize(("labels", "found"), [([0, 3], "from 0 to 3"), ([-1, 2], "from -1 to 2")])
def test_one_hot_refuses_labels_out_of_range(labels, found):
    with pytest.raises(ValueError, match=f"must lie in 0…2; got values {found}"):
        data.one_hot(torch.tensor(labels), 3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bool])
def test_one_hot_refuses_what_is_no_label(dtype):
    with pytest.raises(ValueError, match=f"integers 0…2; got {dtype}"):
        data.one_hot(torch.ones(2, dtype=dtype), 3)


# --- labels and images at the door -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.uint16])
def test_labels_of_every_integer_type_are_taken(dtype):
    y = torch.tensor([2, 0, 1], dtype=dtype)
    assert data.as_labels(y) is y
    assert torch.equal(data.one_hot(y, 3), torch.eye(3)[[2, 0, 1]])


@pytest.mark.parametrize("y", [[2, 0, 1], (2, 0, 1), np.array([2, 0, 1]), np.array([2, 0, 1], np.uint8)])
def test_labels_may_be_lists_and_arrays(y):
    assert data.as_labels(y).tolist() == [2, 0, 1]
    assert torch.equal(data.one_hot(y, 3), torch.eye(3)[[2, 0, 1]])
    assert data.labels_of(torch.zeros(3, 1, 2, 2), y).tolist() == [2, 0, 1]


@pytest.mark.parametrize(
    "y", [None, 3, "3", [0.5], ["a"], [[0], [1, 2]], np.zeros(3), torch.zeros(3), torch.ones(3) > 0, 1j * torch.ones(2)]
)
def test_what_is_no_label_is_named(y):
    with pytest.raises(ValueError, match=r"Labels must be integers; got "):
        data.as_labels(y)


def test_the_largest_entry_is_advised_for_a_one_hot_matrix_alone():
    with pytest.raises(ValueError, match=r"convert them with .long\(\), or a one-hot matrix with .argmax\(-1\)"):
        data.one_hot(torch.eye(3), 3)
    for y in (torch.zeros(3, 1), torch.zeros(3), torch.zeros(3, 4)):
        with pytest.raises(ValueError, match="must be integers 0…2") as caught:
            data.one_hot(y, 3)
        assert "argmax" not in str(caught.value)


@pytest.mark.parametrize(
    ("y", "sentence"),
    [
        ([0, 1], r"one label an image, shape \(3,\); got labels of shape \(2,\)\.$"),
        (torch.zeros(3, 1).long(), r"got labels of shape \(3, 1\): flatten them to one axis\.$"),
        (torch.tensor(1), r"got labels of shape \(\): torch.full\(\(3,\), label\) makes many of one\.$"),
    ],
)
def test_there_must_be_one_label_an_image(y, sentence):
    with pytest.raises(ValueError, match=sentence):
        data.labels_of(torch.zeros(3, 1, 2, 2), y)


@pytest.mark.parametrize(
    ("x", "sentence"),
    [
        ([1.0], "seen must be a tensor of images .N, C, H, W., such as .*; got list"),
        (torch.tensor(1.0), "seen must be a tensor of images"),
        (torch.zeros(0, 1, 2, 2), "There are no images: seen is empty"),
        (torch.full((3, 1, 2, 2), float("nan")), "seen holds NaN or infinity, in 3 of 3 images"),
        (torch.tensor([0.0, float("inf"), 1.0]).view(3, 1, 1, 1), "seen holds NaN or infinity, in 1 of 3 images"),
    ],
)
def test_images_that_are_none_are_named(x, sentence):
    with pytest.raises(ValueError, match=sentence):
        data.check_images(x, "seen")
    data.check_images(torch.zeros(2, 1, 2, 2).byte())
    data.check_images(torch.rand(2, 1, 2, 2))
