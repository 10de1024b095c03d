"""From a prompt and a seed to the caption that a picture is drawn from, and what the user should know of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from infinity.world.completion import completed, left_as
from infinity.world.fitting import fitted
from infinity.world.reading import Reading, read
from infinity.world.scene import Scene
from infinity.world.vocabulary import Vocabulary
from infinity.world.wording import written

MOST_SHOWN = 6


@dataclass(frozen=True)
class Caption:
    """What is drawn for a prompt, in the model's own wording; ``scene`` is without the choices."""

    text: str
    scene: Scene
    notes: tuple[str, ...]


def caption_of(prompt: str, vocabulary: Vocabulary, choice: int | str | None) -> Caption | None:
    """The caption of a prompt without syntax, its misspelt words mended; None where it names nothing known.

    Args:
        choice: what becomes of that which the prompt leaves open: a seed chooses it, it stays as another
            caption tells it, or None leaves it open.
    """
    reading = read(prompt, vocabulary)
    if reading.scene is None:
        return None
    scene, notes = fitted(reading.scene, vocabulary)
    notes += _left_out(reading, vocabulary)
    whole = scene
    if isinstance(choice, int):
        whole = completed(scene, vocabulary, choice)
    elif choice and (before := read(choice, vocabulary).scene):
        whole = left_as(scene, before, vocabulary)
    return Caption(written(whole, vocabulary), scene, tuple(notes))


def _left_out(reading: Reading, vocabulary: Vocabulary) -> list[str]:
    notes = []
    if reading.left_out:
        notes.append(f"Not drawn: {listed(reading.left_out)}.")
    if reading.not_negated:
        notes.append(f"It cannot leave out what it does not know: {listed(reading.not_negated)}.")
    near = {word: vocabulary.near(word) for word in reading.unknown}
    near = {word: names for word, names in near.items() if names or not word.endswith("ing")}
    if near:  # what things do is not drawn by any wording
        means = "means" if len(near) == 1 else "mean"
        said = f"{listed([*near])} {means} nothing to this small model."
        notes.append(f"{said}{nearest_note(near)}")
    return notes


def nearest_note(near: Mapping[str, Sequence[str]]) -> str:
    """The end of a note on unknown words: the known one nearest to each. The page makes these buttons."""
    offers = [f"“{names[0]}” for “{word}”" for word, names in near.items() if names]
    return f" The nearest that it knows: {', '.join(offers[:MOST_SHOWN])}." if offers else ""


def listed(words: Sequence[str]) -> str:
    """ "“a”, “b” and “c”", cut behind so many."""
    *shown, last = [f"“{word}”" for word in words[:MOST_SHOWN]]
    if len(words) > MOST_SHOWN:
        shown, last = [*shown, last], f"{len(words) - MOST_SHOWN} more"
    return f"{', '.join(shown)} and {last}" if shown else last
