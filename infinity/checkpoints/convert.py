"""Upstream's parameter names to ours. The only file that knows upstream's.

One table a module: upstream's name -> ours, ``*`` standing for weight and bias, ``{n}`` for
numbers, and einops patterns where the shapes differ: one for each kernel that upstream may have run
with. What upstream stores beyond parameters is on an explicit drop list; anything else that is unknown
is an error.
"""

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from einops import EinopsError, rearrange
from torch import Tensor

from infinity.errors import CheckpointError, quoted

Kind = Literal["transformer", "tokenizer"]

TRANSFORMER = {
    "cfg_uncond": "unconditional",
    "pos_start": "start | 1 1 C -> C",
    "text_norm.weight": "text_norm.weight",
    "text_proj_for_sos.ca.mat_q": "text_pooling.query | 1 P c -> P c",
    "text_proj_for_sos.ca.v_bias": "text_pooling.value_bias",
    "text_proj_for_sos.ca.mat_kv.weight": "text_pooling.key_value.weight",
    "text_proj_for_sos.ca.proj.*": "text_pooling.output.*",
    "text_proj_for_ca.0.*": "text_projection.up.*",
    "text_proj_for_ca.2.*": "text_projection.down.*",
    "lvl_embed.weight": "scale_embedding.weight",
    "word_embed.*": "token_embedding.*",
    "shared_ada_lin.1.*": "modulation.*",
    "head_nm.ada_lin.1.*": "head_modulation.*",
    "head.*": "head.*",
    "blocks.{n}.ada_gss": "blocks.{n}.modulation | 1 1 six C -> six C",
    "blocks.{n}.sa.scale_mul_1H11": "blocks.{n}.attention.log_scale | 1 H 1 1 -> H | 1 1 H 1 -> H",
    "blocks.{n}.sa.q_bias": "blocks.{n}.attention.query_bias",
    "blocks.{n}.sa.v_bias": "blocks.{n}.attention.value_bias",
    "blocks.{n}.sa.mat_qkv.weight": "blocks.{n}.attention.qkv.weight",
    "blocks.{n}.sa.proj.*": "blocks.{n}.attention.output.*",
    "blocks.{n}.ca.v_bias": "blocks.{n}.cross_attention.value_bias",
    "blocks.{n}.ca.mat_q.*": "blocks.{n}.cross_attention.query.*",
    "blocks.{n}.ca.mat_kv.weight": "blocks.{n}.cross_attention.key_value.weight",
    "blocks.{n}.ca.proj.*": "blocks.{n}.cross_attention.output.*",
    "blocks.{n}.ffn.fc1.*": "blocks.{n}.feed_forward.up.*",
    "blocks.{n}.ffn.fc2.*": "blocks.{n}.feed_forward.down.*",
    "blocks.{n}.ca_norm.*": "blocks.{n}.cross_norm.*",
}
_RESIDUAL_BLOCK = {
    "norm1.norm.*": "norm1.*",
    "conv1.conv.*": "conv1.*",
    "norm2.norm.*": "norm2.*",
    "conv2.conv.*": "conv2.*",
    "nin_shortcut.conv.*": "shortcut.*",
}
TOKENIZER = {
    **{
        f"{upstream}.{theirs}": f"{own}.{part}"
        for upstream, own in {
            "encoder.down.{n}.block.{n}": "encoder.levels.{n}.blocks.{n}",
            "encoder.mid.block_1": "encoder.middle.0",
            "encoder.mid.block_2": "encoder.middle.1",
            "decoder.mid.block_1": "decoder.middle.0",
            "decoder.mid.block_2": "decoder.middle.1",
            "decoder.up.{n}.block.{n}": "decoder.levels.{n}.blocks.{n}",
        }.items()
        for theirs, part in _RESIDUAL_BLOCK.items()
    },
    **{
        f"{side}.{layer}.*": f"{side}.{layer.split('.')[0]}.*"
        for side in ("encoder", "decoder")
        for layer in ("conv_in.conv", "norm_out.norm", "conv_out.conv")
    },
    "encoder.down.{n}.downsample.conv.conv.*": "encoder.levels.{n}.resample.conv.*",
    "decoder.up.{n}.upsample.conv.conv.*": "decoder.levels.{n}.resample.conv.*",
}

_WRAPPERS = re.compile(
    r"^((module|_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.)+"
    r"|_orig_mod\.|_fsdp_wrapped_module\.|_checkpoint_wrapped_module\."
)
_CHUNK = re.compile(r"^block_chunks\.(\d+)\.module\.(\d+)\.")
_DROPPED = {
    "transformer": re.compile(
        r"lvl_1L|attn_bias_for_masking|Infinity_visible_kvlen|Infinity_invisible_qlen"
        r"|(.+\.)?zero_k_bias"
    ),
    "tokenizer": re.compile(r"quantizer?\.lfq\.(mask|zero|codebook)"),
}
ROPE_MODES = {2: "nearest", 1: "bilinear", 0: "corner"}


@dataclass(frozen=True)
class _Rule:
    """One table line, compiled: a name that matches ``pattern`` becomes ``template``."""

    pattern: re.Pattern[str]
    template: str
    shapes: tuple[str, ...]

    def reshaped(self, tensor: Tensor) -> Tensor:
        """Raises EinopsError where no shape of the line is the tensor's."""
        *others, last = self.shapes or ("",)
        for shape in others:
            with suppress(EinopsError):
                return rearrange(tensor, shape)
        return rearrange(tensor, last) if last else tensor


