"""A text encoder trained along: how fast its parts learn, that it learns word order, what it passes over."""

from __future__ import annotations

import torch

from training import text_encoder
from training.config.settings import TextEncoderSettings
from training.optimizer import MUON, text_encoder_groups
from training.steps.captions import CaptionEncoder
from training.steps.transformer_step import shuffled_words

COLORS, THINGS = ("red", "blue", "green"), ("car", "star", "cup")
RATE = 3e-3
SHARE, DECAY = TextEncoderSettings().learning_rate_share, TextEncoderSettings().weight_decay


def test_every_parameter_learns_once_and_queries_slower_for_want_of_a_scale() -> None:
    model = text_encoder.build_encoder(50, 64, 2, 4)
    groups = text_encoder_groups(model, SHARE, DECAY)
    rates = {id(p): (g["rate"], g["weight_decay"]) for g in groups for p in g["params"]}
    assert sum(len(g["params"]) for g in groups) == len(rates) == len({*model.parameters()})
    attention = model.encoder.block[1].layer[0].SelfAttention
    assert rates[id(model.shared.weight)] == (0.25, 0.0)
    assert rates[id(attention.k.weight)] == (0.25, 0.1)
    assert rates[id(attention.q.weight)] == (0.25 / 4, 0.1)  # d_kv is 16


def test_it_learns_which_color_is_whose() -> None:
    """The words are the same whichever colour the car has: only their order tells."""
    texts = [
        f"a {colors[0]} {things[0]} and a {colors[1]} {things[1]}"
        for colors in ((a, b) for a in COLORS for b in COLORS if a != b)
        for things in ((a, b) for a in THINGS for b in THINGS if a != b and "car" in (a, b))
    ]
    wanted = torch.tensor(
        [COLORS.index(words[words.index("car") - 1]) for words in map(str.split, texts)]
    )
    tokenizer = text_encoder.train_tokenizer(texts, 60, 16)
    torch.manual_seed(0)
    model, head = text_encoder.build_encoder(len(tokenizer), 64, 2, 4), torch.nn.Linear(64, 3)
    captions = CaptionEncoder(model, tokenizer, 16, trained=True)
    queries, matrices, rest = text_encoder_groups(model, SHARE, DECAY)
    for group in (queries, matrices, rest):
        group["lr"] = RATE * group["rate"]
    optimizers = [
        torch.optim.Muon([queries, matrices], RATE, **MUON),
        torch.optim.AdamW([rest, {"params": list(head.parameters())}], RATE, weight_decay=0.0),
    ]
    for _ in range(300):
        features = torch.stack([rows[-1] for rows in captions(texts)])
        torch.nn.functional.cross_entropy(head(features), wanted).backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
    assert (head(features).argmax(1) == wanted).all()


def test_shuffled_words_are_the_same_words_in_an_order_that_stays() -> None:
    text = "a red car to the left of a blue star"
    assert sorted(shuffled_words(text).split()) == sorted(text.split())
    assert shuffled_words(text) != text
    assert shuffled_words(text) == shuffled_words(text)


def test_tokenizer_passes_over_what_no_caption_has() -> None:
    captions = ["a red dog left of a car", "two t-rex, 3d style", "a jack-o'-lantern, 2 cats"]
    letters = "abcdefghijklmnopqrstuvwxyz"
    tokenizer = text_encoder.train_tokenizer([*captions * 20, *letters], 300, 64)
    plain = tokenizer("a red dog left of a car")["input_ids"]
    for prompt in (
        "A RED DOG LEFT OF A CAR!", "  a red dog   left of a car.", "a r\u00e9d dog\nleft of a car \U0001f600",
        "\u201ca red dog\u201d left of a car?",
    ):  # fmt: skip
        assert tokenizer(prompt)["input_ids"] == plain
    unknown = tokenizer.unk_token_id
    for prompt in (
        "a zebra; quickly",
        "5 dogs",
        "chien \u00e0 gauche d\u2019une voiture",
        "\u72ac",
    ):
        assert unknown not in tokenizer(prompt)["input_ids"]
