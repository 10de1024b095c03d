"""Best of several: which candidates of each picture are drawn on, and which one is taken.

A candidate is the picture with another seed. The first has the picture's own.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from PIL import Image

from infinity.errors import RequestError
from infinity.generation.inputs import PictureInputs
from infinity.prompt import words
from infinity.request import JUDGE, MAX_SEED, GenerationRequest
from infinity.scoring.load import load_scorer
from infinity.scoring.scorer import Scorer, Scores
from infinity.spec import ModelSpec
from infinity.world.caption import caption_of
from infinity.world.vocabulary import Vocabulary

STRIDE = 0x9E3779B1
"""Between the seeds of a picture's candidates: far from those of the pictures beside it."""


def candidate_seed(seed: int, candidate: int) -> int:
    """The seed of a picture's candidate, from 0."""
    return (seed + candidate * STRIDE) % (MAX_SEED + 1)


@dataclass
class Selection:
    """The candidates of a request's pictures that are still drawn.

    Attributes:
        scores: of each picture.
        candidates: of each picture, at first.
        prune_after: index of the scale after which the worse half is dropped; None for none.
        left: of each picture, the numbers of the candidates left, in their order.
        score: of each picture, what the best one had at the end.
    """

    scores: Sequence[Scores]
    candidates: int
    prune_after: int | None
    left: list[list[int]] = field(init=False)
    score: list[float] = field(init=False)

    def __post_init__(self) -> None:
        self.left = [list(range(self.candidates)) for _ in self.scores]
        self.score = [math.nan for _ in self.scores]

    def inputs(self, pictures: Sequence[PictureInputs]) -> list[PictureInputs]:
        """Of all candidates, picture by picture."""
        return [
            replace(picture, seed=candidate_seed(picture.seed, candidate))
            for picture, left in zip(pictures, self.left, strict=True)
            for candidate in left
        ]

    def keep(self, images: Sequence[Image.Image], is_last: bool) -> list[int]:
        """Leave each picture the better half of its candidates, in their order; of equal ones the first.

        Args:
            images: of all that are left, picture by picture.
            is_last: they are finished, and one is left.

        Returns:
            Their places in ``images``.
        """
        kept, start = [], 0
        for picture, (scores, left) in enumerate(zip(self.scores, self.left, strict=True)):
            marks = scores(images[start : start + len(left)])
            best = sorted(range(len(left)), key=lambda place: (-marks[place], place))
            del best[1 if is_last else -(-len(left) // 2) :]
            self.left[picture] = [left[place] for place in sorted(best)]
            self.score[picture] = float(marks[best[0]])
            kept += [start + place for place in sorted(best)]
            start += len(left)
        return kept

    def chosen(self, number: int, picture: GenerationRequest) -> tuple[GenerationRequest, str]:
        """What draws the candidate that was taken of a picture, by itself; and a line on the choice."""
        (candidate,) = self.left[number]
        said = (
            f"candidate {candidate + 1} of {self.candidates} from seed {picture.seed}, chosen by "
            f"{picture.scorer or 'a scorer'} with {self.score[number]:.4g}"
        )
        seed = candidate_seed(picture.seed, candidate)
        return replace(picture, seed=seed, candidates=1, prune_at_scale=0, scorer=""), said

    @property
    def note(self) -> str:
        """Which ones were taken, for the user."""
        taken = ", ".join(str(candidate + 1) for left in self.left for candidate in left)
        return f"Of {self.candidates} candidates number {taken} was taken."

    def side_by_side(
        self, images: Callable[[], Sequence[Image.Image]]
    ) -> Callable[[], tuple[Image.Image, ...]]:
        """One picture each: the candidates that are left now side by side, of the size of one."""
        counts = [len(left) for left in self.left]

        def sheets() -> tuple[Image.Image, ...]:
            each = iter(images())
            return tuple(_sheet([next(each) for _ in range(count)]) for count in counts)

        return sheets


def check_candidates(
    request: GenerationRequest, spec: ModelSpec, scorer: Scorer | None
) -> GenerationRequest:
    """A request as it is; for candidates with its scorer named.

    Args:
        scorer: what is plugged in, whatever the request names.

    Raises:
        RequestError: a scale that is none before the last, or nobody to choose.
    """
    scales = len(spec.schedule(request.aspect_ratio))
    if request.candidates == 1:
        return request
    if request.prune_at_scale >= scales:
        raise RequestError(
            f"Candidates cannot be dropped after scale {request.prune_at_scale}: the picture has "
            f"{scales}, so use 1 to {scales - 1}, or 0 to finish all of them."
        )
    if scorer is not None or request.scorer:
        return request
    if spec.vocabulary is None:
        raise RequestError(
            f"The judge does not know the pictures of {spec.name}; name a scorer, a CLIP-like model such "
            "as openai/clip-vit-base-patch32."
        )
    return replace(request, scorer=JUDGE)


def select(request: GenerationRequest, spec: ModelSpec, scorer: Scorer | None) -> Selection | None:
    """The selection among a checked request's candidates; None where there is one alone.

    Raises:
        RequestError: a prompt that the scorer cannot judge. Otherwise as ``load_scorer``.
    """
    if request.candidates == 1:
        return None
    scorer = scorer or load_scorer(request.scorer)
    vocabulary = spec.vocabulary
    texts = [text if vocabulary is None else _plainly(text, vocabulary) for text in request.prompts]
    after = request.prune_at_scale - 1 if request.prune_at_scale else None
    return Selection([scorer(words(text)) for text in texts], request.candidates, after)


def _plainly(prompt: str, vocabulary: Vocabulary) -> str:
    """What a prompt says in the vocabulary's own wording, which a judge reads best; else the prompt."""
    text = words(vocabulary.corrected(prompt)[0])
    caption = caption_of(text, vocabulary, None)
    return text if caption is None else caption.text


def _sheet(images: Sequence[Image.Image]) -> Image.Image:
    if len(images) == 1:
        return images[0]
    across = math.ceil(math.sqrt(len(images)))
    width, height = images[0].size
    sheet = Image.new("RGB", (width, height), "#808080")
    small = max(1, width // across), max(1, height // across)
    for place, image in enumerate(images):
        row, column = divmod(place, across)
        sheet.paste(image.resize(small), (column * small[0], row * small[1]))
    return sheet
