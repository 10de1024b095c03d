"""The picture world: determinism, hold-out, captions and geometry, on tiny made-up sprites."""

import itertools
import re
import tarfile

import numpy as np
import pytest

from tests.training.plain_world import write_plain_world
from training.world import captions, sprites
from training.world.captions import article_for, caption, misspelt, with_filler
from training.world.color import HUES, Body, oklab_to_rgb, rgb_to_oklab
from training.world.concepts import CONCEPTS, plural_of
from training.world.layout import CELLS
from training.world.places import PLACES
from training.world.scene import (
    Background,
    Scene,
    SceneObject,
    allowed_colors,
    backdrop,
    is_held_out_color,
    is_held_out_pair,
)
from training.world.sprites import SPRITE_FILE, crop, ensure_sprites
from training.world.world import World

WHITE = Background(kind="plain", names=("white",))
SIZE = 48


def sprite(index: int) -> np.ndarray:
    """A solid block, wide or tall, in a colour of its own."""
    height, width = (16, 24) if index % 2 else (24, 16)
    pixels = np.full((height, width, 4), 255, np.uint8)
    pixels[..., :3] = (200, 20 + index, 30)
    return pixels


@pytest.fixture(scope="module")
def world() -> World:
    sprites = {
        (style, name): sprite(i) for style in ("3d", "cartoon") for i, name in enumerate(CONCEPTS)
    }
    return World(sprites, styles=("3d", "cartoon"))


def two(relation: str, first: str = "apple", second: str = "car") -> Scene:
    objects = (SceneObject(concept=first, relation=relation), SceneObject(concept=second))
    return Scene(objects=objects, background=WHITE)


def names_in(text: str, concept: str) -> bool:
    known = CONCEPTS[concept]
    nouns = (known.name, *known.synonyms)
    return any(form in text for noun in nouns for form in (noun, plural_of(noun)))


def test_example_is_fixed_by_seed_and_index(world):
    first = world.example(3, 14, size=SIZE)
    world.example(3, 15, size=SIZE)
    again = world.example(3, 14, size=SIZE)
    assert again.caption == first.caption
    assert again.scene == first.scene
    np.testing.assert_array_equal(again.image, first.image)
    assert first.image.shape == (SIZE, SIZE, 3)
    assert first.image.dtype == np.uint8


def test_pictures_are_the_same_whatever_art_is_kept(world, monkeypatch):
    pictures = [world.example(5, index, size=SIZE).image for index in range(40)]
    monkeypatch.setattr("training.world.world.ART_KEPT", 6000)
    small = World(world._sprites, styles=world.styles)
    for index, picture in enumerate(pictures):
        np.testing.assert_array_equal(small.example(5, index, size=SIZE).image, picture)
        kept = sum(4 * art.width * art.height for art in small._scaled.values())
        assert kept <= 6000 or len(small._scaled) == 1
    assert len(small._scaled) < len(world._scaled)


def test_examples_differ_between_indices_and_seeds(world):
    captions = {world.example(s, i, size=16).caption for s in (0, 1) for i in range(20)}
    assert len(captions) > 35


def test_held_out_combinations_never_appear_in_training(world):
    for index in range(600):
        objects = world.example(0, index, size=16).scene.objects
        for item in objects:
            concept = CONCEPTS[item.concept]
            if item.color not in (None, concept.natural):
                assert not is_held_out_color(item.color, item.concept)
        if len(objects) == 2:
            assert not is_held_out_pair(objects[0].concept, objects[1].concept)


def test_held_out_split_always_shows_a_held_out_combination(world):
    for index in range(200):
        objects = world.example(0, index, size=16, split="heldout").scene.objects
        if len(objects) == 2:
            assert is_held_out_pair(objects[0].concept, objects[1].concept)
        else:
            assert is_held_out_color(objects[0].color, objects[0].concept)


def test_hold_out_has_the_promised_share():
    colors = [is_held_out_color(c, n) for c in HUES for n in CONCEPTS]
    pairs = [is_held_out_pair(a, b) for a, b in itertools.combinations(CONCEPTS, 2)]
    assert np.mean(colors) == pytest.approx(1 / 8, abs=0.03)
    assert np.mean(pairs) == pytest.approx(1 / 10, abs=0.01)
    assert is_held_out_pair("cat", "dog") == is_held_out_pair("dog", "cat")


