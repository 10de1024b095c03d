"""The default model's text encoder: how fast its parts learn, and that it learns word order."""

from __future__ import annotations

import torch
from transformers import T5EncoderModel

from training import text_encoder
from training.optimizer import build_muon, hidden_matrices, set_rate, text_encoder_groups
from training.train_transformer import TransformerTraining, shuffled_words

COLORS, THINGS = ("red", "blue", "green"), ("car", "star", "cup")
RATE = 3e-3


def optimizers_of(model: T5EncoderModel, head: torch.nn.Linear) -> list[torch.optim.Optimizer]:
    hidden, rest = text_encoder_groups(
        model, TransformerTraining.text_rate, TransformerTraining.text_weight_decay
    )
    return build_muon(
        hidden, [{"params": list(head.parameters()), "weight_decay": 0.0}, rest], RATE
    )


def test_every_parameter_learns_once_and_queries_slower_for_want_of_a_scale() -> None:
    model, head = text_encoder.build_encoder(50, 64, 2, 4), torch.nn.Linear(64, 3)
    muon, adamw = optimizers_of(model, head)
    set_rate([muon, adamw], RATE)
    rates = {
        id(parameter): group["lr"]
        for optimizer in (muon, adamw)
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    listed = sum(len(g["params"]) for o in (muon, adamw) for g in o.param_groups)
    assert listed == len(rates) == len({*model.parameters(), *head.parameters()})
    attention = model.encoder.block[1].layer[0].SelfAttention
    quarter = RATE * TransformerTraining.text_rate
    assert rates[id(head.weight)] == RATE
    assert rates[id(model.shared.weight)] == rates[id(attention.k.weight)] == quarter
    assert rates[id(attention.q.weight)] == quarter / 4  # d_kv is 16
    in_muon = {id(p) for group in muon.param_groups for p in group["params"]}
    assert in_muon == {id(matrix) for matrix in hidden_matrices([model.encoder])}


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
    optimizers = optimizers_of(model, head)
    set_rate(optimizers, RATE)
    for _ in range(300):
        features = torch.stack(
            [rows[-1] for rows in text_encoder.encode(model, tokenizer, texts, 16)]
        )
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
