"""The loss of the transformer: bits of a picture predicted from its text and its coarser scales.

Legend: B samples of a slice, L tokens of all scales, D bits a token, d bits a latent, y x latent.
"""

import random
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from infinity.errors import CheckpointError
from infinity.model.transformer import InfinityTransformer
from infinity.schedule import ScaleSchedule
from infinity.tokenizer.quantizer import EncodedScales, encode_scales
from infinity.tokenizer.tokenizer import Tokenizer
from training.config.settings import TrainingConfig
from training.losses import BitLoss, bit_loss
from training.optimizer import parameter_groups, text_encoder_groups
from training.steps.captions import CaptionEncoder
from training.steps.draws import TransformerDraws, draw_for_transformer
from training.steps.precision import cast_to, pictures_as_floats
from training.steps.prepared import encode_bits
from training.steps.step import MODEL, StepBatch, StepResult, ratio


class TransformerStep:
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
        self.config = config
        self.schedules: Mapping[str, ScaleSchedule] = config.schedules
        self.transformer = transformer
        self.tokenizer = tokenizer
        self.captions = captions
        self.phases: tuple[str, ...] = (MODEL,)
        self.modules = nn.ModuleDict({"transformer": transformer.train()})
        self.frozen = nn.ModuleDict()
        if captions is not None:
            (self.modules if captions.trained else self.frozen)["text_encoder"] = captions.model
        if tokenizer is not None:
            self.frozen["tokenizer"] = tokenizer.requires_grad_(False).eval()

    @property
    def trained(self) -> Mapping[str, nn.Module]:
        return dict(self.modules.items())

    def phases_at(self, step: int) -> tuple[str, ...]:
        return self.phases

    def blocks(self) -> list[nn.Module]:
        blocks = list(self.transformer.blocks)
        if self.captions is not None and self.captions.trained:
            blocks.extend(self.captions.model.encoder.block)
        return blocks

    def parameter_groups(self, phase: str) -> list[dict[str, Any]]:
        """Matrices of the transformer decay as the run does, those of a text encoder by its own."""
        groups = parameter_groups(self.transformer, self.config.optimization.weight_decay)
        groups = [{**group, "rate": 1.0} for group in groups]
        if "text_encoder" in self.modules:
            text = self.config.text_encoder
            groups += text_encoder_groups(
                self.modules["text_encoder"], text.learning_rate_share, text.weight_decay
            )
        return [group for group in groups if group["params"]]

    def loss(
        self, phase: str, batch: StepBatch, generators: Sequence[torch.Generator], step: int
    ) -> StepResult:
        optimization, correction = self.config.optimization, self.config.self_correction
        draws = draw_for_transformer(
            generators,
            text_dropout=optimization.text_dropout,
            drop_path=optimization.drop_path,
            depth=self.config.transformer.depth,
            flip_strength=correction.strength if correction.requantize else 0.0,
            flip_scales=correction.scales,
        )
        if self.config.lora is not None and self.config.lora.dropout:
            # peft draws from the global source.
            torch.manual_seed(int(torch.randint(2**62, (), generator=generators[0])))
        counts = [count for start, count in optimization.scale_prefixes if start <= step]
        schedule = self.schedules[batch.aspect_ratio]
        schedule = schedule.prefix(min(counts[-1], len(schedule))) if counts else schedule
        result = self.bit_loss(batch, draws, schedule)
        return StepResult(result.loss, len(draws.dropped), bit_metrics(result, schedule))

    @torch.no_grad()
    def validation(self, batch: StepBatch) -> dict[str, Tensor]:
        """Of a trained text encoder also the loss of captions whose words are in another order: no
        greater than in theirs, it says that captions are read as bags of words."""
        nothing = TransformerDraws((False,) * len(batch.captions))
        metrics = bit_metrics(self.bit_loss(batch, nothing), self.schedules[batch.aspect_ratio])
        if self.captions is not None and self.captions.trained:
            shuffled = [shuffled_words(caption) for caption in batch.captions]
            with cast_to(self.config.optimization.dtype, self.transformer.device):
                texts = self.captions(shuffled)
            result = self.bit_loss(batch, nothing, texts=texts)
            metrics["loss_shuffled_words"] = ratio(result.loss.expand(len(texts)))
        return metrics

    def bit_loss(
        self,
        batch: StepBatch,
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
        with cast_to(optimization.dtype, device):
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
        self, batch: StepBatch, schedule: ScaleSchedule, draws: TransformerDraws
    ) -> EncodedScales:
        """Labels and inputs, in float32 whatever the rest is computed in."""
        device = self.transformer.device
        model = self.config.tokenizer.model
        if batch.latents is not None:
            features = batch.latents.to(device, torch.float32)
        elif batch.bits is not None:
            if draws.flips is not None:
                raise CheckpointError(
                    "Self-correction makes new labels from the pictures' features, and the "
                    "prepared data holds bits alone; prepare it with features, or set "
                    "self_correction.strength to 0."
                )
            return encode_bits([bits.to(device) for bits in batch.bits], model, schedule)
        elif self.tokenizer is not None and batch.pictures_u8 is not None:
            features = self.tokenizer.features(pictures_as_floats(batch.pictures_u8, device))
        else:
            raise CheckpointError("To train from pictures a tokenizer is needed; name its weights.")
        return encode_scales(features, model, schedule, draws.flips)

    def _text(self, batch: StepBatch) -> list[Tensor]:
        """Prepared features, unless the encoder that made them is being trained."""
        if batch.features is not None and not (self.captions and self.captions.trained):
            device, limit = self.transformer.device, self.config.transformer.text_max_length
            return [features[:limit].to(device, torch.float32) for features in batch.features]
        if self.captions is None:
            raise CheckpointError("To train from captions a text encoder is needed; name one.")
        return self.captions(batch.captions)


def shuffled_words(text: str) -> str:
    """The same words in another order, the same for the same text."""
    return " ".join(random.Random(text).sample(words := text.split(), len(words)))


def bit_metrics(result: BitLoss, schedule: ScaleSchedule) -> dict[str, Tensor]:
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
    metrics = {"loss": ratio(result.loss.expand(len(result.correct_BLD)))}
    for name, value_BL in values_BL.items():
        value_BL = value_BL.double()
        metrics[name] = ratio(value_BL.mean(-1))
        for index in range(len(schedule)):
            span = schedule.span(index)
            metrics[f"{name}_scale_{index + 1}"] = ratio(value_BL[:, span].mean(-1))
    return metrics
