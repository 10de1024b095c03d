"""What a reload keeps: the tab in the page's address, the settings in the browser's own storage, the
page's runs by its key.

Every tab has an address (``#grid``), so that Back goes to the tab before and a link may name one.

The browser keeps every setting as it changes and puts it back as the page opens. Only what the server
alone knows is asked of it, once: settings that came with a link, the lists of a model that is not the
page's first one, and whose page this is.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component

from infinity.hosting import SPACE_USER
from infinity.ui.controls.choices import model_updates
from infinity.ui.controls.request import SAMPLING
from infinity.ui.opening.replay import Replay
from infinity.ui.shared.pages import Pages
from infinity.ui.shared.runs import visitor_of
from infinity.ui.shared.wiring import QUICK, Updates

SCRIPT = Path(__file__).with_name("kept.js")
ADDRESSES = Path(__file__).with_name("addresses.js")
MODEL_CONTROLS = ("model", "aspect_ratio", "style")
"""The controls whose lists depend on the model."""


def wire_kept(
    app: gr.Blocks,
    pages: Pages,
    replay: Replay,
    settings: Mapping[str, Component],
) -> None:
    """Everything that happens as the page opens, and the keeping of what changes after it.

    Args:
        settings: what is kept, by name; the request controls by theirs.
    """
    components: list[Any] = list(settings.values())
    visit = gr.JSON(visible=False)
    rules = json.dumps({name: _rule(name, component) for name, component in settings.items()})
    script = SCRIPT.read_text(encoding="utf-8").replace("RULES", rules)
    app.load(
        None, components, [*components, replay.note], js=f"(...now) => {{{script}}}", **QUICK
    ).then(
        make_open(pages, replay, visit),
        visit,
        [*replay.outputs(), visit],
        js="() => window.infinityKept.visit()",
        **QUICK,
    ).then(
        None,
        [visit, *components],
        None,
        js="(...all) => { window.infinityKept.begin(...all) }",
        **QUICK,
    )
    gr.on(
        [component.change for component in components],
        None,
        components,
        None,
        js="(...now) => { window.infinityKept?.keep(now) }",
        **QUICK,
    )


def wire_addresses(tabs: gr.Tabs) -> None:
    """Call it inside the Blocks, after all tabs are laid out; the first of them has the bare address."""
    all_tabs = [tab for tab in tabs.children if isinstance(tab, gr.Tab)]
    for tab in all_tabs:
        tab.elem_id = f"panel-{tab.id}"
    ids = json.dumps([str(tab.id) for tab in all_tabs])
    script = ADDRESSES.read_text(encoding="utf-8").replace("IDS", ids)
    place = gr.HTML(None, html_template="", js_on_load=script, elem_id="addresses")
    select = "() => ({__type__: 'update', selected: window.infinityTabs.named()})"
    place.select(None, None, tabs, js=select, **QUICK)
    opened = "() => window.infinityTabs.opened()"
    gr.on([tab.select for tab in all_tabs], None, None, None, js=opened, **QUICK)


def build_back() -> gr.HTML:
    """The component whose event ``back`` says that a page which was here before is loaded again."""
    script = "window.infinityBack = () => trigger('back')"
    return gr.HTML(None, html_template="", js_on_load=script, elem_id="back")


def make_open(pages: Pages, replay: Replay, visit: gr.JSON) -> Callable[..., Updates]:
    """The handler of a page that opens: what its link says, else its kept model; then its key."""

    def open_page(request: gr.Request, kept: object) -> Updates:
        said = kept if isinstance(kept, dict) else {}
        session = request.session_hash or ""
        page = pages.claim(
            session, said.get("key"), _login_of(request), left=said.get("left") is True
        )
        linked = replay.open_link(request) if said.get("link", True) else {}
        # A link sets every control, a bad one only the note.
        return {
            **_kept_model(replay, said.get("model")),
            **linked,
            visit: {"key": page.key, "is_back": page.key == said.get("key")},
        }

    return open_page


def _kept_model(replay: Replay, kept: object) -> Updates:
    """Another model than the page's first one, with its lists; the sampling is put back already."""
    values = kept if isinstance(kept, dict) else {}
    spec = replay.context.models.get(str(values.get("model")))
    if spec is None:
        return {}
    ratio, style = str(values.get("aspect_ratio")), str(values.get("style"))
    updates = model_updates(values["model"], spec, ratio, style)
    return replay.controls.updates({name: updates[name] for name in MODEL_CONTROLS})


def _rule(name: str, component: Component) -> dict[str, Any]:
    """What the browser checks a kept value by: it may be an older page's, or no value at all."""
    is_number = isinstance(component, gr.Slider | gr.Number)
    rule: dict[str, Any] = {
        "type": "number" if is_number else "string",
        "of_model": name in (*MODEL_CONTROLS, *SAMPLING),
    }
    if isinstance(component, gr.Radio | gr.Dropdown):
        rule["choices"] = [value for _, value in component.choices]
    if isinstance(component, gr.Slider):
        rule |= {"least": component.minimum, "most": component.maximum}
    return rule


def _login_of(request: gr.Request) -> str:
    visitor = visitor_of(request)
    return visitor if visitor.startswith(("user:", SPACE_USER)) else ""
