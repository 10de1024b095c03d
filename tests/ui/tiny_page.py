"""The page of a tiny random model, served for callers of its endpoints."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from infinity.manager import ModelManager
from infinity.pipeline import InfinityPipeline
from infinity.ui.app import build_app, launch_options
from infinity.ui.shared.runs import Runs
from tests.tiny import SPEC


@contextmanager
def tiny_page(
    folder: Path, pipeline: InfinityPipeline, runs: Runs, **options: Any
) -> Iterator[str]:
    """Its address.

    Args:
        folder: empty; for the model's settings and the page's own files.
        pipeline: draws for the model, which is called "tiny".
        options: of ``launch``.
    """
    model, files = folder / "tiny", folder / "gradio"
    for place in (model, files):
        place.mkdir()
    (model / "config.json").write_text(json.dumps(SPEC.to_dict()))
    manager = ModelManager(models={"tiny": model}, loader=lambda *_, **__: pipeline)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(files))
        app = build_app(manager, "tiny", runs)
        _, url, _ = app.launch(
            **launch_options(app, runs),
            server_name="127.0.0.1", prevent_thread_lock=True, quiet=True, **options,
        )  # fmt: skip
        yield url
        app.close(verbose=False)
