"""Endpoints that draw: pictures, a grid of them, and the end of both."""

# No postponed annotations here: Gradio reads the endpoint's return type from the function itself.
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import gradio as gr
from PIL import Image

from infinity.errors import RequestError, StoppedError, quoted
from infinity.events import Cancelled, Done
from infinity.grid.axes import STYLE, Axis
from infinity.grid.plan import GridPlan, draw_plan
from infinity.manager import ModelManager
from infinity.presets import PRESET_NAMES, presets
from infinity.request import GenerationRequest, chosen_seed
from infinity.spec import ModelSpec
from infinity.ui.api.common import file_data, own_session, told_plainly
from infinity.ui.api.recent import Drawn
from infinity.ui.controls.styles import style_phrase
from infinity.ui.grid.events import save_sheet
from infinity.ui.shared.finished import finish
from infinity.ui.shared.offer import known_spec
from infinity.ui.shared.runs import Run, Runs, caller_of, visitor_of
from infinity.ui.shared.turns import Turns
from infinity.vocabulary import styled


def make_generate(
    manager: ModelManager,
    runs: Runs,
    models: Mapping[str, ModelSpec],
    default_model: str,
    keep_track: Callable[[str], None],
    drawn: Drawn,
) -> Callable[..., list[gr.FileData]]:
    """The function behind ``/generate``; its type hints and defaults are the endpoint's.

    Args:
        models: what may be asked for, by name.
        keep_track: told the path of every file written, so that old ones are cleaned up.
        drawn: told of every finished run.
    """

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
        with told_plainly():
            wanted = _request(
                known_spec(model, models),
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
                finished = finish(_done(manager, run, runs.turns), model, keep_track)
            drawn.add(session, finished)
        return [file_data(path) for path in finished.files]

    return generate


def make_grid(
    manager: ModelManager,
    runs: Runs,
    models: Mapping[str, ModelSpec],
    default_model: str,
    keep_track: Callable[[str], None],
    drawn: Drawn,
) -> Callable[..., gr.FileData]:
    """The function behind ``/grid``. Args: as :func:`make_generate`."""

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
        with told_plainly():
            wanted = _request(
                known_spec(model, models),
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
            plan.check(lambda name: known_spec(name, models))
            rows, columns = plan.shape
            counted = replace(plan.request, num_images=rows * columns)
            run = Run(model, counted, visitor_of(request))
            session = caller_of(request)
            pictures: dict[tuple[int, int], Image.Image] = {}
            with runs.running(session, run):
                load = partial(manager.get, cancel=run.cancel)
                for cell, event in draw_plan(plan, load, run.cancel, runs.turns.turn):
                    if isinstance(event, Cancelled):
                        raise StoppedError
                    if isinstance(event, Done):
                        drawn.add(session, finish(event, cell.model, keep_track))
                        pictures[cell.row, cell.column] = event.images[0]
                return file_data(save_sheet(plan, pictures, keep_track))

    return grid


def make_stop_mine(runs: Runs) -> Callable[..., bool]:
    """The function behind ``/stop``."""

    def stop(request: gr.Request) -> bool:
        """Stop what this client has asked for; the current scale is finished first. A load or a
        download is ended unless others wait for the same.

        Returns:
            Whether something was being drawn or loaded.
        """
        with told_plainly():
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


def _done(manager: ModelManager, run: Run, turns: Turns) -> Done:
    """Raises StoppedError when the caller stopped it or went away."""
    pipeline = manager.get(run.model, cancel=run.cancel)
    with turns.turn(run.cancel):
        for event in pipeline.stream(run.request, cancel=run.cancel, previews="off"):
            if isinstance(event, Done):
                return event
    raise StoppedError
