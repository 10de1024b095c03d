"""What the world contains: just over a hundred things people type, easy to tell from each other."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Concept:
    """One drawable thing and the words for it.

    Attributes:
        natural: the colour word that already fits the untouched art ("a yellow banana").
        colorable: whether a caption may paint it ("a blue car").
        home: the place it is most often wanted in; the two are shown together more often than
            chance would.
        floats: whether it hangs in the air instead of standing on the ground.
    """

    name: str
    emoji: str
    category: str
    synonyms: tuple[str, ...]
    natural: str | None
    colorable: bool
    home: str | None
    floats: bool

    @property
    def codepoint(self) -> str:
        """Lower-case hexadecimal codepoint, as the art packages name their files."""
        return f"{ord(self.emoji):x}"


IRREGULAR_PLURALS = {
    "sheep": "sheep",
    "fish": "fish",
    "tropical fish": "tropical fish",
    "grapes": "bunches of grapes",
    "french fries": "packs of french fries",
    "fries": "packs of fries",
    "cactus": "cacti",
    "fire": "flames",
}


def plural_of(noun: str) -> str:
    """English plural of a noun or noun phrase ("cherry" -> "cherries")."""
    if noun in IRREGULAR_PLURALS:
        return IRREGULAR_PLURALS[noun]
    for joint in (" of ", " with "):
        if joint in noun:
            head, rest = noun.split(joint)
            return plural_of(head) + joint + rest
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return noun[:-1] + "ies"
    if noun.endswith(("s", "x", "ch", "sh", "z")):
        return noun + "es"
    return noun + "s"


# emoji | name | natural colour, "+" if it may be recoloured | synonyms | home, "^" if it floats
TABLE = {
    "animal": """
        🐶 | dog | brown | puppy
        🐱 | cat | + yellow | kitten, kitty
        🐰 | rabbit | white | bunny
        🦊 | fox | orange | | forest
        🐻 | bear | brown | brown bear | forest
        🐼 | panda | | panda bear
        🐯 | tiger | |
        🦁 | lion | |
        🐮 | cow | | | meadow
        🐷 | pig | + pink | piglet
        🐸 | frog | + green | toad
        🐵 | monkey | brown | | forest
        🐔 | chicken | white | hen
        🐧 | penguin | | | snow
        🦆 | duck | | mallard
        🦉 | owl | brown | | night
        🐎 | horse | + brown | pony | meadow
        🦄 | unicorn | |
        🐝 | bee | | honeybee, bumblebee | ^ meadow
        🦋 | butterfly | + | | ^ sky
        🐌 | snail | |
        🐞 | ladybug | + red | ladybird
        🐢 | turtle | + green | tortoise | underwater
        🦖 | dinosaur | + green | t-rex
        🐙 | octopus | + | | underwater
        🦀 | crab | + | | beach
        🐠 | fish | + blue | tropical fish | underwater
        🐳 | whale | blue | | underwater
        🦈 | shark | | | underwater
        🐘 | elephant | |
        🦒 | giraffe | |
        🐑 | sheep | white | lamb | meadow
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
        🍄 | mushroom | + red | toadstool | forest
        🍔 | hamburger | | burger, cheeseburger
        🍟 | french fries | | fries
        🍕 | pizza | | slice of pizza
        🌭 | hot dog | |
        🍩 | donut | | doughnut
        🎂 | birthday cake | | cake | party
        🧁 | cupcake | | | party
        🍦 | ice cream | | ice cream cone | beach
        ☕ | cup of coffee | |
    """,
    "vehicle": """
        🚗 | car | + red | automobile | city
        🚌 | bus | | coach | city
        🚚 | truck | + | lorry | city
        🚒 | fire truck | | fire engine | city
        🚜 | tractor | + green | | meadow
        🚲 | bicycle | + | bike | city
        🚂 | train | | steam train, locomotive
        ✈ | airplane | | plane | ^ sky
        🚁 | helicopter | + orange | | ^ sky
        🚀 | rocket | | spaceship | ^ space
        🛸 | flying saucer | | UFO | ^ space
        ⛵ | sailboat | | sailing boat, boat | beach
    """,
    "object": """
        🎈 | balloon | + red | | ^ sky
        🎁 | gift | + yellow | present | party
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
        ❤ | heart | + red | love heart | ^
        🏠 | house | | home | meadow
        🏰 | castle | | fairytale castle | mountains
    """,
    "nature": """
        🌳 | tree | green | | autumn
        🌴 | palm tree | | palm | beach
        🌵 | cactus | green | | desert
        🌹 | rose | + red |
        🌻 | sunflower | |
        🌼 | flower | white | daisy | meadow
        🎃 | pumpkin | orange | jack-o'-lantern | autumn
        🌈 | rainbow | | | ^ sky
        ☀ | sun | yellow | | ^
        🌙 | moon | yellow | crescent moon | ^ night
        ⭐ | star | + yellow | | ^ night
        🔥 | fire | | flame | night
        🌍 | planet earth | | earth, globe | ^ space
        ⛄ | snowman | | | snow
    """,
    "character": """
        🤖 | robot | | | space
        👽 | alien | | | space
        👻 | ghost | white | | night
        🐉 | dragon | + green | | mountains
        🧙 | wizard | | magician
        😀 | smiley | yellow | smiley face, happy face
        😍 | face with heart eyes | | smiley with heart eyes
        😎 | cool face | | face with sunglasses, cool smiley
        😡 | angry face | red | angry smiley
        🤡 | clown | | clown face | party
    """,
}


def _parse(category: str, line: str) -> Concept:
    emoji, name, color, synonyms, home, *_ = map(str.strip, f"{line} |".split("|"))
    return Concept(
        name=name,
        emoji=emoji,
        category=category,
        synonyms=tuple(word.strip() for word in synonyms.split(",") if word),
        natural=color.removeprefix("+").strip() or None,
        colorable=color.startswith("+"),
        home=home.removeprefix("^").strip() or None,
        floats=home.startswith("^"),
    )


CONCEPTS: dict[str, Concept] = {
    concept.name: concept
    for category, rows in TABLE.items()
    for concept in (_parse(category, line) for line in rows.strip().splitlines())
}
