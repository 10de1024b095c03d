"""What a model knows, in lists to look through: things, places, colours, styles."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from infinity.spec import ModelSpec

WILDCARDS = (
    "<p>Wildcards: <code>a {red|blue} car</code> draws one or the other, as each picture’s seed "
    "picks; <code>{2$$cat|dog|owl}</code> takes two. The picture’s record has the words drawn.</p>"
)
ANYTHING = (
    "<p>This model was trained on pictures of all kinds with long descriptions: write whole "
    "sentences on what is to be seen, where, in what light and in what style.</p>"
)


def world_html(spec: ModelSpec) -> str:
    """The words of a small world by kind; for any other model, how to write to it."""
    vocabulary = spec.vocabulary
    if vocabulary is None:
        return f'<div class="world">{ANYTHING}{WILDCARDS}</div>'
    count = sum(map(len, vocabulary.objects.values()))
    parts = [
        f"<p>This small model knows {count} things, {len(vocabulary.scenes)} places and "
        f"{len(vocabulary.colours)} colours. A single thing comes out best, in a place or on a "
        f"colour; it also has words for up to four of a thing, and for two things side by side or one "
        f"above the other.</p>"
    ]
    for kind, names in vocabulary.objects.items():
        also = {name: ", ".join(vocabulary.synonyms.get(name, ())) for name in names}
        parts.append(_section(kind.capitalize(), (_word(name, also[name]) for name in names)))
    scenes = vocabulary.scenes.items()
    parts.append(
        _section("Places", (_word(phrases[0], ", ".join(phrases[1:])) for _, phrases in scenes))
    )
    parts.append(_section("Colours", (_colour(name) for name in vocabulary.colours)))
    styles = vocabulary.styles.values()
    parts.append(
        _section("Styles", (_word(phrases[0], ", ".join(phrases[1:])) for phrases in styles))
    )
    return f'<div class="world">{"".join(parts)}{WILDCARDS}</div>'


def _section(title: str, items: Iterable[str]) -> str:
    return f"<h3>{escape(title)}</h3><ul>{''.join(items)}</ul>"


def _word(word: str, also: str) -> str:
    hint = f' title="also: {escape(also, quote=True)}"' if also else ""
    return f"<li{hint}>{escape(word)}</li>"


def _colour(name: str) -> str:
    """A swatch beside the word: the world's colour words are CSS's own, without their spaces."""
    css = escape(name.replace(" ", ""), quote=True)
    return f'<li><i style="background:{css}"></i>{escape(name)}</li>'
