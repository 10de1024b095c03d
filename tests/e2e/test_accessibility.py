"""axe-core on every tab, light and dark, on a desktop and on a phone: nothing serious.

axe comes with a package of the test requirements; nothing is fetched by the page.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from tests.e2e.steps import DESKTOP, PHONE, WIDE, ask, box, finished, open_tab, settled, shot

AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
LOOKS = {
    "desktop-light": (DESKTOP, "light"),
    "desktop-dark": (DESKTOP, "dark"),
    "phone-dark": (PHONE, "dark"),
    "phone-light": (PHONE, "light"),
    "wide-light": (WIDE, "light"),
}
IS_DARK = {"light": "false", "dark": "true"}
TABS = ("Generate", "Inside", "Grid", "History", "Tokenizer", "Models", "API")
SERIOUS = ("serious", "critical")
RUN_AXE = "async () => (await axe.run(document, {resultTypes: ['violations']})).violations"


def violations(page: Any) -> list[str]:
    """What axe finds serious, one line an element."""
    page.evaluate(AXE)
    return [
        f"{found['id']}: {found['help']} — {node['target'][0]} {node['html'][:120]} {_colors(node)}"
        for found in page.evaluate(RUN_AXE)
        if found["impact"] in SERIOUS
        for node in found["nodes"]
    ]


def _colors(node: dict[str, Any]) -> str:
    """The colours that axe found too near each other, where that is what it found."""
    data = next((check["data"] for check in node["any"] if check["id"] == "color-contrast"), None)
    if not data:
        return ""
    return f"{data['fgColor']} on {data['bgColor']}: {data['contrastRatio']}"


def test_every_tab_is_as_wide_as_the_others_and_has_no_serious_violation(server, new_page):
    server.gate.open()
    page = new_page(server.url)
    ask(page)
    finished(page)
    page.locator("#stage .open").click()
    page.locator("dialog.large[open]").wait_for()
    assert not violations(page)
    page.keyboard.press("Escape")
    widths = _widths(page, TABS)
    open_tab(page, "Edit")  # last: its canvas slows all that comes after it
    page.locator("#edit-latest").click()
    page.locator("#edit-tree [data-number]").wait_for()
    for name, more in _widths(page, ("Edit",)).items():
        assert len({*widths[name], *more}) == 1, (name, widths[name], more)


def _widths(page: Any, tabs: Sequence[str]) -> dict[str, list[float]]:
    """Of the tabs, that are checked on the way, by look."""
    widths = {}
    for name, (viewport, scheme) in LOOKS.items():
        page.set_viewport_size(viewport)
        page.emulate_media(color_scheme=scheme)
        page.wait_for_function(f"document.body.classList.contains('dark') === {IS_DARK[scheme]}")
        widths[name] = [_width(page, tab, name) for tab in tabs]
    return widths


def _width(page: Any, tab: str, name: str) -> float:
    """Of a tab."""
    open_tab(page, tab)
    settled(page, ["#tabs"])
    shot(page, f"{tab.lower()}-{name}")
    if name != "wide-light":  # which differs from a desktop in its width alone
        assert not violations(page), f"{tab}, {name}"
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= page.viewport_size["width"], f"{tab}, {name}: sticks out sideways"
    return box(page, "#tabs")["width"]
