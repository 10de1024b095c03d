"""The picture world: determinism, hold-out, captions and geometry, on tiny made-up sprites."""

import itertools
import tarfile
from dataclasses import replace

import numpy as np
import pytest

from infinity.world.scene import RELATIONS, SIZES, SPOTS, Background, Scene, Thing
from infinity.world.wording import SPOT_WORDS, written
from tests.training.plain_world import write_plain_world
from training.world import sprites
from training.world.backgrounds import VARIANTS
from training.world.captions import free_caption, world_vocabulary
from training.world.color import HUES, Body, oklab_to_rgb, rgb_to_oklab
from training.world.concepts import CONCEPTS, STYLES, plural_of
from training.world.places import PLACES
from training.world.sampling import (
    MOST_COUNT,
    allowed_colors,
    is_held_out_color,
    is_held_out_pair,
    sample_scene,
)
from training.world.sheets import write_sheets
from training.world.sprites import SPRITE_FILE, crop, ensure_sprites
from training.world.world import World

WHITE = Background(kind="plain", names=("white",))
SIZE = 48


def sprite(index: int) -> np.ndarray:
    """A solid block, wide or tall, in a colour of its own."""
    height, width = (16, 24) if index % 2 else (24, 16)
    pixels = np.full((height, width, 4), 255, np.uint8)
    pixels[..., :3] = (200, index % 250, 30)
    return pixels


@pytest.fixture(scope="module")
def world() -> World:
    sprites = {
        (style, name): sprite(i) for style in ("3d", "cartoon") for i, name in enumerate(CONCEPTS)
    }
    return World(sprites, styles=("3d", "cartoon"))


def scenes(count: int, stage="full", split="train") -> list[Scene]:
    return [
        sample_scene(
            np.random.default_rng((0, index)),
            concepts=tuple(CONCEPTS), styles=STYLES, stage=stage, split=split,
        )
        for index in range(count)
    ]  # fmt: skip


def two(relation: str, first: str = "apple", second: str = "car") -> Scene:
    return Scene(things=(Thing(name=first, relation=relation), Thing(name=second)))


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


def test_held_out_combinations_never_appear_in_training():
    for scene in scenes(1000, "composed"):
        for thing in scene.things:
            if thing.color not in (None, CONCEPTS[thing.name].natural):
                assert not is_held_out_color(thing.color, thing.name)
        for one, other in itertools.combinations(scene.things, 2):
            assert not is_held_out_pair(one.name, other.name)


def test_held_out_split_always_shows_a_held_out_combination():
    for scene in scenes(200, split="heldout"):
        first, *others = scene.things
        if others:
            assert is_held_out_pair(first.name, others[0].name)
        else:
            assert is_held_out_color(first.color, first.name)


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


def test_single_stage_shows_one_thing():
    for scene in scenes(100, "single"):
        assert [thing.count for thing in scene.things] == [1]


def test_stages_show_all_that_a_scene_can_say():
    shown = scenes(3000, "full") + scenes(1000, "composed")
    things = [thing for scene in shown for thing in scene.things]
    assert {thing.count for thing in things} == set(range(1, MOST_COUNT + 1))
    assert {thing.relation for thing in things} == {None, *RELATIONS}
    assert {thing.size for thing in things} == {None, *SIZES}
    assert {thing.spot for thing in things} == {None, *SPOTS}
    assert {thing.tilt for thing in things} == {None, "left", "right"}
    assert {thing.facing for thing in things if CONCEPTS[thing.name].faces} > {"left", "right"}
    assert not [thing for thing in things if thing.facing and not CONCEPTS[thing.name].faces]
    assert {scene.style for scene in shown} == {None, *STYLES}
    places = {scene.background.names[0] for scene in shown if scene.background}
    assert places > set(PLACES)
    assert 0.1 < np.mean([scene.background is None for scene in shown]) < 0.25


def test_held_out_split_without_combinations_is_refused(world):
    small = World({("3d", "banana"): sprite(0)}, styles=("3d",))
    assert small.concepts == ("banana",)
    with pytest.raises(ValueError, match="held-out colour"):
        small.example(0, 0, size=16, stage="single", split="heldout")


