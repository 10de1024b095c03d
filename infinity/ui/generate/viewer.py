"""The stage and the timeline under it: one component that the browser draws from plain data.

Scrubbing needs no answer from the server: every scale's pictures are in the component's value, and
what a scale added is their difference, taken in the browser.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import gradio as gr

from infinity.ui.generate.view import View, per_row
from infinity.ui.shared.status import duration

MOST_ALT_CHARACTERS = 300
_SCRIPT = Path(__file__).with_name("viewer.js")


def build_viewer(view: View) -> gr.HTML:
    """The component, in the current column."""
    return gr.HTML(
        viewer_value(view),
        html_template=_TEMPLATE,
        js_on_load=_SCRIPT.read_text(encoding="utf-8"),
        apply_default_css=False,
        elem_id="viewer",
    )


def viewer_value(view: View) -> dict[str, Any]:
    """All that the browser needs to draw a view: numbers as text, pictures as addresses."""
    frames = view.frames
    bits = sum(frame.bits for frame in frames)
    facts = [f"{len(frames)} scales", f"{sum(f.tokens for f in frames):,} tokens", f"{bits:,} bits"]
    if view.seconds is not None:
        facts.append(duration(view.seconds))
    ahead = [i for i, frame in enumerate(frames) if frame.seconds is None]
    return {
        "run": view.run,
        "prompts": [prompt[:MOST_ALT_CHARACTERS] for prompt in view.prompts],
        "aspect": frames[-1].width / frames[-1].height if frames else 1.0,
        "current": ahead[0] if view.phase == "painting" and ahead else -1,
        "facts": " · ".join(facts) if frames else "",
        "wide": per_row(len(frames), 9),
        "narrow": per_row(len(frames), 5),
        "frames": [
            {
                "height": frame.height,
                "width": frame.width,
                "tokens": f"{frame.tokens:,}",
                "bits": f"{frame.bits:,}",
                "time": "" if frame.seconds is None else duration(frame.seconds),
                "exact": frame.is_exact,
                "pictures": list(frame.pictures),
            }
            for frame in frames
        ],
        "pictures": [asdict(picture) for picture in view.pictures],
    }


def _pyramid() -> str:
    """Four grids from one square to 8 x 8, drawn with lines: the empty stage."""
    shapes = []
    for position, cells in enumerate((1, 2, 4, 8)):
        left, step = 10 + 74 * position, 64 / cells
        lines = "".join(
            f"M{left + step * i:g} 8v64M{left} {8 + step * i:g}h64" for i in range(1, cells)
        )
        shapes.append(f'<rect x="{left}" y="8" width="64" height="64" rx="4"/><path d="{lines}"/>')
    return f'<svg viewBox="0 0 306 80" aria-hidden="true">{"".join(shapes)}</svg>'


_HEAT = """
<svg class="heat" width="0" height="0" aria-hidden="true"><filter id="heat"
color-interpolation-filters="sRGB"><feColorMatrix values="1.6 1.6 1.6 0 0 1.6 1.6 1.6 0 0 1.6 1.6 1.6 0 0 0 0 0 1 0"/>
<feComponentTransfer><feFuncR type="table" tableValues="0 .34 .73 .97 .99"/>
<feFuncG type="table" tableValues="0 .06 .21 .55 1"/>
<feFuncB type="table" tableValues=".02 .43 .33 .04 .64"/></feComponentTransfer></filter></svg>
"""
_TEMPLATE = f"""
<div id="stage" class="stage is-empty" role="group" aria-label="Pictures"><div class="nothing">{_pyramid()}
<p>Your picture appears here and sharpens scale by scale.</p></div></div>
<section id="strip" class="strip" aria-label="Timeline of the scales">
<header><h2>Scale by scale</h2><p></p></header>
<div class="scrub">
<button type="button" class="play" aria-label="Play the scales"></button>
<input type="range" min="1" max="1" step="1" aria-label="Scale shown">
<div class="looks" role="group" aria-label="What is shown"><button type="button">Picture so far</button>
<button type="button">What it added</button></div>
</div>
<p class="fact"></p>
<ol></ol>
</section>{_HEAT}
"""
