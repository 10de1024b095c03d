"""The feature networks: the untrained one, and LPIPS from files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from infinity.errors import CheckpointError
from tests.training.steps.helpers import pictures
from training.steps import networks
from training.steps.networks import PerceptualDistance, random_network, trained_network

SMALL_STAGES = ((8, 8), (12,), (16,))


def images(seed: int = 0) -> torch.Tensor:
    noise = torch.randn(6, 3, 16, 16, generator=torch.Generator().manual_seed(seed))
    return (pictures().float() / 127.5 - 1 + 0.1 * noise).clamp(-1, 1)


def convolutions(network: PerceptualDistance) -> list[torch.nn.Conv2d]:
    return [module for module in network.modules() if isinstance(module, torch.nn.Conv2d)]


def vgg_file(folder: Path, **lines: torch.Tensor) -> Path:
    """A file named as torchvision's and LPIPS', of the small network."""
    network = PerceptualDistance(SMALL_STAGES)
    tensors = {}
    for place, module in zip((0, 2, 5, 8), convolutions(network), strict=True):
        weight, bias = module.state_dict().values()
        tensors |= {f"features.{place}.weight": weight, f"features.{place}.bias": bias}
    path = folder / "vgg16.safetensors"
    save_file({**tensors, "classifier.0.bias": torch.zeros(2), **lines}, path)
    return path


def test_distance_is_zero_for_equal_pictures_and_grows_with_noise() -> None:
    network = random_network()
    clean = images()
    assert network(clean, clean).abs().max() == 0
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(3))
    near, far = network(clean + 0.05 * noise, clean), network(clean + 0.3 * noise, clean)
    assert near.shape == (6,) and (near > 0).all() and (far > near).all()


def test_untrained_network_is_the_same_every_time() -> None:
    first, second = random_network(), random_network()
    assert torch.equal(first(images(1), images(2)), second(images(1), images(2)))


def test_gradients_reach_the_picture_and_not_the_network() -> None:
    network = random_network()
    output = images().requires_grad_()
    network(output, images(1)).sum().backward()
    assert output.grad is not None and output.grad.abs().sum() > 0
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_distance_of_a_picture_does_not_depend_on_its_neighbors() -> None:
    network = random_network()
    whole = network(images(1), images(2))
    torch.testing.assert_close(network(images(1)[2:3], images(2)[2:3]), whole[2:3])


def test_trained_network_takes_convolutions_and_channel_weights_from_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(networks, "VGG_STAGES", SMALL_STAGES)
    plain = trained_network([vgg_file(tmp_path)])
    file = vgg_file(tmp_path)
    zeros = {
        f"lin{i}.model.1.weight": torch.zeros(1, width, 1, 1) for i, width in enumerate((8, 12, 16))
    }
    weighted = tmp_path / "lpips.safetensors"
    save_file(zeros, weighted)
    assert (trained_network([file, weighted])(images(1), images(2)) == 0).all()
    assert (plain(images(1), images(2)) > 0).all()


def test_trained_network_needs_all_of_vgg(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"features\.0\.weight.*vgg16 file"):
        trained_network([vgg_file(tmp_path)])
    with pytest.raises(CheckpointError):
        trained_network([tmp_path / "missing.safetensors"])


def test_vgg_has_its_thirteen_convolutions_and_five_stages() -> None:
    with torch.device("meta"):
        network = PerceptualDistance(networks.VGG_STAGES)
    assert len(convolutions(network)) == 13
    assert [len(weight) for weight in network.weights] == [64, 128, 256, 512, 512]
