"""The pictures of one page's editing: every result under the one that it came from."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

MOST_PICTURES = 48


@dataclass(frozen=True, kw_only=True)
class Node:
    """A picture of the tree.

    Attributes:
        file: a PNG of the page, which may be gone.
        model: draws from it; it drew it, where it has a record.
        aspect_ratio: of the model.
        prompt: what it shows; "" where nobody has said.
        title: how it came about, in a few words.
        thumbnail: an address that holds the picture, small.
        number: counts the pictures of a tree, from 1.
        parent: number of the picture it came from; None for one that was opened.
        region: packed, where it may differ from that one; "" everywhere.
        kept: share of that one's bits that it has, from 0 to 1.
    """

    file: Path
    model: str
    aspect_ratio: str
    prompt: str
    title: str
    thumbnail: str
    number: int = 0
    parent: int | None = None
    region: str = ""
    kept: float | None = None


class Tree:
    """At most ``MOST_PICTURES``, one of which is the current one. Safe to use from any thread.

    Of more, the one opened or drawn longest ago goes of which nothing else came, the current one and those
    before it aside.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._nodes: dict[int, Node] = {}
        self._forward: dict[int, int] = {}  # where a picture was left for
        self._current: int | None = None
        self._count = 0

    @property
    def nodes(self) -> tuple[Node, ...]:
        """In the order in which they came."""
        return tuple(self._nodes.values())

    @property
    def current(self) -> Node | None:
        return self.get(self._current)

    @property
    def before(self) -> Node | None:
        """What the current picture came from."""
        return self.get(self.current.parent) if self.current else None

    def get(self, number: int | None) -> Node | None:
        return None if number is None else self._nodes.get(number)

    def open(self, node: Node) -> Node:
        """A picture that came from none of the others; it becomes the current one."""
        with self._lock:
            added = self._add(replace(node, parent=None))
            self._go(added.number)
            return added

    def grow(self, source: Node, results: Sequence[Node]) -> None:
        """What came of a picture; the first of it becomes the current one, unless somebody has gone to
        another meanwhile."""
        with self._lock:
            added = [self._add(replace(node, parent=source.number)) for node in results]
            if added and self._current == source.number:
                self._go(added[0].number)

    def go(self, number: int) -> bool:
        """Make a picture the current one; False where there is none of this number."""
        with self._lock:
            if number in self._nodes:
                self._go(number)
            return number in self._nodes

    def undo(self) -> Node | None:
        """Back to what the current picture came from; returns the one that was left."""
        left, before = self.current, self.before
        if left is None or before is None:
            return None
        self.go(before.number)
        return left

    def redo(self) -> bool:
        """On to where :meth:`undo` came from, else to the newest picture that came of this one."""
        return self.following is not None and self.go(self.following.number)

    @property
    def following(self) -> Node | None:
        """Where :meth:`redo` goes."""
        children = [node for node in self.nodes if node.parent == self._current]
        left = self.get(self._forward.get(self._current or 0))
        return left or (children[-1] if children else None)

    def _go(self, number: int) -> None:
        self._current = number
        if (parent := self._nodes[number].parent) is not None:
            self._forward[parent] = number

    def _add(self, node: Node) -> Node:
        self._count += 1
        added = self._nodes[self._count] = replace(node, number=self._count)
        if len(self._nodes) > MOST_PICTURES:
            self._drop()
        return added

    def _drop(self) -> None:
        line, node = set(), self.current
        while node is not None:
            line.add(node.number)
            node = self.get(node.parent)
        needed = line | {node.parent for node in self.nodes} | {self._count}
        dropped = next((number for number in self._nodes if number not in needed), None)
        del self._nodes[dropped or next(iter(self._nodes))]
