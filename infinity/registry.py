"""The models this package knows by name: the shipped default, the released ones, the paper's sizes."""

from __future__ import annotations

from infinity.config import TextEncoderConfig, TokenizerConfig, TransformerConfig
from infinity.errors import RequestError, nearest, quoted
from infinity.request import SamplingParams
from infinity.schedule import ASPECT_RATIOS, ScaleSchedule, schedule_for
from infinity.shipped import shipped
from infinity.spec import HubFiles, ModelSpec, read_spec

DEFAULT_MODEL = "default"
DEFAULT_MODEL_FOLDER = shipped("assets/default_model")
"""The shipped model: a folder of the own format, its spec in its config.json."""

HUB_REPOSITORY = "FoundationVision/Infinity"
HUB_REVISION = "d4c15777e41bd36eb8eef5a854b018d19962b6d9"
"""Commit of the released weights. Should the hub not know it, or a file not be in it, the download
says so in the log and takes the newest commit, which it then keeps to (checkpoints/download.py)."""
TEXT_ENCODER_REPOSITORY = "google/flan-t5-xl"
TEXT_ENCODER_REVISION = "7d6315df2c2fb742f0f5b556879d730926ca9001"
TEXT_ENCODER_PARAMETERS = {TEXT_ENCODER_REPOSITORY: 1_223_527_424}
"""Numbers in the encoder half alone, which is all that is loaded; its files hold both halves."""


def released_schedules(pixel_budget: str) -> dict[str, ScaleSchedule]:
    """The released models' schedules of all fifteen aspect ratios for a pixel budget."""
    return {ratio: schedule_for(ratio, pixel_budget) for ratio in ASPECT_RATIOS}


def model_names() -> tuple[str, ...]:
    """Every name ``get_spec`` knows, the shipped default first."""
    return (DEFAULT_MODEL, *MODEL_SPECS)


def get_spec(name: str) -> ModelSpec:
    """The spec of a registered model; the default's is read from its folder.

    Raises:
        RequestError: unknown name.
        CheckpointError: the default model's folder is missing or damaged.
    """
    if name == DEFAULT_MODEL:
        return read_spec(DEFAULT_MODEL_FOLDER)
    if name not in MODEL_SPECS:
        near = nearest(name, model_names())
        raise RequestError(
            f"Unknown model {quoted(name)}{f'; did you mean {near!r}?' if near else '.'} "
            f"Known: {', '.join(model_names())}, or the path of a model's folder."
        )
    return MODEL_SPECS[name]


_FLAN_T5_XL = TextEncoderConfig(
    source=TEXT_ENCODER_REPOSITORY, revision=TEXT_ENCODER_REVISION, width=2048, max_length=512
)
_PATCHIFY_TOKENIZER = TokenizerConfig(bits=14, channel_multipliers=(1, 2, 4, 4), patchify=True)


def _hub_files(transformer: str, *tokenizer: str) -> HubFiles:
    return HubFiles(
        repository=HUB_REPOSITORY,
        revision=HUB_REVISION,
        transformer=transformer,
        tokenizer=tokenizer,
    )


def _released(
    name: str,
    title: str,
    *,
    shape: tuple[int, int, int],
    tokenizer: TokenizerConfig,
    pixel_budget: str,
    guidance: float,
    temperature: float,
    hub: HubFiles | None = None,
) -> ModelSpec:
    depth, width, num_heads = shape
    return ModelSpec(
        name=name,
        title=title,
        transformer=TransformerConfig(
            depth=depth,
            width=width,
            num_heads=num_heads,
            bits_per_token=tokenizer.bits_per_token,
        ),
        tokenizer=tokenizer,
        text_encoder=_FLAN_T5_XL,
        schedules=released_schedules(pixel_budget),
        sampling=SamplingParams(guidance=guidance, temperature=temperature, top_k=900, top_p=0.97),
        hub=hub,
    )


def _configuration(size: str, bits: int, depth: int, width: int, num_heads: int) -> ModelSpec:
    """One of the paper's sizes (table 2) without released weights; the paper's sampling."""
    return _released(
        f"infinity-{size.lower()}",
        f"Infinity {size}, 1024x1024 (configuration, no weights)",
        shape=(depth, width, num_heads),
        tokenizer=TokenizerConfig(bits=bits),
        pixel_budget="1M",
        guidance=4.0,
        temperature=1.0,
    )


_SPECS = (
    _released(
        "infinity-2b",
        "Infinity 2B, 1024x1024",
        shape=(32, 2048, 16),
        tokenizer=TokenizerConfig(bits=32),
        pixel_budget="1M",
        guidance=4.0,
        temperature=0.5,
        hub=_hub_files(
            "infinity_2b_reg.pth", "infinity_vae_d32reg.pth", "infinity_vae_d32_reg.pth"
        ),
    ),
    _released(
        "infinity-8b",
        "Infinity 8B, 1024x1024",
        shape=(40, 3584, 28),
        tokenizer=_PATCHIFY_TOKENIZER,
        pixel_budget="1M",
        guidance=3.0,
        temperature=1.0,
        hub=_hub_files("infinity_8b_weights/", "infinity_vae_d56_f8_14_patchify.pth"),
    ),
    _released(
        "infinity-8b-512",
        "Infinity 8B, 512x512",
        shape=(40, 3584, 28),
        tokenizer=_PATCHIFY_TOKENIZER,
        pixel_budget="0.25M",
        guidance=3.0,
        temperature=1.0,
        hub=_hub_files("infinity_8b_512x512_weights/", "infinity_vae_d56_f8_14_patchify.pth"),
    ),
    _released(
        "infinity-125m",
        "Infinity 125M, 256x256",
        shape=(12, 768, 8),
        tokenizer=TokenizerConfig(bits=16),
        pixel_budget="0.06M",
        guidance=4.0,
        temperature=1.0,
        hub=_hub_files("infinity_125M_256x256.pth", "infinity_vae_d16.pth"),
    ),
    _configuration("361M", 16, 16, 1152, 12),
    _configuration("940M", 32, 24, 1536, 16),
    _configuration("2.2B", 32, 32, 2080, 20),
    _configuration("4.7B", 32, 40, 2688, 24),
    _configuration("8.8B", 32, 48, 3360, 28),
    _configuration("20B", 32, 58, 4608, 36),
)
MODEL_SPECS: dict[str, ModelSpec] = {spec.name: spec for spec in _SPECS}
"""Everything but the shipped default, whose spec lives in its folder: use ``get_spec``."""
