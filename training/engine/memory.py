"""What a run needs each process to hold and to send, computed before anything is loaded.

Parameters are counted on modules that hold no numbers. Kept for each that is trained: float32 weight
and gradient, the optimizer's moments, and the average, where there is one. Beside them, while a step
runs: weights gathered or copied for the products, and activations, of which activation
checkpointing keeps the blocks' inputs and computes the rest again, one block at a time. Sent: each
gathered weight twice a micro-batch (forward and backward), each gradient once.

Legend: L tokens of all scales, T of the text, C width, F feed-forward width.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks

from infinity.checkpoints.fit import parameters_in, text_parameters
from infinity.config import TokenizerConfig, TransformerConfig
from infinity.devices import DTYPES
from infinity.model.transformer import InfinityTransformer
from infinity.schedule import ScaleSchedule
from infinity.tokenizer.tokenizer import Tokenizer
from training.config.checks import model_spec
from training.config.sections import LoraSettings
from training.config.settings import TrainingConfig
from training.data.records import Batch
from training.data.shards import is_prepared
from training.engine.optimization import muon_weights
from training.finetune.lora import add_lora
from training.steps import networks
from training.steps.build import freeze
from training.steps.step import DISCRIMINATOR, MODEL
from training.steps.tokenizer_step import TokenizerStep
from training.text_encoder import build_encoder

GB = 1e9
FLOAT32, REDUCED = 4, 2
"""Bytes of a number: kept and reduced in float32, gathered and multiplied in bfloat16 or float16."""
OWN_BYTES = {"cuda": 1.5e9, "cpu": 1e9}
"""What a process takes without any model: the card's context and the allocator's gaps, or Python."""
WORKER_BYTES = 0.3e9
"""Of a process that loads pictures, in a CPU's memory."""
MAPS_AT_ONCE = 4
"""Feature maps alive together while the frozen tokenizer encodes pictures."""
MODULES_KEPT = 4
"""Shapes whose modules without numbers are kept, of those counted last."""


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What a process holds, in bytes, and sends and receives a step, in bytes.

    Attributes:
        state: its shards of the trained weights, their gradients, moments and averages.
        frozen: weights that are not trained.
        gathered: weights (and outside the blocks, gradients) that are whole, or copied in reduced
            precision, while a step runs.
        sample: activations of one sample, kept for the backward or of the block being computed.
        micro_batch: samples computed at once.
        process: everything else.
        inside: sent among the processes that share one copy: gathers and reduce-scatters.
        between: sent among copies: the all-reduce of gradients.
    """

    state: int
    frozen: int
    gathered: int
    sample: int
    micro_batch: int
    process: int
    inside: int
    between: int

    @property
    def activations(self) -> int:
        return self.micro_batch * self.sample

    @property
    def memory(self) -> int:
        return self.state + self.frozen + self.gathered + self.activations + self.process

    def __str__(self) -> str:
        parts = {
            "weights, gradients and moments": self.state,
            "frozen weights": self.frozen,
            "gathered or copied weights": self.gathered,
            f"activations of {self.micro_batch} at once": self.activations,
            "the process": self.process,
        }
        told = ", ".join(f"{name} {n / GB:.1f}" for name, n in parts.items() if n >= GB / 20)
        return f"{self.memory / GB:.1f} GB ({told})"


@dataclass(frozen=True)
class _Parts:
    """What is counted, without numbers in it.

    Attributes:
        modules: what is trained and saved, by name; a discriminator is not averaged.
        units: to shard and recompute by.
        frozen: bytes of the parts beside them.
        sample: bytes of a sample's activations.
    """

    modules: dict[str, nn.Module]
    units: list[nn.Module]
    frozen: int
    sample: int


def needs(config: TrainingConfig, processes: int = 1, device: str = "cuda") -> Needs:
    """Memory and communication of one process for one step; an upper estimate.

    Args:
        processes: over which the batch is shared equally.
        device: "cuda" or "cpu".
    """
    optimization, parallel = config.optimization, config.parallel
    share = max(1, optimization.batch_size // processes)
    micro = min(optimization.micro_batch_size or share, share)
    shards = {"none": 1, "full": processes, "hybrid": parallel.shard_size or 1}[parallel.shard]
    is_transformer = config.task == "transformer"
    parts = _transformer_parts(config, device) if is_transformer else _tokenizer_parts(config)
    own = {name: list(module.parameters()) for name, module in parts.modules.items()}
    everything = [p for parameters in own.values() for p in parameters]
    trained = [p for p in everything if p.requires_grad]
    discriminator = set(map(id, own.get(DISCRIMINATOR, ())))
    model = [p for p in trained if id(p) not in discriminator]
    total, blocks = _count(trained), sum(_count(unit.parameters()) for unit in parts.units)
    state = 4 * FLOAT32 * total
    if optimization.optimizer == "muon":  # which keeps one moment, not two
        state -= FLOAT32 * _count(muon_weights(parts.units, model).values())
    if optimization.ema_decay is not None:
        state += _bytes(model)
    block = max(_count(unit.parameters()) for unit in parts.units)
    outside = _count(everything) - blocks
    reduced = optimization.dtype != "float32"
    gathered_bytes = REDUCED if reduced else FLOAT32
    gathered = 0
    if processes > 1:
        gathered = 2 * gathered_bytes * block + 2 * FLOAT32 * (block + outside)
    elif reduced:  # autocast's copies, which are gone before the last gradient is there
        copies = REDUCED * _count(p for p in everything if p.dtype == torch.float32)
        gathered = copies if micro < share else max(0, copies - FLOAT32 * total)
    travelling = (shards - 1) / shards
    gathers = 2 * gathered_bytes * blocks + FLOAT32 * outside
    copies = processes // shards
    workers = config.data.workers_on(device) if device == "cpu" else 0
    return Needs(
        state=round(state / shards),
        frozen=round(_bytes(p for p in everything if not p.requires_grad) / shards) + parts.frozen,
        gathered=gathered,
        sample=parts.sample,
        micro_batch=micro,
        process=round(OWN_BYTES[device] + workers * WORKER_BYTES),
        inside=round(-(-share // micro) * travelling * (gathers + FLOAT32 * total)),
        between=round(2 * (copies - 1) / copies * FLOAT32 * total / shards),
    )


def _count(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() for tensor in tensors)


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _transformer_parts(config: TrainingConfig, device: str) -> _Parts:
    shape, encoder, data = config.transformer, config.text_encoder, config.data
    reduced = config.optimization.dtype != "float32"
    dtype = DTYPES.get(config.optimization.dtype, torch.float32)
    transformer = _transformer(shape, config.lora, dtype, config.freeze)
    tokenizer = _tokenizer(config.tokenizer.model)
    modules: dict[str, nn.Module] = {"transformer": transformer}
    units = list(transformer.blocks)
    schedule = max(config.schedules.values(), key=lambda schedule: schedule.total_tokens)
    tokens, length = schedule.total_tokens, encoder.max_length
    sample = block_bytes(shape, schedule, length, config.optimization.dtype, device)
    if config.optimization.activation_checkpointing:
        sample += shape.depth * tokens * shape.width * FLOAT32
    else:
        sample *= shape.depth
    sample += tokens * FLOAT32 * (3 * shape.width + 3 * 2 * shape.bits_per_token)  # of the head
    if data.sources and all(is_prepared(Path(source)) for source in data.sources):
        return _Parts(modules, units, 0, sample)
    frozen = _bytes(tokenizer.parameters())
    height, width = schedule.image_size(config.tokenizer.model.token_pixels)
    pixels = height * width // config.tokenizer.model.stem_patch**2
    encoding = MAPS_AT_ONCE * config.tokenizer.model.base_channels * pixels * FLOAT32
    if encoder.source is not None and not encoder.train:
        if (folder := Path(encoder.source)).is_dir():
            count = parameters_in(folder)
        else:
            count = text_parameters(model_spec(config, "settings", ""), Path())
        frozen += count * (REDUCED if reduced else FLOAT32)
    elif encoder.train:
        with torch.device("meta"):
            text = build_encoder(
                encoder.vocabulary, shape.text_width, encoder.layers, encoder.heads
            )
        modules["text_encoder"] = text
        units += list(text.encoder.block)
        layer = 16 * text.config.d_model + 6 * text.config.d_ff + 3 * encoder.heads * length
        sample += encoder.layers * length * layer * FLOAT32
    return _Parts(modules, units, frozen, max(sample, encoding))


@lru_cache(MODULES_KEPT)
def _transformer(
    shape: TransformerConfig,
    lora: LoraSettings | None,
    dtype: torch.dtype,
    frozen: tuple[str, ...],
) -> InfinityTransformer:
    """Without numbers, to be counted alone: the same one for each estimate while ways out are sought."""
    with torch.device("meta"):
        transformer = InfinityTransformer(shape)
        if lora is not None:
            add_lora(transformer, lora, 0, dtype)
        freeze(transformer, frozen)
    return transformer


@lru_cache(MODULES_KEPT)
def _tokenizer(shape: TokenizerConfig) -> Tokenizer:
    with torch.device("meta"):
        return Tokenizer(shape)


def block_bytes(
    config: TransformerConfig, schedule: ScaleSchedule, text: int, dtype: str, device: str
) -> int:
    """What a block keeps of a sample for its backward.

    A token, in widths C: its input and two more residual sums, two norms' inputs or outputs and two
    branches (float32); queries, keys and values as they come, and brought to length; outputs and
    queries of both attentions, inputs of all products; in widths F: before and after GELU. Fused
    attention keeps no scores; on a CPU they are kept.
    """
    narrow = FLOAT32 if dtype == "float32" else REDUCED
    tokens, width = schedule.total_tokens, config.width
    kept = tokens * width * (7 * FLOAT32 + 14 * narrow) + 3 * text * width * narrow
    kept += tokens * 2 * config.feed_forward_width * narrow
    if device == "cpu":
        ends = (schedule.span(index).stop for index in range(len(schedule)))
        seen = sum(scale.tokens * end for scale, end in zip(schedule, ends, strict=True))
        kept += config.num_heads * (seen + tokens * text) * narrow
    return kept


def _tokenizer_parts(config: TrainingConfig) -> _Parts:
    """Counted on the step itself, run on tensors without numbers, in float32: autocast saves nothing
    where norms are computed in float32."""
    losses = config.tokenizer_losses
    ratio = max(config.schedules, key=lambda ratio: config.schedules[ratio].total_tokens)
    whole = {"scale_dropout": 0.0, "scale_prefixes": 0.0, "adversarial_start": 0}
    counted = config.model_copy(
        update={
            "optimization": config.optimization.model_copy(update={"dtype": "float32"}),
            "tokenizer_losses": losses.model_copy(update=whole),
        }
    )
    inputs: list[tuple[nn.Module, Tensor]] = []
    with FakeTensorMode():
        perceptual = discriminator = None
        if losses.perceptual:
            widths = networks.VGG_STAGES if losses.perceptual_weights else networks.RANDOM_STAGES
            perceptual = networks.PerceptualDistance(widths)
        if losses.adversarial:
            sides = [min(config.image_size(ratio)) for ratio in config.schedules]
            discriminator = networks.PatchDiscriminator(min(sides))
        tokenizer = Tokenizer(config.tokenizer.model)
        freeze(tokenizer, config.freeze)
        step = TokenizerStep(counted, tokenizer, perceptual, discriminator)
        modules, units = dict(step.modules.items()), step.blocks()
        for unit in units:
            unit.register_forward_pre_hook(lambda unit, given: inputs.append((unit, given[0])))
        picture = torch.zeros(1, 3, *config.image_size(ratio), dtype=torch.uint8)
        batch = Batch(
            step=0, aspect_ratio=ratio, captions=("",), keys=("",), positions=(0,), pictures_u8=picture
        )  # fmt: skip
        own = [*step.modules.parameters(), *step.frozen.parameters()]
        sample = saved_bytes(lambda: step.loss(MODEL, batch, [torch.Generator()], 0), own)
        if config.optimization.activation_checkpointing:
            kept = [saved_bytes(partial(unit, given), own) for unit, given in tuple(inputs)]
            sample += max(kept) - sum(kept) + _bytes(given for _, given in inputs[: len(units)])
    return _Parts(modules, units, _bytes(step.frozen.parameters()), sample)


def saved_bytes(work: Callable[[], object], but: Iterable[Tensor] = ()) -> int:
    """What ``work`` keeps for its backward, besides the tensors ``but``."""
    given = {tensor.untyped_storage()._cdata for tensor in but}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        result = work()
    del result
    return sum(storage.nbytes() for place, storage in kept.items() if place not in given)
