"""The English that prompts are written in: the words of the grammar, apart from any model's vocabulary.

Phrases are listed with ", " between; the longest one that fits a prompt is taken.
"""

SEVERAL, MANY = 3, 1000
"""How many "several" are, and "many": as many as there can be."""
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
           "eleven", "twelve")  # fmt: skip
NUMBER_PHRASES = {
    1: "single",
    2: "pair, couple, twin, twins, duo, double",
    SEVERAL: "trio, triple, several, few, multiple, some more, group, bunch, herd, flock, pack, row, set",
    4: "quartet, quadruple",
    5: "quintet",
    6: "sextet, half a dozen",
    12: "dozen",
    100: "hundred",
    MANY: "many, lots, lot, loads, dozens, hundreds, thousands, thousand, crowd, swarm",
}
"""Each also with "a" before and "of" behind it."""
RELATION_PHRASES = {
    "and": "next to, beside, alongside, near, by the side of, close to, besides, adjacent to",
    "left of": "to the left of, left of, on the left of, on the left side of, to the left side of, "
    "at the left of",
    "right of": "to the right of, right of, on the right of, on the right side of, to the right side of, "
    "at the right of",
    "above": "above, over, high above",
    "below": "below, under, underneath, beneath",
    "in front of": "in front of, before, against, ahead of",
    "behind": "behind, in back of, at the back of",
    "on": "on, upon, onto, on top of, atop",
    "between": "between, in between, in the middle of",
}
SIZE_PHRASES = {
    "tiny": "tiny, teeny, teensy, miniature, minuscule, very small, very little, microscopic",
    "small": "small, little, smallish",
    "normal": "normal sized, medium sized, medium size, medium, normal size, average sized",
    "big": "big, large, biggish",
    "huge": "huge, enormous, giant, gigantic, massive, very big, very large, colossal",
}
ROWS, COLUMNS = {"top": "top, upper", "bottom": "bottom, lower"}, {"left": "left", "right": "right"}
CENTER = "center, centre, middle"
SPOT_FRAMES = (
    "in the {}, in the {} corner, at the {}, on the {}, on the {} side, to the {}, at the very {}, "
    "in the {} part, {} corner, at the {} corner, in the {} half"
)
FACING_VERBS = (
    "facing, faces, looking, looks, turned, heading, heads, pointing, points, gazing, staring"
)
TILT_VERBS = "tilted, tilting, leaning, leans, tipped, slanted, slanting, rotated, tilts"
SIDE_FRAMES = "{0} {1}, {0} to the {1}, {0} toward the {1}, {0} towards the {1}, {1} {0}"
UPRIGHT = "upright, not tilted, standing upright, untilted"
COLOR_PHRASES = {
    "gray": "grey, silver, silvery",
    "purple": "violet, lilac, lavender, magenta",
    "blue": "navy, dark blue, navy blue, royal blue, bright blue, bluish, azure",
    "light blue": "pale blue, sky blue, baby blue, pale light blue",
    "teal": "turquoise, cyan, aqua",
    "red": "crimson, scarlet, dark red, bright red, reddish",
    "green": "dark green, light green, lime green, bright green, emerald, greenish",
    "yellow": "golden, gold, bright yellow, light yellow, yellowish",
    "pink": "light pink, hot pink, rosy, pinkish",
    "orange": "dark orange, bright orange",
    "white": "snow white, pure white, whitish",
    "black": "jet black, pitch black",
    "beige": "cream, tan, ivory, sand colored",
}
OTHER_PHRASES = {
    "B": "background, backdrop, backgrounds, backdrops, bg, surroundings",
    "G": "gradient, gradients, fade",
    "J": "and, &, +, plus, with, as well as, together with, along with, accompanied by, holding, carrying, "
    "wearing, and also, also, has, having, n",
    "X": "no, not, without, never, nor, instead of, rather than, except, minus, free of, neither, none of, "
    "not a single, anything but, hate, dont, cannot",
    "w": "not only, not just, why not, no more than, nothing but, no problem, not sure, no idea, or so, "
    "and nothing else, nothing else, can not wait, over here, over there, right here, right there, "
    "all over, at all, of course, all alone, as usual, left alone",
    "r": "or, either",
    "b": "but",
    "D": "a, an, the, another, this, that, these, those, my, your, his, her, their, our, its, some, any, each",
    "Q": "it, him, them, itself, themselves, which, who",
    "V": "is, are, was, were, be, being, should be, must be, stands, sits, lies, there is, there are",
    "o": "in, at, to, of, from, into, inside, through, across, along, around, during, among, amid, for, as, by, "
    "up, down, out, off, toward, towards, within, beyond, past, about",
}
"""By the kinds of ``infinity.world.phrases``."""
NO_PLACES = {"above", "dark", "floor", "light"}
"""Words of one place's phrases alone that mean none by themselves."""
SIGNS: dict[str, str] = dict(zip(",/():–—|.;!?…&+@", ",,,,,,,,.....JJo", strict=True))
"""Sign -> its kind."""
IDLE = """
able again all alone along appear appears around bit both bring bright can chance cheers color colored
coloring colors colour coloured colours completely could create depict design do does draw drawing drawn
drift drifting ever every everything exactly features float floating floats flies flown fly flying
foreground full generate get give go goes going hang hanging hangs has have hello help here hey hi how
hover hovering hovers icon illustration image imagine in kindly kind know let lets lie lies like live
lives look looking looks lovely made make makes making may maybe me might mine must need now object ok
okay omg one ones only paint painted painting part perch perched perches photo photograph picture
pictured pictures pieces place placed plain please pls portrait possible posing prompt put really relax
relaxing render rendering rest resting rests scene see seen shall should show showing shown shows side
simple simply sit sits sitting sketch solid somewhere stand standing stands stood sat lay flew style styled surrounded
swim swimming swims take taken than thank thanks thing things this times too try us very vibe vibes view
walk walking walks want wanted wants way well what when where wish with would yes you
"""
"""Words that draw nothing, and ask for nothing that could be missed."""
