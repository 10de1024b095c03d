"""The training loop of every task: one optimizer's step after another, until done, killed or wrong.

A step's batch and all its draws are functions of (data, seed, step), so a run continued from a
checkpoint, on as many processes as there are then, goes on as if it had never stopped.
"""

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from infinity.errors import RequestError
from training.config.load import prepare_run_folder
from training.config.settings import TrainingConfig
from training.data.batches import HeldOut, batches
from training.data.records import Batch
from training.engine.checkpoints import Checkpoints
from training.engine.fit import fitted
from training.engine.journal import Journal
from training.engine.optimization import Average, Optimizer
from training.engine.parallelize import gather_anew, parallelize, set_gradient_sync
from training.engine.processes import Clock, Processes, open_processes
from training.engine.validation import DivergenceError, Guard, draw_samples, reduced, validate
from training.finetune.lora import require_base
from training.steps.build import build_step
from training.steps.step import MODEL, Metrics, Step, added_metrics

logger = logging.getLogger(__name__)

OpenBatches = Callable[..., Iterator[Batch]]
OpenHeldOut = Callable[..., Iterable[tuple[Batch, bool]]]


def train(config: TrainingConfig) -> None:
    """Train, or continue, the run in ``config.output``; under torchrun, together.

    Raises:
        InfinityError: the settings, the data or the folder do not allow it; the loss diverged.
    """
    if not config.data.sources:
        raise RequestError("data.sources is missing; name the pictures to train on.")
    run(config, build_step, batches)


def run(
    config: TrainingConfig,
    build: Callable[[TrainingConfig], Step],
    open_batches: OpenBatches,
    open_held_out: OpenHeldOut = HeldOut,
) -> None:
    """``train`` with the task and the data given."""
    with open_processes() as processes:
        fitting = processes.on_first(lambda: fitted(config, processes))
        processes.on_first(lambda: prepare_run_folder(config))
        Trainer(fitting, processes, build(fitting)).run(open_batches, open_held_out)


