"""Endpoints that draw: pictures, a grid of them, the end of both, and help with a prompt."""

# No postponed annotations here: Gradio reads the endpoint's return type from the function itself.
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial, wraps
from typing import Any, get_type_hints

import gradio as gr
from PIL import Image

from infinity.errors import RequestError, StoppedError, quoted
from infinity.events import Cancelled, Done, Preview
from infinity.grid.axes import STYLE
from infinity.grid.plan import draw_plan
from infinity.growth import KINDS, save_growth
from infinity.presets import PRESET_NAMES, presets
from infinity.request import GenerationRequest, PreviewPolicy, chosen_seed
from infinity.rewriter import rewrite
from infinity.ui.api.history import RecentRuns
from infinity.ui.controls.choices import style_phrase
from infinity.ui.generate.view import preview_uri
from infinity.ui.grid.tab import make_plan, save_sheet
from infinity.ui.shared.context import Context
from infinity.ui.shared.files import FinishedRun, file_data
from infinity.ui.shared.runs import Run, caller_of, own_session, visitor_of
from infinity.ui.shared.status import Status, duration
from infinity.world.vocabulary import styled


class Settings:
    """What every endpoint that draws takes besides its own arguments.

    Args:
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
        pruning: share of the tokens that skips the blocks at the last two scales; 0 is exact.
        fp8_scales: multiply in fp8 at this many scales, the last ones, on a card that has such products.
        candidates: draw so many for each picture and keep the best one.
        prune_at_scale: drop the worse half of the candidates after this scale; 0 never.
        scorer: who chooses among candidates: judge, which knows the default model's world, or the name
            of a CLIP-like model; empty for the judge.
        complete_prompt: whether, with a model of a small world, the seed chooses what the prompt leaves
            open; watch answers with the captions that were drawn.
        preset: settings to begin with, which those given here replace: balanced, fast, turbo, paper,
            pyramid or varied; empty for none.
        confidence: how sure of a bit the model may be, 0.5 to 1, on average over a scale: where it is
            surer, the temperature is raised. Lower is more varied; 1 is off. A list has one a scale.
        style: one of the model's styles, put at the end of the prompt; empty for none.
        start: the picture that the drawing goes on from and what of it stays, as the settings tool reads it
            out of a PNG; null begins with nothing.
    """

    negative_prompt: str = ""
    model: str = ""
    aspect_ratio: str = "1:1"
    seed: int = 0
    guidance: float | list[float] | None = None
    temperature: float | list[float] | None = None
    top_k: int | None = None
    top_p: float | None = None
    num_images: int = 1
    guidance_layers: list[int] | None = None
    guided_scales: int | None = None
    pruning: float | None = None
    fp8_scales: int | None = None
    confidence: float | list[float] | None = None
    candidates: int = 1
    prune_at_scale: int = 0
    scorer: str = ""
    complete_prompt: bool = True
    preset: str = ""
    style: str = ""
    start: dict[str, Any] | None = None


def takes_settings(
    function: Callable[..., Any], model: str, *, without: str = ""
) -> Callable[..., Any]:
    """``function``, whose last parameter is ``**settings``, as Gradio wants an endpoint: every one of
    :class:`Settings` in its signature, before what can only be named, and in its docstring.

    Args:
        model: the default one.
        without: a setting that this endpoint does not take.
    """
    defaults = vars(Settings) | {"model": model}
    own = inspect.signature(function)
    by_place, by_name = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
    *named, _ = own.parameters.values()
    parameters = [
        *(each for each in named if each.kind is by_place),
        *(
            inspect.Parameter(name, by_place, default=defaults[name], annotation=kind)
            for name, kind in get_type_hints(Settings).items()
            if name != without
        ),
        *(each.replace(kind=by_place) for each in named if each.kind is by_name),
    ]
    signature = own.replace(parameters=parameters)

    @wraps(function)
    def endpoint(*arguments: Any, **named: Any) -> Any:
        given = signature.bind(*arguments, **named)
        given.apply_defaults()
        return function(**given.arguments)

    described = (inspect.getdoc(Settings) or "").partition("Args:")[2]
    endpoint.__doc__ = (inspect.getdoc(function) or "").replace(
        "\n\nReturns:", f"{described}\n\nReturns:"
    )
    endpoint.__annotations__ = {each.name: each.annotation for each in parameters}
    vars(endpoint)["__signature__"] = signature
    return endpoint