def test_free_captions_name_what_is_drawn():
    for index, scene in enumerate(scenes(300) + scenes(100, "composed")):
        text = free_caption(scene, np.random.default_rng(index))
        for thing in scene.things:
            assert names_in(text, thing.name), (text, thing)
            for said in (thing.color, thing.facing, thing.tilt):
                assert said in (None, "none") or said in text, (text, thing)
            assert thing.spot is None or SPOT_WORDS.get(thing.spot, thing.spot) in text
            if thing.count > 1:
                words = ("two", "three", "four", "five", "six")[thing.count - 2], str(thing.count)
                assert any(word in text.split() for word in words)
        if scene.background and scene.background.kind == "place":
            assert any(phrase in text for phrase in PLACES[scene.background.names[0]].phrases)
        assert "  " not in text and text == text.strip() and "{" not in text


def test_captions_are_mostly_those_that_prompts_are_rewritten_to(world):
    drawn = [world.sample(2, index)[:2] for index in range(300)]
    usual = [text == written(scene, world_vocabulary()) for scene, text in drawn]
    assert 0.6 < np.mean(usual) < 0.85


@pytest.mark.parametrize("size", [(256, 256), (320, 208), (208, 320)])
@pytest.mark.parametrize("place", [None, "meadow", "space"])
def test_relation_decides_where_things_go(world, size, place):
    background = None if place is None else Background(kind="place", names=(place,))
    for relation in RELATIONS[:-1]:
        scene = replace(two(relation), background=background)
        boxes = world.boxes(scene, size)
        first = next(box for box in boxes if box.item.name == "apple")
        second = next(box for box in boxes if box.item.name == "car")
        (x1, y1), (x2, y2) = first.center, second.center
        gap = {"above": y2 - y1, "below": y1 - y2, "on": y2 - y1, "right of": x1 - x2}
        if relation in ("in front of", "behind"):
            assert first.x0 < second.x0 + second.width and second.x0 < first.x0 + first.width
            front = first if relation == "in front of" else second
            back = boxes[0]
            assert boxes[-1] is front and front.bottom > back.bottom
            assert max(front.width, front.height) < max(back.width, back.height)
            continue
        assert gap.get(relation, x2 - x1) > min(size) / 4
        assert relation != "on" or abs(first.bottom - second.y0) < 0.1 * size[1]


def test_between_is_in_the_midst(world):
    names = ("dog", "between"), ("car", "and"), ("tree", None)
    things = tuple(Thing(name=name, relation=relation) for name, relation in names)
    left, middle, right = world.boxes(Scene(things=things), (256, 256))
    assert (left.item.name, middle.item.name, right.item.name) == ("car", "dog", "tree")
    assert left.center[0] < middle.center[0] < right.center[0]


@pytest.mark.parametrize("size", [(256, 256), (320, 208), (208, 320)])
def test_things_are_in_the_picture_and_alike_ones_are_apart(world, size):
    for scene in scenes(600) + scenes(300, "composed"):
        boxes = world.boxes(scene, size)
        assert len(boxes) == sum(thing.count for thing in scene.things)
        for box in boxes:
            assert box.x0 >= -4 and box.x0 + box.width <= size[0] + 4, scene
            assert box.y0 >= -4 and box.bottom <= size[1] + 4, scene
        for a, b in itertools.combinations(boxes, 2):
            if a.item == b.item and a.item.size not in ("big", "huge"):
                apart_x = a.x0 + a.width <= b.x0 + 1 or b.x0 + b.width <= a.x0 + 1
                assert apart_x or a.bottom <= b.y0 + 1 or b.bottom <= a.y0 + 1, scene


