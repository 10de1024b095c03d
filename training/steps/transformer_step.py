"""The loss of the transformer: bits of a picture predicted from its text and its coarser scales.

Legend: B samples of a slice, l tokens of a scale, L of all scales, D bits a token, d bits a
latent, y x latent.
"""

import random
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from infinity.config import TokenizerConfig
from infinity.errors import CheckpointError
from infinity.model.transformer import InfinityTransformer
from infinity.schedule import ScaleSchedule
from infinity.tokenizer.quantizer import EncodedScales, ResidualCanvas, encode_scales
from infinity.tokenizer.tokenizer import Tokenizer
from training.config.settings import TrainingConfig
from training.data.records import Batch
from training.losses import BitLoss, bit_loss
from training.optimizer import parameter_groups, text_encoder_groups
from training.steps.captions import CaptionEncoder
from training.steps.draws import TransformerDraws, draw_for_transformer
from training.steps.step import Metrics, Step, StepResult, pictures_as_floats, ratio


class TransformerStep(Step):
    """Frozen tokenizer, self-correction, text dropout, teacher forcing, cross-entropy a bit.

    Source: paper sections 3.3 and 3.4, upstream's trainer. Parity: tests/parity, kind "transformer".

    Args:
        config: of the run.
        transformer: float32 weights.
        tokenizer: needed unless every batch comes with latents or bits.
        captions: needed unless every batch comes with text features.
    """

    def __init__(
        self,
        config: TrainingConfig,
        transformer: InfinityTransformer,
        tokenizer: Tokenizer | None,
        captions: CaptionEncoder | None,
    ) -> None:
        super().__init__(config)
        self.transformer = transformer
        self.tokenizer = tokenizer
        self.captions = captions
        self.modules["transformer"] = transformer.train()
        if captions is not None:
            (self.modules if captions.trained else self.frozen)["text_encoder"] = captions.model
        if tokenizer is not None:
            self.frozen["tokenizer"] = tokenizer.requires_grad_(False).eval()

    def blocks(self) -> list[nn.Module]:
        blocks = list(self.transformer.blocks)
        if self.captions is not None and self.captions.trained:
            blocks.extend(self.captions.model.encoder.block)
        return blocks

    def parameter_groups(self, phase: str) -> list[dict[str, Any]]:
        """Matrices of the transformer decay as the run does, those of a text encoder by its own."""
        groups = parameter_groups(self.transformer, self.config.optimization.weight_decay)
        if "text_encoder" in self.modules:
            text = self.config.text_encoder
            groups += text_encoder_groups(
                self.modules["text_encoder"], text.learning_rate_share, text.weight_decay
            )
        return groups

    def loss(
        self, phase: str, batch: Batch, generators: Sequence[torch.Generator], step: int
    ) -> StepResult:
        draws = draw_for_transformer(self.config, generators)
        if self.config.lora is not None and self.config.lora.dropout:
            # peft draws from the global source.
            torch.manual_seed(int(torch.randint(2**62, (), generator=generators[0])))
        schedule = self.schedules[batch.aspect_ratio]
        prefixes = self.config.optimization.scale_prefixes
        if counts := [count for start, count in prefixes if start <= step]:
            schedule = schedule.prefix(min(counts[-1], len(schedule)))
        result = self.bit_loss(batch, draws, schedule)
        return StepResult(result.loss, bit_metrics(result, schedule))

    @torch.no_grad()
    def validation(self, batch: Batch) -> Metrics:
        """Of a trained text encoder also the loss of captions whose words are in another order: no
        greater than in theirs, it says that captions are read as bags of words."""
        nothing = TransformerDraws((False,) * len(batch.captions))
        metrics = bit_metrics(self.bit_loss(batch, nothing), self.schedules[batch.aspect_ratio])
        if self.captions is not None and self.captions.trained:
            shuffled = [shuffled_words(caption) for caption in batch.captions]
            with self.cast(self.transformer.device):
                texts = self.captions(shuffled)
            result = self.bit_loss(batch, nothing, texts=texts)
            metrics["loss_shuffled_words"] = ratio(result.loss.expand(len(texts)))
        return metrics

    def bit_loss(
        self,
        batch: Batch,
        draws: TransformerDraws,
        schedule: ScaleSchedule | None = None,
        texts: Sequence[Tensor] | None = None,
    ) -> BitLoss:
        """The loss for given draws.

        Args:
            schedule: the first scales of the batch's, for the loss of these alone.
            texts: features (T, W) of other captions.
        """
        optimization = self.config.optimization
        whole = self.schedules[batch.aspect_ratio]
        schedule = schedule or whole
        encoded = self._encoded(batch, whole, draws)
        tokens = schedule.total_tokens
        inputs_BLD = encoded.inputs_BLD[:, : tokens - whole[0].tokens]
        transformer, factors = self.transformer, draws.branch_factors
        device = transformer.device
        with self.cast(device):
            # Zero times the features: a trained encoder has a backward on every process, also where
            # all captions of a slice are dropped, or sharded processes would wait for each other.
            text = [
                transformer.unconditional_text(len(features)) + 0 * features if drop else features
                for features, drop in zip(texts or self._text(batch), draws.dropped, strict=True)
            ]
            condition = transformer.share_text(
                text, None if factors is None else factors.to(device)
            )
            logits_BLD2 = transformer(inputs_BLD, condition, schedule)
        return bit_loss(
            logits_BLD2,
            encoded.labels_BLD[:, :tokens],
            schedule,
            reweight=optimization.reweight,
            reduction=optimization.bit_reduction,
        )

    @torch.no_grad()
    def _encoded(
        self, batch: Batch, schedule: ScaleSchedule, draws: TransformerDraws
    ) -> EncodedScales:
        """Labels and inputs, in float32 whatever the rest is computed in."""
        device = self.transformer.device
        model = self.config.tokenizer.model
        if batch.latents is not None:
            features = batch.latents.to(device, torch.float32, non_blocking=True)
        elif batch.bits is not None:
            if draws.flips is not None:
                raise CheckpointError(
                    "Self-correction makes new labels from the pictures' features, and the "
                    "prepared data holds bits alone; prepare it with features, or set "
                    "self_correction.strength to 0."
                )
            bits = [bits.to(device, non_blocking=True) for bits in batch.bits]
            return _from_bits(bits, model, schedule)
        elif self.tokenizer is not None and batch.pictures_u8 is not None:
            features = self.tokenizer.features(pictures_as_floats(batch.pictures_u8, device))
        else:
            raise CheckpointError("To train from pictures a tokenizer is needed; name its weights.")
        return encode_scales(features, model, schedule, draws.flips)

    def _text(self, batch: Batch) -> list[Tensor]:
        """Prepared features, unless the encoder that made them is being trained."""
        if batch.features is not None and not (self.captions and self.captions.trained):
            device, limit = self.transformer.device, self.config.transformer.text_max_length
            return [features[:limit].to(device, torch.float32) for features in batch.features]
        if self.captions is None:
            raise CheckpointError("To train from captions a text encoder is needed; name one.")
        return self.captions(batch.captions)


