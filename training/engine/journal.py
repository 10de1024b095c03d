"""What a run logs: metrics.jsonl, curves.png, TensorBoard, and trackio or wandb where asked for.

Only the first process writes. Bit accuracy per scale is the headline: about 80% is a good model, and
that line is drawn in every chart.
"""

import importlib
import json
import logging
import re
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import numpy as np
from PIL import Image
from torch.utils.tensorboard import SummaryWriter

from infinity.errors import ResourceError
from training.config.settings import TrainingConfig
from training.engine.curves import GOOD_BIT_ACCURACY, plot_run

logger = logging.getLogger(__name__)

METRICS = "metrics.jsonl"
CURVES = "curves.png"
WANDB_ID = "wandb_id"
SECONDS_BETWEEN_DRAWINGS = 60
_CHARTS = {
    "Bit accuracy": {
        "by scale": ["Multiline", ["^bit_accuracy/.*"]],
        "held out, by scale": ["Multiline", ["^validation_bit_accuracy/.*", "^bit_accuracy/good"]],
        "all scales": [
            "Multiline",
            ["^bit_accuracy$", "^validation_bit_accuracy$", "^bit_accuracy/good"],
        ],
    }
}


class Journal:
    """Writes the metrics of one run.

    Args:
        config: of the run; says where and what to write.
        step: steps done so far; lines of later steps, from before a kill, are dropped.

    Raises:
        ResourceError: the folder cannot be written, or trackio or wandb cannot be used.
    """

    def __init__(self, config: TrainingConfig, step: int) -> None:
        self.folder = config.output
        self._board: SummaryWriter | None = None
        self._drawn_s = time.monotonic()
        kept = [line for line in read_metrics(self.folder) if line["step"] <= step]
        temporary = self.folder / f"{METRICS}.writing"
        try:
            temporary.write_text(
                "".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8"
            )
            temporary.replace(self.folder / METRICS)
            if config.logging.tensorboard:
                self._board = self._opened_board(step)
        except OSError as error:
            raise ResourceError(f"Cannot write to {self.folder}: {error.strerror}.") from error
        asked = {"trackio": config.logging.trackio, "wandb": config.logging.wandb}
        self._services = [self._opened_service(name, config) for name in asked if asked[name]]

    def _opened_board(self, step: int) -> SummaryWriter | None:
        try:
            board = SummaryWriter(str(self.folder / "tensorboard"), purge_step=step + 1)
        except UnicodeEncodeError:
            logger.warning("TensorBoard has no files: it knows no folder whose name is not UTF-8")
            return None
        board.add_custom_scalars(_CHARTS)
        return board

    def _opened_service(self, name: str, config: TrainingConfig) -> ModuleType:
        """trackio or wandb: the functions of both are called alike."""
        identity = {"resume": "allow"}
        if name == "wandb":
            path = self.folder / WANDB_ID
            with self._writing():
                if not path.exists():
                    path.write_text(uuid.uuid4().hex, encoding="utf-8")
            identity |= {"id": path.read_text(encoding="utf-8"), "dir": str(self.folder)}
        project = self.folder.resolve().parent.name or "infinity"
        settings = config.model_dump(mode="json")
        try:
            service = importlib.import_module(name)
            service.init(project=project, name=self.folder.name, config=settings, **identity)
        except ImportError as error:
            raise ResourceError(
                f"logging.{name} needs the package {name}: pip install {name}, or turn it off."
            ) from error
        except Exception as error:  # no key, no network: every service has classes of its own
            raise ResourceError(
                f"logging.{name}: {name} does not begin ({str(error) or type(error).__name__}); log in, "
                "set it to work offline, or turn it off."
            ) from error
        return service

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """One line of metrics of a finished step (from 1)."""
        with self._writing(), (self.folder / METRICS).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **metrics}) + "\n")
        good = {"bit_accuracy/good": GOOD_BIT_ACCURACY} if "bit_accuracy" in metrics else {}
        named = {**{_tag(name): value for name, value in metrics.items()}, **good}
        if self._board is not None:
            with self._writing():
                for name, value in named.items():
                    self._board.add_scalar(name, value, step)
        for service in self._services:
            service.log(named, step=step)

    def show(self, step: int, names: Sequence[str], images: Sequence[Image.Image]) -> None:
        """Sample pictures: ``samples/step_N_name.png``, TensorBoard and the services."""
        folder = self.folder / "samples"
        with self._writing():
            folder.mkdir(exist_ok=True)
            for name, image in zip(names, images, strict=True):
                image.save(folder / f"step_{step:07d}_{name}.png")
                if self._board is not None:
                    pixels = np.array(image)
                    self._board.add_image(f"samples/{name}", pixels, step, dataformats="HWC")
        for service in self._services:
            shown = {
                f"samples/{name}": service.Image(image)
                for name, image in zip(names, images, strict=True)
            }
            service.log(shown, step=step)

    def draw(self, last: bool = False) -> None:
        """The curves so far, as a picture beside the metrics; once a minute, and the last time."""
        if not last and time.monotonic() - self._drawn_s < SECONDS_BETWEEN_DRAWINGS:
            return
        self._drawn_s = time.monotonic()
        lines = read_metrics(self.folder)
        with self._writing():
            if lines:
                plot_run(lines, self.folder / CURVES)
            if self._board is not None:
                self._board.flush()

    def close(self) -> None:
        if self._board is not None:
            with self._writing():
                self._board.close()
        for service in self._services:
            service.finish()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """TensorBoard writes in a thread of its own; its errors come with a later call."""
        try:
            yield
        except OSError as error:
            raise ResourceError(
                f"Cannot write to {self.folder} ({error.strerror}); the checkpoints are intact: "
                "free some space and run the same command again."
            ) from error


def read_metrics(folder: Path) -> list[dict[str, float]]:
    """The metrics of a run, oldest first; each has ``step``. A line cut off by a kill is left out."""
    path = folder / METRICS
    if not path.exists():
        return []
    whole, _, _ = path.read_text(encoding="utf-8").rpartition("\n")
    return [json.loads(line) for line in whole.splitlines() if line]


def _tag(name: str) -> str:
    """bit_accuracy_scale_3 -> bit_accuracy/scale_03."""
    return re.sub(r"_scale_(\d+)$", lambda match: f"/scale_{int(match[1]):02d}", name)
