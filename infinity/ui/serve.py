"""The page, from its options to a running server. ``app.py`` imports this once the environment is
ready: Gradio reads the proxies, the address to listen on and the folder of its files as it is imported."""

import argparse
import asyncio
import logging
import os
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from infinity.checkpoints.adapter import read_adapter
from infinity.checkpoints.load import adapted_name
from infinity.devices import memory_of, resolve_device
from infinity.errors import InfinityError
from infinity.hosting import Allowance, Hosting
from infinity.manager import ModelManager
from infinity.pipeline import InfinityPipeline
from infinity.request import GenerationRequest
from infinity.shipped import shipped
from infinity.spec import CONFIG_FILE, read_spec
from infinity.ui.app import build_app, launch_options
from infinity.ui.server.spaces import SharedGpuLoader, shared_gpu
from infinity.ui.server.storage import Storage
from infinity.ui.shared.runs import Runs
from infinity.ui.shared.status import UNEXPECTED, for_visitors

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

SPACE_SETTINGS = shipped("assets/hosting.toml")
MOST_OF_MEMORY = 0.8
TRUSTED_VARIABLE = "FORWARDED_ALLOW_IPS"
"""uvicorn's own; without it uvicorn believes whatever comes from 127.0.0.1."""
SPACE_PROXIES = "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16"


class Page:
    """The page of the options that ``app.py`` takes, built and not yet served. No weights are read.

    Args:
        storage: the folder of its files, kept below the settings' ceiling; None: wherever Gradio's are.

    Attributes:
        demo: the Blocks, whose ``launch`` has the page's looks and limits.

    Raises:
        InfinityError: a setting or the model cannot be used.
    """

    def __init__(self, options: argparse.Namespace, storage: Storage | None = None) -> None:
        gpu = shared_gpu()  # before anything asks for CUDA
        device = resolve_device(options.device)
        settings = options.hosting
        if settings is None and os.environ.get("SPACE_ID"):
            settings = SPACE_SETTINGS
        self.hosting = Hosting() if settings is None else Hosting.from_file(settings)
        if storage is not None:
            storage.ceiling = self.hosting.disk_megabytes * 1_000_000 or None
        budget = self.hosting.memory_gigabytes * 1e9  # of all models together
        if not budget and (memory := memory_of(device)) is not None:
            budget = MOST_OF_MEMORY * memory[1]
        name, folders = options.model, {}
        if (Path(name) / CONFIG_FILE).is_file():
            folders = {(spec_name := read_spec(name).name): name}
            name = spec_name
        adapted = {}
        if options.adapter is not None:
            read_adapter(options.adapter)
            base, name = name, adapted_name(name, options.adapter)
            adapted = {name: (base, options.adapter)}
        manager = ModelManager(
            round(budget) if budget else None,
            options.device,
            options.dtype,
            models=folders,
            adapted=adapted,
            memory_mode=options.memory_mode,
            loader=InfinityPipeline.from_pretrained if gpu is None else SharedGpuLoader(gpu),
        )
        self.options, self.model = options, name
        self.runs = Runs(Allowance(self.hosting))
        self.demo = build_app(manager, name, self.runs)
        self.health = Health(manager, self.runs)
        looks = launch_options(self.demo, self.runs, [self.health.route], storage)
        self.demo.launch = partial(self.demo.launch, **looks)

    def launch(self) -> None:
        """Serve in threads of its own.

        Raises:
            OSError: the port is taken (Gradio's, with a sentence).
        """
        if self.hosting.warm_up:
            self.health.warm_up(self.model)
        trust_proxies(self.hosting)
        self.demo.launch(
            server_name=bracketed(self.options.host),
            server_port=self.options.port,
            share=self.options.share,
            inbrowser=self.options.open,
            mcp_server=self.options.mcp or None,
            prevent_thread_lock=True,
            _frontend=False,  # or a machine that is slow for three seconds has no page
        )


def within_loop(act: Callable[..., Result], *arguments: Any) -> Result:
    """Call ``act`` while an event loop runs. Elsewhere Gradio begins a loop for every lock that it makes
    and closes none of them, which Python tells with a traceback sooner or later."""

    async def acted() -> Result:
        return act(*arguments)

    return asyncio.run(acted())


class Health:
    """What ``GET /health`` answers: 503 while the page warms up or when it could not, else 200."""

    def __init__(self, manager: ModelManager, runs: Runs) -> None:
        self.manager = manager
        self.runs = runs
        self.status, self.problem = "ok", ""
        self.route = Route("/health", self.answer)

    def warm_up(self, model: str) -> threading.Thread:
        """Load a model and draw one picture with it, in a thread; visitors may come meanwhile."""
        self.status = "starting"
        thread = threading.Thread(target=self._warm_up, args=(model,), name="warm-up", daemon=True)
        thread.start()
        return thread

    def _warm_up(self, model: str) -> None:
        try:
            pipeline = self.manager.get(model)
            with self.runs.turns.turn(threading.Event()):
                pipeline.generate(GenerationRequest(prompt="a red apple"))
            self.status = "ok"
        except InfinityError as error:
            logger.error("The warm-up failed: %s", error)
            self.status, self.problem = "failed", for_visitors(error)
        except Exception:
            logger.exception("The warm-up failed")
            self.status, self.problem = "failed", UNEXPECTED

    async def answer(self, request: Request) -> JSONResponse:
        """Plain facts: no prompt, no visitor."""
        facts = {
            "status": self.status,
            "problem": self.problem,
            "runs": len(self.runs),
            "models": {model.name: model.nbytes for model in self.manager.loaded()},
        }
        return JSONResponse(facts, 200 if self.status == "ok" else 503)


def trust_proxies(hosting: Hosting) -> None:
    """Let the server take the visitor's address from the proxies that the settings name, and from
    nobody else; on a Space, from its own proxy, which is all that can reach it."""
    trusted = hosting.trusted_proxies or (SPACE_PROXIES if os.environ.get("SPACE_ID") else "")
    if trusted:
        os.environ[TRUSTED_VARIABLE] = trusted
    else:
        os.environ.setdefault(TRUSTED_VARIABLE, "")


def bracketed(host: str | None) -> str | None:
    """An IPv6 address as it stands in a link, which is how Gradio wants it."""
    return f"[{host}]" if host and ":" in host and not host.startswith("[") else host