def test_splits_share_no_colors_and_natural_ones_are_trained():
    for concept in CONCEPTS.values():
        train, heldout = (set(allowed_colors(concept, s)) for s in ("train", "heldout"))
        assert not train & heldout
        if concept.colorable:
            assert train | heldout == set(HUES)
            assert concept.natural not in heldout


def test_single_stage_shows_one_object(world):
    for index in range(100):
        (item,) = world.example(1, index, size=16, stage="single").scene.objects
        assert item.count == 1


def test_composed_stage_shows_things_in_colors_that_are_not_theirs(world):
    scenes = [world.example(1, index, size=16, stage="composed").scene for index in range(300)]
    single = [scene.objects[0] for scene in scenes if len(scene.objects) == 1]
    assert all(item.color is not None for item in single)
    both = [all(item.color for item in s.objects) for s in scenes if len(s.objects) == 2]
    assert np.mean(both) > 0.35
    assert 0.2 < np.mean([s.background.kind == "place" for s in scenes]) < 0.4


@pytest.mark.parametrize(
    ("things", "expected"),
    [
        ([("dog", None)], "light blue"), ([("cactus", None)], "yellow"), ([("apple", None)], "light blue"),
        ([("apple", "blue")], "yellow"), ([("fish", None)], "yellow"), ([("fish", "red")], "light blue"),
        ([("apple", None), ("whale", None)], "yellow"), ([("whale", None), ("star", None)], "pink"),
        ([("star", None), ("whale", None)], "pink"), ([("cactus", None), ("star", None)], "light blue"),
    ],
)  # fmt: skip
def test_backdrop_is_settled_by_the_things_and_unlike_them(things, expected):
    found = backdrop([SceneObject(concept=name, color=color) for name, color in things])
    assert (found.kind, found.names) == ("backdrop", (expected,))


def test_background_goes_unnamed_where_it_is_the_backdrop_alone(world):
    unnamed = 0
    for index in range(300):
        drawn = world.example(5, index, size=16, stage="single")
        background = drawn.scene.background
        if background.kind == "backdrop":
            unnamed += 1
            assert background == backdrop(drawn.scene.objects)
            assert not re.search("background|gradient| in a | on the ", drawn.caption)
        elif background.kind != "place":
            assert all(name in drawn.caption for name in background.names)
    assert 75 < unnamed < 135


def test_held_out_split_without_combinations_is_refused(world):
    small = World({("3d", "banana"): sprite(0)}, styles=("3d",))
    assert small.concepts == ("banana",)
    with pytest.raises(ValueError, match="held-out colour"):
        small.example(0, 0, size=16, stage="single", split="heldout")


def test_misspelt_changes_one_longer_word_a_little():
    text = "a yellow banana on the beach"
    for seed in range(50):
        words = misspelt(text, np.random.default_rng(seed)).split()
        changed = [(a, b) for a, b in zip(text.split(), words, strict=True) if a != b]
        assert len(changed) <= 1  # a letter may be replaced by itself
        assert all(len(a) >= 5 and abs(len(a) - len(b)) <= 1 for a, b in changed)
    assert misspelt("a cat", np.random.default_rng(0)) == "a cat"


@pytest.fixture
def well_spelt(monkeypatch):
    monkeypatch.setattr(captions, "MISSPELT_SHARE", 0.0)


@pytest.mark.usefixtures("well_spelt")
def test_caption_names_what_is_drawn(world):
    for index in range(400):
        example = world.example(2, index, size=16)
        text = example.caption
        for item in example.scene.objects:
            assert names_in(text, item.concept), (text, item)
            assert item.color is None or item.color in text
            if item.count > 1:
                words = {2: ("two", "2"), 3: ("three", "3"), 4: ("four", "4")}[item.count]
                assert any(word in text.split() for word in words)
        background = example.scene.background
        if background.kind == "place":
            assert any(phrase in text for phrase in PLACES[background.names[0]].phrases)
        if example.scene.style == "cartoon":
            assert "cartoon" in text or "flat drawing of" in text
        assert "  " not in text
        assert text == text.strip()


