"""The README of an exported model: what it is, what it was trained on and how, how well it does."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from training.config.settings import TrainingConfig
from training.engine.curves import GOOD_BIT_ACCURACY, HELD_OUT


def model_card(
    config: TrainingConfig,
    title: str,
    step: int,
    metrics: Sequence[Mapping[str, float]],
    use: str,
    words: str = "",
) -> str:
    """Markdown.

    Args:
        step: optimizer steps of the exported weights.
        metrics: of the run, oldest first; those after ``step`` are left out.
        use: commands that use the exported folder.
        words: which words the model knows, in a few; empty: of all kinds.
    """
    past = [line for line in metrics if line["step"] <= step]
    parts = [
        _front_matter(config),
        f"# {title}\n",
        _what(config, words),
        f"## Use\n\n```bash\n{use}\n```\n",
        _training(config, step),
        _results(past),
        "## Settings\n\n"
        "The whole configuration; save it as `run.json` to train again.\n\n"
        f"```json\n{json.dumps(config.model_dump(mode='json'), indent=1, ensure_ascii=False)}\n```\n",
    ]
    return "\n".join(part for part in parts if part)


def _front_matter(config: TrainingConfig) -> str:
    lines = ["pipeline_tag: text-to-image", "tags: [infinity, bitwise-autoregressive]"]
    if config.start_from is not None:
        lines.append(f"base_model: {json.dumps(config.start_from)}")
    return "---\n" + "\n".join(lines) + "\n---\n"


def _what(config: TrainingConfig, words: str) -> str:
    tokenizer = config.tokenizer.model
    sizes = {ratio: config.image_size(ratio) for ratio in config.schedules}
    patches = ", 2x2 patches" * tokenizer.patchify
    rows: dict[str, Any] = {
        "pictures": ", ".join(f"{ratio} ({w}x{h})" for ratio, (h, w) in sizes.items()),
        "tokenizer": f"{tokenizer.bits} bits a latent, stride {tokenizer.stride}{patches}",
    }
    if (model := config.model) is not None:
        rows["transformer"] = (
            f"{model.depth} blocks, width {model.width}, {model.num_heads} heads, "
            f"{model.bits_per_token} bits a token"
        )
        rows["text encoder"] = config.text_encoder.source or "small T5, trained along"
    rows |= {"started from": config.start_from, "words it knows": words}
    if config.lora is not None:
        rows["adapter"] = f"rank {config.lora.rank}, alpha {config.lora.alpha:g}"
    return _table("part", "", rows)


def _training(config: TrainingConfig, step: int) -> str:
    settings = config.optimization
    rows: dict[str, Any] = {
        "data": ", ".join(config.data.sources) or "not named",
        "steps": f"{step:,} of {settings.steps:,}",
        "samples seen": f"{step * settings.batch_size:,}",
        "batch": settings.batch_size,
        "learning rate": f"{settings.learning_rate:g}, {settings.schedule}",
        "precision": settings.dtype,
        "seed": str(config.seed),
        "frozen": ", ".join(config.freeze),
    }
    if config.task == "transformer":
        correction = config.self_correction
        rows["self-correction"] = (
            f"up to {correction.strength:.0%} of the bits of {correction.scales} scales"
        )
        rows["text drop-out"] = f"{settings.text_dropout:.0%}"
    return "## Training\n\n" + _table("setting", "value", rows)


def _results(metrics: Sequence[Mapping[str, float]]) -> str:
    """The last value of each metric; accuracies as percentages, by scale in one row each."""
    last: dict[str, float] = {}
    for line in metrics:
        last.update(line)
    scales = [name for name in last if "bit_accuracy_scale_" in name]
    rows: dict[str, Any] = {
        _words(name): f"{last[name]:.2%}" if "accuracy" in name else f"{last[name]:.4f}"
        for name in last
        if name.removeprefix(HELD_OUT) in _SHOWN
    }
    for name in scales:
        good = " (good)" if last[name] >= GOOD_BIT_ACCURACY else ""
        rows[_words(name)] = f"{last[name]:.2%}{good}"
    if not rows:
        return ""
    return "## Metrics of training\n\n" + _table("metric", "last value", rows)


_SHOWN = ("loss", "bit_loss", "bit_accuracy", "token_accuracy", "psnr")


def _words(metric: str) -> str:
    """validation_bit_accuracy -> bit accuracy, held out."""
    name = metric.removeprefix(HELD_OUT).replace("_", " ")
    return f"{name}, held out" if metric.startswith(HELD_OUT) else name


def _table(left: str, right: str, rows: Mapping[str, Any]) -> str:
    """A Markdown table; rows without a value are left out."""
    lines = [f"| {left} | {right} |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in rows.items() if value]
    return "\n".join(lines) + "\n"