class Trainer:
    """One run on this process.

    Args:
        step: with the same weights on every process.
    """

    def __init__(self, config: TrainingConfig, processes: Processes, step: Step) -> None:
        self.config, self.processes, self.step = config, processes, step
        optimization = config.optimization
        if optimization.batch_size % processes.world_size:
            raise RequestError(
                f"A batch of {optimization.batch_size} does not divide among "
                f"{processes.world_size} processes; change optimization.batch_size."
            )
        self.whole = parallelize(step, optimization, config.parallel, processes)
        is_scaled = optimization.dtype == "float16"
        self.scaler = torch.amp.GradScaler(processes.device.type, enabled=is_scaled)
        self.optimizers = {
            phase: Optimizer(optimization, step, phase, self.scaler) for phase in step.phases
        }
        self.average = None
        if optimization.ema_decay is not None:
            trained = [p for module in step.trained.values() for p in module.parameters()]
            averaged = dict.fromkeys(p for p in trained if p.requires_grad)
            self.average = Average(averaged, optimization.ema_decay)
        self.guard = Guard()
        self.checkpoints = Checkpoints(config.output, processes, config.logging.keep)

    def run(self, open_batches: OpenBatches, open_held_out: OpenHeldOut = HeldOut) -> None:
        """All steps that are left. However it ends, the last save is on the disk or was told of."""
        settings, processes = self.config.logging, self.processes
        done, steps = self._resume(), self.config.optimization.steps
        if done >= steps:
            logger.info("%s is finished: %d steps", self.config.output, done)
            return
        journal = Journal(self.config, done) if processes.is_first else None
        place = {"rank": processes.rank, "world_size": processes.world_size}
        data = open_batches(self.config, start_step=done, **place)
        validates = self.config.data.held_out or self.config.data.held_out_sources
        held_out = open_held_out(self.config, **place) if validates else None
        pictures = settings.sample_every and self.config.task == "tokenizer"
        shown = next(open_batches(self.config)) if pictures else None
        clock = Clock(self.config.optimization.batch_size, processes.device)
        with (
            closing(self.checkpoints),
            logging_redirect_tqdm(),
            tqdm(total=steps, initial=done, desc="training", disable=journal is None) as bar,
        ):
            for batch in data:
                metrics = self.train_step(batch, done)
                done += 1
                bar.update()
                last = done == steps
                if done % settings.log_every == 0 or last:
                    line = {**reduced(metrics, processes), **clock.read(done)}
                    bar.set_postfix(loss=f"{line['loss']:.4f}", refresh=False)
                    if journal is not None:
                        journal.write(done, line)
                if held_out is not None and (done % settings.validate_every == 0 or last):
                    with self._exported_weights():
                        line = validate(self.whole, self.step, held_out, processes)
                    if journal is not None:
                        journal.write(done, line)
                if settings.sample_every and (done % settings.sample_every == 0 or last):
                    draw = partial(draw_samples, self.config, self.step, shown)
                    with self._exported_weights():
                        names, images = self.whole(draw)
                    if journal is not None and images:
                        journal.show(done, names, images)
                if done % settings.save_every == 0 or last:
                    self.save(done)
                    if journal is not None:
                        journal.draw(last)
            self.checkpoints.wait()
        if journal is not None:
            journal.close()

    def train_step(self, batch: Batch, step: int) -> Metrics:
        """Losses, gradients and updates of one step; this process's part of its metrics.

        Raises:
            DivergenceError: on all processes, before any weight is changed.
            ResourceError: a checkpoint could not be written.
        """
        parts: list[Metrics] = []
        for phase in self.step.phases_at(step):
            optimizer = self.optimizers[phase]
            loss, metrics = self._accumulate(phase, batch, step)
            norm = optimizer.clip()
            self._check(phase, batch, step, loss, norm)
            rate = optimizer.step(step)
            for each in self.optimizers.values():
                each.zero_grad()
            prefix = "" if phase == MODEL else f"{phase}_"
            share = loss.new_tensor(1.0 / self.processes.world_size)
            told = {f"{prefix}loss": loss, f"{prefix}gradient_norm": norm, "learning_rate": rate}
            pairs = {name: torch.stack((value * share, share)) for name, value in told.items()}
            parts.append({**metrics, **pairs})
        if self.scaler.is_enabled():
            self.scaler.update()
        if self.average is not None:
            self.average.update(step)
        return added_metrics(parts)

    def save(self, done: int) -> None:
        """Start to write a checkpoint of the state after ``done`` steps."""
        facts = {
            "step": done,
            "world_size": self.processes.world_size,
            "guard": vars(self.guard),
            "scaler": self.scaler.state_dict(),
            "base": self.step.base,
            "torch": torch.__version__,
            "config": self.config.model_dump(mode="json"),
        }
        self.checkpoints.save(done, self.state(), facts)

    def _resume(self) -> int:
        facts = self.checkpoints.load(self.state())
        if facts is None:
            return 0
        require_base(facts["base"], self.step.base, self.config)
        self.guard = Guard(**facts["guard"])
        if facts["scaler"]:
            self.scaler.load_state_dict(facts["scaler"])
        logger.info("continuing %s at step %d", self.config.output, facts["step"])
        return facts["step"]

    def state(self) -> dict[str, dict[str, Any]]:
        """The run's own tensors, sharded as they are: read to save, written into to load.

        Entries "model" (an adapter alone, where there is one), "optimizer" (phase -> parameter ->
        moments) and, where kept, "average". A tied parameter has all its names in "model" and
        "average", and its first in "optimizer".
        """
        every = dict(self.whole.named_parameters(remove_duplicate=False))
        names = {parameter: name for name, parameter in self.whole.named_parameters()}
        model = self.whole.state_dict()
        if self.config.lora is not None:
            model = {name: model[name] for name, p in every.items() if p.requires_grad}
        moments = {
            phase: {names[parameter]: its for parameter, its in optimizer.state().items()}
            for phase, optimizer in self.optimizers.items()
        }
        state = {"model": model, "optimizer": moments}
        if self.average is not None:
            kept = self.average.tensors
            state["average"] = {name: kept[p] for name, p in every.items() if p in kept}
        return state

    def _accumulate(self, phase: str, batch: Batch, step: int) -> tuple[Tensor, Metrics]:
        """Gradients of the whole global batch; its loss, float64, and this process's metrics."""
        settings, world_size = self.config.optimization, self.processes.world_size
        size = settings.micro_batch_size or len(batch)
        total = torch.zeros((), dtype=torch.float64, device=self.processes.device)
        parts: list[Metrics] = []
        for start in range(0, len(batch), size):
            part = batch.slice(start, min(start + size, len(batch)))
            set_gradient_sync(self.whole, self.config.parallel.shard, start + size >= len(batch))
            generators = sample_generators(self.config.seed, step, phase, part.positions)
            result = self.whole(partial(self.step.loss, phase, part, generators, step))
            share = len(part) / settings.batch_size
            # Processes are averaged, so each counts for as many as there are.
            self.scaler.scale(result.loss * (share * world_size)).backward()
            total += result.loss.detach().double() * share
            parts.append(result.metrics)
        return total, added_metrics(parts)

    def _check(self, phase: str, batch: Batch, step: int, loss: Tensor, norm: float) -> None:
        """Add up the loss over the processes, in place, and stop together if it is bad."""
        told = torch.stack((loss, loss.new_tensor(float(self.checkpoints.failed))))
        value, failed = self.processes.total(told).tolist()
        loss.fill_(value)
        if failed:
            self.checkpoints.wait()
        scaled, watched = self.scaler.is_enabled(), phase == MODEL
        reason = self.guard.reason(step, value, norm, scaled=scaled, watched=watched)
        if reason is not None:
            logger.error("The samples of step %d: %s", step, ", ".join(batch.keys))
            raise DivergenceError(
                f"Stopped at step {step}: {reason}. Earlier checkpoints are intact. Look at the step's "
                "pictures and captions, or go on with a lower optimization.learning_rate or "
                "optimization.clip."
            )

    @contextmanager
    def _exported_weights(self) -> Iterator[None]:
        """With the averaged weights, where they are kept, for drawing and testing alone."""
        if self.average is not None:
            self.average.swap()
        yield
        gather_anew(self.whole)
        if self.average is not None:
            self.average.swap()


def sample_generators(
    seed: int, step: int, phase: str, positions: Sequence[int]
) -> list[torch.Generator]:
    """A random source for each sample of a step, whatever process or slice it is in."""
    names = [f"{seed}/{step}/{phase}/{position}" for position in positions]
    digests = [hashlib.blake2b(name.encode(), digest_size=7).digest() for name in names]
    return [torch.Generator().manual_seed(int.from_bytes(digest)) for digest in digests]