def test_sizes_and_spots_are_told_apart(world):
    sides, centers = [], set()
    for size in SIZES:
        (box,) = world.boxes(Scene(things=(Thing(name="apple", size=size),)), (256, 256))
        sides.append(max(box.width, box.height) / 256)
    assert np.all(np.diff(sides) > 0.08) and sides[0] < 0.3 and 0.65 < sides[2] < 0.8
    for spot in SPOTS:
        (box,) = world.boxes(Scene(things=(Thing(name="apple", spot=spot),)), (300, 300))
        centers.add((int(box.center[0] // 100), int(box.center[1] // 100)))
    assert len(centers) == len(SPOTS)


def test_facing_mirrors_the_art_and_tilt_turns_it():
    art = np.full((20, 30, 4), 255, np.uint8)
    art[:, :15, :3] = 0
    world = World({("3d", "car"): art}, styles=("3d",))
    left, right, own, turned = (
        world.draw(Scene(things=(Thing(name="car", **looks),)), 64, np.random.default_rng(0))[0]
        for looks in ({"facing": "left"}, {"facing": "right"}, {}, {"tilt": "left"})
    )
    assert left.tobytes() == own.tobytes() != right.tobytes()
    assert left.getpixel((22, 32)) == right.getpixel((41, 32)) == (0, 0, 0)
    upper, lower = (max(np.flatnonzero(np.asarray(turned)[y, :, 0] < 9)) for y in (26, 38))
    assert lower > upper + 1  # the seam leans to the left


def test_what_is_open_is_drawn_as_usual(world):
    said = Thing(name="dog", size="normal", spot="center", tilt="none")
    usual = Background(kind="plain", names=("light blue",))
    whole = Scene(things=(said,), background=usual, style="3d")
    one, other = (
        world.draw(scene, 64, np.random.default_rng(0))[0]
        for scene in (Scene(things=(Thing(name="dog"),)), whole)
    )
    assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize("place", PLACES)
def test_every_place_is_painted_in_any_size_and_shape(world, place):
    scene = two("and", "dog", "cat")
    scene = replace(scene, background=Background(kind="place", names=(place,)))
    for size in (16, (48, 32), (64, 96)):
        image = np.asarray(world.draw(scene, size, np.random.default_rng(1))[0])
        assert image.shape == ((size, size, 3) if isinstance(size, int) else (*size[::-1], 3))
        assert image.std() > 5


def test_places_vary_little_between_pictures(world):
    scene = Scene(things=(Thing(name="dog"),), background=Background(kind="place", names=("road",)))
    drawn = [world.draw(scene, 64, np.random.default_rng(i))[0].tobytes() for i in range(40)]
    assert len(set(drawn)) == VARIANTS
    first, *others = (np.frombuffer(each, np.uint8).astype(float) for each in set(drawn))
    assert all(np.abs(first - other).mean() < 12 for other in others)


@pytest.mark.parametrize(
    ("noun", "plural"),
    [("dog", "dogs"), ("fox", "foxes"), ("butterfly", "butterflies"), ("monkey", "monkeys"),
     ("sheep", "sheep"), ("bus", "buses"), ("policeman", "policemen"), ("old woman", "old women"),
     ("maple leaf", "maple leaves"), ("glasses", "pairs of glasses"), ("mouse", "mice"),
     ("slice of pizza", "slices of pizza"), ("birthday cake", "birthday cakes")],
)  # fmt: skip
def test_plural_is_english(noun, plural):
    assert plural_of(noun) == plural


def test_concepts_are_consistent():
    assert len({concept.emoji for concept in CONCEPTS.values()}) == len(CONCEPTS) >= 300
    assert {concept.home for concept in CONCEPTS.values()} == {None, *PLACES} - {"sunset"}
    assert CONCEPTS["sun"].floats and not CONCEPTS["car"].floats
    every = [noun for c in CONCEPTS.values() for noun in (c.name, *c.synonyms)]
    assert len(every) == len(set(every)), "a word names two concepts"
    assert CONCEPTS["car"].faces == {"3d": "left", "cartoon": "left"}
    assert CONCEPTS["astronaut"].codepoint == "1f9d1-200d-1f680"
    assert len(PLACES) >= 16


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


def test_sheets_show_all_of_the_world(world, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.world.sheets.TILE", 24)
        patch.setattr("training.world.sheets.SHAPES", ((24, 24),))
        write_sheets(world, tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names >= {"things-0.png", "backgrounds-0.png", "layouts-0.png", "samples-24x24-0.png"}
