"""From a request's words to what pictures are drawn from."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from infinity.generation.generate import text_condition
from infinity.generation.notes import read_negative, read_prompt, setting_notes
from infinity.generation.sampling import guided_length
from infinity.model.transformer import InfinityTransformer, TextCondition
from infinity.request import GenerationRequest, SamplingParams
from infinity.spec import ModelSpec
from infinity.text import TextEncoder
from infinity.wildcards import expand


@dataclass(frozen=True)
class EncodedPart:
    """A prompt as it is read from a scale on.

    Attributes:
        features: (T, text width) float.
        weights: (T) float, of its tokens; None is 1 for all.
        text, spans: without any syntax, and (first character, character behind the last) of its tokens.
    """

    first_scale: int
    features: Tensor
    weights: Tensor | None = None
    text: str = ""
    spans: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class PictureInputs:
    """What one picture is drawn from.

    Attributes:
        seed: from 0 to ``MAX_SEED``.
        prompt: its parts in the order of their scales; the first begins at 0.
        negative: (T, text width) float; None for the learned unconditional text.
        caption: what the prompt was completed to; "" where it is read as it is.
    """

    seed: int
    prompt: tuple[EncodedPart, ...]
    negative: Tensor | None
    caption: str = ""

    def part(self, scale: int) -> EncodedPart:
        """What is read at a scale."""
        return [part for part in self.prompt if part.first_scale <= scale][-1]


def read_pictures(
    request: GenerationRequest, spec: ModelSpec, encoder: TextEncoder
) -> tuple[list[PictureInputs], tuple[str, ...]]:
    """Encode a request's prompts; the notes say what the user should know about them.

    Raises:
        RequestError: see ``infinity.prompt``.
        CheckpointError: the text encoder cannot be loaded.
    """
    num_scales = len(spec.schedule(request.aspect_ratio))
    sampling = request.sampling(spec.sampling)
    notes = setting_notes(sampling, request.negative_prompt, num_scales)
    guided, pictures = guided_length(sampling, num_scales) > 0, []
    for seed in request.seeds:
        text, avoided = (expand(t, seed) for t in (request.prompt, request.negative_prompt))
        told = request.start.told if request.start else ""
        choice = (told or seed) if request.complete_prompt else None
        read = read_prompt(text, num_scales, encoder, spec.vocabulary, choice)
        notes += read.notes
        prompt = tuple(
            EncodedPart(
                part.first_scale,
                encoded.features,
                encoded.weights(part.weights),
                part.text,
                encoded.spans,
            )
            for part, encoded in read.parts
        )
        negative = None
        if avoided.strip() and guided:
            encoded, found = read_negative(avoided, encoder, spec.vocabulary)
            notes += found
            negative = encoded.features
        pictures.append(PictureInputs(seed, prompt, negative, read.caption))
    return pictures, tuple(dict.fromkeys(notes))


def text_conditions(
    transformer: InfinityTransformer,
    pictures: Sequence[PictureInputs],
    sampling: SamplingParams,
    num_scales: int,
) -> dict[int, TextCondition]:
    """Scale -> what pictures drawn in one pass read from there on; the first begins at 0."""
    negatives = [picture.negative for picture in pictures]
    conditions = {}
    for first in sorted({part.first_scale for picture in pictures for part in picture.prompt}):
        parts = [picture.part(first) for picture in pictures]
        texts = [part.features for part in parts], negatives
        weights = [part.weights for part in parts]
        conditions[first] = text_condition(transformer, *texts, sampling, num_scales, weights)
    return conditions
