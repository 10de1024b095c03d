"""ModelSpec: the parts of a model that have to fit together, and the own format's config.json.

Parts that do not fit (tokenizer, transformer, text encoder, schedules) are refused when a spec is
made, with a sentence that names both sides.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Self

from infinity.config import Config, TextEncoderConfig, TokenizerConfig, TransformerConfig
from infinity.errors import CheckpointError, RequestError, quoted
from infinity.files import read_json
from infinity.request import SamplingParams
from infinity.schedule import ASPECT_RATIOS, TOKEN_PIXELS, ScaleSchedule, schedule_for
from infinity.vocabulary import Vocabulary, read_vocabulary

CONFIG_FILE = "config.json"
FORMAT_VERSION = 1
MOST_NAMED = 200


@dataclass(frozen=True, kw_only=True)
class HubFiles(Config):
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

    def __post_init__(self) -> None:
        self._require_type(str, "repository", "revision", "transformer")
        if not all(isinstance(name, str) for name in self.tokenizer):
            raise CheckpointError("HubFiles: tokenizer must list names of files.")


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
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

    name: str
    title: str
    transformer: TransformerConfig
    tokenizer: TokenizerConfig
    text_encoder: TextEncoderConfig
    schedules: Mapping[str, ScaleSchedule]
    sampling: SamplingParams = field(default_factory=SamplingParams)
    hub: HubFiles | None = None
    vocabulary: Vocabulary | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "schedules", dict(self.schedules))
        if not isinstance(self.title, str) or len(self.title) > MOST_NAMED:
            raise CheckpointError(
                f"A model's title must be a line of text, not {quoted(self.title)}."
            )
        if not 0 < len(self.name) <= MOST_NAMED or not all(
            c.isalnum() or c in "._-" for c in self.name
        ):
            raise CheckpointError(
                f"A model's name has letters, digits, dots, dashes and underscores only; "
                f"{quoted(self.name)} has not."
            )
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
        if aspect_ratio not in self.schedules:
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
        return _listed(
            {
                "format": FORMAT_VERSION,
                "name": self.name,
                "title": self.title,
                "transformer": self.transformer.to_dict(),
                "tokenizer": self.tokenizer.to_dict(),
                "text_encoder": self.text_encoder.to_dict(),
                "schedules": {k: schedule.to_dict() for k, schedule in self.schedules.items()},
                "sampling": asdict(self.sampling),
                "hub": None if self.hub is None else self.hub.to_dict(),
            }
        )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Raises CheckpointError on unknown, missing or ill-typed entries, and parts that misfit."""
        names = ["format", *(field.name for field in fields(cls) if field.name != "vocabulary")]
        data = _known(dict(data), names, "config.json")
        if (version := data.pop("format", None)) != FORMAT_VERSION:
            raise CheckpointError(
                f"config.json is of format {quoted(version)}, this version reads {FORMAT_VERSION}; "
                "save the model again, or update this package."
            )
        try:
            sampling = _known(
                dict(data.get("sampling", {})), [f.name for f in fields(SamplingParams)], "sampling"
            )
            return cls(
                name=data["name"],
                title=data.get("title", data["name"]),
                transformer=TransformerConfig.from_dict(data["transformer"]),
                tokenizer=TokenizerConfig.from_dict(data["tokenizer"]),
                text_encoder=TextEncoderConfig.from_dict(data["text_encoder"]),
                schedules={
                    label: ScaleSchedule.from_dict(schedule)
                    for label, schedule in data["schedules"].items()
                },
                sampling=SamplingParams(**sampling),
                hub=HubFiles.from_dict(data["hub"]) if data.get("hub") else None,
            )
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
                f"knows {self.transformer.max_scales}; shorten the schedule."
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
    path = Path(folder) / CONFIG_FILE
    try:
        data = read_json(path)
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{path} does not exist; give the folder of a model in this package's format, "
            "or convert a checkpoint first."
        ) from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}.") from error
    if not isinstance(data, dict):
        raise CheckpointError(f"{path} is not a model's configuration: a JSON object is needed.")
    return data


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


def _known(data: dict[str, Any], names: list[str], place: str) -> dict[str, Any]:
    for key in data:
        if key not in names:
            near = difflib.get_close_matches(key, names, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(names)}."
            raise CheckpointError(f"{place} has no setting {quoted(key)}{hint}")
    return data


def _listed(value: Any) -> Any:
    """Tuples as lists, all the way down, so that a round trip through JSON changes nothing."""
    if isinstance(value, dict):
        return {key: _listed(item) for key, item in value.items()}
    return [_listed(item) for item in value] if isinstance(value, tuple | list) else value
