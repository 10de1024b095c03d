"""Every tab has an address (``#grid``), so that Back goes to the tab before and a link may name one."""

import json
from pathlib import Path

import gradio as gr

from infinity.ui.shared.wiring import QUICK

SCRIPT = Path(__file__).with_name("addresses.js")


def wire_addresses(tabs: gr.Tabs) -> None:
    """Call it inside the Blocks, after all tabs are laid out; the first of them has the bare address."""
    all_tabs = [tab for tab in tabs.children if isinstance(tab, gr.Tab)]
    for tab in all_tabs:
        tab.elem_id = f"panel-{tab.id}"
    ids = json.dumps([str(tab.id) for tab in all_tabs])
    script = SCRIPT.read_text(encoding="utf-8").replace("IDS", ids)
    place = gr.HTML(None, html_template="", js_on_load=script, elem_id="addresses")
    select = "() => ({__type__: 'update', selected: window.infinityTabs.named()})"
    place.select(None, None, tabs, js=select, **QUICK)
    opened = "() => window.infinityTabs.opened()"
    gr.on([tab.select for tab in all_tabs], None, None, None, js=opened, **QUICK)
