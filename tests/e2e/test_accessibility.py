"""axe-core on every tab, light and dark, on a desktop and on a phone: nothing serious.

axe comes with a package of the test requirements; nothing is fetched by the page.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import pytest

from tests.e2e.steps import DESKTOP, PHONE, ask, finished, shot

AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
SERIOUS = ("serious", "critical")
RUN_AXE = "async () => (await axe.run(document, {resultTypes: ['violations']})).violations"


def violations(page: Any) -> list[str]:
    """What axe finds serious, one line an element."""
    page.evaluate(AXE)
    return [
        f"{found['id']}: {found['help']} — {node['target']} {node['html'][:140]}"
        for found in page.evaluate(RUN_AXE)
        if found["impact"] in SERIOUS
        for node in found["nodes"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_no_tab_has_a_serious_violation(viewport, scheme, server, new_page):
    server.gate.open()
    page = new_page(server.url, viewport, scheme)
    ask(page)
    finished(page)
    names = [tab.inner_text().strip() for tab in page.get_by_role("tab").all() if tab.is_visible()]
    found: dict[str, list[str]] = {}
    for name in names:
        page.get_by_role("tab", name=name, exact=True).first.click()
        page.wait_for_timeout(500)
        shot(page, f"{name.lower()}-{'phone' if viewport is PHONE else 'desktop'}-{scheme}")
        if problems := violations(page):
            found[name] = problems
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= viewport["width"], f"{name} sticks out sideways"
    assert found == {}
    assert {"Generate", "Models", "API"} <= set(names)