def _from_bits(
    bits: Sequence[Tensor], config: TokenizerConfig, schedule: ScaleSchedule
) -> EncodedScales:
    """What ``encode_scales`` returns of the picture whose bits, (B, l, D) bool a scale, are given."""
    canvas = ResidualCanvas(config, schedule, len(bits[0]), bits[0].device)
    inputs = [canvas.latent_Bdyx.new_zeros(len(bits[0]), 0, config.bits_per_token)]
    inputs += [new for scale in bits if (new := canvas.add(scale)) is not None]
    return EncodedScales(tuple(bits), torch.cat(inputs, dim=1), canvas.latent_Bdyx)


def shuffled_words(text: str) -> str:
    """The same words in another order, the same for the same text."""
    return " ".join(random.Random(text).sample(words := text.split(), len(words)))


def bit_metrics(result: BitLoss, schedule: ScaleSchedule) -> Metrics:
    """What was optimized and what was predicted, as sums over the samples and their number.

    ``loss`` is the objective. ``bit_loss`` (cross-entropy in nats, upstream's L_mean),
    ``bit_accuracy`` and ``token_accuracy`` are plain means over a sample's tokens and bits, of all
    scales and by scale (from 1). Each scale is predicted from the coarser ones as they were given:
    with self-correction's flips in training, without in validation.
    """
    values_BL = {
        "bit_loss": result.per_token_BL,
        "bit_accuracy": result.correct_BLD.double().mean(-1),
        "token_accuracy": result.correct_BLD.all(-1),
    }
    spans = {f"_scale_{index + 1}": schedule.span(index) for index in range(len(schedule))}
    return {"loss": ratio(result.loss.expand(len(result.correct_BLD)))} | {
        name + part: ratio(value_BL[:, span].double().mean(-1))
        for name, value_BL in values_BL.items()
        for part, span in {"": slice(None), **spans}.items()
    }
