"""What the model thinks of every bit of a picture: probabilities, uncertainty, and the words it looked at.

Legend: l tokens of a scale, D bits a token, d y x the latent, T text tokens, W text width.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from infinity.arrays import save_arrays
from infinity.config import TokenizerConfig
from infinity.generation.generate import ScaleStep, generate, leading
from infinity.generation.inputs import EncodedPart, PictureInputs, text_conditions
from infinity.generation.sampling import seeded_generator
from infinity.model.layers import Watch
from infinity.model.transformer import InfinityTransformer
from infinity.request import GenerationRequest, SamplingParams
from infinity.schedule import ScaleSchedule


@dataclass(frozen=True, kw_only=True)
class InspectedScale:
    """One scale of one picture, as arrays.

    Attributes:
        height, width: tokens.
        bits_lD: bool.
        probability_lD: float32, of a 1, as bits are drawn: guided and at the scale's temperature.
        conditional_lD, unconditional_lD: float32, of a 1, of the prompt alone and of the text that
            guidance leads away from, at temperature 1.
        latent_dyx: float32, the sum of codes up to and including this scale.
        attention_Tl: float32, how much each picture token looked at each token of the prompt (of the part
            of it that is read at this scale), averaged over blocks and heads; over it, it adds up to 1.
        words: T, the text of these tokens; "" of one that stands for none.
        seconds: in the model.
    """

    height: int
    width: int
    bits_lD: np.ndarray
    probability_lD: np.ndarray
    conditional_lD: np.ndarray
    unconditional_lD: np.ndarray
    latent_dyx: np.ndarray
    attention_Tl: np.ndarray
    words: tuple[str, ...]
    seconds: float

    @property
    def entropy_lD(self) -> np.ndarray:
        """float32, 0 to 1 (in bits): how undecided the model was."""
        p = np.clip(self.probability_lD.astype(np.float64), 1e-12, 1 - 1e-12)
        return (-p * np.log2(p) - (1 - p) * np.log2(1 - p)).astype(np.float32)

    @property
    def likelihood_lD(self) -> np.ndarray:
        """float32: the probability of the bit that is there."""
        return np.where(self.bits_lD, self.probability_lD, 1 - self.probability_lD)


@torch.inference_mode()
def inspect(
    transformer: InfinityTransformer,
    tokenizer_config: TokenizerConfig,
    picture: PictureInputs,
    bits: Sequence[Tensor],
    schedule: ScaleSchedule,
    sampling: SamplingParams,
) -> Iterator[InspectedScale]:
    """Let the model read a picture's bits, a step a scale; three passes, nothing is drawn.

    Args:
        picture: its words.
        bits: per scale (l, D) bool.

    Raises:
        RequestError: a guidance layer the model does not have.
        ResourceError: the model computed infinite values or none.
    """
    sampling = replace(sampling, pruning=0.0)  # every bit is looked at
    alone = replace(sampling, guidance=1.0, temperature=1.0, top_p=1.0, top_k=0, confidence=1.0)
    looked: list[Tensor] = []

    def reading(
        picture: PictureInputs, sampling: SamplingParams, watch: Watch | None
    ) -> Iterator[ScaleStep]:
        conditions = text_conditions(transformer, [picture], sampling, len(schedule))
        if watch is not None:
            conditions = {first: each.watched(watch) for first, each in conditions.items()}
        return generate(
            transformer,
            tokenizer_config,
            conditions[0],
            schedule,
            sampling,
            [seeded_generator(0)],
            later=conditions,
            revise=leading(bits),
            keep_logits=True,
        )

    passes = (
        reading(picture, sampling, looked.append),
        reading(picture, alone, None),
        reading(_without_prompt(transformer, picture), alone, None),
    )
    for index, (scale, drawn, prompted, unprompted) in enumerate(
        zip(schedule, *passes, strict=True)
    ):
        attention_lT = torch.stack([weights[0] for weights in looked]).mean(dim=0)
        looked.clear()
        part = picture.part(index)
        yield InspectedScale(
            height=scale.height,
            width=scale.width,
            bits_lD=drawn.bits_BlD[0].cpu().numpy(),
            probability_lD=_probability(drawn),
            conditional_lD=_probability(prompted),
            unconditional_lD=_probability(unprompted),
            latent_dyx=drawn.canvas.latent_Bdyx[0].float().cpu().numpy(),
            attention_Tl=attention_lT.T[: len(part.features)].cpu().numpy(),
            words=_words(part),
            seconds=drawn.seconds,
        )


def save(
    path: Path,
    scales: Sequence[InspectedScale],
    request: GenerationRequest,
    model: str,
    weights: str,
) -> None:
    """Write a ``.npz``: ``scale_1_bits``, ``scale_1_probability``, ...; ``about`` as JSON has the rest.

    Args:
        request: whose words and sampling were read.
        model, weights: its name, and the pipeline's fingerprint of it.

    Raises:
        ResourceError: the disk is full, or the place may not be written.
    """
    words = [scale.words for scale in scales]
    about = {"model": model, "weights": weights, "request": request.to_dict(), "words": words}
    arrays: dict[str, np.ndarray] = {
        f"scale_{number}_{name.rsplit('_', 1)[0]}": value
        for number, scale in enumerate(scales, 1)
        for name, value in {**vars(scale), "entropy_lD": scale.entropy_lD}.items()
        if isinstance(value, np.ndarray)
    }
    save_arrays(path, arrays, about)


def _words(part: EncodedPart) -> tuple[str, ...]:
    words = tuple(part.text[first:stop] for first, stop in part.spans)
    ends = len(part.features) - len(words)  # the end of the text is a token, too
    return words + ("",) * ends


def _without_prompt(transformer: InfinityTransformer, picture: PictureInputs) -> PictureInputs:
    """The same with the text that guidance leads away from in the prompt's place."""
    parts = []
    for part in picture.prompt:
        text = picture.negative
        if text is None:
            text = transformer.unconditional_text(len(part.features))
        parts.append(EncodedPart(part.first_scale, text.to(part.features)))
    return replace(picture, prompt=tuple(parts))


def _probability(step: ScaleStep) -> np.ndarray:
    """(l, D) float32, of a 1."""
    assert step.logits_BlD2 is not None, "logits are kept"
    logits_lD2 = step.logits_BlD2[0]
    return (logits_lD2[..., 1] - logits_lD2[..., 0]).sigmoid().float().cpu().numpy()
