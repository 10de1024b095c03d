"""What helps to write a prompt: the words that a model knows, each of which a press puts into it, and a
suggestion to read, change and take, or leave."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from infinity.errors import InfinityError
from infinity.hosting import Allowance
from infinity.registry import DEFAULT_MODEL
from infinity.rewriter import RewriterSettings, rewrite
from infinity.shipped import shipped
from infinity.spec import ModelSpec
from infinity.ui.shared.files import data_uri
from infinity.ui.shared.runs import visitor_of
from infinity.ui.shared.status import UNEXPECTED, problem_html
from infinity.ui.shared.wiring import HELP_TWO, PRIVATE, Components

logger = logging.getLogger(__name__)

WORDS_SCRIPT = Path(__file__).with_name("words.js")
THUMBNAILS = shipped("assets/world")
"""Written by ``python -m training.pages known-words``."""
SHOWN = 36
"""Side of a tile in CSS pixels."""

WILDCARDS = (
    "<p>Wildcards: <code>a {red|blue} car</code> draws one or the other, as each picture’s seed "
    "picks; <code>{2$$cat|dog|owl}</code> takes two. The picture’s record has the words drawn.</p>"
)
WEIGHTS = (
    "<p>Weights: in <code>a (red:1.4) car</code> the model looks 1.4 times as much at “red”; below 1, "
    "less. By scale: <code>a [castle:watercolor:5]</code> is “a castle” until scale 5 and “a watercolor” "
    "from there on; <code>0.5</code> is half of the scales. For plain brackets put a <code>\\</code> "
    "before.</p>"
)
ANYTHING = (
    "<p>This model was trained on pictures of all kinds with long descriptions: write whole "
    "sentences on what is to be seen, where, in what light and in what style.</p>"
)
KINDS = [("Off", "off"), ("A server", "endpoint"), ("A model on this machine", "local")]


@dataclass(frozen=True)
class Tiles:
    """Small pictures of words on one sheet: its address, its columns, the number of each word's tile."""

    address: str
    columns: int
    numbers: Mapping[str, int]

    def item(self, name: str, words: Sequence[str]) -> str:
        """The first of a thing's words behind its tile, if it has one; the others are a hint."""
        first, *others = words
        hint = f"also: {', '.join(others)}" if others else ""
        tile = ""
        if name in self.numbers:
            row, column = divmod(self.numbers[name], self.columns)
            place = f"background-position:-{column * SHOWN}px -{row * SHOWN}px"
            tile = f'<span class="tile" style="{place}"></span>'
        return _word(first, tile, hint)


NO_TILES = Tiles("", 1, {})


@lru_cache(maxsize=2)
def read_tiles(folder: Path = THUMBNAILS) -> Tiles:
    """The tiles in a folder; none where there is no such folder."""
    if not (folder / "thumbnails.json").is_file():
        return NO_TILES
    sheet = data_uri((folder / "thumbnails.webp").read_bytes(), "webp")
    listed = json.loads((folder / "thumbnails.json").read_text(encoding="utf-8"))
    numbers = {word: number for number, word in enumerate(listed["words"])}
    return Tiles(sheet, listed["columns"], numbers)


def world_html(spec: ModelSpec) -> str:
    """The words of a small world by kind; for any other model, how to write to it."""
    tiles = read_tiles() if spec.name == DEFAULT_MODEL else NO_TILES
    vocabulary = spec.vocabulary
    if vocabulary is None:
        return f'<div class="world">{ANYTHING}{WILDCARDS}{WEIGHTS}</div>'
    count = sum(map(len, vocabulary.objects.values()))
    about = (
        f"<p>This small model knows {count} things, {len(vocabulary.scenes)} places and "
        f"{len(vocabulary.colors)} colours. A single thing comes out best, in a place or on a "
        f"colour; it also has words for up to four of a thing, and for two things side by side or one "
        f"above the other.</p>"
    )
    sections = [
        (kind, [tiles.item(name, (name, *vocabulary.synonyms.get(name, ()))) for name in names])
        for kind, names in vocabulary.objects.items()
    ]
    sections += [
        ("places", [tiles.item(*scene) for scene in vocabulary.scenes.items()]),
        ("colours", [_color(name) for name in vocabulary.colors]),
        ("styles", [tiles.item(*style) for style in vocabulary.styles.items()]),
    ]
    lists = "".join(
        f"<h3>{escape(kind.capitalize())}</h3><ul>{''.join(items)}</ul>" for kind, items in sections
    )
    width = tiles.columns * SHOWN
    sheet = f' style="--tiles:url({tiles.address}) 0 0 / {width}px auto"' if tiles.numbers else ""
    return f'<div class="world"{sheet}>{about}{lists}{WILDCARDS}{WEIGHTS}</div>'