def _rule(upstream: str, line: str) -> _Rule:
    """The extra ``.conv`` or ``.norm`` level of upstream's names is optional."""
    ours, *shapes = line.split(" | ")
    pattern = re.escape(upstream).replace(r"\{n\}", r"(\d+)").replace(r"\*", "(weight|bias)")
    pattern = re.sub(r"\\\.(conv|norm)\\\.\(weight", r"(?:\\.\1)?\\.(weight", pattern)
    template = ours.replace("{n}", "{}").replace("*", "{}")
    return _Rule(re.compile(pattern), template, tuple(shapes))


_RULES: dict[Kind, tuple[_Rule, ...]] = {
    "transformer": tuple(_rule(*entry) for entry in TRANSFORMER.items()),
    "tokenizer": tuple(_rule(*entry) for entry in TOKENIZER.items()),
}


def kind_of(names: Iterable[str]) -> Kind | None:
    """Whether upstream's names are a transformer's, a tokenizer's, or neither's."""
    plain = {_WRAPPERS.sub("", name) for name in names}
    if any(name.startswith(("encoder.conv_in.", "decoder.conv_in.")) for name in plain):
        return "tokenizer"
    return "transformer" if "word_embed.weight" in plain else None


def from_upstream(state: Mapping[str, Tensor], kind: Kind) -> dict[str, Tensor]:
    """Upstream's tensors under our names and in our shapes; views, nothing is copied. Raises
    CheckpointError for names or shapes that the format does not have, a key bias that is not zero."""
    per_chunk = len(_chunks(state).get(0, ()))
    converted: dict[str, Tensor] = {}
    unexpected: list[str] = []
    mis_shaped: list[str] = []
    for name, tensor in state.items():
        plain = _WRAPPERS.sub("", name)
        if match := _CHUNK.match(plain):
            number = int(match[1]) * per_chunk + int(match[2])
            plain = f"blocks.{number}.{plain[match.end() :]}"
        if _DROPPED[kind].fullmatch(plain):
            if plain.endswith("zero_k_bias") and not tensor.is_meta and tensor.count_nonzero():
                mis_shaped.append(f"{name}: found values, expected zeros")
            continue
        matches = ((rule, rule.pattern.fullmatch(plain)) for rule in _RULES[kind])
        rule, match = next(((rule, match) for rule, match in matches if match), (None, None))
        ours = rule.template.format(*match.groups()) if rule and match else ""
        if rule is None or ours in converted:
            unexpected.append(name)
            continue
        try:
            converted[ours] = rule.reshaped(tensor)
        except EinopsError:
            found = tuple(tensor.shape)
            mis_shaped.append(f"{name}: found {found}, expected {rule.shapes[0].split(' -> ')[0]}")
    if unexpected or mis_shaped:
        raise CheckpointError(
            f"This is not a {kind} of a kind known here: {len(unexpected)} unexpected tensors, "
            f"{len(mis_shaped)} of another shape or content (first: "
            f"{(unexpected + mis_shaped)[0]}); only the released architecture can be converted.",
        )
    return converted


def flags_from_args(args: Mapping[str, Any], depth: int, chunks: int) -> dict[str, Any]:
    """Settings that shapes do not show, from a training checkpoint's arguments: keyword arguments of
    TransformerConfig, upstream's released values where not given. Raises CheckpointError for an option
    that this package does not have."""
    if args.get("rope2d_each_sa_layer", 1) != 1:
        raise CheckpointError("The checkpoint uses no rotary positions; that is not supported.")
    mode = args.get("rope2d_normalized_by_hw", 2)
    if mode not in ROPE_MODES:
        raise CheckpointError(f"The checkpoint's rotary mode {quoted(mode)} is not 0, 1 or 2.")
    interval = 0
    if not args.get("add_lvl_embeding_only_first_block", 1):
        interval = depth // chunks if chunks > 1 else 1
    return {"rope": ROPE_MODES[mode], "level_embedding_interval": interval}


def count_chunks(names: Iterable[str]) -> int:
    """Upstream's block chunks, 1 where the blocks are not grouped. Raises CheckpointError where they
    differ in size."""
    return len(_chunks(names)) or 1


def count_blocks(names: Iterable[str]) -> int:
    """Blocks of a transformer, by our names."""
    numbers = {int(name.split(".")[1]) for name in names if name.startswith("blocks.")}
    return max(numbers, default=-1) + 1


def _chunks(names: Iterable[str]) -> dict[int, set[int]]:
    """Chunk -> its blocks. Raises CheckpointError where numbering the blocks would be a guess."""
    members: dict[int, set[int]] = {}
    for name in names:
        if match := _CHUNK.match(_WRAPPERS.sub("", name)):
            members.setdefault(int(match[1]), set()).add(int(match[2]))
    if len(set(map(len, members.values()))) > 1 or set(members) != set(range(len(members))):
        raise CheckpointError(
            "The checkpoint's chunks of blocks differ in size; it is incomplete, fetch it again."
        )
    return members
