"""Make a model of a training run: ``python -m training.export RUN``.

The folder it writes is what ``app.py --model FOLDER`` and ``python -m infinity generate --model
FOLDER`` load. A run with ``lora`` gives an adapter for ``--adapter FOLDER``, or with ``--merge`` a
whole model. A tokenizer's run gives a folder for ``tokenizer.weights``, or, where the encoder was
frozen, with ``--model NAME`` that model with the new decoder.
"""

import argparse
import logging
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from infinity.checkpoints.adapter import merge_adapter, read_adapter
from infinity.checkpoints.load import LoadedModel, own_folder
from infinity.checkpoints.save import (
    SHARD_BYTES,
    TEXT_ENCODER_FOLDER,
    save_model,
    save_tokenizer,
)
from infinity.console import home_path, log_to_terminal
from infinity.devices import DTYPES
from infinity.errors import CheckpointError, InfinityError
from infinity.files import disk_errors
from infinity.model.transformer import InfinityTransformer
from infinity.spec import ModelSpec, read_spec
from infinity.tokenizer.tokenizer import Tokenizer
from infinity.weights import check_fit, read_own_part
from infinity.world.vocabulary import Vocabulary
from training.config.checks import model_spec
from training.config.load import CONFIG, load_config
from training.config.settings import TrainingConfig
from training.config.sources import settings_of
from training.engine.checkpoints import read_facts, read_state
from training.engine.journal import CURVES, read_metrics
from training.engine.model_card import model_card
from training.finetune.lora import require_base, save_adapter
from training.steps.build import starting_model, tokenizer_of
from training.steps.captions import load_captions
from training.world.captions import world_vocabulary

logger = logging.getLogger(__name__)

CARD = "README.md"
NOTICES = ("ATTRIBUTION*", "LICENSE*", "LICENCE*", "NOTICE*")


def export(
    run: str | Path,
    output: str | Path | None = None,
    *,
    name: str | None = None,
    title: str | None = None,
    step: int | None = None,
    ema: bool | None = None,
    merge: bool = False,
    dtype: torch.dtype | None = None,
    int8: bool = False,
    model: str | Path | None = None,
    shard_bytes: int = SHARD_BYTES,
) -> Path:
    """Write a run's model, adapter or tokenizer with a model card; returns its folder.

    Args:
        run: the folder that training wrote.
        output: new folder, or one of an earlier export; None: ``exported`` inside the run.
        name: of the model; None: the run's folder's.
        title: what people read; None: the name.
        step: of the checkpoint; None: the newest.
        ema: averaged weights; None: where the run keeps them.
        merge: of a run with ``lora``, write a whole model.
        dtype: of the transformer's weights and a trained text encoder's; None: the precision the
            run computed in.
        int8: the picture tokenizer's large weights as int8.
        model: of a tokenizer's run that left the encoder as it was, the model, by name or folder, to
            write with the run's decoder. Its bits, and so what it draws, stay the same.
        shard_bytes: most bytes a file of a whole model's weights.

    Raises:
        CheckpointError: no run, no checkpoint, or the folder holds something else; ``model`` is not in
            this package's format, or its bits mean other pictures than the run's.
        ResourceError: the folder cannot be written.
    """
    run = Path(run)
    if not (run / CONFIG).is_file():
        raise CheckpointError(f"{run} is not a run's folder; give the output folder of a training.")
    config = load_config(run / CONFIG, overrides={"output": str(run)})
    folder = run / "exported" if output is None else Path(output)
    averaged = config.optimization.ema_decay is not None if ema is None else ema
    facts = read_facts(run, step)
    modules = read_state(run, ema=averaged, step=facts["step"])
    part, state, words = config.task, modules[config.task], ""
    label = re.sub(r"[^\w.-]+", "-", name or run.resolve().name)
    if config.lora is None:
        with torch.device("meta"):
            empty = (
                Tokenizer(config.tokenizer.model)
                if part == "tokenizer"
                else InfinityTransformer(config.transformer)
            )
        check_fit(empty.state_dict(), part, state, folder)
    use = (
        f"python app.py --model {folder}\n"
        f'python -m infinity generate "your prompt" --model {folder}'
    )
    if model is not None:
        spec, transformer, texts = _model_of(model, config, state)
        spec = replace(spec, name=label, title=title or spec.title)
        save_model(folder, spec, transformer, state, texts, shard_bytes=shard_bytes, int8=int8)
    elif part == "tokenizer":
        save_tokenizer(folder, config.tokenizer.model, state, int8=int8)
        use = f"python -m training.train run.json --tokenizer.weights {folder}"
    elif config.lora is not None and not merge:
        save_adapter(folder, config.lora, state, config.start_from or "")
        use = f"python app.py --model {config.start_from} --adapter {folder}"
    else:
        start = None
        if config.lora is not None or config.tokenizer.weights is None:
            start = starting_model(config)
        vocabulary, words = known_words(config)
        if dtype is None:
            dtype = DTYPES.get(config.optimization.dtype, torch.float32)
        with tempfile.TemporaryDirectory() as place:
            save_model(
                folder,
                replace(model_spec(config, label, title or label), vocabulary=vocabulary),
                state if config.lora is None else _merged(config, start, state, facts["base"]),
                tokenizer_of(config, start),
                _text_encoder(config, modules.get("text_encoder"), Path(place), dtype),
                dtype=dtype,
                shard_bytes=shard_bytes,
                int8=int8,
            )
    card = model_card(config, label, facts["step"], read_metrics(run), use, words)
    with disk_errors(folder):
        if config.lora is None or merge:
            copy_notices(config, folder)
        (folder / CARD).write_text(card, encoding="utf-8", errors="backslashreplace")
        if (run / CURVES).is_file():
            shutil.copyfile(run / CURVES, folder / CURVES)
    return folder


