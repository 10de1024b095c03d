"""Prompt help: what is asked, what comes back, and every way it can fail."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from infinity import rewriter
from infinity.errors import CheckpointError, RequestError, ResourceError
from infinity.rewriter import (
    EXAMPLES,
    INSTRUCTION,
    MAX_ANSWER_BYTES,
    RewriterSettings,
    messages,
    rewrite,
    tidy,
)
from tests.stub_chat import StubChat, stub_chat

SECRET = "sk-very-secret"


@pytest.fixture
def stub() -> Iterator[StubChat]:
    with stub_chat() as stub:
        yield stub


def endpoint(base_url: str, **given: Any) -> RewriterSettings:
    return RewriterSettings(kind="endpoint", model="some-model", base_url=base_url, **given)


def local(folder: Any) -> RewriterSettings:
    return RewriterSettings(kind="local", model=str(folder))


def ask(stub: StubChat, prompt: str = "a fox", timeout_seconds: int = 10) -> str:
    return rewrite(prompt, endpoint(stub.url, timeout_seconds=timeout_seconds), SECRET)


def test_endpoint_is_asked_as_the_chat_protocol_says(stub):
    assert ask(stub, "  a fox ") == stub.answer
    ((path, authorisation, body),) = stub.asked
    assert path == "/v1/chat/completions"
    assert authorisation == f"Bearer {SECRET}"
    assert body["model"] == "some-model"
    assert body["messages"] == messages("a fox")


def test_without_a_key_none_is_sent(stub):
    rewrite("a fox", endpoint(f"{stub.url}/"))
    path, authorisation, _ = stub.asked[0]
    assert (path, authorisation) == ("/v1/chat/completions", "")


def test_conversation_is_instruction_examples_prompt():
    talk = messages("a tree")
    assert talk[0] == {"role": "system", "content": INSTRUCTION}
    assert [turn["role"] for turn in talk[1:]] == ["user", "assistant"] * len(EXAMPLES) + ["user"]
    assert talk[-1]["content"] == "a tree"


@pytest.mark.parametrize("settings", [endpoint("http://127.0.0.1:9"), local("m")])
def test_long_prompt_comes_back_as_it_is_and_nobody_is_asked(settings):
    long = "word " * 50
    assert rewrite(long, settings) == long


@pytest.mark.parametrize("prompt", ["", "  \n"])
def test_empty_prompt_is_refused(stub, prompt):
    with pytest.raises(RequestError, match="write a few words first"):
        ask(stub, prompt)
    assert stub.asked == []


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ('"A red fox."', "A red fox."),
        ("Prompt: A red fox.", "A red fox."),
        ("Here is a detailed prompt: A red fox.", "A red fox."),
        ("<think>Hmm.\nA fox?</think>\n\nA red fox.", "A red fox."),
        ("A red\n\n  fox.", "A red fox."),
        ("A sign with the text 'Sure' on it", "A sign with the text 'Sure' on it"),
        ("'Stay Curious' on a wall", "'Stay Curious' on a wall"),
    ],
)
def test_answer_is_tidied(answer, text):
    assert tidy(answer) == text


@pytest.mark.parametrize("answer", ["", "  ", '""', "<think>never ends"])
def test_answer_of_nothing_is_an_error(answer):
    with pytest.raises(ResourceError, match="answered with nothing"):
        tidy(answer)


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, "refused the key"),
        (404, "knows no such model"),
        (429, "too many requests"),
        (500, "answered with error 500"),
        (204, "answered with error 204"),
    ],
)
def test_refusal_is_one_sentence_without_key_or_body(stub, status, message):
    stub.status, stub.content = status, f"the key {SECRET} is wrong".encode()
    with pytest.raises(ResourceError, match=message) as caught:
        ask(stub)
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_redirect_is_not_followed(stub):
    with stub_chat() as elsewhere:
        stub.status, stub.location = 307, f"{elsewhere.url}/chat/completions"
        with pytest.raises(ResourceError, match="sends elsewhere, which is not followed"):
            ask(stub)
        assert elsewhere.asked == []


@pytest.mark.parametrize("content", [b"<html>", b"\xff\xfe", b"[]", b'{"choices": []}', b"{}"])
def test_strange_answer_is_one_sentence(stub, content):
    stub.content = content
    with pytest.raises(ResourceError, match="address of prompt help"):
        ask(stub)


def test_endless_answer_is_cut_off(stub):
    stub.content = b" " * (MAX_ANSWER_BYTES + 1)
    with pytest.raises(ResourceError, match="far too much"):
        ask(stub)


def test_slow_answer_is_given_up(stub):
    stub.delay_s = 3.0
    with pytest.raises(ResourceError, match="did not answer within 1 seconds"):
        ask(stub, timeout_seconds=1)


def test_nobody_there_is_one_sentence():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(ResourceError, match="cannot be reached"):
        rewrite("a fox", endpoint(f"http://127.0.0.1:{port}/v1"))


@pytest.mark.parametrize(
    "address", ["", "file:///etc/passwd", "ftp://x/v1", "//x", "http://", "http://[", "x:0"]
)
def test_address_that_is_none_is_refused(address):
    with pytest.raises(CheckpointError, match="http://"):
        endpoint(address)


def test_help_that_is_off_is_refused():
    with pytest.raises(RequestError, match="Prompt help is off"):
        rewrite("a fox", RewriterSettings())


def test_key_comes_from_the_environment_unless_one_is_typed(stub, monkeypatch):
    settings = endpoint(stub.url, key_variable="SOME_KEY")
    monkeypatch.delenv("SOME_KEY", raising=False)
    with pytest.raises(RequestError, match="SOME_KEY holds no key"):
        rewrite("a fox", settings)
    monkeypatch.setenv("SOME_KEY", SECRET)
    rewrite("a fox", settings)
    rewrite("a fox", settings, "typed")
    assert [key for _, key, _ in stub.asked] == [f"Bearer {SECRET}", "Bearer typed"]


@pytest.mark.parametrize(
    "settings",
    [
        {"kind": "cloud"},
        {"kind": "local"},
        {"kind": "endpoint", "model": "m"},
        {"timeout_seconds": 0},
    ],
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(CheckpointError):
        RewriterSettings.from_dict(settings)


def test_local_model_that_cannot_be_loaded_is_one_sentence(tmp_path):
    with pytest.raises(ResourceError, match="cannot be loaded; check its name"):
        rewrite("a fox", local(tmp_path))


def test_local_model_writes_and_always_the_same(tmp_path):
    settings = local(write_tiny_chat_model(tmp_path))
    first = rewrite("a fox", settings)
    rewriter._local_model.cache_clear()
    assert first == rewrite("a fox", settings) == rewrite("a fox", settings)


def write_tiny_chat_model(folder) -> str:
    """A chat model of a few thousand random numbers, in transformers' format."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = sorted({word for text in (INSTRUCTION, *sum(EXAMPLES, ())) for word in text.split()})
    vocabulary = {word: i for i, word in enumerate(["<unk>", "</s>", *words])}
    raw = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, unk_token="<unk>", eos_token="</s>")
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }} {% endfor %}"
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(vocabulary), hidden_size=16, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=2, max_position_embeddings=1024, eos_token_id=1, bos_token_id=None,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    return str(folder)
