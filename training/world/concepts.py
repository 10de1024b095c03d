"""What the world contains: about 130 things people type, each told apart at a glance.

`colourable` marks things a caption may paint ("a blue car"); `natural` is the colour word that
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
    colourable: bool = False

    @property
    def codepoint(self) -> str:
        """Lower-case hexadecimal codepoint, as the art packages name their files."""
        return f"{ord(self.emoji):x}"


IRREGULAR_PLURALS = {
    "mouse": "mice",
    "sheep": "sheep",
    "fish": "fish",
    "tropical fish": "tropical fish",
    "wolf": "wolves",
    "grapes": "bunches of grapes",
    "bunch of grapes": "bunches of grapes",
    "cherries": "pairs of cherries",
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
        🐭 | mouse | |
        🐰 | rabbit | white | bunny
        🦊 | fox | orange |
        🐻 | bear | brown | brown bear
        🐼 | panda | | panda bear
        🐨 | koala | | koala bear
        🐯 | tiger | |
        🦁 | lion | |
        🐮 | cow | |
        🐷 | pig | + pink | piglet
        🐸 | frog | + green | toad
        🐵 | monkey | brown |
        🐔 | chicken | white | hen
        🐧 | penguin | |
        🐥 | chick | + yellow | baby chick
        🦆 | duck | | mallard
        🦉 | owl | brown |
        🐺 | wolf | |
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
        🐬 | dolphin | blue |
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
        🍊 | orange | | tangerine
        🍋 | lemon | yellow |
        🍉 | watermelon | | slice of watermelon
        🍇 | grapes | + purple | bunch of grapes
        🍓 | strawberry | red |
        🍒 | cherries | |
        🍍 | pineapple | |
        🥑 | avocado | green |
        🥕 | carrot | orange |
        🍄 | mushroom | + red | toadstool
        🥐 | croissant | |
        🧀 | cheese | yellow |
        🍔 | hamburger | | burger, cheeseburger
        🍟 | french fries | | fries
        🍕 | pizza | | slice of pizza
        🌭 | hot dog | |
        🌮 | taco | |
        🍩 | donut | | doughnut
        🍪 | cookie | |
        🎂 | birthday cake | | cake
        🧁 | cupcake | |
        🍦 | ice cream | | ice cream cone
        ☕ | cup of coffee | |
    """,
    "vehicle": """
        🚗 | car | + red | automobile
        🚕 | taxi | yellow | taxi cab
        🚌 | bus | | coach
        🚚 | truck | + | lorry
        🚒 | fire truck | | fire engine
        🚜 | tractor | + green |
        🚲 | bicycle | + | bike
        🛵 | scooter | + red | moped
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
        🥁 | drum | |
        ⚽ | soccer ball | | football
        🏀 | basketball | |
        🏆 | trophy | | golden trophy
        📷 | camera | |
        💡 | light bulb | | lightbulb
        ☂ | umbrella | + purple |
        ⏰ | alarm clock | + red | clock
        🧸 | teddy bear | + | teddy
        🪑 | chair | + brown | wooden chair
        👢 | boot | + red |
        👗 | dress | + blue |
        👕 | t-shirt | + green | shirt
        🎒 | backpack | + pink | school bag
        🎩 | top hat | black |
        ⛺ | tent | + green |
        ❤ | heart | + red | love heart
        🏠 | house | | home
        🏰 | castle | | fairytale castle
    """,
    "nature": """
        🌳 | tree | green |
        🌲 | pine tree | green | fir tree
        🌴 | palm tree | | palm
        🌵 | cactus | green |
        🌷 | tulip | + pink |
        🌹 | rose | + red |
        🌻 | sunflower | |
        🌼 | flower | white | daisy
        🍀 | four-leaf clover | green | clover
        🎃 | pumpkin | orange | jack-o'-lantern
        🌈 | rainbow | |
        ☀ | sun | yellow |
        🌙 | moon | yellow | crescent moon
        ⭐ | star | + yellow |
        ❄ | snowflake | blue |
        🔥 | fire | | flame
        ☁ | cloud | white |
        🌍 | planet earth | | earth, globe
        ⛄ | snowman | |
    """,
    "character": """
        🤖 | robot | |
        👽 | alien | |
        👻 | ghost | white |
        🐉 | dragon | + green |
        🧙 | wizard | | magician
        🥷 | ninja | |
        😀 | smiley | yellow | smiley face, happy face
        😂 | laughing face | | laughing smiley
        😍 | face with heart eyes | | smiley with heart eyes
        😎 | cool face | | face with sunglasses, cool smiley
        😢 | sad face | | crying face, sad smiley
        😡 | angry face | red | angry smiley
        🤡 | clown | | clown face
    """,
}


def _parse(category: str, line: str) -> Concept:
    emoji, name, colour, synonyms = (part.strip() for part in line.split("|"))
    return Concept(
        name=name,
        emoji=emoji,
        category=category,
        plural=plural_of(name),
        synonyms=tuple(word.strip() for word in synonyms.split(",") if word.strip()),
        natural=colour.removeprefix("+").strip() or None,
        colourable=colour.startswith("+"),
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
        *("rainbow", "sun", "moon", "star", "snowflake", "cloud", "planet earth", "heart"),
    }
)

# Where a thing is most often wanted; these meetings are shown more often than chance.
HOMES = {
    **dict.fromkeys(("fish", "whale", "dolphin", "shark", "octopus", "turtle"), "underwater"),
    **dict.fromkeys(("rocket", "flying saucer", "alien", "planet earth", "robot"), "space"),
    **dict.fromkeys(("penguin", "snowman", "snowflake"), "snow"),
    **dict.fromkeys(("airplane", "helicopter", "balloon", "butterfly", "rainbow"), "sky"),
    **dict.fromkeys(("moon", "star", "owl", "ghost", "fire", "tent"), "night"),
    **dict.fromkeys(("cow", "horse", "sheep", "flower", "house", "bee", "tractor"), "meadow"),
    **dict.fromkeys(("bear", "fox", "wolf", "monkey", "mushroom"), "forest"),
    **dict.fromkeys(("car", "taxi", "bus", "fire truck", "bicycle", "truck"), "city"),
    "cactus": "desert",
    **dict.fromkeys(("crab", "palm tree", "sailboat", "ice cream"), "beach"),
    **dict.fromkeys(("birthday cake", "gift", "cupcake", "clown"), "party"),
    **dict.fromkeys(("castle", "dragon"), "mountains"),
    **dict.fromkeys(("pumpkin", "tree"), "autumn"),
}
