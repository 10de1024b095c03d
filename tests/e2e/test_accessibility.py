"""axe-core on every tab, light and dark, on a desktop and on a phone: nothing serious.

axe comes with a package of the test requirements; nothing is fetched by the page.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import pytest

from tests.e2e.steps import DESKTOP, PHONE, ask, finished, shot

AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
TABS = ("Generate", "Grid", "History", "Models", "API")
SERIOUS = ("serious", "critical")
RUN_AXE = "async () => (await axe.run(document, {resultTypes: ['violations']})).violations"


def open_tab(page: Any, name: str) -> None:
    """Through the menu of further tabs, where the window is too narrow for all."""
    shown = page.get_by_role("tab", name=name, exact=True)
    if not shown.first.is_visible():
        page.locator("#tabs .overflow-menu > button").first.click()
        shown = page.locator("#tabs .overflow-dropdown button").filter(has_text=name)
    shown.first.click()


def violations(page: Any) -> list[str]:
    """What axe finds serious, one line an element."""
    page.evaluate(AXE)
    return [
        f"{found['id']}: {found['help']} — {node['target'][0]} {node['html'][:120]} {_colours(node)}"
        for found in page.evaluate(RUN_AXE)
        if found["impact"] in SERIOUS
        for node in found["nodes"]
    ]


def _colours(node: dict[str, Any]) -> str:
    """The colours that axe found too near each other, where that is what it found."""
    data = next((check["data"] for check in node["any"] if check["id"] == "color-contrast"), None)
    if not data:
        return ""
    return f"{data['fgColor']} on {data['bgColor']}: {data['contrastRatio']}"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_no_tab_has_a_serious_violation(viewport, scheme, server, new_page):
    server.gate.open()
    page = new_page(server.url, viewport, scheme)
    ask(page)
    finished(page)
    found: dict[str, list[str]] = {}
    for name in TABS:
        open_tab(page, name)
        page.wait_for_timeout(500)
        shot(page, f"{name.lower()}-{'phone' if viewport is PHONE else 'desktop'}-{scheme}")
        if problems := violations(page):
            found[name] = problems
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= viewport["width"], f"{name} sticks out sideways"
    assert not found, "\n".join(f"{tab}: {line}" for tab in found for line in found[tab])
