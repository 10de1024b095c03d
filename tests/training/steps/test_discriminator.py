"""The patch discriminator and its losses."""

from __future__ import annotations

import pytest
import torch

from training.steps.networks import PatchDiscriminator, fooling_loss, telling_loss


@pytest.mark.parametrize("side", [6, 8, 16, 64])
def test_every_picture_gives_a_grid_of_logits(side: int) -> None:
    network = PatchDiscriminator(side, channels=8)
    network.init_weights(torch.Generator().manual_seed(0))
    logits = network(torch.zeros(2, 3, side, side + 4))
    assert logits.shape[:2] == (2, 1) and logits[0].numel() >= 1


def test_logits_of_a_picture_do_not_depend_on_its_neighbors() -> None:
    network = PatchDiscriminator(16, channels=8)
    network.init_weights(torch.Generator().manual_seed(0))
    images = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(network(images)[1:2], network(images[1:2]))


def test_losses_are_the_hinge_and_the_penalty_of_large_means() -> None:
    logits = [torch.full((1, 1, 2, 2), value) for value in (0.05, 2.0, -3.0)]
    assert fooling_loss(logits[1]).item() == -2.0
    assert telling_loss(logits[0], logits[0]).item() == pytest.approx(0.5 * (0.95 + 1.05))
    assert telling_loss(logits[1], logits[2]).item() == pytest.approx(0.05 * (1.9**2 + 2.9**2))
    assert telling_loss(logits[2], logits[1]).item() == pytest.approx(
        0.5 * (4 + 3) + 0.05 * (2.9**2 + 1.9**2)
    )
