"""What a host allows: one settings file for a public page, and the one place that checks it.

Without a file only the limits of the program itself hold. With one (``assets/hosting.toml``
is the example, and what a Space uses) every entry point asks the same :class:`Allowance`.
"""

import ipaddress
import math
import threading
import time
import tomllib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field

from infinity.checks import MOST, Checked, Size, whole
from infinity.errors import CheckpointError, RequestError, quoted
from infinity.files import read_text
from infinity.request import JUDGE, MAX_IMAGES, MAX_PROMPT_CHARACTERS, GenerationRequest
from infinity.rewriter import RewriterSettings

MINUTE = 60.0
MAX_VISITORS = 10_000
CALLS_A_REQUEST = 20
"""Calls that the page itself makes around one request, and a few more."""
UPLOADS_A_REQUEST = 3
"""A canvas sends its picture, what was brushed, and both together."""
SPACE_USER = "hf:"
"""How the name of a visitor begins who logged in on a Space."""
PICTURE_TYPES = (".png", ".jpg", ".jpeg", ".webp")

PROXIES = "addresses or networks with commas between, such as 10.0.0.0/8, or * for all"
Login = Literal["none", "password", "huggingface"]
Ending = Annotated[str, Field(pattern=r"^\.")]


def _addresses(text: str) -> str:
    """Raises ValueError for what is no list of addresses: uvicorn would trust nobody, silently."""
    for part in filter(None, (part.strip() for part in text.split(","))):
        if part != "*":
            ipaddress.ip_network(part, strict=False)
    return text


ENDINGS = Field(description='a list of file endings with their dot, such as ".png"')


@dataclass(frozen=True, kw_only=True)
class Hosting(Checked):
    """The settings of a host.

    Args:
        public: visitors are strangers: they may not load or unload models, set the memory budget,
            or point prompt help anywhere.
        models: names on offer besides the one a page starts with; empty for none on a public page,
            for all elsewhere.
        max_prompt_characters, max_pictures: of one request, candidates among the pictures.
        scorers: CLIP-like models by which visitors of a public page may have candidates chosen, besides
            the judge; elsewhere any may be named.
        queue_length: requests that may wait; more are turned away.
        requests_per_minute: of one visitor; 0 for no limit. An upload is allowed ``UPLOADS_A_REQUEST``
            times as often, any other call ``CALLS_A_REQUEST`` times.
        upload_megabytes, upload_types: of a file dropped on the page; no call is larger.
        disk_megabytes: of all pictures and uploads together, the oldest of which go first; 0 for no
            limit.
        login: "none"; "password", one user from the environment variables INFINITY_USER and
            INFINITY_PASSWORD; "huggingface", on a Space.
        history: whether a browser, and the API for each caller, lists what was drawn.
        memory_gigabytes: for all models together; 0 takes most of what the machine has.
        warm_up: load the model and draw once before visitors come.
        trusted_proxies: addresses of proxies whose X-Forwarded-For header is used, comma-separated.
        rewriter: prompt help, if any.
    """

    public: bool = False
    models: tuple[str, ...] = ()
    max_prompt_characters: Size = MAX_PROMPT_CHARACTERS
    max_pictures: Size = MAX_IMAGES
    scorers: tuple[str, ...] = ()
    queue_length: Size = 64
    requests_per_minute: Annotated[int, whole(0)] = 0
    upload_megabytes: Size = 64
    upload_types: Annotated[tuple[Ending, ...], ENDINGS] = PICTURE_TYPES
    disk_megabytes: Annotated[int, whole(0)] = 0
    login: Login = "none"
    history: bool = True
    memory_gigabytes: Annotated[float, Field(ge=0, le=MOST)] = 0.0
    warm_up: bool = False
    trusted_proxies: Annotated[str, AfterValidator(_addresses), Field(description=PROXIES)] = ""
    rewriter: RewriterSettings = field(default_factory=RewriterSettings)

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """Settings from a TOML file.

        Raises:
            RequestError: no such file, not TOML, or a setting that is unknown or out of range.
        """
        try:
            return cls.from_dict(tomllib.loads(read_text(Path(path))))
        except (OSError, ValueError, RecursionError) as error:
            raise RequestError(f"The settings file {path} cannot be read: {error}.") from error
        except CheckpointError as error:
            raise RequestError(f"In the settings file {path}: {error}") from error


