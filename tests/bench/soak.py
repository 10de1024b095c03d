"""Many clients at once against app.py on a tiny random model: figures as JSON.

python -m tests.bench.soak --clients 50 --requests 500

Each request is one of: drawn over one of three ways in, stopped, cancelled, left in three ways, or a
page that is reloaded in mid-run. Exit status 1 where anything hangs, fails or is drawn wrong. On a
slow or shared machine set $INFINITY_TEST_PATIENCE_S (60), after which an answer counts as hanging.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import re
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, TimeoutError, as_completed
from pathlib import Path
from typing import Any

import httpx
from gradio_client import Client
from gradio_client.exceptions import AppError
from PIL import Image

from tests.e2e.steps import started
from tests.tiny import tiny_folder
from tests.visitor import PATIENCE_S, Visitor, lines, post, refusal

PROMPT = "an apple"
SETTLE_S = 30
GOOD = re.compile(r": (drawn|drawn before it was stopped|stopped|refused|cancelled|left|went on)$")


def measured(process: int) -> dict[str, int]:
    """Resident memory (MB), open descriptors and threads of a process (Linux)."""
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines()
    )
    return {
        "megabytes": int(status["VmRSS"].split()[0]) // 1024,
        "descriptors": len(list(Path(f"/proc/{process}/fd").iterdir())),
        "threads": int(status["Threads"]),
    }


def pixels(file: dict[str, Any]) -> bytes:
    with urllib.request.urlopen(file["url"], timeout=PATIENCE_S) as reply:
        return Image.open(io.BytesIO(reply.read())).tobytes()


class Soak:
    """Every kind of request; each returns in a word what became of it."""

    def __init__(self, url: str, downloads: Path) -> None:
        self.url = url
        self.api = f"{url}gradio_api/"
        self.downloads = str(downloads)
        self.config = json.loads("".join(lines(f"{url}config")))
        info = json.loads("".join(lines(f"{self.api}info")))
        generate = info["named_endpoints"]["/generate"]
        self.arguments = [one["parameter_name"] for one in generate["parameters"]]
        self.expected = b""

    def one(self, number: int) -> str:
        kinds: tuple[tuple[int, Callable[[], str]], ...] = (
            (4, self.draw), (4, self.draw_queued), (2, self.draw_with_client), (2, self.stop),
            (2, self.cancel), (1, self.leave), (1, self.hang_up), (1, self.close), (2, self.reload),
        )  # fmt: skip
        chosen = random.Random(number).choices([k for _, k in kinds], [n for n, _ in kinds])[0]
        name = chosen.__name__
        try:
            return f"{name}: {chosen()}"
        except urllib.error.HTTPError as error:
            said = refusal(error)
            return f"{name}: refused" if "waiting already" in said else f"{name}: failed {said}"
        except (TimeoutError, OSError, httpx.HTTPError) as error:
            return f"{name}: hang {error!r}"

    def judged(self, output: dict[str, Any]) -> str:
        if "data" in output:
            return "drawn" if pixels(output["data"][0][0]) == self.expected else "wrong pixels"
        return self.judged_error(str(output.get("error")))

    def judged_error(self, said: str) -> str:
        if "waiting already" in said:
            return "refused"
        return "stopped" if "stopped" in said.lower() else f"failed {said}"

    def client(self) -> Client:
        return Client(
            self.url,
            verbose=False,
            download_files=self.downloads,
            httpx_kwargs={"timeout": PATIENCE_S},
        )

    def visitor(self) -> Visitor:
        return Visitor(self.api, self.config)

    def asked(self, pictures: int = 1) -> Visitor:
        """A visitor whose call of generate is queued."""
        visitor = self.visitor()
        number = visitor.number("generate")
        data = [PROMPT, *[None] * (len(self.arguments) - 1)]
        data[self.arguments.index("num_images")] = pictures
        visitor.join(number, data)
        return visitor

    def draw(self) -> str:
        event = post(f"{self.api}call/generate", {"data": [PROMPT]})["event_id"]
        said = list(lines(f"{self.api}call/generate/{event}"))
        kind, data = [line.partition(": ")[2] for line in said if line][-2:]
        found = json.loads(data)
        if kind == "complete":
            return self.judged({"data": found})
        return self.judged_error(str(found))

    def draw_queued(self) -> str:
        visitor = self.asked()
        return self.judged(visitor.answer())

    def draw_with_client(self) -> str:
        client = self.client()
        try:
            (path,) = client.predict(PROMPT, api_name="/generate")
            with Image.open(path) as picture:
                return "drawn" if picture.tobytes() == self.expected else "wrong pixels"
        except AppError as error:
            return self.judged_error(str(error))
        finally:
            client.close()

    def stop(self) -> str:
        """/stop of the same session, once the run is under way."""
        visitor = self.asked(8)
        for message in visitor.messages():
            if message["msg"] == "process_starts":
                visitor.join(visitor.number("stop"), [])
            elif message["msg"] == "process_completed" and "error" in message["output"]:
                return self.judged_error(message["output"]["error"])
        return "drawn before it was stopped"

    def cancel(self) -> str:
        client = self.client()
        try:
            job = client.submit(PROMPT, num_images=8, api_name="/generate")
            time.sleep(0.2)
            job.cancel()
            return "cancelled"
        finally:
            client.close()

    def leave(self) -> str:
        """Without waiting for the answer."""
        post(f"{self.api}call/generate", {"data": [PROMPT]})
        return "left"

    def hang_up(self) -> str:
        """In the middle of the answer's stream."""
        visitor = self.asked(8)
        messages = visitor.messages()
        for message in messages:
            if message["msg"] == "process_starts":
                break
        messages.close()
        return "left"

    def close(self) -> str:
        """As a browser that is closed: heartbeat and stream end in mid-run."""
        visitor = self.asked(8)
        beats, messages = visitor.heartbeat(), visitor.messages()
        next(messages)
        beats.close()
        messages.close()
        return "left"

    def reload(self) -> str:
        """A page begins a run, is loaded again in the middle of it and follows it to its end."""
        page = self.visitor()
        beats, key = page.heartbeat(), self.opened(page, {})
        start = page.number("start")
        values = page.values(start)
        values[self.config["dependencies"][start]["inputs"].index(self.prompt())] = PROMPT
        page.call(start, values)
        page.join(page.number("paint"), [])
        messages = page.messages()
        next(messages)
        messages.close()
        beats.close()
        urllib.request.urlopen(self.url, timeout=PATIENCE_S).read()
        again = self.visitor()
        beats = again.heartbeat()
        if self.opened(again, {"key": key, "left": True}) != key:
            return "failed: another page came back"
        again.join(again.number("paint_2"), [])
        output = again.answer()
        beats.close()
        return "went on" if "data" in output else self.judged_error(str(output.get("error")))

    def opened(self, page: Visitor, told: dict[str, Any]) -> str:
        page.join(page.number("open_page"), [told])
        output = page.answer()
        return next(v["key"] for v in output["data"] if isinstance(v, dict) and "key" in v)

    def prompt(self) -> int:
        return next(
            part["id"]
            for part in self.config["components"]
            if part["props"].get("elem_id") == "prompt"
        )


