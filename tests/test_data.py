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
from PIL import Image

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
    with pytest.raises(ValueError, match=rf"threshold must lie in \[0, 1\].* got {threshold}"):
        data.binarize(ALL_BYTES, threshold)


def test_binarize_refuses_integers_that_are_not_bytes():
    with pytest.raises((TypeError, ValueError), match=r"uint8.*int64"):
        data.binarize(ALL_BYTES.long())


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


# --- drawings --------------------------------------------------------------------------------------------------------


def drawing(height, width, top, left, ink):
    """Ink `(h, w)` on a black sheet."""
    sheet = torch.zeros(height, width)
    sheet[top : top + ink.shape[0], left : left + ink.shape[1]] = ink
    return sheet


def box(image):
    """Where an image (1, H, W) has ink: top, left, height, width."""
    inked = np.argwhere(image[0].numpy() > 0)
    return (*inked.min(0).tolist(), *(inked.max(0) - inked.min(0) + 1).tolist())


def centre_of_mass(image):
    """(down, right), in pixels from the upper left corner of an image (1, H, W)."""
    grey = image[0].double().numpy()
    middles = np.arange(28) + 0.5
    return (grey.sum(1) @ middles / grey.sum(), grey.sum(0) @ middles / grey.sum())


@pytest.mark.parametrize("scale", [3, 4, 7])
@pytest.mark.parametrize("place", [(0, 0), (13, 80), (50, 100)])
def test_a_digit_of_mnist_drawn_large_and_anywhere_comes_back(mnist, scale, place):
    for x in data.to_unit(mnist.test_x[:20]):
        large = torch.from_numpy(np.kron(x[0].numpy(), np.ones((scale, scale), np.float32)))
        y = data.as_mnist(drawing(250, 300, *place, large))
        assert y.shape == (1, 28, 28) and y.dtype == torch.float32
        assert (y - x).square().sum() < 2.5  # one pixel aside, or turned, it is 5 or more


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [
        (40, 40, (20, 20)),
        (60, 30, (20, 10)),
        (30, 60, (10, 20)),
        (100, 7, (20, 1)),
        (1, 50, (1, 20)),
        (3, 5, (12, 20)),
        (20, 19, (20, 19)),
        (33, 100, (7, 20)),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_block_of_ink_is_scaled_to_20_pixels_and_keeps_its_shape_and_grey(height, width, expected, dtype):
    y = data.as_mnist(drawing(120, 130, 11, 17, torch.full((height, width), 0.7)).to(dtype))
    top, left, *size = box(y)
    assert tuple(size) == expected and y.shape == (1, 28, 28) and y.dtype == torch.float32
    torch.testing.assert_close(y[0, top : top + size[0], left : left + size[1]], torch.full(expected, 0.7))
    assert all(14 <= place <= 15 for place in np.round(centre_of_mass(y), 4))


@pytest.mark.parametrize(("height", "width", "size"), [(90, 63, (20, 14)), (31, 77, (8, 20)), (9, 6, (20, 13))])
def test_ink_is_scaled_as_pillow_scales_it(height, width, size):
    ink = torch.rand(height, width, generator=torch.Generator().manual_seed(0)) + 0.001
    expected = Image.fromarray(ink.numpy()).resize(size[::-1], Image.Resampling.BILINEAR)
    y = data.as_mnist(drawing(100, 100, 4, 15, ink))
    top, left, *found = box(y)
    assert tuple(found) == size
    torch.testing.assert_close(
        y[0, top : top + size[0], left : left + size[1]],
        torch.from_numpy(np.array(expected)).clamp(max=1),
        rtol=1e-5,
        atol=1e-5,
    )


@pytest.mark.parametrize("seed", range(10))
def test_the_centre_of_mass_comes_into_the_middle_pixel(seed):
    numbers = torch.Generator().manual_seed(seed)
    ink = torch.rand(50, 40, generator=numbers) * torch.linspace(0.3, 1.2, 50)[:, None].clamp(max=1)
    y = data.as_mnist(drawing(90, 80, 5, 30, ink))
    assert all(14 <= place <= 15 for place in np.round(centre_of_mass(y), 4))
    assert box(y)[2:] == (20, 16)


@pytest.mark.parametrize(
    ("rows", "columns", "corner"),
    [(slice(0, 3), slice(0, 3), (8, 8)), (slice(17, 20), slice(17, 20), (0, 0)), (slice(0, 3), slice(17, 20), (8, 0))],
    ids=["upper left", "lower right", "upper right"],
)
def test_a_centre_of_mass_near_a_corner_leaves_the_ink_within_the_image(rows, columns, corner):
    ink = torch.full((20, 20), 0.001)
    ink[rows, columns] = 1
    y = data.as_mnist(drawing(40, 40, 9, 3, ink))
    assert torch.equal(y, drawing(28, 28, *corner, ink)[None])


def test_a_dot_fills_the_box():
    y = data.as_mnist(drawing(50, 70, 49, 3, torch.full((1, 1), 0.6)))
    assert box(y)[2:] == (20, 20) and set(y.unique().tolist()) == {0.0, torch.tensor(0.6).item()}


@pytest.mark.parametrize("shape", [(1, 1), (28, 28), (112, 90), (0, 0)])
def test_an_empty_sheet_is_a_black_image(shape):
    y = data.as_mnist(torch.zeros(shape))
    assert torch.equal(y, torch.zeros(1, 28, 28)) and y.dtype == torch.float32


def test_the_drawing_stays_as_it_was():
    sheet = drawing(40, 40, 9, 3, torch.rand(20, 10))
    before = sheet.clone()
    data.as_mnist(sheet).fill_(0)
    assert torch.equal(sheet, before)


@pytest.mark.parametrize(
    "wrong",
    [torch.zeros(28, 28, dtype=torch.uint8), torch.zeros(28, 28).long(), torch.zeros(1, 28, 28), torch.zeros(784)],
    ids=["bytes", "integers", "a channel", "flat"],
)
def test_what_is_no_drawing_is_named(wrong):
    with pytest.raises(ValueError, match=rf"float tensor \(H, W\); got {wrong.dtype} of shape") as caught:
        data.as_mnist(wrong)
    assert str(caught.value).endswith(f"of shape {tuple(wrong.shape)}.")


@pytest.mark.parametrize("width", [5, 9])
def test_a_straight_stroke_is_a_bar(width):
    half = width // 2
    bar = torch.ones(width, 71)
    assert torch.equal(
        data.from_strokes([(20, 50), (90, 50)], width=width), data.as_mnist(drawing(112, 112, 50 - half, 20, bar))
    )
    assert torch.equal(
        data.from_strokes([(30, 10), (30, 80)], width=width), data.as_mnist(drawing(112, 112, 10, 30 - half, bar.T))
    )


def test_what_leaves_the_pad_of_112_pixels_is_cut():
    assert torch.equal(
        data.from_strokes([(20, 50), (150, 50)]), data.as_mnist(drawing(112, 112, 46, 20, torch.ones(9, 92)))
    )
    assert torch.equal(
        data.from_strokes([(30, -20), (30, 150)]), data.as_mnist(drawing(112, 112, 0, 26, torch.ones(112, 9)))
    )
    assert torch.equal(
        data.from_strokes([(20, 50), (30, 50)], [(20, 109), (30, 109)]),
        data.as_mnist(sum(drawing(112, 112, top, 20, torch.ones(rows, 11)) for top, rows in ((46, 9), (105, 7)))),
    )


def test_strokes_are_nine_pixels_wide_unless_told():
    assert torch.equal(data.from_strokes([(20, 50), (90, 50)]), data.from_strokes([(20, 50), (90, 50)], width=9))


def test_strokes_are_points_right_and_down_joined_in_order():
    y = data.from_strokes([(30, 20), (30, 90), (80, 90)])[0]  # an L
    top, left, height, width = box(y[None])
    middle = y[top : top + height // 2, left + width // 2 :]
    assert y[top : top + height, left].mean() > 0.8 and y[top + height - 1, left : left + width].mean() > 0.8
    assert middle.sum() == 0 and height == 20 > width


def test_several_strokes_add_their_ink():
    one, other = [(20, 20), (90, 20)], [(20, 90), (90, 90)]
    both = data.from_strokes(one, other)
    sheet = torch.zeros(112, 112)
    sheet[16:25, 20:91] = sheet[86:95, 20:91] = 1
    assert torch.equal(both, data.as_mnist(sheet)) and torch.equal(both, data.from_strokes(other, one))


def test_no_stroke_is_a_black_image():
    assert torch.equal(data.from_strokes(), torch.zeros(1, 28, 28))