def address_of(host: str) -> str:
    """The key to count an address by: itself, or the /64 network of an IPv6 address."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))
    return str(address)


class Allowance:
    """Whether a visitor may begin a run now. Safe to use from several threads.

    Args:
        clock: seconds that only go forward; for tests.
    """

    def __init__(
        self, hosting: Hosting | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.hosting = hosting if hosting is not None else Hosting()
        self._clock = clock
        self._lock = threading.Lock()
        self._begun: dict[str, deque[float]] = {}

    def admit(
        self, visitor: str, request: GenerationRequest | None = None, requests: int = 1
    ) -> None:
        """Counts one more request of ``visitor``: of pictures, or of anything else that costs.

        Args:
            requests: as many it is worth, as it asks for so many one after another.

        Raises:
            RequestError: the host does not allow it, or not yet.
        """
        if self.hosting.login == "huggingface" and not visitor.startswith(SPACE_USER):
            raise RequestError("Log in with Hugging Face first; the button is at the top.")
        if request is not None:
            self.check(request)
        self._count(visitor, self.hosting.requests_per_minute, requests)

    def admit_call(self, address: str, *, is_upload: bool = False) -> None:
        """Counts one more call from an address, whatever it is for. Raises RequestError."""
        most = self.hosting.requests_per_minute
        if is_upload:
            self._count(f"uploads of {address}", UPLOADS_A_REQUEST * most)
        self._count(f"calls of {address}", CALLS_A_REQUEST * most)

    def _count(self, visitor: str, most: int, requests: int = 1) -> None:
        """Raises RequestError for more than ``most`` within a minute; 0 for no limit. What alone is more has
        a minute for itself."""
        if not most:
            return
        with self._lock:
            now = self._clock()
            if len(self._begun) > MAX_VISITORS:
                recently = {v: at for v, at in self._begun.items() if at and now - at[-1] < MINUTE}
                self._begun = recently
            recent = self._begun.setdefault(visitor, deque())
            while recent and now - recent[0] >= MINUTE:
                recent.popleft()
            new = min(requests, most)
            if (surplus := len(recent) + new - most) > 0:
                wait = math.ceil(MINUTE - (now - recent[surplus - 1]))
                raise RequestError(
                    f"This page allows {most} requests a minute; try again in {wait} s."
                )
            recent.extend([now] * new)

    def check(self, request: GenerationRequest) -> None:
        """Raises RequestError for a request beyond the host's limits."""
        self.check_prompt(request.prompt)
        self.check_prompt(request.negative_prompt, "negative prompt")
        if request.start is not None:
            self.check_prompt(request.start.told, "picture's prompt")
        if request.num_images * request.candidates > self.hosting.max_pictures:
            raise RequestError(
                f"This page draws at most {self.hosting.max_pictures} pictures a request, candidates "
                "among them; ask for fewer."
            )
        known = (JUDGE, *self.hosting.scorers)
        if self.hosting.public and request.scorer not in ("", *known):
            raise RequestError(
                f"This page lets nobody but {', '.join(known)} choose among candidates; name one of them."
            )

    def check_prompt(self, prompt: str, what: str = "prompt") -> None:
        """Raises RequestError for a prompt that is no text or beyond the host's limit."""
        if not isinstance(prompt, str):
            raise RequestError(f"The {what} must be text, not {quoted(prompt)}.")
        most = self.hosting.max_prompt_characters
        if len(prompt) > most:
            raise RequestError(
                f"This page takes a {what} of at most {most:,} characters; shorten it."
            )

    def check_waiting(self, waiting: int) -> None:
        """Raises RequestError when the queue is full."""
        if waiting >= self.hosting.queue_length:
            raise RequestError(
                f"{waiting} requests are waiting already, which is all that this page takes; try "
                "again in a minute."
            )
