"""Train the transformer and its small text encoder together, exactly resumable.

Every draw of a step comes from a generator seeded with (seed, step), and examples are addressed by
index, so a resumed run continues as if it had never stopped.

Legend: B batch, L tokens of all scales, D bits a token.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm
from transformers import PreTrainedTokenizerFast, T5EncoderModel

from infinity.config import TransformerConfig
from infinity.model.transformer import InfinityTransformer
from infinity.schedule import ScaleSchedule
from infinity.tokenizer.quantizer import encode_scales
from infinity.tokenizer.tokenizer import Tokenizer
from training import text_encoder
from training.losses import BitLoss, bit_loss
from training.optimizer import (
    build_muon,
    hidden_matrices,
    parameter_groups,
    set_rate,
    text_encoder_groups,
)
from training.run import Run
from training.self_correction import RandomFlips
from training.stepping import IndexedDataset, step_generator, trapezoid
from training.train_tokenizer import stack, to_float

logger = logging.getLogger(__name__)

Example = tuple[np.ndarray, str]
"""A picture, uint8 (H, W, 3), or the tokenizer's features of one, float (d, y, x); its caption."""
LossRule = Callable[[Tensor, Tensor, ScaleSchedule], BitLoss]
"""(logits, labels (B, L, D) bool, schedule) -> loss."""


@dataclass(frozen=True, kw_only=True)
class TransformerTraining:
    """Settings of a transformer run.

    Args:
        scales: (height, width) of each scale in tokens.
        text_layers, text_heads: shape of the text encoder; its width is ``model.text_width``.
        text_rate: share of the learning rate that the text encoder learns at.
        text_weight_decay: of the text encoder's matrices. Without it and at the full rate its gated
            layers outgrow the attention, and a caption is read as a bag of words.
        cooldown: share of the steps over which the learning rate falls linearly to zero at the end.
        text_dropout: share of samples trained without their caption, for guidance.
        flip_strength, flip_scales: self-correction, see :class:`RandomFlips`.
        warmup: steps over which the learning rate grows from zero, wherever the optimizers begin.
        averaging: decay of the moving average of the weights, which is what is validated, returned
            and exported; it grows to this from the first steps on.
        compiled: compile the blocks (needs a C++ compiler): a step takes about 3/4 of the time.
        prefixes: (step, scales): from this step on only so many of the first scales are trained;
            all before the first entry. What a picture shows is settled there, in less time a step.
    """

    model: TransformerConfig
    scales: tuple[tuple[int, int], ...]
    steps: int
    batch_size: int = 16
    learning_rate: float = 1e-3
    weight_decay: float = 0.02
    warmup: int = 300
    cooldown: float = 0.3
    text_layers: int = 3
    text_heads: int = 4
    text_rate: float = 0.25
    text_weight_decay: float = 0.1
    text_dropout: float = 0.1
    flip_strength: float = 0.2
    flip_scales: int = 100
    averaging: float = 0.998
    compiled: bool = False
    prefixes: tuple[tuple[int, int], ...] = ()
    seed: int = 0
    save_every: int = 150


MAY_CHANGE = frozenset(
    {
        "steps",
        "cooldown",
        "save_every",
        "learning_rate",
        "prefixes",
        "compiled",
        "text_rate",
        "text_weight_decay",
    }
)
"""Settings a run may be resumed with another value of."""


def collate(examples: list[Example]) -> tuple[Tensor, list[str]]:
    """-> (pictures (B, 3, H, W) uint8 or features (B, d, y, x) float, captions)."""
    pictures = [picture for picture, _ in examples]
    captions = [caption for _, caption in examples]
    if pictures[0].dtype == np.uint8:
        return stack(pictures), captions
    return torch.from_numpy(np.stack(pictures)), captions


def build_text_encoder(
    config: TransformerTraining, tokenizer: PreTrainedTokenizerFast
) -> T5EncoderModel:
    """The run's text encoder, with random weights."""
    return text_encoder.build_encoder(
        len(tokenizer), config.model.text_width, config.text_layers, config.text_heads
    )


