"""Prompt help: a language model makes a short prompt longer; the person decides whether to use it.

The paper's authors refine prompts the same way before drawing (upstream's tools/prompt_rewriter.py;
the instruction here is our own wording). Two ways in, behind one interface: an endpoint that speaks
the OpenAI chat protocol, or a local model that transformers loads by name. Neither is
called before help is requested, and an endpoint's key is never stored or shown.
"""

import os
import re
import threading
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx2

from infinity.checks import Checked, Size
from infinity.errors import CheckpointError, RequestError, ResourceError
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


@dataclass(frozen=True, kw_only=True)
class RewriterSettings(Checked):
    """Which helper to ask, if any.

    Args:
        kind: "off"; "endpoint", an OpenAI-compatible server; "local", a transformers text model.
        model: its name at the endpoint, or on the hub or disk.
        base_url: of the endpoint, up to and without "/chat/completions".
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
        if self.kind == "endpoint":
            check_address(self.base_url)


@dataclass(frozen=True)
class EndpointRewriter:
    """An OpenAI-compatible server: OpenAI's own, Ollama, llama.cpp, vLLM, a provider's.

    Redirects are not followed and an answer is read up to a limit, so that an address reaches what
    it names and nothing else. The key never shows in a message or in ``repr``.

    Raises:
        CheckpointError: ``base_url`` is not an http(s) address.
    """

    base_url: str
    model: str
    key: str = field(default="", repr=False)
    timeout_seconds: float = 30.0

    def __post_init__(self) -> None:
        check_address(self.base_url)

    def rewrite(self, prompt: str) -> str:
        """A longer prompt of the same meaning. Raises RequestError, ResourceError."""
        if is_long_enough(prompt):
            return prompt
        body = {"model": self.model, "messages": messages(prompt), "max_tokens": MAX_NEW_TOKENS}
        try:
            text = self._ask(body)["choices"][0]["message"]["content"]
        except (KeyError, IndexError, TypeError) as error:
            raise ResourceError(f"The answer is not a chat completion; {_CHECK}.") from error
        return tidy(text if isinstance(text, str) else "")

    def _ask(self, body: dict[str, Any]) -> Any:
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        url = f"{self.base_url.rstrip('/')}/chat/completions"
        host = urlsplit(self.base_url).netloc.rpartition("@")[2]
        try:
            with (
                httpx2.Client(timeout=self.timeout_seconds, follow_redirects=False) as client,
                client.stream("POST", url, json=body, headers=headers) as reply,
            ):
                if reply.status_code != 200:
                    raise ResourceError(_refusal(host, reply.status_code))
                content = b""
                for part in reply.iter_bytes():
                    content += part
                    if len(content) > MAX_ANSWER_BYTES:
                        raise ResourceError(f"{host} answered with far too much text; {_CHECK}.")
        except httpx2.TimeoutException as error:
            raise ResourceError(
                f"{host} did not answer within {self.timeout_seconds:g} seconds; try again later, "
                "or choose a smaller model."
            ) from error
        except (httpx2.HTTPError, httpx2.InvalidURL, UnicodeError) as error:
            raise ResourceError(f"{host} cannot be reached; {_CHECK}.") from error
        try:
            return httpx2.Response(200, content=content).json()
        except ValueError as error:
            raise ResourceError(f"{host} did not answer with JSON; {_CHECK}.") from error


class LocalRewriter:
    """A text model that transformers loads when first asked, and keeps. Safe from several threads."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._lock = threading.Lock()
        self._loaded: tuple[Any, Any] | None = None

    def rewrite(self, prompt: str) -> str:
        """A longer prompt of the same meaning, the same for the same prompt. Raises as above."""
        if is_long_enough(prompt):
            return prompt
        with self._lock:
            tokenizer, model = self._load()
            if tokenizer.chat_template is None:
                raise RequestError(
                    f"{self.name} is not a chat model; name one that is, such as an -Instruct model."
                )
            inputs = tokenizer.apply_chat_template(
                messages(prompt), add_generation_prompt=True, return_tensors="pt", return_dict=True
            )
            start = inputs["input_ids"].shape[1]
            answer = model.generate(
                **inputs,
                max_new_tokens=MAX_NEW_TOKENS,
                do_sample=False,
                pad_token_id=tokenizer.eos_token_id,
            )[0, start:]
            return tidy(str(tokenizer.decode(answer, skip_special_tokens=True)))

    def _load(self) -> tuple[Any, Any]:
        if self._loaded is None:
            from transformers import AutoModelForCausalLM, AutoTokenizer

            try:
                tokenizer = AutoTokenizer.from_pretrained(self.name, trust_remote_code=False)
                model = AutoModelForCausalLM.from_pretrained(
                    self.name, trust_remote_code=False, dtype="auto", use_safetensors=True
                )
            except (OSError, ValueError, ImportError) as error:
                raise ResourceError(
                    f"The text model {self.name} cannot be loaded; check its name, the network and "
                    "the free disk."
                ) from error
            self._loaded = tokenizer, model.eval()
        return self._loaded


Rewriter = EndpointRewriter | LocalRewriter


def make_rewriter(settings: RewriterSettings, key: str = "") -> Rewriter | None:
    """The rewriter of the settings; None while it is off.

    Args:
        key: the endpoint's, instead of the environment variable's.

    Raises:
        RequestError: the environment variable that should hold the key is not set.
    """
    if settings.kind == "local":
        return LocalRewriter(settings.model)
    if settings.kind == "off":
        return None
    if not key and settings.key_variable:
        key = os.environ.get(settings.key_variable, "")
        if not key:
            raise RequestError(
                f"The environment variable {settings.key_variable} holds no key; set it and start "
                "the program again, or choose prompt help without a key."
            )
    return EndpointRewriter(settings.base_url, settings.model, key, settings.timeout_seconds)


def messages(prompt: str) -> list[dict[str, str]]:
    """The conversation that asks for one rewritten prompt."""
    talk = [{"role": "system", "content": INSTRUCTION}]
    for short, long in EXAMPLES:
        talk += [{"role": "user", "content": short}, {"role": "assistant", "content": long}]
    return [*talk, {"role": "user", "content": prompt.strip()}]


def is_long_enough(prompt: str) -> bool:
    """Raises RequestError when there is nothing to rewrite."""
    if not prompt.strip():
        raise RequestError("There is no prompt to improve yet; write a few words first.")
    if len(prompt) > MAX_PROMPT_CHARACTERS:
        raise RequestError(
            f"The prompt has {len(prompt):,} characters; shorten it to at most "
            f"{MAX_PROMPT_CHARACTERS:,}."
        )
    return len(prompt.split()) >= LONG_ENOUGH_WORDS


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


def check_address(base_url: str) -> None:
    """Raises CheckpointError unless ``base_url`` is an http(s) address of a host."""
    try:
        parts = urlsplit(base_url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound:
        raise CheckpointError(
            "The address of prompt help must begin with http:// or https://, such as "
            "http://127.0.0.1:11434/v1."
        )


_CHECK = "check the address of prompt help"


def _refusal(host: str, status: int) -> str:
    reasons = {
        401: "refused the key; check it",
        403: "refused the key; check it",
        404: "knows no such model or address; check both",
        429: "has had too many requests; wait a little",
    }
    if 300 <= status < 400:
        return f"{host} sends elsewhere, which is not followed; {_CHECK}."
    return f"{host} {reasons.get(status, f'answered with error {status}; try again later')}."
