"""What a page needs to stand in public: who may enter, whether it is well, and a warm start."""

import logging
import os
import threading
from typing import Any

import gradio as gr
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from infinity.errors import InfinityError, RequestError
from infinity.hosting import Hosting
from infinity.manager import ModelManager
from infinity.request import GenerationRequest
from infinity.ui.shared.runs import Runs
from infinity.ui.shared.status import for_visitors

logger = logging.getLogger(__name__)

THREADS_BESIDE = 40
TRUSTED_VARIABLE = "FORWARDED_ALLOW_IPS"
"""uvicorn's own; without it uvicorn believes whatever comes from 127.0.0.1."""
SPACE_PROXIES = "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16"
USER_VARIABLE, PASSWORD_VARIABLE = "INFINITY_USER", "INFINITY_PASSWORD"


class Health:
    """What ``GET /health`` answers: 503 while the page warms up or when it could not, else 200."""

    def __init__(self, manager: ModelManager, runs: Runs) -> None:
        self.manager = manager
        self.runs = runs
        self.status = "ok"
        self.problem = ""

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
        except InfinityError as error:
            logger.error("The warm-up failed: %s", error)
            self.status, self.problem = "failed", for_visitors(error)
        except Exception:
            logger.exception("The warm-up failed")
            self.status, self.problem = "failed", "The log of the program has the details."
        else:
            self.status = "ok"

    def report(self) -> dict[str, Any]:
        """Plain facts: no prompt, no visitor."""
        return {
            "status": self.status,
            "problem": self.problem,
            "runs": len(self.runs),
            "models": {model.name: model.nbytes for model in self.manager.loaded()},
        }

    def route(self) -> Route:
        """The address itself; no login is asked for it."""

        async def health(request: Request) -> JSONResponse:
            return JSONResponse(self.report(), 200 if self.status == "ok" else 503)

        return Route("/health", health, methods=["GET"])


def hosted_options(
    hosting: Hosting, health: Health | None = None, gate: Middleware | None = None
) -> dict[str, Any]:
    """Keyword arguments of ``launch`` that the host's settings ask for.

    Raises:
        RequestError: a password is asked for and none is set.
    """
    options: dict[str, Any] = {
        "max_file_size": f"{hosting.upload_megabytes}mb",
        # Whoever waits for a turn keeps a thread; the rest is for all that does not wait.
        "max_threads": hosting.queue_length + THREADS_BESIDE,
        "app_kwargs": {
            "routes": [] if health is None else [health.route()],
            "middleware": [] if gate is None else [gate],
        },
    }
    if hosting.login == "password":
        user, password = os.environ.get(USER_VARIABLE), os.environ.get(PASSWORD_VARIABLE)
        if not user or not password:
            raise RequestError(
                f"The settings ask for a login; set {USER_VARIABLE} and {PASSWORD_VARIABLE} in the "
                "environment."
            )
        options["auth"] = (user, password)
    return options


def trust_proxies(hosting: Hosting) -> None:
    """Let the server take the visitor's address from the proxies that the settings name, and from
    nobody else; on a Space, from its own proxy, which is all that can reach it."""
    trusted = hosting.trusted_proxies or (SPACE_PROXIES if os.environ.get("SPACE_ID") else "")
    if trusted:
        os.environ[TRUSTED_VARIABLE] = trusted
    else:
        os.environ.setdefault(TRUSTED_VARIABLE, "")


def build_login(hosting: Hosting) -> None:
    """The button of a Space's own login, where the settings ask for it."""
    if hosting.login == "huggingface":
        gr.LoginButton(size="sm", scale=0, elem_id="login")