def build_optimizers(
    config: TransformerTraining, transformer: InfinityTransformer, text_model: T5EncoderModel
) -> list[torch.optim.Optimizer]:
    """The run's optimizers, which have seen nothing yet."""
    decay = config.weight_decay
    hidden, rest = text_encoder_groups(text_model, config.text_rate, config.text_weight_decay)
    blocks = {"params": hidden_matrices([*transformer.blocks]), "weight_decay": decay}
    return build_muon(
        [blocks, *hidden], [*parameter_groups(transformer, decay), rest], config.learning_rate
    )


@torch.no_grad()
def average_(averaged: nn.Module, current: nn.Module, step: int, decay: float) -> None:
    """Move the averaged weights towards the current ones; fast at first, so as not to lag."""
    kept = min(decay, (1 + step) / (10 + step))
    for mean, weight in zip(averaged.parameters(), current.parameters(), strict=True):
        mean.lerp_(weight, 1 - kept)


class TrainingStep:
    """The loss of one batch: frozen tokenizer, self-correction, text dropout, teacher forcing."""

    def __init__(
        self,
        config: TransformerTraining,
        tokenizer: Tokenizer,
        transformer: InfinityTransformer,
        text_model: T5EncoderModel,
        text_tokenizer: PreTrainedTokenizerFast,
        loss: LossRule | None = None,
    ) -> None:
        self.config = config
        self.loss = loss or bit_loss
        self.schedule = ScaleSchedule(config.scales)
        self.tokenizer = tokenizer.eval().requires_grad_(False)
        self.transformer = transformer
        self.text_model = text_model
        self.text_tokenizer = text_tokenizer

    def __call__(
        self,
        pictures: Tensor,
        captions: list[str],
        generator: torch.Generator,
        corrupt: bool,
        scales: int | None = None,
    ) -> BitLoss:
        """Loss of a collated batch on the first ``scales`` scales, or all.

        ``corrupt`` turns flips and dropout on.
        """
        config = self.config
        schedule = self.schedule if scales is None else self.schedule.prefix(scales)
        with torch.autocast("cpu", torch.bfloat16):
            with torch.no_grad():
                known = pictures.is_floating_point()
                features = pictures if known else self.tokenizer.features(to_float(pictures))
            flips = RandomFlips(config.flip_strength, config.flip_scales, generator)
            encoded = encode_scales(
                features.float(), self.tokenizer.config, self.schedule, flips if corrupt else None
            )
            text = text_encoder.encode(
                self.text_model, self.text_tokenizer, captions, config.model.text_max_length
            )
            dropped = torch.rand(len(text), generator=generator) < config.text_dropout * corrupt
            text = [
                self.transformer.unconditional_text(len(row)).to(row.dtype) if drop else row
                for row, drop in zip(text, dropped.tolist(), strict=True)
            ]
            condition = self.transformer.encode_text(text)
            tokens = schedule.total_tokens
            inputs_BLD = encoded.inputs_BLD[:, : tokens - self.schedule[0].tokens]
            logits = self.transformer(inputs_BLD, condition, schedule)
        return self.loss(logits, encoded.labels_BLD[:, :tokens], schedule)