def _model_of(
    name: str | Path, config: TrainingConfig, tokenizer: Mapping[str, Tensor]
) -> tuple[ModelSpec, Mapping[str, Tensor], Path | None]:
    """A model's spec with the run's tokenizer, its transformer's weights as they are kept, and its text
    encoder's folder, None on the hub.

    Raises:
        CheckpointError: as ``export``.
    """
    if config.task != "tokenizer":
        raise CheckpointError("--model is for a tokenizer's run; leave it out.")
    folder = own_folder(name)
    if folder is None:
        raise CheckpointError(
            f"{name} is not in this package's format; make it so: python -m infinity convert {name}"
        )
    theirs = read_own_part(folder, "tokenizer").tensors
    encoder = {key: tensor for key, tensor in tokenizer.items() if key.startswith("encoder.")}
    if not all(
        key in theirs and torch.equal(tensor, theirs[key].float())
        for key, tensor in encoder.items()
    ):
        raise CheckpointError(
            f"The run's encoder is not that of {name}, so its bits mean other pictures; train with "
            f"tokenizer.weights {name} and freeze encoder.*"
        )
    texts = folder / TEXT_ENCODER_FOLDER
    spec = replace(read_spec(folder), tokenizer=config.tokenizer.model)
    return spec, read_own_part(folder, "transformer").tensors, texts if texts.is_dir() else None


def _merged(
    config: TrainingConfig,
    start: LoadedModel | None,
    state: Mapping[str, Tensor],
    base: str | None,
) -> Mapping[str, Tensor]:
    """The weights the run started from, with the adapter in ``state`` merged into them.

    Raises:
        CheckpointError: their fingerprint is not ``base``, on which the adapter was trained.
    """
    assert start is not None and config.lora is not None
    require_base(base, start.fingerprint, config)
    with tempfile.TemporaryDirectory() as place:
        save_adapter(place, config.lora, state, config.start_from or "")
        merge_adapter(start.transformer, read_adapter(place))
    return start.transformer.state_dict()


def known_words(config: TrainingConfig) -> tuple[Vocabulary | None, str]:
    """The words (world.json) of the emoji world, or of the model a run started from, and what the model
    card says of them.

    These stay true while that model's own text encoder reads the prompts as before. One that was
    trained along, or another one, may know other words, so none are claimed.
    """
    if config.data.format == "world" and config.text_encoder.train:
        return world_vocabulary(), "those of the emoji world (world.json)"
    folder = None if config.start_from is None else own_folder(config.start_from)
    vocabulary = None if folder is None else read_spec(folder).vocabulary
    if vocabulary is None or config.start_from is None:
        return None, ""
    own = settings_of(config.start_from)["text_encoder"]["source"]
    if config.text_encoder.train or config.text_encoder.source != own:
        return None, f"not listed: its text encoder is not that of {config.start_from} any more"
    return (
        vocabulary,
        f"those of {config.start_from} (world.json); what it learned since is not listed",
    )


def copy_notices(config: TrainingConfig, folder: Path) -> None:
    """Licences and attributions of the models that weights were taken from stay with the weights."""
    origins = [own_folder(name) for name in (config.start_from, config.tokenizer.weights) if name]
    if config.data.format == "world":
        origins.append(Path(__file__).parent / "world")  # of the art
    for origin in filter(None, origins):
        for pattern in NOTICES:
            for notice in sorted(origin.glob(pattern)):
                shutil.copyfile(notice, folder / notice.name)


def _text_encoder(
    config: TrainingConfig, state: Mapping[str, Tensor] | None, place: Path, dtype: torch.dtype
) -> Path | None:
    """The folder to copy along: of trained weights, or of a frozen local one; None on the hub."""
    if state is not None:
        captions = load_captions(config)
        captions.model.load_state_dict(state)
        captions.model.to(dtype).save_pretrained(place)  # type: ignore[arg-type]
        captions.tokenizer.save_pretrained(place)
        return place
    source = config.text_encoder.source
    return Path(source) if source is not None and Path(source).is_dir() else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0, or 2 after an error, told in one sentence."""
    parser = argparse.ArgumentParser(prog="python -m training.export", description=__doc__)
    add = parser.add_argument
    add("run", type=home_path, help="the output folder of a training")
    add("-o", "--output", type=home_path, help="new folder (default: RUN/exported)")
    add("--name", help="of the model (default: the run's)")
    add("--step", type=int, help="of the checkpoint (default: the newest)")
    average = "averaged weights (default: where the run keeps them)"
    add("--ema", action=argparse.BooleanOptionalAction, help=average)
    add("--merge", action="store_true", help="of a lora run: a whole model")
    add("--dtype", choices=sorted(DTYPES), help="default: the run's precision")
    small = "the picture tokenizer's large weights in half the bytes"
    add("--int8", action="store_true", help=small)
    whole = "of a tokenizer's run with a frozen encoder: this model, by name or folder, with its decoder"
    add("--model", type=home_path, metavar="NAME", help=whole)
    options = vars(parser.parse_args(arguments))
    options["dtype"] = DTYPES.get(options["dtype"])
    log_to_terminal(form="%(levelname)s %(message)s")
    try:
        folder = export(**options)
    except InfinityError as error:
        logger.error("%s", error)
        return 2
    sys.stdout.write(f"{folder}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