def wait_until(is_true: Callable[[], bool], patience_s: float) -> bool:
    ends = time.monotonic() + patience_s
    while not (is_it := is_true()) and time.monotonic() < ends:
        time.sleep(0.2)
    return is_it


def soaked(url: str, process: int, folder: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """The figures of one soak of a running server."""
    soak = Soak(url, folder)

    def health() -> int:
        return json.loads("".join(lines(f"{url}health", 10)))["runs"]

    first = soak.asked()
    soak.expected = pixels(first.answer()["data"][0][0])
    before, begun = measured(process), time.monotonic()
    counts: Counter[str] = Counter()
    megabytes: list[int] = []
    pool = ThreadPoolExecutor(asked.clients)
    waiting = [pool.submit(soak.one, number) for number in range(asked.requests)]
    try:
        for done in as_completed(waiting, asked.seconds):
            counts[done.result()] += 1
            if counts.total() % 100 == 0:
                megabytes.append(measured(process)["megabytes"])
    except TimeoutError:
        counts["unanswered at the time limit"] = sum(not one.done() for one in waiting)
    pool.shutdown(wait=False, cancel_futures=True)
    seconds = round(time.monotonic() - begun)
    is_idle = wait_until(lambda: health() == 0, SETTLE_S)
    last = soak.draw()
    wait_until(lambda: measured(process)["descriptors"] <= before["descriptors"], SETTLE_S)
    return {
        "clients": asked.clients,
        "requests": asked.requests,
        "seconds": seconds,
        "answers": dict(sorted(counts.items())),
        "bad": sum(n for said, n in counts.items() if not GOOD.search(said)),
        "before": before,
        "megabytes_by_hundred_answers": megabytes,
        "after": measured(process),
        "is_idle": is_idle,
        "runs_left": health(),
        "drawn_afterwards": last,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=480, help="no longer than this")
    parser.add_argument("--log", type=Path, help="of the server (default: shown where it fails)")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log = asked.log or folder / "log.txt"
        model = tiny_folder(folder / "tiny")
        with started(model, log, GRADIO_TEMP_DIR=name) as (url, process):
            figures = soaked(url, process.pid, folder, asked)
            process.terminate()
            figures["exit_status"] = process.wait(60)
        figures["tracebacks"] = log.read_text(encoding="utf-8").count("Traceback")
        sys.stdout.write(json.dumps(figures, indent=1) + "\n")
        is_well = not (
            figures["bad"]
            or figures["runs_left"]
            or figures["exit_status"]
            or figures["tracebacks"]
        )
        if is_well and figures["drawn_afterwards"] == "drawn":
            return 0
        sys.stderr.write("\n".join(log.read_text(encoding="utf-8").splitlines()[-60:]) + "\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
