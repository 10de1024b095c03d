"""One function a kind of case: (case, tolerances, report)."""

from collections.abc import Callable, Mapping

from tests.parity.cases import Case
from tests.parity.checks import (
    generate,
    manifests,
    preprocess,
    rope,
    sampling,
    schedules,
    self_correction,
    training,
    transformer,
    vae,
    weights,
)
from tests.parity.report import Report

Check = Callable[[Case, Mapping[str, float], Report], None]

CHECKS: Mapping[str, Check] = {
    "scale_schedules": schedules.check,
    "rope2d": rope.check,
    "sampling": sampling.check,
    "preprocess": preprocess.check,
    "self_correction": self_correction.check,
    "vae": vae.check,
    "transformer": transformer.check,
    "generate": generate.check,
    "training": training.check,
    "weights": weights.check,
    "manifest": manifests.check,
    "index": manifests.check_index,
}
