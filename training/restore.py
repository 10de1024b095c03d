"""Published weights back into checkpoints, so that a finished model can be trained on.

A model folder has the averaged weights in half precision and no optimizer's state: the optimizers
begin anew, with a warm-up of their own.
"""

from __future__ import annotations

from pathlib import Path

import torch

from infinity.checkpoints.save import save_tokenizer
from infinity.errors import CheckpointError
from infinity.model.transformer import InfinityTransformer
from infinity.pipeline import InfinityPipeline
from infinity.t5 import load_encoder
from infinity.tokenizer.tokenizer import Tokenizer
from training.run import CHECKPOINT, Run
from training.sharpen import start_of
from training.text_encoder import read_tokenizer
from training.train_tokenizer import TokenizerTraining
from training.train_tokenizer import build_optimizers as tokenizer_optimizers
from training.train_transformer import TransformerTraining
from training.train_transformer import build_optimizers as transformer_optimizers


def restore(
    pipeline: InfinityPipeline,
    runs: Path,
    tokenizer_training: TokenizerTraining,
    transformer_training: TransformerTraining,
    steps: int,
) -> None:
    """Write checkpoints of a model's parts.

    Args:
        pipeline: the model, in float32, with a text encoder of its own folder.
        runs: the recipe's folder of runs.
        steps: how many the transformer's weights had; its run goes on from there.

    Raises:
        CheckpointError: one of the runs has begun already.
    """
    for folder in (runs / "tokenizer", runs / "transformer"):
        if (folder / CHECKPOINT).exists():
            raise CheckpointError(f"{folder} has a checkpoint already; move it away to start anew.")
    _restore_tokenizer(pipeline.tokenizer, runs, tokenizer_training)
    texts = pipeline.text_encoder.folder
    read_tokenizer(texts).save_pretrained(runs / "text_tokenizer")
    transformer = InfinityTransformer(transformer_training.model)
    transformer.load_state_dict(pipeline.transformer.state_dict())
    text_model = load_encoder(texts, torch.device("cpu"), torch.float32).requires_grad_(True)
    optimizers = transformer_optimizers(transformer_training, transformer, text_model)
    weights = [transformer.state_dict(), text_model.state_dict()]
    Run(runs / "transformer", transformer_training).save(
        {
            "step": steps,
            "begun": steps,
            "transformer": weights[0],
            "text_encoder": weights[1],
            "averages": weights,
            "optimizers": [optimizer.state_dict() for optimizer in optimizers],
        }
    )


def _restore_tokenizer(whole: Tokenizer, runs: Path, config: TokenizerTraining) -> None:
    """As the run that made its codes, and as the start of another sharpening."""
    tokenizer = Tokenizer(config.model)
    state = whole.state_dict()
    tokenizer.load_state_dict({name: state[name] for name in tokenizer.state_dict()})
    Run(runs / "tokenizer", config).save(
        {
            "step": config.steps,
            "model": tokenizer.state_dict(),
            "optimizers": [o.state_dict() for o in tokenizer_optimizers(tokenizer, config)],
        }
    )
    save_tokenizer(start_of(runs / "decoder"), whole.config, whole)
