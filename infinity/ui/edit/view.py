"""What the Edit tab shows beside the run: the tree of pictures, and the current one before and after."""

import io
from pathlib import Path
from typing import Any

import gradio as gr

from infinity.ui.edit.mask import region_layer
from infinity.ui.edit.tree import Node, Tree
from infinity.ui.shared.files import address, data_uri

TREE = """
<section class="tree" aria-label="Tree of pictures" hidden>
<header><h2>Pictures</h2>
<button type="button" class="plain-button" data-do="undo">Undo</button>
<button type="button" class="plain-button" data-do="redo">Redo</button>
<p>Choose one to go on from it.</p></header>
<div class="branches"></div>
</section>
<section class="before-after" aria-label="Before and after" hidden>
<header><h2>Before and after</h2>
<label><input type="checkbox"> Show where it could change</label></header>
<figure><img class="after" alt="After"><img class="before" alt="Before"><img class="region" alt="" hidden>
<i></i><input type="range" min="0" max="100" value="50" aria-label="How much is shown of the picture before"></figure>
<footer><p></p><a class="plain-button" title="The PNG carries the prompt, the seed, all settings and bits">Download PNG</a></footer>
</section>
"""
_SCRIPT = Path(__file__).with_name("tree.js")


def build_tree() -> gr.HTML:
    """The component, in the current column; it tells of "undo", "redo", and with "select" of the ``number``
    that was chosen."""
    return gr.HTML(
        tree_value(Tree()),
        html_template=TREE,
        js_on_load=_SCRIPT.read_text(encoding="utf-8"),
        apply_default_css=False,
        elem_id="edit-tree",
    )


def tree_value(tree: Tree) -> dict[str, Any]:
    """All that the browser needs to draw it: texts, and pictures as addresses."""
    current, before = tree.current, tree.before
    return {
        "nodes": [
            {
                "number": node.number,
                "parent": node.parent if tree.get(node.parent) else None,
                "label": label(node),
                "source": node.thumbnail,
            }
            for node in tree.nodes
        ],
        "current": current.number if current else 0,
        "undo": before is not None,
        "redo": tree.following is not None,
        "before": address(before.file) if before else "",
        "after": address(current.file) if current else "",
        "download": current.file.name if current else "",
        "region": region_uri(current) if current and before and current.region else "",
        "facts": label(current) if current else "",
    }


def label(node: Node) -> str:
    """How a picture came about, and how much of the one before it has kept."""
    kept = "" if node.kept is None else f" · bits kept: {kept_text(node.kept)}"
    shown = f" · {node.prompt[:120]}" if node.prompt else ""
    return f"{node.number}. {node.title}{kept}{shown}"


def kept_text(share: float) -> str:
    """``0.8731`` -> "87.3%"; "100%" only where it is all of them."""
    return "100%" if share == 1 else f"{min(100 * share, 99.9):.1f}%"


def region_uri(node: Node) -> str:
    """Where a picture could differ from the one before, a pixel a token, as an address."""
    height, width = map(int, node.region.partition(":")[0].split("x"))
    buffer = io.BytesIO()
    region_layer(node.region, (width, height)).save(buffer, "PNG")
    return data_uri(buffer.getvalue(), "png")
