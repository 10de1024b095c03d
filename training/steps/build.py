"""The step that a run's settings ask for, with the weights it starts from, on the CPU."""

import fnmatch
from dataclasses import replace
from itertools import islice
from pathlib import Path

import torch
from torch import nn

from infinity.checkpoints.load import LoadedModel, load_model, load_tokenizer
from infinity.checks import Checked
from infinity.config import TokenizerConfig
from infinity.devices import DTYPES
from infinity.errors import CheckpointError
from infinity.model.transformer import InfinityTransformer
from infinity.tokenizer.autoencoder import ResidualBlock
from infinity.tokenizer.tokenizer import Tokenizer
from training.config.settings import TrainingConfig
from training.finetune.lora import add_lora
from training.steps.captions import load_captions, needs_captions
from training.steps.networks import PatchDiscriminator, random_network, trained_network
from training.steps.step import Step
from training.steps.tokenizer_step import TokenizerStep
from training.steps.transformer_step import TransformerStep


def build_step(config: TrainingConfig) -> Step:
    """The same weights on every process: from files, or drawn with the run's seed.

    Raises:
        InfinityError: missing, damaged or unfitting files; a pattern that freezes nothing.
    """
    if config.task == "tokenizer":
        return _tokenizer_step(config)
    start = starting_model(config)
    if start is None:
        transformer = InfinityTransformer(config.transformer)
        transformer.init_weights(torch.Generator().manual_seed(config.seed))
    else:
        _require_equal("model", start.spec.transformer, config.transformer)
        transformer = start.transformer
    transformer.requires_grad_(True)
    if config.lora is not None:
        dtype = DTYPES.get(config.optimization.dtype, torch.float32)
        add_lora(transformer, config.lora, config.seed, dtype)
    freeze(transformer, config.freeze)
    captions = load_captions(config) if needs_captions(config) else None
    step = TransformerStep(config, transformer, tokenizer_of(config, start), captions)
    if config.lora is not None and start is not None:
        step.base = start.fingerprint
    return step


def _tokenizer_step(config: TrainingConfig) -> TokenizerStep:
    losses = config.tokenizer_losses
    if config.tokenizer.weights is None and config.start_from is None:
        with torch.random.fork_rng(devices=[]):  # the layers draw from the global source
            torch.manual_seed(config.seed)
            tokenizer = Tokenizer(config.tokenizer.model)
    else:
        tokenizer = tokenizer_of(config)
    tokenizer.requires_grad_(True)
    freeze(tokenizer, config.freeze)
    perceptual = discriminator = None
    if losses.perceptual:
        files = losses.perceptual_weights
        perceptual = trained_network(files) if files else random_network()
    if losses.adversarial:
        sides = [min(config.image_size(aspect_ratio)) for aspect_ratio in config.schedules]
        discriminator = PatchDiscriminator(min(sides))
        discriminator.init_weights(torch.Generator().manual_seed(config.seed))
    return TokenizerStep(config, tokenizer, perceptual, discriminator)


def freeze(module: nn.Module, patterns: tuple[str, ...]) -> None:
    """Takes the parameters whose names match a pattern, with * and ?, out of training.

    Raises:
        CheckpointError: a pattern matches no parameter.
    """
    for pattern in patterns:
        matching = [p for name, p in module.named_parameters() if fnmatch.fnmatch(name, pattern)]
        if not matching:
            example = next(name for name, _ in module.named_parameters())
            raise CheckpointError(
                f"freeze: no parameter is called {pattern!r}; names look like {example!r}."
            )
        for parameter in matching:
            parameter.requires_grad_(False)


def starting_model(config: TrainingConfig) -> LoadedModel | None:
    """What ``start_from`` names, float32 on the CPU; None where a run starts from nothing."""
    if config.start_from is None:
        return None
    beside = config.tokenizer.weights
    given = Path(beside) if beside is not None and Path(beside).is_file() else None
    return load_model(config.start_from, tokenizer=given)


def tokenizer_of(config: TrainingConfig, start: LoadedModel | None = None) -> Tokenizer:
    """Of ``tokenizer.weights``, else of the model the run starts from."""
    name, asked = config.tokenizer.weights or config.start_from, config.tokenizer.model
    assert name is not None, "settings without a tokenizer are refused before"
    if config.tokenizer.weights is None and start is not None:
        tokenizer = start.tokenizer
    else:
        tokenizer = load_tokenizer(name)
    if asked.refine_blocks > tokenizer.config.refine_blocks:
        tokenizer = _refined(tokenizer, asked, config.seed)
    found = replace(tokenizer.config, patchify=asked.patchify)  # which no weights tell
    _require_equal("tokenizer.model", found, asked)
    tokenizer.config = asked
    return tokenizer


def _require_equal(what: str, found: Checked, asked: Checked) -> None:
    theirs, ours = found.to_dict(), asked.to_dict()
    for name, value in theirs.items():
        if ours[name] != value:
            raise CheckpointError(
                f"{what}.{name} is {ours[name]!r}, but {value!r} in the weights the run starts "
                "from; set it to theirs or start from others."
            )


def _refined(tokenizer: Tokenizer, asked: TokenizerConfig, seed: int) -> Tokenizer:
    """Decodes to the same pictures, with a refinement, or more blocks of it, that learned nothing yet."""
    before = tokenizer.config.refine_blocks
    channels = tokenizer.config.refine_channels if before else asked.refine_channels
    config = replace(tokenizer.config, refine_blocks=asked.refine_blocks, refine_channels=channels)
    with torch.random.fork_rng(devices=[]):  # the layers draw from the global source
        torch.manual_seed(seed)
        result = Tokenizer(config)
    result.load_state_dict({**result.state_dict(), **tokenizer.state_dict()})
    refinement = result.decoder.refinement
    assert refinement is not None
    if before:
        for block in islice(refinement.blocks, before, None):
            assert isinstance(block, ResidualBlock)
            for parameter in block.conv2.parameters():
                nn.init.zeros_(parameter)
    return result
