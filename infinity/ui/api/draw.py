"""Endpoints that draw: pictures, a grid of them, and the end of both."""

# No postponed annotations here: Gradio reads the endpoint's return type from the function itself.
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import gradio as gr
from PIL import Image

from infinity.errors import RequestError, StoppedError, quoted
from infinity.events import Cancelled, Done
from infinity.grid.axes import STYLE, Axis
from infinity.grid.plan import GridPlan, draw_plan
from infinity.presets import PRESET_NAMES, presets
from infinity.request import GenerationRequest, chosen_seed
from infinity.spec import ModelSpec
from infinity.ui.api.common import file_data, own_session, plain_errors
from infinity.ui.api.recent import RecentRuns
from infinity.ui.controls.styles import style_phrase
from infinity.ui.grid.events import save_sheet
from infinity.ui.shared.context import Context
from infinity.ui.shared.runs import Run, Runs, caller_of, visitor_of
from infinity.vocabulary import styled


def make_generate(
    context: Context,
    recent: RecentRuns,
) -> Callable[..., list[gr.FileData]]:
    """The function behind ``/generate``; its type hints and defaults are the endpoint's."""
    runs, default_model = context.runs, context.first_model

    def generate(
        request: gr.Request,
        prompt: str,
        negative_prompt: str = "",
        model: str = default_model,
        aspect_ratio: str = "1:1",
        seed: int = 0,
        guidance: float | list[float] | None = None,
        temperature: float | list[float] | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        num_images: int = 1,
        guidance_layers: list[int] | None = None,
        guided_scales: int | None = None,
        preset: str = "",
        style: str = "",
    ) -> list[gr.FileData]:
        """Draw pictures of a prompt. Settings left out, or null, take the model's defaults.

        Args:
            prompt: what to draw, in a sentence or less, such as "a red apple on a sandy beach". In
                "a {red|blue} car" each picture's seed picks one word.
            negative_prompt: what to steer away from.
            model: one of the names that the models tool lists.
            aspect_ratio: width:height; one of the model's own.
            seed: the same seed draws the same picture; -1 takes a random one.
            guidance: how closely the prompt is followed; 1 is not at all. A list has one a scale.
            temperature: how freely bits are drawn; 0 always takes the likelier value. A list has one
                a scale.
            top_k: 1 always takes the likelier value of a bit; any other number changes nothing.
            top_p: settles bits whose other value is at most 1 - top_p likely; 1 is off.
            num_images: how many pictures; the next ones use the next seeds.
            guidance_layers: where guidance acts: 0 is the final scores of the bits, -1 the features
                after the last block, -2 after the one before.
            guided_scales: guide only this many scales, from the first; the rest run faster.
            preset: settings to begin with, which those given here replace: fast, balanced, paper or
                pyramid; empty for none.
            style: one of the model's styles, put at the end of the prompt; empty for none.

        Returns:
            The finished pictures as PNG files, one a seed (seed, seed + 1, ...); each carries its
            whole request in its metadata, under the key "infinity".
        """
        with plain_errors():
            wanted = _request(
                context.spec(model),
                preset,
                style,
                prompt=prompt,
                negative_prompt=negative_prompt,
                aspect_ratio=aspect_ratio,
                seed=seed,
                guidance=guidance,
                temperature=temperature,
                top_k=top_k,
                top_p=top_p,
                num_images=num_images,
                guidance_layers=guidance_layers,
                guided_scales=guided_scales,
            )
            run = Run(model, wanted, visitor_of(request))
            session = caller_of(request)
            with runs.running(session, run):
                finished = context.finish(_done(context, run), model)
            recent.add(session, finished)
        return [file_data(path) for path in finished.files]

    return generate


