"""Prompt help: a language model makes a short prompt longer; the person decides whether to use it.

The paper's authors refine prompts the same way before drawing (upstream's tools/prompt_rewriter.py;
the instruction here is our own wording). Two can be asked: an endpoint that speaks the OpenAI chat
protocol, or a local model that transformers loads by name. Neither is called before help is
requested, and an endpoint's key is never stored or shown.
"""

import json
import os
import re
import threading
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx2

from infinity.checks import Checked, Size
from infinity.errors import CheckpointError, RequestError, ResourceError
from infinity.prompt import words
from infinity.request import MAX_PROMPT_CHARACTERS

MAX_ANSWER_BYTES = 256 * 1024
MAX_NEW_TOKENS = 256
LONG_ENOUGH_WORDS = 50
"""Prompts of at least this many words are returned unchanged."""

INSTRUCTION = """\
You improve prompts for a text-to-image model.
Turn the user's short prompt into one detailed description of the picture: the subject, what it looks \
like, where it is, the light, the colours, the composition and the style.
Keep the meaning. Every object, number, colour and position the user names stays as it is, and nothing \
that contradicts them is added.
Where text is to appear in the picture, put it in single quotes after the words: the text.
Answer with the description alone: plain English, one to three sentences, at most 80 words, no \
preamble, no quotation marks around it, no list."""

EXAMPLES = (
    (
        "a lighthouse",
        "A white lighthouse with a red lantern room stands on a grassy cliff above a calm blue sea, "
        "early morning light from the left, thin clouds in a pale sky, wide landscape photograph.",
    ),
    (
        "a poster that says Stay Curious",
        "A minimalist poster with the text 'Stay Curious' in large rounded dark blue letters, "
        "centred on a warm cream background, a small yellow telescope drawn below it, flat design.",
    ),
)

REASONS = {
    401: "refused the key; check it",
    403: "refused the key; check it",
    404: "knows no such model or address; check both",
    429: "has had too many requests; wait a little",
}
"""What an endpoint's status means."""


@dataclass(frozen=True, kw_only=True)
class RewriterSettings(Checked):
    """Which helper to ask, if any.

    Args:
        kind: "off"; "endpoint", an OpenAI-compatible server: OpenAI's own, Ollama, llama.cpp, vLLM,
            a provider's; "local", a transformers text model.
        model: its name at the endpoint, or on the hub or disk.
        base_url: of the endpoint, an http(s) address up to and without "/chat/completions".
        key_variable: environment variable that holds the endpoint's key; empty for none.
        timeout_seconds: how long an endpoint may take.
    """

    kind: Literal["off", "endpoint", "local"] = "off"
    model: str = ""
    base_url: str = ""
    key_variable: str = ""
    timeout_seconds: Size = 30

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kind != "off" and not self.model.strip():
            raise CheckpointError("Prompt help needs the name of a model.")
        try:
            parts = urlsplit(self.base_url)
            sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            sound = False
        if self.kind == "endpoint" and not sound:
            raise CheckpointError(
                "The address of prompt help must begin with http:// or https://, such as "
                "http://127.0.0.1:11434/v1."
            )


def rewrite(prompt: str, settings: RewriterSettings, key: str = "") -> str:
    """A longer prompt of the same meaning; one of ``LONG_ENOUGH_WORDS`` as it is. Weights and changes by
    scale are left out: a helper would take them for words.

    Args:
        key: the endpoint's, instead of the environment variable's.

    Raises:
        RequestError: help is off, there is nothing to rewrite, or the environment variable that
            should hold the key is not set.
        ResourceError: nobody answers, or with no rewritten prompt.
    """
    if settings.kind == "off":
        raise RequestError("Prompt help is off on this page.")
    if not prompt.strip():
        raise RequestError("There is no prompt to improve yet; write a few words first.")
    if len(prompt.split()) >= LONG_ENOUGH_WORDS:
        return prompt
    prompt = words(prompt)
    if settings.kind == "local":
        return tidy(_ask_local(settings.model, prompt))
    variable = settings.key_variable
    if not key and variable and not (key := os.environ.get(variable, "")):
        raise RequestError(
            f"The environment variable {variable} holds no key; set it and start the program again, "
            "or choose prompt help without a key."
        )
    return tidy(_ask_endpoint(settings, key, prompt))