def train_transformer(
    config: TransformerTraining,
    tokenizer: Tokenizer,
    text_tokenizer: PreTrainedTokenizerFast,
    examples: Callable[[int], Example],
    held_out: list[Example],
    folder: Path,
    build: Callable[[TransformerConfig], InfinityTransformer] | None = None,
    loss: LossRule | None = None,
) -> tuple[InfinityTransformer, T5EncoderModel]:
    """Train, or continue the run in ``folder``.

    Args:
        tokenizer: trained and frozen.
        examples: index -> example; the same index gives the same example.
        held_out: never trained on: validation loss and bit accuracy per scale.
        build, loss: of another kind of classifier; None for the bits'.
    """
    run = Run(folder, config, MAY_CHANGE)
    torch.manual_seed(config.seed)
    transformer = (build or InfinityTransformer)(config.model)
    transformer.init_weights(torch.Generator().manual_seed(config.seed))
    text_model = build_text_encoder(config, text_tokenizer)
    parameters = [*transformer.parameters(), *text_model.parameters()]
    optimizers = build_optimizers(config, transformer, text_model)
    shown = deepcopy(transformer).requires_grad_(False)
    shown_text = deepcopy(text_model).requires_grad_(False)
    step = begun = 0
    if (state := run.resume()) is not None:
        transformer.load_state_dict(state["transformer"])
        text_model.load_state_dict(state["text_encoder"])
        for average, saved in zip((shown, shown_text), state["averages"], strict=True):
            average.load_state_dict(saved)
        for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        step, begun = state["step"], state.get("begun", 0)
    loss_of = TrainingStep(config, tokenizer, transformer, text_model, text_tokenizer, loss)
    shown_loss_of = TrainingStep(config, tokenizer, shown, shown_text, text_tokenizer, loss)
    if config.compiled:
        for block in transformer.blocks:
            block.compile()

    batch = config.batch_size
    loader = DataLoader(
        IndexedDataset(examples, step * batch, config.steps * batch),
        batch_size=batch,
        collate_fn=collate,
        num_workers=1,
        prefetch_factor=4,
    )
    started = time.monotonic()
    for pictures, captions in tqdm(loader, initial=step, total=config.steps, desc="transformer"):
        generator = step_generator(config.seed, step)
        factor = trapezoid(step, config.steps, config.warmup, config.cooldown, begun)
        set_rate(optimizers, config.learning_rate * factor)
        scales = [None, *(count for start, count in config.prefixes if start <= step)][-1]
        result = loss_of(pictures, captions, generator, corrupt=True, scales=scales)
        if not torch.isfinite(result.loss):
            raise FloatingPointError(f"the loss became {result.loss.item()} at step {step}")
        result.loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(parameters, 2.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        average_(shown, transformer, step, config.averaging)
        average_(shown_text, text_model, step, config.averaging)
        step += 1
        if step % 10 == 0:
            run.log(
                step,
                loss=result.loss.item(),
                gradient_norm=norm.item(),
                learning_rate=config.learning_rate * factor,
                samples_per_s=10 * batch / (time.monotonic() - started),
            )
            started = time.monotonic()
        if step % config.save_every == 0 or step == config.steps:
            run.log(step, **validate(shown_loss_of, held_out))
            run.save(
                {
                    "step": step,
                    "begun": begun,
                    "transformer": transformer.state_dict(),
                    "text_encoder": text_model.state_dict(),
                    "averages": [shown.state_dict(), shown_text.state_dict()],
                    "optimizers": [optimizer.state_dict() for optimizer in optimizers],
                }
            )
            started = time.monotonic()
    return shown, shown_text


@torch.no_grad()
def validate(loss_of: TrainingStep, held_out: list[Example]) -> dict[str, float]:
    """Loss and bit accuracy per scale on clean, uncorrupted, held-out examples.

    The loss is also told with every caption's words in another order: no worse than in theirs, it
    says that captions are read as bags of words, and which colour is whose cannot be learnt.
    """
    results = _clean(loss_of, held_out)
    shuffled = _clean(loss_of, [(picture, shuffled_words(text)) for picture, text in held_out])
    accuracy = np.mean([r.accuracy_per_scale(loss_of.schedule) for r in results], axis=0)
    return {
        "validation_loss": float(np.mean([r.loss.item() for r in results])),
        "validation_loss_shuffled_words": float(np.mean([r.loss.item() for r in shuffled])),
        "bit_accuracy": float(np.mean([r.correct_BLD.float().mean() for r in results])),
        **{f"bit_accuracy_scale_{i + 1}": float(a) for i, a in enumerate(accuracy)},
    }


def _clean(loss_of: TrainingStep, examples: list[Example]) -> list[BitLoss]:
    generator = torch.Generator()
    batch = loss_of.config.batch_size
    return [
        loss_of(*collate(examples[i : i + batch]), generator, corrupt=False)
        for i in range(0, len(examples), batch)
    ]


def shuffled_words(text: str) -> str:
    """The same words in an order of their own, the same for the same text."""
    return " ".join(random.Random(text).sample(words := text.split(), len(words)))