def make_grid(
    context: Context,
    recent: RecentRuns,
) -> Callable[..., gr.FileData]:
    """The function behind ``/grid``."""
    runs, default_model = context.runs, context.first_model

    def grid(
        request: gr.Request,
        prompt: str,
        x: str,
        x_values: str,
        y: str = "",
        y_values: str = "",
        negative_prompt: str = "",
        model: str = default_model,
        aspect_ratio: str = "1:1",
        seed: int = 0,
        guidance: float | list[float] | None = None,
        temperature: float | list[float] | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        guidance_layers: list[int] | None = None,
        guided_scales: int | None = None,
        preset: str = "",
        style: str = "",
    ) -> gr.FileData:
        """Draw one picture for every pair of values of two settings, as one labelled plot.

        Args:
            prompt: what to draw, such as "a red apple on a sandy beach".
            x: what varies over the columns: words, prompt, negative_prompt, seed, guidance,
                temperature, top_p, top_k, guided_scales, guidance_layers, style, aspect_ratio, model.
            x_values: its values with commas between, double quotes around one that has a comma;
                numbers may be ranges, such as "1-4" or "1-9 (+2)". Of words the first is looked for
                in the prompt, and each takes its place in turn, such as "red, blue, green".
            y: what varies over the rows, as x; empty for one row.
            y_values: its values, as x_values.
            negative_prompt: what to steer away from.
            model: one of the names that the models tool lists.
            aspect_ratio: width:height; one of the model's own.
            seed: of every picture, unless it varies.
            guidance: as of the generate tool, like all that follow.
            temperature: how freely bits are drawn.
            top_k: 1 always takes the likelier value of a bit.
            top_p: settles bits that are nearly certain; 1 is off.
            guidance_layers: where guidance acts.
            guided_scales: guide only this many scales.
            preset: settings to begin with: fast, balanced, paper or pyramid; empty for none.
            style: one of the model's styles; empty for none.

        Returns:
            The whole plot as one PNG file that carries its recipe; the settings tool reads it.
        """
        with plain_errors():
            wanted = _request(
                context.spec(model),
                preset,
                style,
                prompt=prompt,
                negative_prompt=negative_prompt,
                aspect_ratio=aspect_ratio,
                seed=seed,
                guidance=guidance,
                temperature=temperature,
                top_k=top_k,
                top_p=top_p,
                guidance_layers=guidance_layers,
                guided_scales=guided_scales,
            )
            if style and STYLE in (x, y):
                raise RequestError("An axis varies the style already; leave style empty.")
            plan = GridPlan(
                model=model,
                request=wanted,
                x=Axis.parse(x, x_values),
                y=Axis.parse(y, y_values) if y else None,
            )
            plan.check(context.spec)
            rows, columns = plan.shape
            counted = replace(plan.request, num_images=rows * columns)
            run = Run(model, counted, visitor_of(request))
            session = caller_of(request)
            pictures: dict[tuple[int, int], Image.Image] = {}
            with runs.running(session, run):
                load = partial(context.manager.get, cancel=run.cancel)
                for cell, event in draw_plan(plan, load, run.cancel, runs.turns.turn):
                    if isinstance(event, Cancelled):
                        raise StoppedError
                    if isinstance(event, Done):
                        recent.add(session, context.finish(event, cell.model))
                        pictures[cell.row, cell.column] = event.images[0]
                return file_data(save_sheet(context, plan, pictures))

    return grid


def make_stop(runs: Runs) -> Callable[..., bool]:
    """The function behind ``/stop``."""

    def stop(request: gr.Request) -> bool:
        """Stop what this client has asked for; the current scale is finished first. A load or a
        download is ended unless others wait for the same.

        Returns:
            Whether something was being drawn or loaded.
        """
        with plain_errors():
            return runs.stop(own_session(request))

    return stop


def _request(spec: ModelSpec, preset: str, style: str, **settings: Any) -> GenerationRequest:
    """Raises RequestError for a preset or a style that there is not, and for bad settings."""
    wanted = GenerationRequest(**settings | {"seed": chosen_seed(settings["seed"])})
    if style:
        wanted = replace(wanted, prompt=styled(wanted.prompt, style_phrase(style, spec)))
    if not preset:
        return wanted
    if not isinstance(preset, str) or preset not in PRESET_NAMES:
        raise RequestError(
            f"Unknown preset {quoted(preset)}; choose one of {', '.join(PRESET_NAMES)}."
        )
    return wanted.resolved(presets(spec, wanted.aspect_ratio)[preset].sampling)


def _done(context: Context, run: Run) -> Done:
    """Raises StoppedError when the caller stopped it or went away."""
    pipeline = context.manager.get(run.model, cancel=run.cancel)
    with context.runs.turns.turn(run.cancel):
        for event in pipeline.stream(run.request, cancel=run.cancel, previews="off"):
            if isinstance(event, Done):
                return event
    raise StoppedError
