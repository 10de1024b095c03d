"""What the Models tab shows: pure functions from what is loaded, and what a load needs, to HTML."""

from collections.abc import Mapping
from html import escape

from infinity.manager import Loaded, LoadPlan
from infinity.spec import ModelSpec
from infinity.ui.shared.status import problem_html

GB = 1e9


def loaded_html(loaded: tuple[Loaded, ...], models: Mapping[str, ModelSpec]) -> str:
    """The models in memory as a table, the one used last first."""
    if not loaded:
        return '<p class="about">No model is in memory. The first picture loads one.</p>'
    heads = "".join(
        f'<th scope="col">{head}</th>'
        for head in ("In memory", "Size", "Precision", "Where", "Text encoder")
    )
    titles = {name: spec.title for name, spec in models.items()}
    rows = "".join(
        f'<tr><th scope="row">{escape(titles.get(model.name, model.name))}</th>'
        f"<td>{size(model.nbytes)}</td><td>{model.dtype}</td><td>{escape(model.device)}</td>"
        f"<td>{escape(model.text_place) or 'not loaded'}</td></tr>"
        for model in reversed(loaded)
    )
    total = size(sum(model.nbytes for model in loaded))
    return (
        f'<div class="facts"><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'
        f'<p class="about">{total} altogether.</p>'
    )


def plan_html(plan: LoadPlan) -> str:
    """What a model would need, part by part, and whether this machine has it."""
    need = plan.need
    facts = [
        ("Most memory while drawing", f"{size(need.device)} on {plan.device}, {plan.dtype}"),
        ("Transformer, picture decoder", f"{size(need.transformer)}, {size(need.tokenizer)}"),
        ("Text encoder", size(need.text_encoder) if need.text_encoder else "unknown"),
        ("Keys and values, working memory", f"{size(need.cache)}, {size(need.working)}"),
    ]
    if need.host:
        facts.append(("Ordinary memory besides", size(need.host)))
    if plan.free is not None and plan.total is not None:
        facts.append(("Memory there", f"{size(plan.free)} free of {size(plan.total)}"))
    facts.append(("To download", size(plan.download) if plan.download else "nothing"))
    rows = "".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in facts)
    verdict = ""
    if plan.obstacle:
        verdict = problem_html(plan.obstacle)
    elif not plan.fits:
        verdict = problem_html(
            "This is more than the free memory; choose a smaller memory mode or another model."
        )
    return f'<dl class="facts">{rows}</dl>{verdict}'


def size(nbytes: int) -> str:
    """``38_000_000`` -> "38 MB", ``12_300_000_000`` -> "12.3 GB"."""
    if nbytes >= 0.9995 * GB:
        return f"{nbytes / GB:.1f} GB"
    return f"{max(nbytes / 1e6, 0.1):.0f} MB" if nbytes >= 1e6 else f"{nbytes / 1e3:.0f} kB"