@pytest.mark.usefixtures("well_spelt")
@pytest.mark.parametrize("relation", ["left of", "right of", "above", "below"])
def test_caption_states_the_relation_in_order(relation):
    rng = np.random.default_rng(0)
    words = {"left of": "left", "right of": "right", "above": ("above", "over", "on top of")}
    for _ in range(20):
        text = caption(two(relation), rng)
        expected = words.get(relation, ("below", "under", "underneath", "beneath"))
        assert any(word in text for word in np.atleast_1d(expected))
        apple = text.index("apple")
        assert apple < max(text.rfind("car"), text.rfind("automobile"))


@pytest.mark.parametrize("relation", ["and", "left of", "right of", "above", "below"])
@pytest.mark.parametrize("place", [None, "meadow", "space"])
def test_relation_decides_where_objects_go(world, relation, place):
    background = WHITE if place is None else Background(kind="place", names=(place,))
    scene = Scene(objects=two(relation).objects, background=background)
    boxes = world.boxes(scene, 100)
    first = next(box for box in boxes if box.item.concept == "apple")
    second = next(box for box in boxes if box.item.concept == "car")
    (x1, y1), (x2, y2) = first.center, second.center
    gap = {"above": y2 - y1, "below": y1 - y2, "right of": x1 - x2}.get(relation, x2 - x1)
    assert gap > 30


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_count_is_drawn_without_overlap(world, count):
    scene = Scene(objects=(SceneObject(concept="apple", count=count),), background=WHITE)
    boxes = world.boxes(scene, 192)
    assert len(boxes) == count
    for box in boxes:
        assert min(box.x0, box.y0) >= 0
        assert max(box.x0 + box.width, box.y0 + box.height) <= 192
    for a, b in itertools.combinations(boxes, 2):
        apart_x = a.x0 + a.width <= b.x0 or b.x0 + b.width <= a.x0
        apart_y = a.y0 + a.height <= b.y0 or b.y0 + b.height <= a.y0
        assert apart_x or apart_y
    half_a_cell = 192 / CELLS / 2
    spans = [(box.x0, box.x0 + box.width) for box in boxes]
    middle = (min(spans)[0] + max(end for _, end in spans)) / 2
    assert abs(middle - 96) <= half_a_cell + 1


def test_single_object_is_large_and_little_is_smaller(world):
    sides = {}
    for size in ("little", "normal", "big"):
        scene = Scene(objects=(SceneObject(concept="apple", size=size),), background=WHITE)
        (box,) = world.boxes(scene, 200)
        sides[size] = max(box.width, box.height) / 200
    assert sides["little"] < 0.5 < 0.6 <= sides["normal"] <= 0.8 < sides["big"]


@pytest.mark.parametrize("place", PLACES)
def test_every_place_is_painted_at_any_size(world, place):
    background = Background(kind="place", names=(place,))
    scene = Scene(objects=(SceneObject(concept="dog"),), background=background)
    for size in (16, 50, 96):
        image = np.asarray(world.draw(scene, size, np.random.default_rng(1))[0])
        assert image.shape == (size, size, 3)
        assert image.std() > 5


@pytest.mark.parametrize(
    ("phrase", "article"),
    [("apple", "an"), ("car", "a"), ("orange car", "an"), ("unicorn", "a"), ("UFO", "a"),
     ("umbrella", "an"), ("owl", "an"), ("yellow umbrella", "a"), ("hamburger", "a")],
)  # fmt: skip
def test_article_follows_the_sound(phrase, article):
    assert article_for(phrase) == article


@pytest.mark.parametrize(
    ("noun", "plural"),
    [("dog", "dogs"), ("fox", "foxes"), ("butterfly", "butterflies"), ("monkey", "monkeys"),
     ("sheep", "sheep"), ("bus", "buses"),
     ("slice of pizza", "slices of pizza"), ("birthday cake", "birthday cakes")],
)  # fmt: skip
def test_plural_is_english(noun, plural):
    assert plural_of(noun) == plural


def test_concepts_are_consistent():
    assert len({concept.emoji for concept in CONCEPTS.values()}) == len(CONCEPTS) >= 100
    assert {concept.home for concept in CONCEPTS.values()} <= {None, *PLACES}
    assert CONCEPTS["sun"].floats and not CONCEPTS["car"].floats
    every = [noun for c in CONCEPTS.values() for noun in (c.name, *c.synonyms)]
    assert len(every) == len(set(every)), "a word names two concepts"


