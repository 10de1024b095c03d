"""The painted places, and the phrases that captions name them with."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from training.world import built_places, landscapes
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
    "meadow": Place(landscapes.meadow, 0.88, (20, 30, 20), """
        in a meadow, in a green meadow, on the grass, in a field of grass, on a lawn, in a grassy
        field, in the countryside, on a green hill, in tall grass, in a green field, out in the
        fields, down in the green valley, in a pasture, on a summer meadow, over the lawn, on grassy
        ground
    """),
    "beach": Place(landscapes.beach, 0.9, (120, 84, 40), """
        on a beach, on a sandy beach, at the beach, by the sea, on the beach, at the seaside, on the
        sand, on the seashore, on the coast, down at the beach, out on the beach, by the ocean, at
        the shore, on a tropical beach, near the waves, on golden sand by the water
    """),
    "night": Place(landscapes.night, 0.88, (8, 10, 30), """
        at night, under the night sky, under a starry sky, in the moonlight, on a dark night, at
        nighttime, in the dark, at midnight, during the night, late at night, on a starry night,
        under the moon, out at night, under the stars, one dark night, in the middle of the night
    """),
    "space": Place(landscapes.space, None, (20, 30, 20), """
        in space, in outer space, among the stars, floating in space, in deep space, in the galaxy,
        in the universe, among planets, out in space, up in space, far out in the cosmos, in the
        cosmos, between the stars, away from earth, in orbit, in a distant galaxy
    """),
    "snow": Place(landscapes.snow, 0.88, (90, 120, 160), """
        in the snow, in a snowy landscape, on a snowy day, in winter, in snowy weather, in a winter
        landscape, on the ice, in the arctic, on snow, in deep snow, on a cold winter day, on snowy ground, in a world of snow, down in the snow, in the white snow
    """),
    "mountains": Place(landscapes.mountains, 0.88, (20, 30, 20), """
        in the mountains, in front of mountains, with mountains in the background, on a mountain,
        with mountains behind, in the alps, before a mountain range, up in the mountains, up on a
        mountain, in a mountain landscape, among high peaks, near the mountains, down in a mountain
        valley, with high peaks behind, in the hills below the mountains
    """),
    "desert": Place(landscapes.desert, 0.88, (120, 60, 20), """
        in the desert, in a desert, on the sand dunes, among sand dunes, in a dry desert, in the
        sahara, on a dune, in a desert landscape, out in the desert, in the sandy desert, in the
        middle of the desert, under the desert sun, down in the dunes, in hot sand dunes, far out in
        the sahara
    """),
    "underwater": Place(landscapes.underwater, None, (20, 30, 20), """
        underwater, under the sea, in the ocean, under water, in the sea, deep in the ocean, on the
        sea floor, swimming in the water, deep down in the ocean, at the bottom of the sea, below
        the waves, under the ocean, deep in the sea, on the ocean floor, down in the deep blue
        water, beneath the sea
    """),
    "forest": Place(landscapes.forest, 0.88, (20, 30, 20), """
        in a forest, in the forest, in the woods, among the trees, deep in the forest, in a jungle,
        between trees, in the woodland, out in the woods, in a dark forest, in the middle of a
        forest, under the trees, down in the forest, in a green forest, among tall trees, in the
        wild woods
    """),
    "city": Place(built_places.city, 0.9, (30, 32, 44), """
        in the city, in a city, on a city street, in front of buildings, in a town, downtown, in
        front of skyscrapers, in the middle of a city, on a street, down in the city, in a
        big city, among tall buildings, in the streets, out in the street, in a busy town
    """),
    "sunset": Place(landscapes.sunset, 0.88, (30, 10, 40), """
        at sunset, in front of a sunset, in the sunset, at dusk, in the evening, as the sun goes
        down, at sundown, in evening light, with a sunset behind, while the sun sets, at the end of
        the day, under a sunset sky, in the light of the setting sun, at twilight, on a warm evening
    """),
    "sky": Place(landscapes.sky, None, (20, 30, 20), """
        in the sky, in a blue sky, in the clouds, among the clouds, high up in the sky, in a cloudy
        sky, in the air, above the clouds, up in the sky, up in the air, flying in the sky, up among
        the clouds, over the clouds, against a blue sky, out in the open sky, high above
    """),
    "autumn": Place(landscapes.autumn, 0.88, (90, 44, 16), """
        in autumn, in an autumn forest, among autumn trees, in the fall, on an autumn day, in an
        autumn park, among falling leaves, in october, during autumn, in a landscape in autumn,
        among autumn leaves, in the autumn woods, out in the fall, under autumn trees, when the
        leaves fall, down in the autumn leaves
    """),
    "party": Place(built_places.party, 0.88, (80, 40, 80), """
        at a party, at a birthday party, with confetti, at a celebration, at a birthday, under party
        flags, with bunting, celebrating, at a birthday celebration, during a party, at my birthday
        party, at a big party, at a festival, at a children's party, with party decorations, at a
        fun celebration
    """),
    "pond": Place(landscapes.pond, 0.92, (30, 60, 30), """
        at a pond, by a pond, near a pond, at the lake, by a lake, at the water's edge, beside a pond
    """),
    "garden": Place(landscapes.garden, 0.88, (20, 40, 20), """
        in a garden, in the garden, in a flower garden, in the backyard, among the flowers, in a park
    """),
    "farm": Place(landscapes.farm, 0.9, (30, 50, 20), """
        on a farm, at the farm, in front of a barn, on the farm, near a barn, in a farmyard
    """),
    "volcano": Place(landscapes.volcano, 0.88, (20, 10, 20), """
        in front of a volcano, near a volcano, at a volcano, among lava, before an erupting volcano
    """),
    "road": Place(built_places.road, 0.88, (30, 32, 44), """
        on a road, on the road, on a country road, on a highway, in the middle of the road
    """),
    "living room": Place(built_places.living_room, 0.9, (80, 50, 30), """
        in a living room, in the living room, at home, in a room, inside a house, on the carpet
    """),
    "kitchen": Place(built_places.kitchen, 0.88, (90, 56, 30), """
        in a kitchen, in the kitchen, on the kitchen table, on a kitchen counter, on a wooden table
    """),
    "castle hall": Place(built_places.castle_hall, 0.88, (30, 20, 40), """
        in a castle hall, inside a castle, in a throne room, in the great hall, on a red carpet
    """),
    "stage": Place(built_places.stage, 0.9, (50, 26, 30), """
        on a stage, on the stage, in a theater, at a concert, in the spotlight, in front of curtains
    """),
    "stadium": Place(built_places.stadium, 0.9, (30, 60, 30), """
        in a stadium, in the stadium, on a sports field, on the pitch, in an arena, on a soccer field
    """),
}  # fmt: skip
