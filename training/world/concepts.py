"""What the world contains: just over a hundred things people type, easy to tell from each other.

`colorable` marks things a caption may paint ("a blue car"); `natural` is the colour word that
already fits the untouched art ("a yellow banana").
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Concept:
    """One drawable thing and the words for it."""

    name: str
    emoji: str
    category: str
    plural: str
    synonyms: tuple[str, ...] = ()
    natural: str | None = None
    colorable: bool = False

    @property
    def codepoint(self) -> str:
        """Lower-case hexadecimal codepoint, as the art packages name their files."""
        return f"{ord(self.emoji):x}"


IRREGULAR_PLURALS = {
    "sheep": "sheep",
    "fish": "fish",
    "tropical fish": "tropical fish",
    "grapes": "bunches of grapes",
    "bunch of grapes": "bunches of grapes",
    "french fries": "packs of french fries",
    "fries": "packs of fries",
    "slice of pizza": "slices of pizza",
    "slice of watermelon": "slices of watermelon",
    "cup of coffee": "cups of coffee",
    "cactus": "cacti",
    "fire": "flames",
    "face with heart eyes": "faces with heart eyes",
    "smiley with heart eyes": "smileys with heart eyes",
    "face with sunglasses": "faces with sunglasses",
}


def plural_of(noun: str) -> str:
    """English plural of a noun or noun phrase ("cherry" -> "cherries")."""
    if noun in IRREGULAR_PLURALS:
        return IRREGULAR_PLURALS[noun]
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return noun[:-1] + "ies"
    if noun.endswith(("s", "x", "ch", "sh", "z")):
        return noun + "es"
    return noun + "s"


# emoji | name | natural colour, "+" if it may be recoloured | synonyms
TABLE = {
    "animal": """
        🐶 | dog | brown | puppy
        🐱 | cat | + yellow | kitten, kitty
        🐰 | rabbit | white | bunny
        🦊 | fox | orange |
        🐻 | bear | brown | brown bear
        🐼 | panda | | panda bear
        🐯 | tiger | |
        🦁 | lion | |
        🐮 | cow | |
        🐷 | pig | + pink | piglet
        🐸 | frog | + green | toad
        🐵 | monkey | brown |
        🐔 | chicken | white | hen
        🐧 | penguin | |
        🦆 | duck | | mallard
        🦉 | owl | brown |
        🐎 | horse | + brown | pony
        🦄 | unicorn | |
        🐝 | bee | | honeybee, bumblebee
        🦋 | butterfly | + |
        🐌 | snail | |
        🐞 | ladybug | + red | ladybird
        🐢 | turtle | + green | tortoise
        🦖 | dinosaur | + green | t-rex
        🐙 | octopus | + |
        🦀 | crab | + |
        🐠 | fish | + blue | tropical fish
        🐳 | whale | blue |
        🦈 | shark | |
        🐘 | elephant | |
        🦒 | giraffe | |
        🐑 | sheep | white | lamb
        🦩 | flamingo | pink |
    """,
    "food": """
        🍎 | apple | + red |
        🍌 | banana | yellow |
        🍉 | watermelon | | slice of watermelon
        🍇 | grapes | + purple | bunch of grapes
        🍓 | strawberry | red |
        🍍 | pineapple | |
        🥕 | carrot | orange |
        🍄 | mushroom | + red | toadstool
        🍔 | hamburger | | burger, cheeseburger
        🍟 | french fries | | fries
        🍕 | pizza | | slice of pizza
        🌭 | hot dog | |
        🍩 | donut | | doughnut
        🎂 | birthday cake | | cake
        🧁 | cupcake | |
        🍦 | ice cream | | ice cream cone
        ☕ | cup of coffee | |
    """,
    "vehicle": """
        🚗 | car | + red | automobile
        🚌 | bus | | coach
        🚚 | truck | + | lorry
        🚒 | fire truck | | fire engine
        🚜 | tractor | + green |
        🚲 | bicycle | + | bike
        🚂 | train | | steam train, locomotive
        ✈ | airplane | | plane
        🚁 | helicopter | + orange |
        🚀 | rocket | | spaceship
        🛸 | flying saucer | | UFO
        ⛵ | sailboat | | sailing boat, boat
    """,
    "object": """
        🎈 | balloon | + red |
        🎁 | gift | + yellow | present
        👑 | crown | yellow | golden crown
        💎 | diamond | + blue | gem
        🔑 | key | yellow | golden key
        🔔 | bell | + yellow |
        🎸 | guitar | + | electric guitar
        ⚽ | soccer ball | | football
        🏀 | basketball | |
        🏆 | trophy | | golden trophy
        📷 | camera | |
        ☂ | umbrella | + purple |
        ⏰ | alarm clock | + red | clock
        🧸 | teddy bear | + | teddy
        👗 | dress | + blue |
        🎩 | top hat | black |
        ❤ | heart | + red | love heart
        🏠 | house | | home
        🏰 | castle | | fairytale castle
    """,
    "nature": """
        🌳 | tree | green |
        🌴 | palm tree | | palm
        🌵 | cactus | green |
        🌹 | rose | + red |
        🌻 | sunflower | |
        🌼 | flower | white | daisy
        🎃 | pumpkin | orange | jack-o'-lantern
        🌈 | rainbow | |
        ☀ | sun | yellow |
        🌙 | moon | yellow | crescent moon
        ⭐ | star | + yellow |
        🔥 | fire | | flame
        🌍 | planet earth | | earth, globe
        ⛄ | snowman | |
    """,
    "character": """
        🤖 | robot | |
        👽 | alien | |
        👻 | ghost | white |
        🐉 | dragon | + green |
        🧙 | wizard | | magician
        😀 | smiley | yellow | smiley face, happy face
        😍 | face with heart eyes | | smiley with heart eyes
        😎 | cool face | | face with sunglasses, cool smiley
        😡 | angry face | red | angry smiley
        🤡 | clown | | clown face
    """,
}


def _parse(category: str, line: str) -> Concept:
    emoji, name, color, synonyms = (part.strip() for part in line.split("|"))
    return Concept(
        name=name,
        emoji=emoji,
        category=category,
        plural=plural_of(name),
        synonyms=tuple(word.strip() for word in synonyms.split(",") if word.strip()),
        natural=color.removeprefix("+").strip() or None,
        colorable=color.startswith("+"),
    )


CONCEPTS: dict[str, Concept] = {
    concept.name: concept
    for category, rows in TABLE.items()
    for concept in (_parse(category, line) for line in rows.strip().splitlines())
}

# Things that hang in the air instead of standing on the ground.
FLOATING = frozenset(
    {
        *("bee", "butterfly", "airplane", "helicopter", "rocket", "flying saucer", "balloon"),
        *("rainbow", "sun", "moon", "star", "planet earth", "heart"),
    }
)

# Where a thing is most often wanted; these meetings are shown more often than chance.
HOMES = {
    **dict.fromkeys(("fish", "whale", "shark", "octopus", "turtle"), "underwater"),
    **dict.fromkeys(("rocket", "flying saucer", "alien", "planet earth", "robot"), "space"),
    **dict.fromkeys(("penguin", "snowman"), "snow"),
    **dict.fromkeys(("airplane", "helicopter", "balloon", "butterfly", "rainbow"), "sky"),
    **dict.fromkeys(("moon", "star", "owl", "ghost", "fire"), "night"),
    **dict.fromkeys(("cow", "horse", "sheep", "flower", "house", "bee", "tractor"), "meadow"),
    **dict.fromkeys(("bear", "fox", "monkey", "mushroom"), "forest"),
    **dict.fromkeys(("car", "bus", "fire truck", "bicycle", "truck"), "city"),
    "cactus": "desert",
    **dict.fromkeys(("crab", "palm tree", "sailboat", "ice cream"), "beach"),
    **dict.fromkeys(("birthday cake", "gift", "cupcake", "clown"), "party"),
    **dict.fromkeys(("castle", "dragon"), "mountains"),
    **dict.fromkeys(("pumpkin", "tree"), "autumn"),
}
