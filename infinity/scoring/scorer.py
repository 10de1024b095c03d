"""What a scorer is: any function of this shape can be plugged into the pipeline."""

from collections.abc import Callable, Sequence

from PIL import Image

Scores = Callable[[Sequence[Image.Image]], Sequence[float]]
"""Pictures -> how well each shows what was asked for: the higher the better, on no common scale."""
Scorer = Callable[[str], Scores]
"""A prompt without syntax -> the scores of its pictures. Raises RequestError for one that it cannot judge."""
