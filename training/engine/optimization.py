"""One step of the optimizers: rates, loss scaling, clipping over all shards, AdamW and Muon."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from training import schedules
from training.config.settings import OptimizationSettings
from training.optimizer import MUON, as_matrix
from training.steps.step import MODEL, Step


def learning_rate(settings: OptimizationSettings, step: int) -> float:
    """Learning rate of one step (from 0)."""
    if settings.schedule == "trapezoid":
        factor = schedules.trapezoid(step, settings.steps, settings.warmup, settings.cooldown)
        return settings.learning_rate * factor
    constant = settings.schedule == "constant"
    return schedules.learning_rate(
        step,
        peak=settings.learning_rate,
        max_iterations=settings.steps,
        warmup_iterations=settings.warmup,
        shape="lin0" if constant else settings.schedule,
        end=1.0 if constant else settings.end,
    )


def weight_decay(settings: OptimizationSettings, step: int) -> float:
    """Weight decay of one step, for the parameters that decay."""
    start, end = settings.weight_decay, settings.weight_decay_end
    end = start if end is None else end
    return schedules.weight_decay(step, start=start, end=end, max_iterations=settings.steps)


def muon_weights(
    blocks: Iterable[nn.Module], parameters: Iterable[nn.Parameter]
) -> dict[int, nn.Parameter]:
    """What Muon is for, by its id: the blocks' linear layers, and kernels among ``parameters``."""
    hidden = (
        module.get_parameter("weight")
        for block in blocks
        for module in block.modules()
        if isinstance(module, nn.Linear) and module.weight.requires_grad
    )
    return {id(p): p for p in (*hidden, *(p for p in parameters if p.ndim == 4))}


class Optimizer:
    """The optimizer of one phase of a step: AdamW, or Muon for the model's matrices beside it.

    Its state exists from the start (zeros, as a first step would make), so that a checkpoint always
    has the same entries.

    Args:
        settings: of the run.
        step: after sharding.
        phase: whose parameters.
        scaler: shared by all phases; does nothing but in float16.
    """

    def __init__(
        self, settings: OptimizationSettings, step: Step, phase: str, scaler: torch.amp.GradScaler
    ) -> None:
        self.settings = settings
        self.scaler = scaler
        groups = step.parameter_groups(phase)
        self.parameters = [parameter for group in groups for parameter in group["params"]]
        whole = settings.optimizer == "muon" and phase == MODEL
        matrices = muon_weights(step.blocks(), self.parameters) if whole else {}
        self._muon = _WholeMuon(_parts(groups, matrices, True), settings) if matrices else None
        self._adamw = torch.optim.AdamW(
            _parts(groups, matrices, False),
            lr=settings.learning_rate,
            betas=settings.betas,
            eps=1e-8,
            fused=True,
        )
        for group in self._adamw.param_groups:
            for parameter in group["params"]:
                self._adamw.state[parameter] = {
                    "step": torch.zeros((), device=parameter.device),
                    "exp_avg": torch.zeros_like(parameter),
                    "exp_avg_sq": torch.zeros_like(parameter),
                }

    def state(self) -> dict[nn.Parameter, Any]:
        """Parameter -> its moments; the tensors themselves."""
        muon = {} if self._muon is None else self._muon.state()
        return {p: muon[p] if p in muon else self._adamw.state[p] for p in self.parameters}

    def zero_grad(self) -> None:
        for parameter in self.parameters:
            parameter.grad = None

    def clip(self) -> float:
        """Global gradient norm before clipping; scales the gradients down where it is too large.

        A parameter that no sample used has a gradient of zero, on one process as on many.
        """
        for parameter in self.parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        self.scaler.unscale_(self._adamw)
        gradients = [parameter.grad for parameter in self.parameters]
        norm = torch.nn.utils.get_total_norm(gradients)
        if isinstance(norm, DTensor):
            norm = norm.full_tensor()
        if self.settings.clip is not None:
            torch.nn.utils.clip_grads_with_norm_(self.parameters, self.settings.clip, norm)
        return norm.item()

    def step(self, step: int) -> float:
        """Update the parameters with the rates of ``step``; returns its learning rate."""
        rate, decay = learning_rate(self.settings, step), weight_decay(self.settings, step)
        _set_rates(self._adamw, rate, decay)
        self.scaler.step(self._adamw)
        if self._muon is not None:
            self._muon.step(rate, decay)
        return rate


def _parts(
    groups: Sequence[dict[str, Any]], matrices: Collection[int], taken: bool
) -> list[dict[str, Any]]:
    """Groups of those parameters that are among ``matrices``, by their ids, or that are not."""
    parts = [
        group | {"params": [p for p in group["params"] if (id(p) in matrices) == taken]}
        for group in groups
    ]
    return [part for part in parts if part["params"]]


def _set_rates(optimizer: torch.optim.Optimizer, rate: float, decay: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("rate", 1.0)
        if group["decays"]:
            group["weight_decay"] = decay


class _WholeMuon:
    """Muon over matrices that every process holds whole, though FSDP calls them sharded by one.

    A kernel is a matrix of its memory. An update depends on the whole matrix, so settings with real
    shards are refused before.
    """

    def __init__(self, groups: Sequence[dict[str, Any]], settings: OptimizationSettings) -> None:
        parameters = [parameter for group in groups for parameter in group["params"]]
        self._whole = dict(zip(parameters, local_tensors(parameters), strict=True))
        self.matrices = {
            parameter: nn.Parameter(as_matrix(whole.detach(), whole))
            for parameter, whole in self._whole.items()
        }
        stand_ins = [{**g, "params": [self.matrices[p] for p in g["params"]]} for g in groups]
        self._muon = torch.optim.Muon(stand_ins, lr=settings.learning_rate, **MUON)
        for matrix in self.matrices.values():
            self._muon.state[matrix] = {"momentum_buffer": torch.zeros_like(matrix)}

    def state(self) -> dict[nn.Parameter, Any]:
        return {p: self._muon.state[matrix] for p, matrix in self.matrices.items()}

    def step(self, rate: float, decay: float) -> None:
        for parameter, matrix in self.matrices.items():
            gradient = parameter.grad
            assert gradient is not None
            (whole,) = local_tensors([gradient])
            matrix.grad = as_matrix(whole, self._whole[parameter])
        _set_rates(self._muon, rate, decay)
        self._muon.step()


class Average:
    """An exponential moving average of parameters, each process of its own shards.

    Early on the decay is smaller, (1 + step) / (10 + step), so that the start is forgotten.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], decay: float) -> None:
        self.decay = decay
        self.tensors = {parameter: parameter.detach().clone() for parameter in parameters}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """After the optimizer's step number ``step``, from 0."""
        decay = min(self.decay, (1 + step) / (10 + step))
        move = get_ema_multi_avg_fn(decay)
        move(local_tensors(self.tensors.values()), local_tensors(self.tensors), step)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the averaged and the last weights; twice is as before."""
        for pair in self.tensors.items():
            here, there = local_tensors(pair)
            kept = here.clone()
            here.copy_(there)
            there.copy_(kept)


def local_tensors(tensors: Iterable[Tensor]) -> list[Tensor]:
    """The parts of tensors that lie in this process, without their graphs."""
    return [t.to_local() if isinstance(t, DTensor) else t for t in map(Tensor.detach, tensors)]