def test_oklab_round_trip():
    rgb = np.random.default_rng(0).random((50, 3)).astype(np.float32)
    np.testing.assert_allclose(oklab_to_rgb(rgb_to_oklab(rgb)), rgb, atol=2e-3)


def test_recolor_paints_the_body_and_leaves_the_rest():
    pixels = np.full((20, 20, 4), 255, np.uint8)
    pixels[:, :, :3] = (220, 30, 40)
    pixels[:3, :, :3] = (90, 180, 60)
    pixels[3:5, :, :3] = (40, 40, 40)
    painted = Body(pixels).painted("blue")
    red, green, blue = (int(v) for v in painted[10, 10, :3])
    assert blue > 180 > 120 > red
    assert blue > green
    np.testing.assert_allclose(painted[:5].astype(int), pixels[:5].astype(int), atol=2)
    np.testing.assert_array_equal(painted[..., 3], pixels[..., 3])


def test_crop_cuts_to_the_visible_part():
    pixels = np.zeros((30, 40, 4), np.uint8)
    pixels[5:15, 8:33, 3] = 255
    assert crop(pixels).shape == (10, 25, 4)


def test_load_reads_built_sprites_and_names_what_is_missing(tmp_path):
    folder = write_plain_world(tmp_path / "world")
    assert World.load(folder, styles=("cartoon",)).concepts == tuple(CONCEPTS)
    np.savez(folder / SPRITE_FILE, **{"3d/apple": sprite(0), "3d/car": sprite(1)})
    with pytest.raises(ValueError, match="cartoon/apple"):
        World.load(folder, styles=("cartoon",))
    with pytest.raises(FileNotFoundError, match=r"training\.world build"):
        World.load(tmp_path / "nowhere")


def test_fetch_says_what_to_do_without_npm(tmp_path, monkeypatch):
    monkeypatch.setattr(sprites.shutil, "which", lambda name: None)
    with pytest.raises(sprites.FetchError, match=r"install Node\.js"):
        sprites.fetch(sprites.NOTO, tmp_path)


def test_fetch_refuses_a_changed_tarball_and_resumes_from_a_good_one(tmp_path, monkeypatch):
    (tmp_path / "file.txt").write_text("art")
    package = sprites.Package(name="@a/b", version="1.0.0", sha256="0" * 64)
    tarball = tmp_path / package.tarball

    def pack(_package, _cache):
        with tarfile.open(tarball, "w:gz") as archive:
            archive.add(tmp_path / "file.txt", "package/file.txt")

    monkeypatch.setattr(sprites, "_npm_pack", pack)
    with pytest.raises(sprites.FetchError, match="expected 0000"):
        sprites.fetch(package, tmp_path)
    assert not tarball.exists()

    pack(package, tmp_path)
    digest = sprites._sha256(tarball)
    good = sprites.Package(name="@a/b", version="1.0.0", sha256=digest)
    monkeypatch.setattr(sprites, "_npm_pack", lambda *_: pytest.fail("downloaded again"))
    folder = sprites.fetch(good, tmp_path)
    assert (folder / "file.txt").read_text() == "art"
    assert sprites.fetch(good, tmp_path) == folder


def test_filler_keeps_the_caption_and_shuns_the_wordings_of_the_exam():
    caption_words = ["a", "red", "car", "left", "of", "two", "cats", "on", "the", "beach"]
    texts = [
        with_filler(" ".join(caption_words), np.random.default_rng(seed)) for seed in range(400)
    ]
    for text in texts:
        kept = iter(re.findall(r"[\w'-]+", text))
        assert all(word in kept for word in caption_words[1:]), text
    assert 0.35 < np.mean([text != " ".join(caption_words) for text in texts]) < 0.75
    exam = "photograph of|please|nicely|would like|standing on|streets|lost|down under"
    assert not [text for text in texts if re.search(exam, text)]
    assert with_filler("a cat", np.random.default_rng(3)) == with_filler(
        "a cat", np.random.default_rng(3)
    )


def test_sprites_are_built_once(tmp_path, monkeypatch):
    built = []

    def build(folder, packages):
        folder.mkdir()
        (folder / SPRITE_FILE).touch()
        built.append((folder, packages))

    monkeypatch.setattr(sprites, "build_sprites", build)
    for _ in range(2):
        ensure_sprites(tmp_path / "world")
    assert built == [(tmp_path / "world", tmp_path / "packages")]
