"""What happens as a page opens, and what a reload keeps.

Every tab has an address (``#grid``), so that Back goes to the tab before and a link may name one. The
browser keeps every setting as it changes, in the tab's own storage, and puts it back as the page opens.
Only what the server alone knows is asked of it, once: settings that came with a link, the lists of a
model that is not the page's first one, and whose page this is, which its runs are known by.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component

from infinity.hosting import SPACE_USER
from infinity.ui.controls.choices import OF_MODEL, model_updates
from infinity.ui.controls.request import SAMPLING
from infinity.ui.opening.replay import Replay
from infinity.ui.shared.runs import visitor_of
from infinity.ui.shared.wiring import QUICK, Updates, quick_on

KINDS = {"number": gr.Slider | gr.Number, "boolean": gr.Checkbox}
"""JavaScript's type of a value -> the controls that have one; others have a string."""


def build_back() -> gr.HTML:
    """The component whose event ``back`` says that a page which was here before is loaded again."""
    script = "window.infinityBack = () => trigger('back')"
    return gr.HTML(None, html_template="", js_on_load=script, elem_id="back")


def wire_opening(
    app: gr.Blocks, replay: Replay, opened: gr.UploadButton, settings: Mapping[str, Component]
) -> None:
    """Call it inside the Blocks, after all tabs are laid out; the first of them has the bare address.

    Args:
        opened: brings a file, as does dropping one anywhere on the page.
        settings: what is kept, by name; the request controls by theirs.
    """
    app.load(None, None, None, js=_script("drop"), **QUICK)
    outputs = [*replay.outputs(), *replay.axes.values()]
    opened.upload(replay.open_file, opened, outputs, **quick_on(replay.note))
    _wire_addresses(replay.tabs)
    _wire_kept(app, replay, settings)


def _wire_addresses(tabs: gr.Tabs) -> None:
    all_tabs = [tab for tab in tabs.children if isinstance(tab, gr.Tab)]
    for tab in all_tabs:
        tab.elem_id = f"panel-{tab.id}"
    script = _script("addresses").replace("IDS", json.dumps([str(tab.id) for tab in all_tabs]))
    place = gr.HTML(None, html_template="", js_on_load=script, elem_id="addresses")
    select = "() => ({__type__: 'update', selected: window.infinityTabs.named()})"
    place.select(None, None, tabs, js=select, **QUICK)
    opened = "() => window.infinityTabs.opened()"
    gr.on([tab.select for tab in all_tabs], None, None, None, js=opened, **QUICK)


def _wire_kept(app: gr.Blocks, replay: Replay, settings: Mapping[str, Component]) -> None:
    components: list[Any] = list(settings.values())
    visit = gr.JSON(visible=False)

    def open_page(request: gr.Request, kept: object) -> Updates:
        """What the page's link says, else its kept model; then its key."""
        said = kept if isinstance(kept, dict) else {}
        visitor, key = visitor_of(request), said.get("key")
        owner = visitor if visitor.startswith(("user:", SPACE_USER)) else ""
        page = replay.context.runs.pages.claim(
            request.session_hash or "", key, owner, left=said.get("left") is True
        )
        linked = replay.open_link(request) if said.get("link", True) else {}
        # A link sets every control, a bad one only the note.
        return {
            **_kept_model(replay, said.get("model")),
            **linked,
            visit: {"key": page.key, "is_back": page.key == key},
        }

    rules = json.dumps({name: _rule(name, component) for name, component in settings.items()})
    put_back = f"(...now) => {{{_script('kept').replace('RULES', rules)}}}"
    ask = "() => window.infinityKept.visit()"
    begin = "(...all) => { window.infinityKept.begin(...all) }"
    keep = "(...now) => { window.infinityKept?.keep(now) }"
    outputs = [*replay.outputs(), visit]
    app.load(None, components, [*components, replay.note], js=put_back, **QUICK).then(
        open_page, visit, outputs, js=ask, **quick_on(replay.note)
    ).then(None, [visit, *components], None, js=begin, **QUICK)
    changes = [component.change for component in components]
    gr.on(changes, None, components, None, js=keep, **QUICK)


def _kept_model(replay: Replay, kept: object) -> Updates:
    """Another model than the page's first one, with its lists; the sampling is put back already."""
    values = kept if isinstance(kept, dict) else {}
    spec = replay.context.models.get(str(values.get("model")))
    if spec is None:
        return {}
    ratio, style = str(values.get("aspect_ratio")), str(values.get("style"))
    updates = model_updates(values["model"], spec, ratio, style)
    return replay.controls.updates({name: updates[name] for name in OF_MODEL})


def _rule(name: str, component: Component) -> dict[str, Any]:
    """What the browser checks a kept value by: it may be an older page's, or no value at all."""
    rule: dict[str, Any] = {
        "type": next(
            (kind for kind, classes in KINDS.items() if isinstance(component, classes)), "string"
        ),
        "of_model": name in ("model", "aspect_ratio", "style", *SAMPLING),
    }
    if isinstance(component, gr.Radio | gr.Dropdown):
        rule["choices"] = [value for _, value in component.choices]
    if isinstance(component, gr.Slider):
        rule |= {"least": component.minimum, "most": component.maximum}
    return rule


def _script(name: str) -> str:
    return Path(__file__).with_name(f"{name}.js").read_text(encoding="utf-8")
