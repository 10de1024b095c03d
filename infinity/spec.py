"""ModelSpec: the parts of a model that have to fit together, and the own format's config.json.

Parts that do not fit (tokenizer, transformer, text encoder, schedules) are refused when a spec is
made, with a sentence that names both sides.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field

from infinity.checks import Checked
from infinity.config import TextEncoderConfig, TokenizerConfig, TransformerConfig
from infinity.errors import CheckpointError, RequestError, quoted
from infinity.files import read_json, read_object
from infinity.request import SamplingParams
from infinity.schedule import ASPECT_RATIOS, TOKEN_PIXELS, ScaleSchedule, schedule_for
from infinity.world.vocabulary import Vocabulary, read_vocabulary

CONFIG_FILE = "config.json"
FORMAT_VERSION = 1
MOST_NAMED = 200
NAME = Field(
    pattern=r"^[\w.-]+$",
    max_length=MOST_NAMED,
    description="of letters, digits, dots, dashes and underscores only",
)
TITLE = Field(max_length=MOST_NAMED, description=f"a line of at most {MOST_NAMED} characters")


@dataclass(frozen=True, kw_only=True)
class HubFiles(Checked):
    """Where released weights are, in upstream's format.

    Args:
        repository, revision: on the hub; the revision is a commit.
        transformer: file, or folder ending in "/" of a sharded checkpoint.
        tokenizer: names the file goes by; the first one found is taken.
    """

    repository: str
    revision: str
    transformer: str
    tokenizer: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ModelSpec(Checked):
    """A model: parts that fit, what it was trained for, and its default sampling.

    Args:
        name: what it is asked for by; letters, digits, dots, dashes and underscores.
        title: one line for people.
        schedules: aspect ratio ("3:2", width:height) -> schedule it was trained on; the first one
            is the default.
        hub: where its released weights are; None for own-format folders and bare configurations.
        vocabulary: the words a model of a small world knows, kept in its folder's world.json; None
            where a model was trained on pictures of all kinds.

    Raises:
        CheckpointError: parts that do not fit each other; the sentence names both.
    """

    called = CONFIG_FILE

    name: Annotated[str, NAME]
    title: Annotated[str, TITLE]
    transformer: TransformerConfig
    tokenizer: TokenizerConfig
    text_encoder: TextEncoderConfig
    schedules: Mapping[str, ScaleSchedule]
    sampling: SamplingParams = field(default_factory=SamplingParams)
    hub: HubFiles | None = None
    vocabulary: Vocabulary | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.schedules:
            raise CheckpointError(f"{self.name}: at least one aspect ratio needs a schedule.")
        self._check_parts()
        for label, schedule in self.schedules.items():
            self._check_schedule(label, schedule)

    @property
    def aspect_ratios(self) -> tuple[str, ...]:
        return tuple(self.schedules)

    def schedule(self, aspect_ratio: str) -> ScaleSchedule:
        """Raises RequestError for an aspect ratio the model was not trained on."""
        if not isinstance(aspect_ratio, str) or aspect_ratio not in self.schedules:
            raise RequestError(
                f"{self.name} makes no pictures of aspect ratio {quoted(aspect_ratio)}; "
                f"choose one of {', '.join(self.schedules)}."
            )
        return self.schedules[aspect_ratio]

    def image_size(self, aspect_ratio: str) -> tuple[int, int]:
        """Picture (height, width) in pixels."""
        return self.schedule(aspect_ratio).image_size(self.tokenizer.token_pixels)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; the content of an own-format config.json."""
        data = super().to_dict()
        del data["vocabulary"]
        return {"format": FORMAT_VERSION, **data}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Raises CheckpointError on unknown, missing or ill-typed entries, and parts that misfit."""
        data = dict(data)
        if (version := data.pop("format", None)) != FORMAT_VERSION:
            raise CheckpointError(
                f"config.json is of format {quoted(version)}, this version reads {FORMAT_VERSION}; "
                "save the model again, or update this package."
            )
        try:
            schedules = {
                label: ScaleSchedule.from_dict(one) for label, one in data["schedules"].items()
            }
            return super().from_dict({"title": data.get("name"), **data, "schedules": schedules})
        except KeyError as error:
            raise CheckpointError(f"config.json has no {error.args[0]!r}.") from error
        except (TypeError, ValueError, AttributeError, RequestError) as error:
            raise CheckpointError(f"config.json is ill-formed: {error}") from error

    def _check_parts(self) -> None:
        transformer, tokenizer = self.transformer, self.tokenizer
        if transformer.bits_per_token != tokenizer.bits_per_token:
            patch = " (2x2 patches of them)" if tokenizer.patchify else ""
            raise CheckpointError(
                f"{self.name}: the transformer has {transformer.bits_per_token} bits a token but "
                f"the tokenizer gives {tokenizer.bits_per_token}, from {tokenizer.bits} bits a "
                f"latent{patch}; pair the transformer with the tokenizer it was trained with."
            )
        if transformer.text_width != self.text_encoder.width:
            raise CheckpointError(
                f"{self.name}: the transformer reads text of width {transformer.text_width} but "
                f"the text encoder gives {self.text_encoder.width}; use the text encoder the "
                "transformer was trained with."
            )
        if self.text_encoder.max_length > transformer.text_max_length:
            raise CheckpointError(
                f"{self.name}: the text encoder keeps {self.text_encoder.max_length} tokens but "
                f"the transformer takes at most {transformer.text_max_length}; lower "
                "text_encoder.max_length."
            )

    def _check_schedule(self, label: str, schedule: ScaleSchedule) -> None:
        if len(schedule) > self.transformer.max_scales:
            raise CheckpointError(
                f"{self.name}: the {label} schedule has {len(schedule)} scales but the transformer "
                f"knows {self.transformer.max_scales}; shorten it, or raise max_scales."
            )
        height, width = schedule.image_size(self.tokenizer.token_pixels)
        if not 0.75 < width / height / _aspect(label) < 1.34:
            raise CheckpointError(
                f"{self.name}: the schedule called {label} makes pictures of {width}x{height} "
                "pixels; give it the aspect ratio of its last scale."
            )
        if _from_table(label, schedule) and self.tokenizer.token_pixels != TOKEN_PIXELS:
            raise CheckpointError(
                f"{self.name}: the {label} schedule is the released models', whose tokens span "
                f"{TOKEN_PIXELS} pixels, but the tokenizer's span {self.tokenizer.token_pixels} "
                f"(stride {self.tokenizer.stride}, patchify {self.tokenizer.patchify}); use a "
                "schedule of its own, or set patchify."
            )


def read_spec(folder: str | Path) -> ModelSpec:
    """The spec in an own-format folder, its vocabulary included.

    Raises:
        CheckpointError: no such file, not JSON, not a valid spec, or a damaged vocabulary.
    """
    data = _read_config(folder)
    if "optimization" in data:
        raise CheckpointError(
            f"{folder} holds a training run; make a model of it: python -m training.export {folder}"
        )
    if "tokenizer" in data and "transformer" not in data:
        raise CheckpointError(
            f"{folder} holds a tokenizer alone; give the folder of a model trained with it."
        )
    return replace(ModelSpec.from_dict(data), vocabulary=read_vocabulary(folder))


def read_tokenizer_config(folder: str | Path) -> TokenizerConfig:
    """The tokenizer of an own-format folder, which may hold nothing else.

    Raises:
        CheckpointError: as ``read_spec``.
    """
    data = _read_config(folder)
    if not isinstance(data.get("tokenizer"), dict):
        raise CheckpointError(f"{Path(folder) / CONFIG_FILE} has no tokenizer.")
    return TokenizerConfig.from_dict(data["tokenizer"])


def _read_config(folder: str | Path) -> dict[str, Any]:
    return read_object(
        Path(folder) / CONFIG_FILE,
        "give the folder of a model in this package's format, or convert a checkpoint first",
    )


def is_spec_folder(folder: str | Path) -> bool:
    """Whether a folder has a config.json of the own format (of any version), rather than another's."""
    try:
        data = read_json(Path(folder) / CONFIG_FILE)
    except (OSError, ValueError):
        return False
    return isinstance(data, dict) and "format" in data


def _aspect(label: str) -> float:
    try:
        width, height = (float(side) for side in label.split(":"))
        return width / height
    except (ValueError, ZeroDivisionError) as error:
        raise CheckpointError(
            f"An aspect ratio is written width:height, such as 3:2, not {quoted(label)}."
        ) from error


def _from_table(label: str, schedule: ScaleSchedule) -> bool:
    if label not in ASPECT_RATIOS:
        return False
    full = schedule_for(label, "1M")
    return schedule.rope_grid == full.rope_grid and schedule.scales == full.scales[: len(schedule)]
