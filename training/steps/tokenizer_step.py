"""The losses of the picture tokenizer, and of the discriminator that trains against it.

Source: paper section 3.2 and the tokenizer's release: pictures are rebuilt from their bits and
compared by pixels, by a feature network and by a discriminator; the quantizer adds its commitment
and entropy terms. Weights are plain factors; the release balances nothing adaptively.

Legend: B samples of a slice, H W pixels.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from infinity.errors import CheckpointError
from infinity.tokenizer.tokenizer import Tokenizer
from training.config.settings import TrainingConfig
from training.data.records import Batch
from training.optimizer import parameter_groups
from training.steps import networks
from training.steps.quantize import Quantized, draw_kept_scales, straight_through
from training.steps.step import (
    DISCRIMINATOR,
    MODEL,
    Metrics,
    Step,
    StepResult,
    pictures_as_floats,
    ratio,
)

SMALLEST_ERROR = 1e-10


class TokenizerStep(Step):
    """Reconstruction, perceptual, adversarial, commitment and entropy terms.

    Args:
        config: of the run.
        tokenizer: float32 weights; those that require gradients are trained.
        perceptual: needed where its weight is not 0.
        discriminator: needed where its weight is not 0.
    """

    def __init__(
        self,
        config: TrainingConfig,
        tokenizer: Tokenizer,
        perceptual: networks.PerceptualDistance | None,
        discriminator: networks.PatchDiscriminator | None,
    ) -> None:
        super().__init__(config)
        self.tokenizer = tokenizer
        self.perceptual = perceptual
        self.discriminator = discriminator
        self.modules["tokenizer"] = tokenizer.train()
        if perceptual is not None:
            self.frozen["perceptual"] = perceptual
        if discriminator is not None:
            self.modules[DISCRIMINATOR] = discriminator
            self.phases = (MODEL, DISCRIMINATOR)

    def phases_at(self, step: int) -> tuple[str, ...]:
        return self.phases if self._is_adversarial(step) else (MODEL,)

    def blocks(self) -> list[nn.Module]:
        return [
            block
            for half in (self.tokenizer.encoder, self.tokenizer.decoder)
            for block in (*half.levels, *half.middle)
        ]

    def parameter_groups(self, phase: str) -> list[dict[str, Any]]:
        optimization, rate = self.config.optimization, 1.0
        if phase == DISCRIMINATOR:
            own_rate = self.config.tokenizer_losses.discriminator_learning_rate
            rate = 1.0 if own_rate is None else own_rate / optimization.learning_rate
        module = self.modules["tokenizer" if phase == MODEL else DISCRIMINATOR]
        return parameter_groups(module, optimization.weight_decay, rate)

    def loss(
        self, phase: str, batch: Batch, generators: Sequence[torch.Generator], step: int
    ) -> StepResult:
        target = self._pictures(batch)
        if phase == DISCRIMINATOR:
            return self._telling(target, batch.aspect_ratio, generators)
        output, quantized = self._rebuild(target, batch.aspect_ratio, generators)
        terms = self._terms(output, target, quantized, adversarial=self._is_adversarial(step))
        weights = self.config.tokenizer_losses
        losses_B = torch.stack([getattr(weights, name) * term for name, term in terms.items()])
        losses_B = losses_B.sum(dim=0)
        counted = {
            **terms,
            "loss": losses_B,
            "psnr": psnr_of(output, target),
            "code_entropy": quantized.code_entropy_B,
            "mean_code_entropy": quantized.mean_code_entropy.expand(len(target)),
        }
        metrics = {name: ratio(values_B) for name, values_B in counted.items()}
        return StepResult(losses_B.mean(), metrics)

    @torch.no_grad()
    def validation(self, batch: Batch) -> Metrics:
        target = self._pictures(batch)
        with self.cast(target.device):
            output = self.tokenizer.reconstruct(target, self.schedules[batch.aspect_ratio])
        metrics = {
            "l1": ratio((output - target).abs().mean(dim=(1, 2, 3))),
            "psnr": ratio(psnr_of(output, target)),
        }
        if self.perceptual is not None:
            metrics["perceptual"] = ratio(self.perceptual(output, target))
        return metrics

    def _terms(
        self, output: Tensor, target: Tensor, quantized: Quantized, *, adversarial: bool
    ) -> dict[str, Tensor]:
        """Setting -> (B) what it weighs; terms that weigh nothing are not computed."""
        weights = self.config.tokenizer_losses
        difference = output - target
        terms = {
            "l1": difference.abs().mean(dim=(1, 2, 3)),
            "l2": difference.square().mean(dim=(1, 2, 3)),
            "commitment": quantized.commitment_B,
            "entropy": quantized.entropy_penalty_B(weights.entropy_diversity),
        }
        if weights.gradient:
            terms["gradient"] = difference.diff(dim=2).abs().mean(dim=(1, 2, 3))
            terms["gradient"] = terms["gradient"] + difference.diff(dim=3).abs().mean(dim=(1, 2, 3))
        if weights.averages:
            terms["averages"] = F.avg_pool2d(difference, 4).abs().mean(dim=(1, 2, 3))
        with self.cast(output.device):
            if self.perceptual is not None:
                terms["perceptual"] = self.perceptual(output, target)
            if adversarial and self.discriminator is not None:
                # Gradients reach the pictures, not the discriminator's weights.
                fixed = {name: w.detach() for name, w in self.discriminator.named_parameters()}
                logits = functional_call(self.discriminator, fixed, (output,))
                terms["adversarial"] = networks.fooling_loss(logits)
        return terms

    def _telling(
        self, real: Tensor, aspect_ratio: str, generators: Sequence[torch.Generator]
    ) -> StepResult:
        assert self.discriminator is not None
        with torch.no_grad():
            fake, _ = self._rebuild(real, aspect_ratio, generators)
        with self.cast(real.device):
            logits = self.discriminator(torch.cat((real, fake)))
        real_logits, fake_logits = logits.chunk(2)
        losses_B = networks.telling_loss(real_logits, fake_logits)
        metrics = {
            "discriminator_loss": ratio(losses_B),
            "logits_real": ratio(real_logits),
            "logits_fake": ratio(fake_logits),
        }
        return StepResult(losses_B.mean(), metrics)

    def _rebuild(
        self, target: Tensor, aspect_ratio: str, generators: Sequence[torch.Generator]
    ) -> tuple[Tensor, Quantized]:
        """Pictures (B, 3, H, W) float32 from their bits; gradients reach encoder and decoder."""
        schedule = self.schedules[aspect_ratio]
        losses = self.config.tokenizer_losses
        kept = draw_kept_scales(
            generators, len(schedule), losses.scale_dropout, losses.scale_prefixes
        )
        kept = kept.to(target.device)
        with self.cast(target.device):
            features = self.tokenizer.features(target)
        quantized = straight_through(features, self.tokenizer.config, schedule, kept, losses.passed)
        with self.cast(target.device):
            output = self.tokenizer.decoder(quantized.latent_Bdyx)
        return output.float(), quantized

    def _pictures(self, batch: Batch) -> Tensor:
        if batch.pictures_u8 is None:
            raise CheckpointError("A tokenizer is trained from pictures; prepared data has none.")
        return pictures_as_floats(batch.pictures_u8, self.tokenizer.encoder.conv_in.weight.device)

    def _is_adversarial(self, step: int) -> bool:
        start = self.config.tokenizer_losses.adversarial_start
        return self.discriminator is not None and step >= start


def psnr_of(output: Tensor, target: Tensor) -> Tensor:
    """(B) peak signal-to-noise ratio in dB of pictures in [-1, 1]."""
    output = output.detach().clamp(-1, 1)
    error_B = F.mse_loss(output, target, reduction="none").mean(dim=(1, 2, 3)) / 4
    return -10 * error_B.clamp_min(SMALLEST_ERROR).log10()
