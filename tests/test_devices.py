"""The choice of a device, and streams of random numbers."""

import pytest
import torch

from aetutor.devices import RandomStream, choose_device
from aetutor.training import Trainer

ACCELERATOR = torch.accelerator.current_accelerator(check_available=True)


def pretend(monkeypatch, available):
    """A machine with this accelerator; like torch, it names cuda when it is not asked whether one is there."""

    def current_accelerator(check_available=False):
        return available and torch.device(available) if check_available else torch.device("cuda")

    monkeypatch.setattr(torch.accelerator, "current_accelerator", current_accelerator)


@pytest.mark.parametrize(("available", "chosen"), [("cuda", "cuda"), ("mps", "cpu"), ("xpu", "cpu"), (None, "cpu")])
def test_auto_is_cuda_where_it_is_or_the_cpu_and_others_go_by_their_name(monkeypatch, available, chosen):
    pretend(monkeypatch, available)
    assert choose_device() == choose_device("auto") == torch.device(chosen)
    assert choose_device("cpu") == torch.device("cpu")
    if available:
        assert choose_device(available) == choose_device(torch.device(available)) == torch.device(available)


@pytest.mark.parametrize("device", ["tpu", "gpu", "mps", "cuda:0", "", "meta", None, 3.5])
def test_an_unknown_device_names_those_that_are_there(monkeypatch, device):
    pretend(monkeypatch, None)
    with pytest.raises(ValueError, match=f"Unknown device {device!r}: this machine has cpu, or say 'auto'"):
        choose_device(device)
    with pytest.raises(ValueError, match="Unknown device"):
        Trainer(torch.nn.Linear(1, 1), torch.nn.functional.mse_loss, device)


def test_the_accelerator_is_named_beside_the_cpu(monkeypatch):
    pretend(monkeypatch, "cuda")
    with pytest.raises(ValueError, match="Unknown device 'mps': this machine has cpu, cuda"):
        choose_device("mps")


@pytest.mark.skipif(ACCELERATOR is None, reason="needs an accelerator")
def test_a_device_number_beyond_those_that_are_there_is_refused():
    with pytest.raises(ValueError, match="Unknown device"):
        choose_device(f"{ACCELERATOR.type}:{torch.accelerator.device_count()}")


def test_a_device_number_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available=False: torch.device("cuda"))
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 2)
    assert choose_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(ValueError, match="Unknown device 'cuda:2'"):
        choose_device("cuda:2")


# --- random numbers --------------------------------------------------------------------------------------------------

CPU = torch.device("cpu")


def test_a_stream_gives_the_numbers_of_its_seed_and_goes_on_where_it_stopped():
    torch.manual_seed(7)
    expected = torch.rand(6)
    stream = RandomStream(CPU, 7)
    with stream:
        first = torch.rand(4)
    torch.rand(100)
    with stream:
        second = torch.rand(2)
    assert torch.equal(torch.cat([first, second]), expected)


def test_a_stream_leaves_the_callers_numbers_alone_also_after_an_error():
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    stream = RandomStream(CPU, 7)
    with pytest.raises(KeyError), stream:
        torch.rand(5)
        raise KeyError
    assert torch.equal(torch.rand(3), expected)


def test_a_streams_state_put_back_repeats_its_numbers():
    stream = RandomStream(CPU, 7)
    state = {name: value.clone() for name, value in stream.state.items()}
    with stream:
        first = torch.rand(3)
    stream.state = state
    with stream:
        assert torch.equal(torch.rand(3), first)


def test_the_random_state_is_the_devices_own_where_there_is_one(monkeypatch):
    class Device:
        state = torch.tensor([7])

        def get_rng_state(self, device):
            assert device == torch.device("mps:1")
            return self.state.clone()

        def set_rng_state(self, state, device):
            assert device == torch.device("mps:1")
            self.state = state.clone()

        def manual_seed(self, seed):
            self.state = torch.tensor([seed])
            return self

        def get_state(self):
            return self.state

    fake, before, generator = Device(), torch.get_rng_state(), torch.Generator
    monkeypatch.setattr(torch, "get_device_module", lambda device: fake)
    monkeypatch.setattr(torch, "Generator", lambda kind: Device() if kind == "mps" else generator(kind))
    stream = RandomStream(torch.device("mps:1"), 3)
    assert fake.state == 7 and torch.equal(torch.get_rng_state(), before)
    with stream:
        assert fake.state == 3 and not torch.equal(torch.get_rng_state(), before)
    assert fake.state == 7 and torch.equal(torch.get_rng_state(), before)
