"""What sources give and batches hold.

Legend: B samples, H W pixels, L tokens of all scales, l of one, D bits a token, T tokens and W width of
a text, d y x channels and grid of the latent.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from PIL import Image
from torch import Tensor

from training.data.captions import Captions
from training.data.errors import Skip, printable


@dataclass(frozen=True, kw_only=True)
class Record:
    """One sample of a source: a picture, or what was computed of one before.

    Attributes:
        key: names it in reports, in characters that can be written anywhere.
        place: path or URL of the file that holds the picture, or the row of a table.
        offset, length: of the picture's bytes in that file; -1: the whole file.
        height, width: of the picture in pixels, standing upright; 0: not known.
        ratio: height over width; 0: not known yet.
        repeats: times it comes up in a pass.
        load: reads the picture in full; raises RequestError or DataError where it is missing or
            broken. None of a prepared sample, and of one that is only listed.
        bits: of all scales, (L, D) bool; None of a picture.
        latent_dyx: the tokenizer's continuous features, float32, or None where they were left out.
        texts: features of each caption, long ones first, (T, W) float32; None where left out.
    """

    key: str
    captions: Captions
    place: str = ""
    offset: int = -1
    length: int = -1
    height: int = 0
    width: int = 0
    ratio: float = 0.0
    repeats: int = 1
    load: Callable[[], Image.Image] | None = None
    bits: Tensor | None = None
    latent_dyx: Tensor | None = None
    texts: tuple[Tensor, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", printable(self.key))


@dataclass(frozen=True, kw_only=True)
class Batch:
    """A slice of one step's global batch; all of one aspect ratio.

    Attributes:
        step: the step it belongs to.
        pictures_u8: (B, 3, H, W) uint8 RGB, or None for prepared data.
        bits: of every scale (B, l, D) bool, the tokenizer's clean labels, or None.
        latents: (B, d, y, x) float32, the tokenizer's continuous features, or None.
        features: the captions' text features, (T, W) float32 each, or None.
        keys: the records' names.
        positions: places of the samples in the global batch.
        skipped: records that others took the place of.
    """

    step: int
    aspect_ratio: str
    captions: tuple[str, ...]
    keys: tuple[str, ...]
    positions: tuple[int, ...]
    pictures_u8: Tensor | None = None
    bits: tuple[Tensor, ...] | None = None
    latents: Tensor | None = None
    features: tuple[Tensor, ...] | None = None
    skipped: tuple[Skip, ...] = ()

    def __len__(self) -> int:
        return len(self.positions)

    def __getstate__(self) -> dict[str, Any]:
        """Texts travel from a worker as one tensor: each would hold an open file otherwise."""
        state = dict(self.__dict__)
        if self.features:
            state["features"] = torch.cat(self.features), [len(text) for text in self.features]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        if state["features"]:
            texts, lengths = state["features"]
            state = {**state, "features": texts.split(lengths)}
        self.__dict__.update(state)

    def slice(self, start: int, stop: int) -> Self:
        """Samples ``start`` to ``stop`` of this batch, for a micro-batch."""
        part = slice(start, stop)
        return replace(
            self._each(lambda tensor: tensor[part]),
            captions=self.captions[part],
            keys=self.keys[part],
            positions=self.positions[part],
            features=None if self.features is None else self.features[part],
        )

    def pin_memory(self) -> Self:
        """The same batch in page-locked memory; called by torch's DataLoader."""
        return self._each(lambda tensor: tensor.pin_memory())

    def _each(self, change: Callable[[Tensor], Tensor]) -> Self:
        return replace(
            self,
            pictures_u8=None if self.pictures_u8 is None else change(self.pictures_u8),
            bits=None if self.bits is None else tuple(map(change, self.bits)),
            latents=None if self.latents is None else change(self.latents),
            features=None if self.features is None else tuple(map(change, self.features)),
        )