def _ask_endpoint(settings: RewriterSettings, key: str, prompt: str) -> str:
    """Redirects are not followed and an answer is read up to a limit, so that an address reaches
    what it names and nothing else. The key never shows in a message."""
    body = {"model": settings.model, "messages": messages(prompt), "max_tokens": MAX_NEW_TOKENS}
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    url = f"{settings.base_url.rstrip('/')}/chat/completions"
    host = urlsplit(url).netloc.rpartition("@")[2]
    check = "check the address of prompt help"
    content = b""
    try:
        with httpx2.stream(
            "POST", url, json=body, headers=headers, timeout=settings.timeout_seconds
        ) as reply:
            if reply.is_redirect:
                raise ResourceError(f"{host} sends elsewhere, which is not followed; {check}.")
            if (status := reply.status_code) != 200:
                reason = REASONS.get(status, f"answered with error {status}; try again later")
                raise ResourceError(f"{host} {reason}.")
            for part in reply.iter_bytes():
                content += part
                if len(content) > MAX_ANSWER_BYTES:
                    raise ResourceError(f"{host} answered with far too much text; {check}.")
        return str(json.loads(content)["choices"][0]["message"]["content"] or "")
    except httpx2.TimeoutException as error:
        raise ResourceError(
            f"{host} did not answer within {settings.timeout_seconds} seconds; try again later, or "
            "choose a smaller model."
        ) from error
    except (httpx2.HTTPError, httpx2.InvalidURL, UnicodeEncodeError) as error:
        raise ResourceError(f"{host} cannot be reached; {check}.") from error
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise ResourceError(f"{host} did not answer with a chat completion; {check}.") from error


def _ask_local(name: str, prompt: str) -> str:
    """The same answer for the same prompt."""
    with _one_at_a_time:
        writer = _local_model(name)
    if writer.tokenizer.chat_template is None:
        raise RequestError(
            f"{name} is not a chat model; name one that is, such as an -Instruct model."
        )
    (answer,) = writer(
        messages(prompt), max_new_tokens=MAX_NEW_TOKENS, do_sample=False, return_full_text=False
    )
    return str(answer["generated_text"])


_one_at_a_time = threading.Lock()


@lru_cache(maxsize=1)
def _local_model(name: str) -> Any:
    """The model used last stays in memory."""
    from transformers import pipeline

    try:
        return pipeline(
            "text-generation",
            name,
            device="cpu",
            trust_remote_code=False,
            model_kwargs={"use_safetensors": True},
        )
    except (OSError, ValueError, ImportError) as error:
        raise ResourceError(
            f"The text model {name} cannot be loaded; check its name, the network and the free disk."
        ) from error


def messages(prompt: str) -> list[dict[str, str]]:
    """The conversation that asks for one rewritten prompt."""
    talk = [{"role": "system", "content": INSTRUCTION}]
    for short, long in EXAMPLES:
        talk += [{"role": "user", "content": short}, {"role": "assistant", "content": long}]
    return [*talk, {"role": "user", "content": prompt.strip()}]


def tidy(answer: str) -> str:
    """An answer as one line: without its thoughts, quotation marks or a heading.

    Raises:
        ResourceError: nothing is left of it.
    """
    text = re.sub(r"(?s)<think>.*?(</think>|\Z)", " ", answer)
    text = " ".join(text.split())
    text = re.sub(
        r"(?i)^(here is|here's|sure)[^:]{0,60}:\s*|^(prompt|description)\s*:\s*", "", text
    )
    if len(text) > 1 and text[0] in "\"“'" and text[-1] in "\"”'":
        text = text[1:-1].strip()
    if not text:
        raise ResourceError("Prompt help answered with nothing; try again, or another model.")
    return text[:MAX_PROMPT_CHARACTERS]