@dataclass(frozen=True)
class DrawEndpoints:
    """The functions behind ``/generate``, ``/watch``, ``/grid``, ``/stop`` and ``/rewrite``."""

    context: Context
    recent: RecentRuns

    def generate(self, request: gr.Request, prompt: str, **settings: Any) -> list[gr.FileData]:
        """Draw pictures of a prompt. Settings left out, or null, take the model's defaults.

        Args:
            prompt: what to draw, in a sentence or less, such as "a red apple on a sandy beach". In
                "a {red|blue} car" each picture's seed picks one word.

        Returns:
            The finished pictures as PNG files, one a seed (seed, seed + 1, ...); each carries its
            whole request in its metadata, under the key "infinity".
        """
        run = Run(settings["model"], self._request(prompt, **settings), visitor_of(request))
        with self.context.turn(request, run) as pipeline:
            for event in pipeline.stream(run.request, cancel=run.cancel, previews="off"):
                if isinstance(event, Done):
                    finished = self._finish(caller_of(request), event, run.model)
                    return [file_data(path) for path in finished.files]
        raise StoppedError

    def watch(
        self, request: gr.Request, prompt: str, *, growth: str = "", **settings: Any
    ) -> Iterator[dict[str, Any]]:
        """Draw as generate does, and show the pictures as they grow: an answer a scale. Whoever leaves, or
        cancels, ends it within one scale.

        Args:
            prompt: what to draw, as for generate.
            growth: webp, gif or mp4, to have how the pictures grew as one animation, too; empty for none.

        Returns:
            Each time what is being done; how many scales are finished, of how many; previews of the
            pictures so far, as data URLs of small pictures, rough but for the last where no growth is
            asked for; and at the end the finished pictures as PNG files, the growth, notes, and the
            caption that each was drawn from.
        """
        if growth not in ("", *KINDS):
            raise RequestError(f"A growth is one of {', '.join(KINDS)}, not {quoted(growth)}.")
        run = Run(settings["model"], self._request(prompt, **settings), visitor_of(request))
        session, runs = caller_of(request), self.context.runs
        scales = len(self.context.spec(run.model).schedule(run.request.aspect_ratio))
        answer: dict[str, Any] = {"message": "", "scale": 0, "scales": scales}
        answer = answer | {
            "previews": [],
            "pictures": [],
            "growth": None,
            "notes": [],
            "captions": [],
        }
        drawn: list[tuple[Image.Image, ...]] = []
        with runs.running(session, run):
            for step in runs.turns.ready(self.context.manager, run.model, run.cancel):
                if isinstance(step, Status):
                    yield answer | {"message": step.message}
                    continue
                previews: PreviewPolicy = "full" if growth else "live"
                for event in step.stream(run.request, cancel=run.cancel, previews=previews):
                    if isinstance(event, Preview):
                        drawn.append(event.images or ())
                        shown = [preview_uri(image) for image in event.images or ()]
                        number = event.index + 1
                        said = f"Scale {number} of {scales}"
                        answer = answer | {"message": said, "scale": number, "previews": shown}
                        yield answer
                    elif isinstance(event, Done):
                        finished = self._finish(session, event, run.model)
                        if growth:
                            path = finished.files[0].with_suffix(f".{growth}")
                            self.context.keep(save_growth(drawn, event.images, path))
                            answer = answer | {"growth": file_data(path)}
                        yield answer | {
                            "message": f"Finished in {duration(event.seconds)}",
                            "pictures": [file_data(path) for path in finished.files],
                            "notes": [*event.notes],
                            "captions": [*event.captions],
                        }
                        return
        raise StoppedError

    def grid(
        self,
        request: gr.Request,
        prompt: str,
        x: str,
        x_values: str,
        y: str = "",
        y_values: str = "",
        **settings: Any,
    ) -> gr.FileData:
        """Draw one picture for every pair of values of two settings, as one labelled plot.

        Args:
            prompt: what to draw, such as "a red apple on a sandy beach".
            x: what varies over the columns: words, prompt, negative_prompt, seed, guidance,
                temperature, confidence, top_p, top_k, guided_scales, guidance_layers, style, aspect_ratio, model.
            x_values: its values with commas between, double quotes around one that has a comma;
                numbers may be ranges, such as "1-4" or "1-9 (+2)". Of words the first is looked for
                in the prompt, and each takes its place in turn, such as "red, blue, green".
            y: what varies over the rows, as x; empty for one row.
            y_values: its values, as x_values.

        Returns:
            The whole plot as one PNG file that carries its recipe; the settings tool reads it.
        """
        wanted = self._request(prompt, **settings)
        if settings["style"] and STYLE in (x, y):
            raise RequestError("An axis varies the style already; leave style empty.")
        plan = make_plan(self.context, settings["model"], wanted, x, x_values, y, y_values)
        rows, columns = plan.shape
        counted = replace(plan.request, num_images=rows * columns)
        run = Run(plan.model, counted, visitor_of(request))
        session, runs = caller_of(request), self.context.runs
        pictures: dict[tuple[int, int], Image.Image] = {}
        with runs.running(session, run):
            load = partial(self.context.manager.get, cancel=run.cancel)
            for cell, event in draw_plan(plan, load, run.cancel, runs.turns.turn):
                if isinstance(event, Cancelled):
                    raise StoppedError
                if isinstance(event, Done):
                    self._finish(session, event, cell.model)
                    pictures[cell.row, cell.column] = event.images[0]
            return file_data(save_sheet(self.context, plan, pictures))

    def stop(self, request: gr.Request) -> bool:
        """Stop what this client has asked for; the current scale is finished first. A load or a
        download is ended unless others wait for the same.

        Returns:
            Whether something was being drawn or loaded.
        """
        return self.context.runs.stop(own_session(request))

    def rewrite(self, request: gr.Request, prompt: str) -> str:
        """Make a short prompt longer and more detailed, keeping its meaning.

        Draws nothing: read the answer, change it as you like, and pass it to generate.

        Args:
            prompt: a few words, such as "a lighthouse".

        Returns:
            One description of the picture, in one to three sentences.
        """
        allowance = self.context.runs.allowance
        allowance.check_prompt(prompt)
        allowance.admit(visitor_of(request))
        return rewrite(prompt, allowance.hosting.rewriter)

    def _request(
        self, prompt: str, *, model: str, preset: str, style: str, seed: Any, **settings: Any
    ) -> GenerationRequest:
        """Raises RequestError for a model, a preset or a style that there is not, and for bad
        settings."""
        spec = self.context.spec(model)
        given = {"prompt": prompt, "seed": chosen_seed(seed), **settings}
        wanted = GenerationRequest.from_dict(given)
        if style:
            wanted = replace(wanted, prompt=styled(wanted.prompt, style_phrase(style, spec)))
        if not preset:
            return wanted
        if not isinstance(preset, str) or preset not in PRESET_NAMES:
            raise RequestError(
                f"Unknown preset {quoted(preset)}; choose one of {', '.join(PRESET_NAMES)}."
            )
        return wanted.resolved(presets(spec, wanted.aspect_ratio)[preset].sampling)

    def _finish(self, session: str, event: Done, model: str) -> FinishedRun:
        finished = self.context.finish(event, model)
        if self.context.hosting.history:
            self.recent.add(session, finished)
        return finished
