"""The README of an exported model: what it is, what it was trained on and how, how well it does."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from training.config.settings import TrainingConfig
from training.engine.journal import GOOD_BIT_ACCURACY, HELD_OUT, SCALE

SHOWN = ("loss", "bit_loss", "bit_accuracy", "token_accuracy", "psnr")


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
    base = f"base_model: {json.dumps(config.start_from)}\n" if config.start_from else ""
    settings = json.dumps(config.model_dump(mode="json"), indent=1, ensure_ascii=False)
    last = {name: value for line in metrics if line["step"] <= step for name, value in line.items()}
    results = _table("metric", "last value", _results(last))
    return "\n".join([
        f"---\npipeline_tag: text-to-image\ntags: [infinity, bitwise-autoregressive]\n{base}---\n",
        f"# {title}\n",
        _table("part", "", {**_facts(config, step), "words it knows": words}),
        f"## Use\n\n```bash\n{use}\n```\n",
        *([f"## Metrics of training\n\n{results}"] if last else []),
        "## Settings\n\n"
        "The whole configuration; save it as `run.json` to train again.\n\n"
        f"```json\n{settings}\n```\n",
    ])  # fmt: skip


def _facts(config: TrainingConfig, step: int) -> dict[str, Any]:
    tokenizer, model, lora = config.tokenizer.model, config.model, config.lora
    settings = config.optimization
    sizes = {ratio: config.image_size(ratio) for ratio in config.schedules}
    patches = ", 2x2 patches" * tokenizer.patchify
    rows: dict[str, Any] = {
        "pictures": ", ".join(f"{ratio} ({w}x{h})" for ratio, (h, w) in sizes.items()),
        "tokenizer": f"{tokenizer.bits} bits a latent, stride {tokenizer.stride}{patches}",
    }
    if model is not None:
        rows["transformer"] = (
            f"{model.depth} blocks, width {model.width}, {model.num_heads} heads, "
            f"{model.bits_per_token} bits a token"
        )
        rows["text encoder"] = config.text_encoder.source or "small T5, trained along"
    return rows | {
        "started from": config.start_from,
        "adapter": "" if lora is None else f"rank {lora.rank}, alpha {lora.alpha:g}",
        "data": ", ".join(config.data.sources) or "not named",
        "steps": f"{step:,} of {settings.steps:,}",
        "samples seen": f"{step * settings.batch_size:,}",
        "batch": settings.batch_size,
        "learning rate": f"{settings.learning_rate:g}, {settings.schedule}",
        "precision": settings.dtype,
        "seed": str(config.seed),
        "frozen": ", ".join(config.freeze),
    }


def _results(last: Mapping[str, float]) -> dict[str, str]:
    """Accuracies as percentages; those by scale below the others."""
    rows: dict[str, str] = {}
    for name in sorted(last, key=lambda name: SCALE in name):
        plain, value = name.removeprefix(HELD_OUT), last[name]
        if plain in SHOWN or SCALE in plain:
            label = plain.replace("_", " ") + ", held out" * (plain != name)
            good = " (good)" * (SCALE in plain and value >= GOOD_BIT_ACCURACY)
            rows[label] = f"{value:.2%}{good}" if "accuracy" in plain else f"{value:.4f}"
    return rows


def _table(left: str, right: str, rows: Mapping[str, Any]) -> str:
    """A Markdown table; rows without a value are left out."""
    lines = [f"| {left} | {right} |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in rows.items() if value]
    return "\n".join(lines) + "\n"
