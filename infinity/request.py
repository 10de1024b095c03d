"""Requests: immutable, validated once, with a JSON round trip."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field

from infinity.checks import Checked, Lists, WholeFloats, text, whole
from infinity.errors import RequestError, is_unicode, quoted
from infinity.files import parse_object
from infinity.start import Start
from infinity.wildcards import escape, expand

MAX_SEED = 2**32 - 1
RANDOM_SEED = -1
MAX_PROMPT_CHARACTERS = 20_000
MAX_IMAGES = 64
MAX_THREADS = 4096

OTHER_NAMES = {
    "cfg": "guidance",
    "guidance_scale": "guidance",
    "tau": "temperature",
    "cfg_insertion_layer": "guidance_layers",
    "num_images_per_prompt": "num_images",
}
"""Upstream's and diffusers' names of settings -> ours."""

JUDGE = "judge"
"""The scorer that knows the default model's world."""
BEST_OF: Mapping[str, int | str] = {"candidates": 1, "prune_at_scale": 0, "scorer": ""}
"""The settings of candidates, and what they are where there is one alone."""

PreviewPolicy = Literal["off", "live", "full"]
"""Previews while generating: none; a rough one of every scale, at little cost; whole decodings."""
PREVIEW_POLICIES: tuple[PreviewPolicy, ...] = get_args(PreviewPolicy)

Strength = Annotated[int | float, Field(ge=0, le=100)]
PerScale = Annotated[
    Strength | Annotated[tuple[Strength, ...], Field(min_length=1)],
    Lists,
    Field(description="a number from 0 to 100, or a list of them, one a scale"),
]
Confidence = Annotated[float, Field(ge=0.5, le=1)]
PerScaleConfidence = Annotated[
    Confidence | Annotated[tuple[Confidence, ...], Field(min_length=1)],
    Lists,
    Field(description="a number from 0.5 to 1 (1 is off), or a list of them, one a scale"),
]
TopK = Annotated[int, WholeFloats, whole(0, 2**31)]
TopP = Annotated[float, Field(gt=0, le=1, description="above 0 and at most 1 (1 is off)")]
Layers = Annotated[
    tuple[Annotated[int, Field(le=0)], ...],
    Lists,
    Field(
        min_length=1,
        description="a list of 0 (the logits) or negative block numbers counted from the end",
    ),
]
Scales = Annotated[int, WholeFloats, whole(0, 1000)]
Pruning = Annotated[float, Field(ge=0, le=0.9, description="a share from 0 (none) to 0.9")]


@dataclass(frozen=True, kw_only=True)
class SamplingParams(Checked):
    """How bits are drawn. Scalars hold for all scales; tuples give one value a scale (the last repeats).

    Args:
        guidance: classifier-free guidance; 1 is none and costs no unconditional pass.
        temperature: divides the logits; 0 is greedy.
        top_k: on two-way bits, 1 is greedy and 0 or anything else has no effect.
        top_p: in (0, 1]; a bit value less likely than ``1 - top_p`` is never drawn; 1 is off.
        guidance_layers: 0 guides the logits; ``-n`` replaces the hidden state of both halves by
            their guided mix after block ``depth - n`` (paper, "guidance on features").
        guided_scales: guide only the first n scales, None guides all.
        pruning: at the last two scales, this share of the tokens (those nearest to the mean) skips the
            blocks and takes what the scale before had in its place; 0 is none, and exact.
        fp8_scales: at the last n scales matrices are multiplied in fp8 (``infinity.model.fp8``), on a card that
            has such products; elsewhere it has no effect.
        confidence: raises a scale's temperature until the likelier value of a bit has at most this
            probability, on average over the scale; 1 is off. Lower: more variety.
    """

    refusal = RequestError
    called = "The sampling"

    guidance: PerScale = 3.0
    temperature: PerScale = 1.0
    top_k: TopK = 0
    top_p: TopP = 1.0
    guidance_layers: Layers = (0,)
    guided_scales: Scales | None = None
    pruning: Pruning = 0.0
    fp8_scales: Scales = 0
    confidence: PerScaleConfidence = 1.0

    def at_scale(self, index: int) -> tuple[float, float]:
        """(guidance, temperature) of scale ``index``; guidance is 1 from ``guided_scales`` on."""
        guided = self.guided_scales is None or index < self.guided_scales
        return (_at(self.guidance, index) if guided else 1.0), _at(self.temperature, index)

    def confidence_at(self, index: int) -> float:
        """Of scale ``index``."""
        return _at(self.confidence, index)


