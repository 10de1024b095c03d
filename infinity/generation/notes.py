"""Notes for the user about a request: what was cut, unknown or without effect."""

from collections.abc import Mapping
from dataclasses import dataclass

from infinity.generation.sampling import guided_length
from infinity.prompt import PromptPart, parse, words
from infinity.request import SamplingParams
from infinity.text import EncodedPrompt, TextEncoder
from infinity.world.caption import caption_of, listed, nearest_note
from infinity.world.vocabulary import Vocabulary

SHOWN_CHARACTERS = 80


@dataclass(frozen=True)
class ReadPrompt:
    """A prompt as a model reads it: its parts, notes on it, and the caption it was completed to, or ""."""

    parts: list[tuple[PromptPart, EncodedPrompt]]
    notes: list[str]
    caption: str = ""


def read_prompt(
    text: str,
    num_scales: int,
    encoder: TextEncoder,
    vocabulary: Vocabulary | None,
    choice: int | str | None = None,
) -> ReadPrompt:
    """A prompt as a model of these words reads it, misspelt names put right.

    Args:
        choice: as of ``caption_of``, where there is a vocabulary; None draws it as it is.

    Raises:
        RequestError: see ``infinity.prompt``.
    """
    text, corrected = (text, {}) if vocabulary is None else vocabulary.corrected(text)
    notes, parts, caption = correction_notes(corrected), parse(text, num_scales), None
    if vocabulary is not None and choice is not None:
        if len(parts) > 1 or parts[0].weights:
            notes.append("A prompt with weights or changes is drawn as it is written.")
        elif (caption := caption_of(parts[0].text, vocabulary, choice)) is None:
            notes.append(
                "The prompt names no thing that this model knows, so it is drawn as it is."
            )
        else:
            notes += caption.notes
            parts = (PromptPart(0, caption.text),)
    encoded = [(part, encoder.encode(part.text)) for part in parts]
    for part, read in encoded:
        if not part.text.strip():
            continue  # of a prompt that says nothing from a scale on
        notes += text_notes("prompt", read)
        if caption is None:
            notes += vocabulary_notes(part.text, vocabulary)
    return ReadPrompt(encoded, notes, caption.text if caption else "")


def read_negative(
    text: str, encoder: TextEncoder, vocabulary: Vocabulary | None
) -> tuple[EncodedPrompt, list[str]]:
    """A negative prompt likewise; its words count alike, at every scale."""
    text, corrected = (text, {}) if vocabulary is None else vocabulary.corrected(text)
    text, written = words(text), text
    encoded = encoder.encode(text)
    notes = correction_notes(corrected) + text_notes("negative prompt", encoded)
    if text != written:
        shown = text[:SHOWN_CHARACTERS]
        notes.append(f"A negative prompt has no weights or changes; it was read as “{shown}”.")
    return encoded, notes + vocabulary_notes(text, vocabulary)


def correction_notes(corrected: Mapping[str, str]) -> list[str]:
    """Misspelt words that were put right: as written -> as read."""
    read = ", ".join(f"“{word}” as “{meant}”" for word, meant in corrected.items())
    return [f"Read {read}."] if read else []


def text_notes(what: str, encoded: EncodedPrompt) -> list[str]:
    """What became of a text; ``what`` is "prompt" or "negative prompt"."""
    notes: list[str] = []
    if encoded.dropped_tokens:
        notes.append(
            f"The {what} was cut to its first {len(encoded.features)} tokens; the model did not see "
            f"what follows “…{encoded.kept_text[1 - SHOWN_CHARACTERS :]}”."
        )
    if not encoded.understood_text:
        notes.append(
            f"The model knows nothing of the {what}, so the picture is a guess; describe it in "
            "plain words."
        )
    elif encoded.unknown_tokens:
        known = encoded.understood_text
        shown = known if len(known) <= SHOWN_CHARACTERS else f"{known[: SHOWN_CHARACTERS - 1]}…"
        notes.append(
            f"The model does not know some of the {what}’s characters and read it as “{shown}”."
        )
    return notes


def vocabulary_notes(text: str, vocabulary: Vocabulary | None) -> list[str]:
    """The words of a text that are not of the model's small world, and what may have been meant."""
    unknown = {} if vocabulary is None else vocabulary.unknown(text)
    if not unknown:
        return []
    verb = "is" if len(unknown) == 1 else "are"
    guessed = "not among the words this small model has learnt, so it had to guess."
    return [f"{listed([*unknown])} {verb} {guessed}{nearest_note(unknown)}"]


def setting_notes(sampling: SamplingParams, negative_prompt: str, num_scales: int) -> list[str]:
    """Settings that have no effect."""
    notes: list[str] = []
    if negative_prompt.strip() and not guided_length(sampling, num_scales):
        notes.append("The negative prompt has no effect while guidance is 1; raise guidance.")
    scales = range(num_scales)
    is_varied = any(sampling.confidence_at(i) < 1 for i in scales)
    if is_varied and (sampling.top_k == 1 or not any(sampling.at_scale(i)[1] for i in scales)):
        notes.append(
            "Confidence has no effect while every bit takes its likelier value; raise the temperature, "
            "or set top-k to 0."
        )
    for name in ("guidance", "temperature", "confidence"):
        value = getattr(sampling, name)
        if isinstance(value, tuple) and len(value) > num_scales:
            notes.append(
                f"Of the {len(value)} values of {name} only the first {num_scales} are used: the "
                f"picture has {num_scales} scales."
            )
    return notes
