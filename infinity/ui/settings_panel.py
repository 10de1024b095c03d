"""The settings beside the picture: where each request control stands."""

from __future__ import annotations

import gradio as gr

from infinity.ui.controls import RequestControls


def lay_out_settings(controls: RequestControls) -> None:
    """Place every control but the prompt in the current column."""
    controls.model.render()
    controls.aspect_ratio.render()
    with gr.Row(elem_id="seed-row", equal_height=False):
        controls.seed.render()
        controls.seed_mode.render()
    controls.num_images.render()
    controls.guidance.render()
    controls.temperature.render()
    with gr.Accordion("More settings", open=False, elem_id="more-settings"):
        controls.negative_prompt.render()
        controls.top_p.render()
        controls.top_k.render()
