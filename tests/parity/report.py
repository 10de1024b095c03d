"""Collects every deviation of a case, so that one run tells all that is wrong."""

from __future__ import annotations

import torch
from torch import Tensor


class Report:
    """Comparisons of one case.

    Attributes:
        comparisons: how many were made.
        errors: greatest error by quantity (absolute, relative, or a count of differing entries).
    """

    def __init__(self) -> None:
        self.comparisons = 0
        self.errors: dict[str, float] = {}
        self._failures: list[str] = []

    def close(
        self,
        quantity: str,
        actual: Tensor | float,
        expected: Tensor | float,
        tolerance: float,
        where: str = "",
    ) -> None:
        """Equal shapes, every entry finite and within ``tolerance`` absolute."""
        found, wanted = _double(actual), _double(expected)
        if self._same_shape(quantity, found, wanted, where):
            error = (found - wanted).abs().max().item() if found.numel() else 0.0
            self._record(quantity, error, tolerance, where)

    def close_relative(
        self, quantity: str, actual: float, expected: float, tolerance: float, where: str = ""
    ) -> None:
        """Within ``tolerance`` of the expected value's size; nothing may stand where 0 is expected."""
        scale = abs(expected) if expected else 1.0
        self._record(quantity, abs(actual - expected) / scale, tolerance, where)

    def equal(self, quantity: str, actual: object, expected: object, where: str = "") -> None:
        """Exactly equal: tensors entry by entry, anything else by ``==``."""
        if isinstance(actual, Tensor) and isinstance(expected, Tensor):
            if self._same_shape(quantity, actual, expected, where):
                different = int((actual.cpu() != expected.cpu()).sum())
                self._record(quantity, float(different), 0.0, where)
            return
        self.comparisons += 1
        self.errors.setdefault(quantity, 0.0)
        if actual != expected:
            self.errors[quantity] += 1.0
            self._failures.append(
                f"{quantity}{_at(where)}: found {actual!r}, expected {expected!r}"
            )

    def fail(self, message: str) -> None:
        self._failures.append(message)

    def raise_failures(self) -> None:
        if self._failures:
            shown = self._failures[:40]
            rest = len(self._failures) - len(shown)
            more = [f"... and {rest} more"] if rest else []
            raise AssertionError("\n".join([f"{len(self._failures)} deviations", *shown, *more]))

    def _same_shape(self, quantity: str, actual: Tensor, expected: Tensor, where: str) -> bool:
        if actual.shape == expected.shape:
            return True
        self.comparisons += 1
        self._failures.append(
            f"{quantity}{_at(where)}: shape {tuple(actual.shape)}, expected {tuple(expected.shape)}"
        )
        return False

    def _record(self, quantity: str, error: float, tolerance: float, where: str) -> None:
        self.comparisons += 1
        self.errors[quantity] = max(self.errors.get(quantity, 0.0), error)
        if not error <= tolerance:  # also catches nan
            self._failures.append(
                f"{quantity}{_at(where)}: error {error:.3g}, tolerance {tolerance:.3g}"
            )


def _double(value: Tensor | float) -> Tensor:
    return torch.as_tensor(value).detach().cpu().double()


def _at(where: str) -> str:
    return f" ({where})" if where else ""
