"""Prompt help on the page: a suggestion to read, change and take, or leave. Off until set up."""

import logging
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import gradio as gr
from gradio.components import Component

from infinity.errors import InfinityError, RequestError
from infinity.hosting import Allowance
from infinity.rewriter import LocalRewriter, Rewriter, RewriterSettings, make_rewriter
from infinity.ui.shared.runs import visitor_of
from infinity.ui.shared.status import UNEXPECTED, problem_html
from infinity.ui.shared.wiring import HELP_TWO, PRIVATE

logger = logging.getLogger(__name__)

OFF = "Prompt help is off on this page."
KINDS = [("Off", "off"), ("A server", "endpoint"), ("A model on this machine", "local")]


def build_prompt_help(prompt: gr.Textbox, allowance: Allowance) -> dict[str, Component]:
    """Lay it out in the current Blocks: nothing at all on a public page whose host has none.

    Args:
        prompt: what is read, and what a taken suggestion goes into.
        allowance: the host's settings and limits.

    Returns:
        The visitor's settings that a page may keep, by name: never the key.
    """
    hosting = allowance.hosting
    settings = hosting.rewriter
    if hosting.public and settings.kind == "off":
        return {}
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
    return {} if hosting.public else {"help": kind, "help_model": model, "help_address": address}


def make_suggest(allowance: Allowance) -> Callable[..., tuple[Any, ...]]:
    """The handler that asks for a suggestion: what went wrong, the suggestion, the button to take it."""
    hosting = allowance.hosting

    def suggest(
        request: gr.Request, prompt: str, kind: str, model: str, address: str, key: str
    ) -> tuple[Any, ...]:
        try:
            settings = hosting.rewriter
            if not hosting.public:
                settings = _chosen(settings, kind, model, address)
            allowance.check_prompt(prompt)
            allowance.admit(visitor_of(request))
            text = suggestion_of(prompt, settings, "" if hosting.public else key.strip())
        except InfinityError as error:
            return problem_html(str(error)), gr.skip(), gr.skip()
        except Exception:
            logger.exception("Prompt help failed")
            return problem_html(UNEXPECTED), gr.skip(), gr.skip()
        return "", gr.update(value=text, visible=True), gr.update(visible=True)

    return suggest


def suggestion_of(prompt: str, settings: RewriterSettings, key: str) -> str:
    """The rewritten prompt. Raises InfinityError where it cannot be had, or help is off."""
    if settings.kind == "local":
        return _local(settings.model).rewrite(prompt)
    helper: Rewriter | None = make_rewriter(settings, key)
    if helper is None:
        raise RequestError(OFF)
    return helper.rewrite(prompt)


@lru_cache(maxsize=1)
def _local(name: str) -> LocalRewriter:
    """The local model used last stays in memory."""
    return LocalRewriter(name)


def _chosen(host: RewriterSettings, kind: str, model: str, address: str) -> RewriterSettings:
    """The page's settings; the host's key goes to the host's own address only."""
    same_place = kind == "endpoint" and address.strip() == host.base_url
    return RewriterSettings.from_dict(
        host.to_dict()
        | {
            "kind": kind,
            "model": model.strip(),
            "base_url": address.strip(),
            "key_variable": host.key_variable if same_place else "",
        }
    )
