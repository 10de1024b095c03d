"""The models this package knows by name: the shipped default, the released ones, the paper's sizes."""

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
_PATCHIFY = TokenizerConfig(bits=14, channel_multipliers=(1, 2, 4, 4), patchify=True)
_PATCHIFY_FILE = "infinity_vae_d56_f8_14_patchify.pth"
_SIDES = {"0.06M": 256, "0.25M": 512, "1M": 1024}


def _model(
    size: str,
    tokenizer: TokenizerConfig,
    shape: tuple[int, int, int],
    guidance: float = 4.0,
    temperature: float = 1.0,
    files: tuple[str, ...] = (),
    budget: str = "1M",
    suffix: str = "",
) -> ModelSpec:
    """A model of upstream's.

    Args:
        shape: depth, width, heads.
        files: the transformer and names of its tokenizer on the hub; none for the paper's sizes (table
            2) without released weights.
    """
    depth, width, num_heads = shape
    side = f"{_SIDES[budget]}x{_SIDES[budget]}"
    hub = HubFiles(
        repository=HUB_REPOSITORY,
        revision=HUB_REVISION,
        transformer=files[0],
        tokenizer=files[1:],
    ) if files else None  # fmt: skip
    return ModelSpec(
        name=f"infinity-{size.lower()}{suffix}",
        title=f"Infinity {size}, {side}{'' if files else ' (configuration, no weights)'}",
        transformer=TransformerConfig(
            depth=depth,
            width=width,
            num_heads=num_heads,
            bits_per_token=tokenizer.bits_per_token,
        ),
        tokenizer=tokenizer,
        text_encoder=_FLAN_T5_XL,
        schedules=released_schedules(budget),
        sampling=SamplingParams(guidance=guidance, temperature=temperature, top_k=900, top_p=0.97),
        hub=hub,
    )


_2B = ("infinity_2b_reg.pth", "infinity_vae_d32reg.pth", "infinity_vae_d32_reg.pth")
_8B = ("infinity_8b_weights/", _PATCHIFY_FILE)
_8B_512 = ("infinity_8b_512x512_weights/", _PATCHIFY_FILE)
_125M = ("infinity_125M_256x256.pth", "infinity_vae_d16.pth")
_SPECS = (
    _model("2B", TokenizerConfig(bits=32), (32, 2048, 16), 4.0, 0.5, _2B),
    _model("8B", _PATCHIFY, (40, 3584, 28), 3.0, 1.0, _8B),
    _model("8B", _PATCHIFY, (40, 3584, 28), 3.0, 1.0, _8B_512, "0.25M", "-512"),
    _model("125M", TokenizerConfig(bits=16), (12, 768, 8), 4.0, 1.0, _125M, "0.06M"),
    _model("361M", TokenizerConfig(bits=16), (16, 1152, 12)),
    _model("940M", TokenizerConfig(bits=32), (24, 1536, 16)),
    _model("2.2B", TokenizerConfig(bits=32), (32, 2080, 20)),
    _model("4.7B", TokenizerConfig(bits=32), (40, 2688, 24)),
    _model("8.8B", TokenizerConfig(bits=32), (48, 3360, 28)),
    _model("20B", TokenizerConfig(bits=32), (58, 4608, 36)),
)
MODEL_SPECS: dict[str, ModelSpec] = {spec.name: spec for spec in _SPECS}
"""Everything but the shipped default, whose spec lives in its folder: use ``get_spec``."""
