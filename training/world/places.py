"""The fourteen painted places, and the phrases that captions name them with."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from training.world import painters
from training.world.canvas import Canvas, Color


@dataclass(frozen=True)
class Place:
    """A painted scene and where its ground lies.

    Attributes:
        floor: the height (0 top, 1 bottom) objects stand at, or None where they float.
        shadow: colour of the shadows that they throw.
        words: the phrases that name it, with commas between.
    """

    paint: Callable[[Canvas, np.random.Generator], None]
    floor: float | None
    shadow: Color
    words: str

    @cached_property
    def phrases(self) -> tuple[str, ...]:
        return tuple(" ".join(phrase.split()) for phrase in self.words.split(","))


PLACES: dict[str, Place] = {
    "meadow": Place(painters.meadow, 0.88, (20, 30, 20), """
        in a meadow, in a green meadow, on the grass, in a field of grass, on a lawn, in a grassy
        field, in the countryside, on a green hill, in tall grass, in a green field, out in the
        fields, down in the green valley, in a pasture, on a summer meadow, over the lawn, on grassy
        ground
    """),
    "beach": Place(painters.beach, 0.9, (120, 84, 40), """
        on a beach, on a sandy beach, at the beach, by the sea, on the beach, at the seaside, on the
        sand, on the seashore, on the coast, down at the beach, out on the beach, by the ocean, at
        the shore, on a tropical beach, near the waves, on golden sand by the water
    """),
    "night": Place(painters.night, 0.88, (8, 10, 30), """
        at night, under the night sky, under a starry sky, in the moonlight, on a dark night, at
        nighttime, in the dark, at midnight, during the night, late at night, on a starry night,
        under the moon, out at night, under the stars, one dark night, in the middle of the night
    """),
    "space": Place(painters.space, None, (20, 30, 20), """
        in space, in outer space, among the stars, floating in space, in deep space, in the galaxy,
        in the universe, among planets, out in space, up in space, far out in the cosmos, in the
        cosmos, between the stars, away from earth, in orbit, in a distant galaxy
    """),
    "snow": Place(painters.snow, 0.88, (90, 120, 160), """
        in the snow, in a snowy landscape, on a snowy day, in winter, in snowy weather, in a winter
        landscape, on the ice, in the arctic, on snow, in deep snow, on a cold winter day, while it
        is snowing, on snowy ground, in a world of snow, down in the snow, in the white snow
    """),
    "mountains": Place(painters.mountains, 0.88, (20, 30, 20), """
        in the mountains, in front of mountains, with mountains in the background, on a mountain,
        with mountains behind, in the alps, before a mountain range, up in the mountains, up on a
        mountain, in a mountain landscape, among high peaks, near the mountains, down in a mountain
        valley, with high peaks behind, in the hills below the mountains
    """),
    "desert": Place(painters.desert, 0.88, (120, 60, 20), """
        in the desert, in a desert, on the sand dunes, among sand dunes, in a dry desert, in the
        sahara, on a dune, in a desert landscape, out in the desert, in the sandy desert, in the
        middle of the desert, under the desert sun, down in the dunes, in hot sand dunes, far out in
        the sahara
    """),
    "underwater": Place(painters.underwater, None, (20, 30, 20), """
        underwater, under the sea, in the ocean, under water, in the sea, deep in the ocean, on the
        sea floor, swimming in the water, deep down in the ocean, at the bottom of the sea, below
        the waves, under the ocean, deep in the sea, on the ocean floor, down in the deep blue
        water, beneath the sea
    """),
    "forest": Place(painters.forest, 0.88, (20, 30, 20), """
        in a forest, in the forest, in the woods, among the trees, deep in the forest, in a jungle,
        between trees, in the woodland, out in the woods, in a dark forest, in the middle of a
        forest, under the trees, down in the forest, in a green forest, among tall trees, in the
        wild woods
    """),
    "city": Place(painters.city, 0.9, (30, 32, 44), """
        in the city, in a city, on a city street, in front of buildings, in a town, downtown, on the
        road, in front of skyscrapers, in the middle of a city, on a street, down in the city, in a
        big city, among tall buildings, in the streets, out in the street, in a busy town
    """),
    "sunset": Place(painters.sunset, 0.88, (30, 10, 40), """
        at sunset, in front of a sunset, in the sunset, at dusk, in the evening, as the sun goes
        down, at sundown, in evening light, with a sunset behind, while the sun sets, at the end of
        the day, under a sunset sky, in the light of the setting sun, at twilight, on a warm evening
    """),
    "sky": Place(painters.sky, None, (20, 30, 20), """
        in the sky, in a blue sky, in the clouds, among the clouds, high up in the sky, in a cloudy
        sky, in the air, above the clouds, up in the sky, up in the air, flying in the sky, up among
        the clouds, over the clouds, against a blue sky, out in the open sky, high above
    """),
    "autumn": Place(painters.autumn, 0.88, (90, 44, 16), """
        in autumn, in an autumn forest, among autumn trees, in the fall, on an autumn day, in an
        autumn park, among falling leaves, in october, during autumn, in a landscape in autumn,
        among autumn leaves, in the autumn woods, out in the fall, under autumn trees, when the
        leaves fall, down in the autumn leaves
    """),
    "party": Place(painters.party, 0.88, (80, 40, 80), """
        at a party, at a birthday party, with confetti, at a celebration, at a birthday, under party
        flags, with bunting, celebrating, at a birthday celebration, during a party, at my birthday
        party, at a big party, at a festival, at a children's party, with party decorations, at a
        fun celebration
    """),
}  # fmt: skip
