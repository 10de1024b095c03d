"""A public page offers what it was started with, at every way in, unless its settings name more."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from infinity.errors import RequestError
from infinity.hosting import Allowance, Hosting
from infinity.manager import ModelManager
from infinity.registry import MODEL_SPECS
from infinity.ui.app import build_app, launch_options
from infinity.ui.generate.tab import GenerateTab
from infinity.ui.grid.tab import GridTab
from infinity.ui.serve import SPACE_SETTINGS
from infinity.ui.shared.context import offered_models
from infinity.ui.shared.runs import Runs
from tests.tiny import SPEC, tiny_pipeline
from tests.ui.test_controls import VALUES

RELEASED = [name for name, spec in MODEL_SPECS.items() if spec.hub is not None]
SHIPPED = replace(Hosting.from_file(SPACE_SETTINGS), requests_per_minute=0)


class Page:
    def __init__(self, folder: Path) -> None:
        (folder / "config.json").write_text(json.dumps(SPEC.to_dict()))
        self.asked: list[str] = []

        def load(name: str, *_: Any, **__: Any) -> Any:
            self.asked.append(name)
            return tiny_pipeline()

        self.manager = ModelManager(device="cpu", models={"tiny": folder}, loader=load)
        self.runs = Runs(Allowance(SHIPPED))
        self.app = build_app(self.manager, "tiny", self.runs)
        _, url, _ = self.app.launch(
            **launch_options(self.app, self.runs),
            server_name="127.0.0.1", prevent_thread_lock=True, quiet=True,
        )  # fmt: skip
        self.client = Client(url, verbose=False, download_files=str(folder))

    def start(self, of: type, who: Any, values: dict[str, Any]) -> str:
        """What a tab answers whose values no component's choices guard."""
        (found,) = (
            fn for fn in self.app.fns.values() if isinstance(getattr(fn.fn, "__self__", None), of)
            and fn.fn.__name__ == "start"
        )  # fmt: skip
        names = {
            part: part.elem_id.removeprefix("grid-").replace("-", "_") for part in found.inputs
        }
        return str(found.fn(who, {part: values[name] for part, name in names.items()}))

    def open(self, request: Any, told: object) -> str:
        (found,) = (fn for fn in self.app.fns.values() if fn.name == "open_page")
        return str(found.fn(request, told))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("gradio")))
        page = Page(tmp_path_factory.mktemp("tiny"))
        yield page
        page.client.close()
        page.app.close()


def test_shipped_settings_are_of_a_public_page_that_names_no_model():
    assert SHIPPED.public
    assert SHIPPED.models == ()


def test_models_endpoint_lists_what_the_page_began_with(page):
    assert [model["name"] for model in page.client.predict(api_name="/models")] == ["tiny"]


@pytest.mark.parametrize("model", [*RELEASED, "default"])
def test_other_models_are_refused_by_the_api(page, model):
    refusal = f"Unknown model '{model}'; choose one of tiny"
    with pytest.raises(AppError, match=refusal):
        page.client.predict("x", model=model, api_name="/generate")
    with pytest.raises(AppError, match=refusal):
        page.client.predict("x", "seed", "1", model=model, api_name="/grid")
    with pytest.raises(AppError, match=refusal):
        page.client.predict("x", "model", f"tiny, {model}", api_name="/grid")
    assert model not in page.asked


def test_other_models_are_refused_by_the_page(page):
    who = SimpleNamespace(session_hash="one", client=None)
    values = VALUES | {"model": "infinity-2b"}
    seeds = {"x": "seed", "x_values": "1-2", "y": "", "y_values": ""}
    models = {"x": "model", "x_values": "tiny, infinity-2b", "y": "", "y_values": ""}
    assert "Unknown model" in page.start(GenerateTab, who, values)
    assert "Unknown model" in page.start(GridTab, who, values | seeds)
    assert "Unknown model" in page.start(GridTab, who, values | models | {"model": "tiny"})
    linked = SimpleNamespace(
        **vars(who),
        query_params=SimpleNamespace(
            multi_items=lambda: [("prompt", "x"), ("model", "infinity-2b")]
        ),
    )
    assert "not on offer here" in page.open(linked, {"link": True})
    assert "infinity-2b" not in page.asked


def test_no_list_of_the_page_has_another_model(page):
    lists = [block for block in page.app.blocks.values() if isinstance(block, gr.Dropdown)]
    named = [{value for _, value in block.choices} for block in lists]
    assert any("tiny" in choices for choices in named)
    assert not any(choices & {*RELEASED, "default"} for choices in named)


@pytest.mark.parametrize(
    ("hosting", "names"),
    [
        (Hosting(), ["tiny", "default", *RELEASED]),
        (Hosting(public=True), ["tiny"]),
        (Hosting(public=True, models=("infinity-2b",)), ["tiny", "infinity-2b"]),
        (Hosting(models=("default",)), ["tiny", "default"]),
    ],
)
def test_offer_follows_the_settings(page, hosting, names):
    assert list(offered_models(page.manager, "tiny", hosting)) == names


def test_adapter_that_a_public_page_began_with_is_offered_alone(page, tmp_path):
    manager = ModelManager(
        models=dict(page.manager._folders), adapted={"tiny_toon": ("tiny", tmp_path)}
    )
    assert list(offered_models(manager, "tiny_toon", Hosting(public=True))) == ["tiny_toon"]


def test_settings_that_name_no_known_model_are_refused(page):
    with pytest.raises(RequestError, match="did you mean 'infinity-2b'"):
        offered_models(page.manager, "tiny", Hosting(models=("infinity-2c",)))
