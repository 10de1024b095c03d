"""What a run draws of the emoji world, and when."""

from pydantic import NonNegativeInt, PositiveInt

from training.config.kinds import Place, Settings, Share
from training.world.scene import Stage


class WorldSettings(Settings):
    """The emoji world in stages: pictures that come up again in other words, then new ones.

    Attributes:
        curriculum: [picture, stage -> share] pairs: what is drawn from that picture of the run on;
            captions then have filler words. Empty: the source's own stage, plainly captioned.
        pictures: stage -> how many different ones come up until ``fresh_from``.
        features: folder that holds what the tokenizer makes of them, prepared, a folder a stage;
            None: they are drawn each time.
        fresh_from: from this picture of the run on every one is new.
    """

    curriculum: tuple[tuple[NonNegativeInt, dict[Stage, Share]], ...] = ()
    pictures: dict[Stage, PositiveInt] = {}  # noqa: RUF012 (pydantic copies it)
    features: Place | None = None
    fresh_from: NonNegativeInt = 0
