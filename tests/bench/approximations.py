"""What every saving and approximation costs on the default model, and what it brings, on a CPU.

    python -m tests.bench.approximations [--only NAME ...] [--limit PROMPTS] [--seeds N] [--output FILE]

A row a case: the exam (``training.evaluation``), the share of bits that are drawn as before with the exact
run's bits forced, and CPU seconds of drawing over the exact run's, both taken in turns in this process.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from infinity.console import home_path
from infinity.generation.generate import generate, leading
from infinity.generation.inputs import text_conditions
from infinity.generation.sampling import seeded_generator
from infinity.model import transformer
from infinity.model.fp8 import Fp8Products, written_out
from infinity.pipeline import InfinityPipeline
from infinity.presets import presets
from infinity.request import GenerationRequest
from infinity.spec import ModelSpec
from infinity.wildcards import escape
from training.evaluation.exam import Examiner, answers, sample, shares
from training.evaluation.judge import WEIGHTS, LearnedJudge
from training.evaluation.prompts import FIRST_EXAM, ExamPrompt, read_prompts

BATCH = 8
ROUNDS = 3


def changes(spec: ModelSpec) -> dict[str, dict[str, Any]]:
    """Approximation -> the sampling settings that ask for it."""
    scales = len(spec.schedule(spec.aspect_ratios[0]))
    cases: dict[str, dict[str, Any]] = {
        f"guidance off for the last {n}": {"guided_scales": scales - n} for n in (1, 2)
    }
    cases |= {f"pruning {share}": {"pruning": share} for share in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)}
    cases |= {f"fp8 products at the last {n}": {"fp8_scales": n} for n in (1, 2, 3)}
    for name in ("fast", "turbo"):
        cases[f"preset {name}"] = vars(presets(spec, spec.aspect_ratios[0])[name].sampling)
    return cases


MODES = (
    "int8-weights",
    "fp8-weights",
    "int8-cache",
    "int8-text",
    "int8-weights,int8-cache,int8-text",
)


class Bench:
    """One model, exact, against which all is held."""

    def __init__(self, prompts: list[ExamPrompt], seeds: int) -> None:
        self.exact = InfinityPipeline.from_pretrained("default", "cpu")
        self.prompts, self.seeds = prompts, seeds
        learned = LearnedJudge(WEIGHTS)
        self.examiner = Examiner(learned, learned.judge)
        self.schedule = self.exact.spec.schedule(self.exact.spec.aspect_ratios[0])
        self.batch = [
            GenerationRequest(prompt=escape(prompt.prompt), seed=seed)
            for seed, prompt in enumerate(sample(prompts, 4))
        ]
        self.bits = [self.drawn(self.exact, requests, None)[0] for requests in self.batches()]

    def batches(self) -> Iterator[list[GenerationRequest]]:
        for start in range(0, len(self.batch), BATCH):
            yield self.batch[start : start + BATCH]

    def drawn(
        self,
        pipeline: InfinityPipeline,
        requests: list[GenerationRequest],
        forced: list[Tensor] | None,
    ) -> tuple[list[Tensor], float]:
        """(drawn bits a scale before they are forced, CPU seconds)."""
        sampling = pipeline.spec.sampling
        pictures = [pipeline.read(request)[0][0] for request in requests]
        seen: list[Tensor] = []

        def hook(index: int, bits: Tensor, logits: Tensor) -> Tensor:
            seen.append(bits)
            return bits if forced is None else leading(forced)(index, bits, logits)

        started_s = time.process_time()
        conditions = text_conditions(pipeline.transformer, pictures, sampling, len(self.schedule))
        steps = generate(
            pipeline.transformer,
            pipeline.spec.tokenizer,
            conditions[0],
            self.schedule,
            sampling,
            [seeded_generator(picture.seed) for picture in pictures],
            revise=hook,
        )
        for _ in steps:
            pass
        return seen, time.process_time() - started_s

    def row(self, pipeline: InfinityPipeline) -> dict[str, float]:
        same = total = 0
        for requests, bits in zip(self.batches(), self.bits, strict=True):
            for one, other in zip(bits, self.drawn(pipeline, requests, bits)[0], strict=True):
                same += int((one == other).sum())
                total += one.numel()
        ratios = []
        for _ in range(ROUNDS):
            for requests in list(self.batches())[:2]:
                own, exact = (self.drawn(one, requests, None)[1] for one in (pipeline, self.exact))
                ratios.append(own / exact)
        row = {"bits_agreed": same / total, "cpu_seconds_ratio": float(np.median(ratios))}
        if self.seeds:
            found = answers(pipeline, self.examiner, self.prompts, self.seeds)
            row["exam"] = float(np.mean([*shares(found).values()]))
        return {name: round(value, 4) for name, value in row.items()}


def as_in(pipeline: InfinityPipeline, **sampling: Any) -> InfinityPipeline:
    """The same weights with other settings by default."""
    spec = replace(pipeline.spec, sampling=replace(pipeline.spec.sampling, **sampling))
    return InfinityPipeline(spec, pipeline.transformer, pipeline.tokenizer, pipeline.text_encoder)


def written_out_products(device: torch.device, *, asked: bool) -> AbstractContextManager[Any]:
    """In place of ``fp8_products``: rounded as on a card, computed in float32. Bits and exam count, seconds do
    not."""
    return Fp8Products(written_out, (torch.float32,)) if asked else nullcontext()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", nargs="+", help="cases whose names have one of these")
    parser.add_argument("--limit", type=int, help="prompts a category; default: all")
    parser.add_argument("--seeds", type=int, default=1, help="pictures a prompt; 0: no exam")
    parser.add_argument("--output", type=home_path, help="JSON, written after every row")
    options = parser.parse_args()
    bench = Bench(sample(read_prompts(FIRST_EXAM)[0], options.limit), options.seeds)
    rows: dict[str, dict[str, float]] = {}

    def measure(name: str, pipeline: InfinityPipeline) -> None:
        rows[name] = bench.row(pipeline)
        sys.stdout.write(f"{name}: {json.dumps(rows[name])}\n")
        sys.stdout.flush()
        if options.output:
            options.output.write_text(json.dumps(rows, indent=1), encoding="utf-8")

    def wanted(name: str) -> bool:
        return not options.only or any(part in name for part in options.only)

    measure("exact", bench.exact)
    for name, sampling in changes(bench.exact.spec).items():
        if wanted(name):
            measure(name, as_in(bench.exact, **sampling))
    for mode in filter(wanted, MODES):
        measure(mode, InfinityPipeline.from_pretrained("default", "cpu", memory=mode))


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    transformer.fp8_products = written_out_products
    main()