@dataclass(frozen=True, kw_only=True)
class GenerationRequest(Checked):
    """One prompt, ``num_images`` pictures. Settings left at None take the model's defaults.

    Picture i is drawn with seed ``seed + i`` (modulo 2^32). On a CPU it equals that seed asked for alone; on a
    GPU, which draws all of them in one pass, up to rounding.
    With ``candidates`` each picture is the best of so many: the first has the picture's seed, the others
    seeds that follow from it, and a scorer chooses (``infinity.scoring``). After scale ``prune_at_scale``
    (from 1; 0 never) each picture so far is scored and the worse half dropped. ``scorer`` is "judge" or the
    name of a CLIP-like model; "" is the judge, for models of its world.
    ``complete_prompt``: a model of a small world reads the prompt into a scene, the picture's seed chooses
    what that leaves open, and the picture is drawn from the caption of the whole (``infinity.world``). It has
    no effect on other models.
    Both prompts may hold wildcards, ``{red|blue} car`` (see ``infinity.wildcards``): every picture's
    own seed picks its words, so the pictures of one request may differ in them.

    Raises:
        RequestError: on construction, with one sentence that says what to do.
    """

    refusal = RequestError
    called = "A request"

    prompt: Annotated[str, text()]
    negative_prompt: Annotated[str, text()] = ""
    aspect_ratio: Annotated[str, text()] = "1:1"
    seed: Annotated[int, WholeFloats, whole(0, MAX_SEED)] = 0
    num_images: Annotated[int, WholeFloats, whole(1, MAX_IMAGES)] = 1
    guidance: PerScale | None = None
    temperature: PerScale | None = None
    top_k: TopK | None = None
    top_p: TopP | None = None
    guidance_layers: Layers | None = None
    guided_scales: Scales | None = None
    pruning: Pruning | None = None
    fp8_scales: Scales | None = None
    confidence: PerScaleConfidence | None = None
    start: Annotated[
        Start | None,
        Field(
            description="the bits of a picture and what of it stays, as /settings reads them, or none"
        ),
    ] = None
    candidates: Annotated[int, WholeFloats, whole(1, MAX_IMAGES)] = 1
    prune_at_scale: Scales = 0
    scorer: Annotated[str, text(200)] = ""
    complete_prompt: bool = True

    def __post_init__(self) -> None:
        for name in ("prompt", "negative_prompt", "aspect_ratio"):
            value, shown = getattr(self, name), name.replace("_", " ")
            if isinstance(value, str) and not is_unicode(value):
                raise RequestError(f"The {shown} has bytes that are no text; send it in UTF-8.")
            if isinstance(value, str) and len(value) > MAX_PROMPT_CHARACTERS:
                raise RequestError(
                    f"The {shown} has {len(value):,} characters; shorten it to at most "
                    f"{MAX_PROMPT_CHARACTERS:,}."
                )
        super().__post_init__()
        if self.num_images * self.candidates > MAX_IMAGES:
            raise RequestError(
                f"{self.num_images} pictures of {self.candidates} candidates each are more than "
                f"{MAX_IMAGES}; ask for fewer of either."
            )
        if not all(prompt.strip() for prompt in self.prompts):
            raise RequestError("The prompt is empty; describe the picture you want.")
        expand(self.negative_prompt, self.seed)

    def sampling(self, defaults: SamplingParams) -> SamplingParams:
        """The sampling settings, gaps filled from a model's defaults."""
        given = {f.name: getattr(self, f.name) for f in fields(SamplingParams)}
        return replace(
            defaults, **{name: value for name, value in given.items() if value is not None}
        )

    def resolved(self, defaults: SamplingParams) -> Self:
        """This request with every setting spelled out."""
        return replace(self, **asdict(self.sampling(defaults)))

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple((self.seed + i) % (MAX_SEED + 1) for i in range(self.num_images))

    @property
    def prompts(self) -> tuple[str, ...]:
        """The prompt of every picture, its wildcards filled in."""
        return tuple(expand(self.prompt, seed) for seed in self.seeds)

    def pictures(self) -> tuple[Self, ...]:
        """One request a picture: its own seed, and the prompts with their wildcards filled in."""
        return tuple(
            replace(
                self,
                prompt=escape(prompt),
                negative_prompt=escape(expand(self.negative_prompt, seed)),
                seed=seed,
                num_images=1,
            )
            for prompt, seed in zip(self.prompts, self.seeds, strict=True)
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; settings left to the model's defaults are left out, and those of candidates that
        are as for one alone."""
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in asdict(self).items()
            if value is not None and BEST_OF.get(key) != value
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Settings by our names or by others'. Raises RequestError."""
        return super().from_dict(by_our_names(data))


def by_our_names(data: Mapping[str, Any]) -> dict[str, Any]:
    """Settings under our names. Raises RequestError for one that is given by two of its names."""
    named = {OTHER_NAMES.get(name, name): value for name, value in data.items()}
    if len(named) < len(data):
        both = next(name for name in data if OTHER_NAMES.get(name, name) != name)
        raise RequestError(f"{both} and {OTHER_NAMES[both]} are one setting; give it once.")
    return named


def read_recipe(text: str, what: str) -> tuple[dict[str, Any], str, GenerationRequest]:
    """What a picture's JSON says: all of it, the model's name, and the request.

    Raises:
        RequestError: a sentence that begins with ``what``.
    """
    data = parse_object(text, what)
    if not isinstance(data.get("request"), dict):
        raise RequestError(f"{what} is damaged: it holds no request.")
    if not isinstance(data.get("model"), str):
        raise RequestError(f"{what} is damaged: it names no model.")
    return data, data["model"], recorded(data["request"])


def recorded(data: Mapping[str, Any]) -> GenerationRequest:
    """The request of a record; of older ones, which say nothing of it, prompts were not completed."""
    return GenerationRequest.from_dict({"complete_prompt": False, **data})


def random_seed() -> int:
    """A fresh seed, from the machine's entropy."""
    return secrets.randbelow(MAX_SEED + 1)


def chosen_seed(seed: Any) -> Any:
    """``seed`` itself; a random one for ``RANDOM_SEED``, as other programs have it."""
    is_random = isinstance(seed, int | float) and seed == RANDOM_SEED
    return random_seed() if is_random else seed


def parse_per_scale(text: str) -> float | tuple[float, ...]:
    """``"3"`` -> 3.0, ``"1,2,3"`` -> (1.0, 2.0, 3.0). Raises RequestError."""
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise RequestError(
            f"{quoted(text)} is not a number or a comma-separated list of numbers."
        ) from error
    return values[0] if len(values) == 1 else values


def _at(value: float | Sequence[float], index: int) -> float:
    return float(value if isinstance(value, int | float) else value[min(index, len(value) - 1)])