def _color(name: str) -> str:
    """A swatch beside the word: the world's colour words are CSS's own, without their spaces."""
    css = escape(name.replace(" ", ""), quote=True)
    return _word(name, f'<i style="background:{css}"></i>')


def _word(word: str, picture: str, hint: str = "") -> str:
    """A button that puts the word into the prompt (``words.js``)."""
    title = f' title="{escape(hint, quote=True)}"' if hint else ""
    return f'<li><button type="button"{title}>{picture}<span>{escape(word)}</span></button></li>'


def build_prompt_help(prompt: gr.Textbox, allowance: Allowance) -> Components:
    """Lay it out in the current Blocks: nothing at all on a public page whose host has none.

    Args:
        prompt: what is read, and what a taken suggestion goes into.
        allowance: the host's settings and limits.

    Returns:
        The visitor's settings that a page may keep: never the key.
    """
    hosting = allowance.hosting
    settings = hosting.rewriter
    if hosting.public and settings.kind == "off":
        return Components()
    with gr.Accordion("Prompt help", open=False, elem_id="prompt-help"):
        with gr.Row(visible=not hosting.public, equal_height=False):
            kind = gr.Radio(
                KINDS,
                value=settings.kind,
                label="Who helps",
                info="Your prompt is sent there when you press the button, and never before.",
                elem_id="help-kind",
            )
            model = gr.Textbox(
                value=settings.model,
                label="Text model",
                info="Its name at the server, or on the hub or this disk.",
                max_length=200,
                elem_id="help-model",
            )
            address = gr.Textbox(
                value=settings.base_url,
                label="Server's address",
                info="Any that speaks OpenAI's chat protocol, such as http://127.0.0.1:11434/v1.",
                max_length=500,
                elem_id="help-address",
            )
            key = gr.Textbox(
                label="Key",
                info="Used for the request alone and kept nowhere. Empty: none, or the host's.",
                type="password",
                max_length=500,
                elem_id="help-key",
            )
        ask = gr.Button("Improve my prompt", elem_id="help-ask")
        said = gr.HTML("", elem_id="help-said")
        suggestion = gr.Textbox(
            label="Suggestion",
            info="Change it as you like. It is used only if you take it.",
            lines=3,
            max_lines=8,
            visible=False,
            interactive=True,
            elem_id="help-suggestion",
        )
        take = gr.Button("Use this prompt", visible=False, elem_id="help-take")
    ask.click(
        make_suggest(allowance),
        [prompt, kind, model, address, key],
        [said, suggestion, take],
        api_visibility="private",
        **HELP_TWO,
    )
    take.click(lambda text: text, suggestion, prompt, queue=False, **PRIVATE)
    if hosting.public:
        return Components()
    return Components(help=kind, help_model=model, help_address=address)


def make_suggest(allowance: Allowance) -> Callable[..., tuple[Any, ...]]:
    """The handler that asks for a suggestion: what went wrong, the suggestion, the button to take it."""
    hosting = allowance.hosting

    def suggest(
        request: gr.Request, prompt: str, kind: str, model: str, address: str, key: str
    ) -> tuple[Any, ...]:
        try:
            settings = hosting.rewriter
            if hosting.public:
                key = ""
            else:
                settings = _chosen(settings, kind, model.strip(), address.strip())
            allowance.check_prompt(prompt)
            allowance.admit(visitor_of(request))
            text = rewrite(prompt, settings, key.strip())
        except InfinityError as error:
            return problem_html(str(error)), gr.skip(), gr.skip()
        except Exception:
            logger.exception("Prompt help failed")
            return problem_html(UNEXPECTED), gr.skip(), gr.skip()
        return "", gr.update(value=text, visible=True), gr.update(visible=True)

    return suggest


def _chosen(host: RewriterSettings, kind: str, model: str, address: str) -> RewriterSettings:
    """The page's settings; the host's key goes to the host's own address only."""
    same_place = kind == "endpoint" and address == host.base_url
    key_variable = host.key_variable if same_place else ""
    chosen = {"kind": kind, "model": model, "base_url": address, "key_variable": key_variable}
    return RewriterSettings.from_dict(host.to_dict() | chosen)
