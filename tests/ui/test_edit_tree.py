"""The tree of pictures, and the mask in what a canvas sends."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from infinity.errors import RequestError
from infinity.packing import kept_share, pack_bits, pack_region
from infinity.ui.edit.controls import next_wider
from infinity.ui.edit.mask import read_mask, region_layer
from infinity.ui.edit.tree import MOST_PICTURES, Node, Tree
from infinity.ui.edit.view import kept_text, tree_value
from tests.tiny import SPEC


def node(title: str = "Opened", **more) -> Node:
    return Node(
        file=Path(f"/files/{title}.png"), model="default", aspect_ratio="1:1", prompt="a boat",
        title=title, thumbnail="data:image/png;base64,", **more,
    )  # fmt: skip


def grown(*titles: str) -> Tree:
    tree = Tree()
    source = tree.open(node())
    tree.grow(source, [node(title) for title in titles])
    return tree


def test_first_result_becomes_the_current_picture_and_undo_goes_back():
    tree = grown("one", "two")
    assert tree.current.title == "one" and tree.before.title == "Opened"
    assert tree.undo().title == "one"
    assert tree.current.title == "Opened" and tree.undo() is None
    assert tree.redo() and tree.current.title == "one" and not tree.redo()


def test_redo_goes_where_undo_came_from_else_to_the_newest():
    tree = grown("one", "two")
    tree.go(3)
    tree.undo()
    assert tree.following.title == "two"
    fresh = grown("one", "two")
    fresh.go(1)
    fresh.grow(fresh.current, [])
    assert fresh.following.title == "one"
    assert not fresh.go(9) and fresh.current.number == 1


def test_result_leaves_who_has_gone_elsewhere_there():
    tree = grown("one")
    source = tree.get(1)
    tree.open(node("another"))
    tree.grow(source, [node("late")])
    assert tree.current.title == "another"
    assert [each.parent for each in tree.nodes] == [None, 1, None, 1]


def test_branches_are_bounded_and_the_line_of_the_current_one_stays():
    tree = grown("one")
    tree.grow(tree.current, [node("two")])
    line = [tree.current, tree.before, tree.get(1)]
    for count in range(MOST_PICTURES):
        tree.grow(line[2], [node(f"branch {count}")])
    assert len(tree.nodes) == MOST_PICTURES
    assert tree.current == line[0] and tree.before == line[1] and tree.get(1) == line[2]
    assert tree.nodes[-1].title == f"branch {MOST_PICTURES - 1}"


def test_one_long_line_loses_its_beginning():
    tree = grown()
    for _ in range(MOST_PICTURES):
        tree.grow(tree.current, [node("next")])
    assert len(tree.nodes) == MOST_PICTURES and tree.get(1) is None
    assert tree_value(tree)["nodes"][0]["parent"] is None


def test_value_says_what_the_browser_draws():
    tree = Tree()
    assert tree_value(tree)["nodes"] == [] and not tree_value(tree)["undo"]
    region = pack_region(np.eye(4, 6, dtype=bool))
    tree.grow(tree.open(node()), [node("Edited", region=region, kept=0.8731)])
    value = tree_value(tree)
    assert value["facts"] == "2. Edited · bits kept: 87.3% · a boat"
    assert value["undo"] and not value["redo"] and value["region"].startswith("data:image/png")
    assert value["before"].endswith("Opened.png") and value["download"] == "Edited.png"


@pytest.mark.parametrize(("share", "text"), [(1, "100%"), (0.99999, "99.9%"), (0, "0.0%")])
def test_share_is_whole_only_where_all_is_kept(share, text):
    assert kept_text(share) == text


def test_kept_share_counts_the_bits_that_stayed():
    bits = torch.zeros(5, 8, dtype=torch.bool)
    other = bits.clone()
    other[0, :4] = True
    assert kept_share(pack_bits([bits]), pack_bits([other])) == 0.9


def test_extension_is_to_the_next_wider_aspect_ratio():
    assert next_wider(SPEC, "1:1") == "3:2" and next_wider(SPEC, "2:3") == "1:1"
    assert next_wider(SPEC, "3:2") == "1:1"


# Masks


@pytest.fixture
def sent(tmp_path, monkeypatch):
    """What a browser sends of layers that were painted like these."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))

    def send(*layers: Image.Image) -> dict:
        files = []
        for number, layer in enumerate(layers):
            layer.save(tmp_path / f"{number}.png")
            files.append(str(tmp_path / f"{number}.png"))
        return {"layers": files, "when": 1}

    return send


def painted(box: tuple[int, int, int, int], alpha: int = 153, size=(80, 60)) -> Image.Image:
    layer = Image.new("RGBA", size)
    layer.paste((255, 0, 0, alpha), box)
    return layer


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_mask_is_what_was_painted_whatever_the_color(sent, mode):
    mask = read_mask(sent(painted((10, 20, 30, 40)).convert(mode)))
    assert mask.size == (80, 60) and mask.getbbox() == (10, 20, 30, 40)
    assert mask.getextrema() == (0, 255)


def test_layers_of_other_sizes_are_one_mask(sent):
    small = painted((0, 0, 10, 10), size=(40, 30))
    mask = read_mask(sent(painted((60, 40, 80, 60)), small))
    assert mask.size == (80, 60) and mask.getbbox() == (0, 0, 80, 60)
    assert mask.getpixel((10, 10)) == 255 and mask.getpixel((40, 30)) == 0


def test_nothing_painted_is_no_mask(sent):
    faint = painted((0, 0, 80, 60), alpha=3)
    empty = sent(painted((0, 0, 0, 0)))
    for value in (sent(), empty, sent(faint), None, {}, [], "x", 3, {"layers": "x"}):
        assert read_mask(value) is None
    assert read_mask(sent(painted((0, 0, 80, 60)))).getextrema() == (255, 255)


@pytest.mark.parametrize("layer", [None, 3, {}, "/etc/passwd", "../x", ["x"], "x" * 9999])
def test_layer_that_is_no_picture_of_the_page_is_refused(sent, layer):
    with pytest.raises(RequestError, match="brush it again"):
        read_mask(sent() | {"layers": [layer]})


def test_layer_that_is_no_picture_is_refused(sent, tmp_path):
    (tmp_path / "words.png").write_text("words")
    with pytest.raises(RequestError, match="cannot be read as a picture"):
        read_mask(sent() | {"layers": [str(tmp_path / "words.png")]})


def test_region_comes_back_as_it_was_painted(sent):
    region = np.zeros((6, 8), bool)
    region[1:3, 2:7] = True
    layer = region_layer(pack_region(region), (80, 60))
    assert layer.size == (80, 60)
    assert read_mask(sent(layer)).getbbox() == (20, 10, 70, 30)
