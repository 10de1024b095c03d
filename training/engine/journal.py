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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from torch.utils.tensorboard import SummaryWriter

from infinity.errors import ResourceError
from training.config.settings import TrainingConfig

logger = logging.getLogger(__name__)

METRICS = "metrics.jsonl"
CURVES = "curves.png"
WANDB_ID = "wandb_id"
SECONDS_BETWEEN_DRAWINGS = 60
GOOD_BIT_ACCURACY = 0.8
"""Share of right bits of a good model, by the maintainers of the reference."""
HELD_OUT = "validation_"
SCALE = "bit_accuracy_scale_"
PANELS = {
    "loss": "loss, as optimized",
    "bit_loss": "loss of a bit (plain mean)",
    "psnr": "psnr, dB",
    "token_accuracy": "token accuracy",
    "gradient_norm": "gradient norm",
    "learning_rate": "learning rate",
    "samples_per_s": "samples/s",
    "memory_gb": "memory, GB",
}
"""Metric -> title of its curve."""
BOARD_CHARTS = {
    "by scale": ["^bit_accuracy/.*"],
    "held out, by scale": ["^validation_bit_accuracy/.*", "^bit_accuracy/good"],
    "all scales": ["^bit_accuracy$", "^validation_bit_accuracy$", "^bit_accuracy/good"],
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
        self.folder, self._draws = config.output, config.logging.curves
        self._drawn_s = time.monotonic()
        self._services: list[Any] = []
        kept = [line for line in read_metrics(self.folder) if line["step"] <= step]
        temporary = self.folder / f"{METRICS}.writing"
        with self._writing():
            lines = "".join(json.dumps(line) + "\n" for line in kept)
            temporary.write_text(lines, encoding="utf-8")
            temporary.replace(self.folder / METRICS)
            if config.logging.tensorboard:
                try:
                    self._services.append(_Board(self.folder, step))
                except UnicodeEncodeError:
                    logger.warning("TensorBoard knows no folder whose name is not UTF-8")
        asked = [name for name in ("trackio", "wandb") if getattr(config.logging, name)]
        self._services += [self._opened(name, config) for name in asked]

    def _opened(self, name: str, config: TrainingConfig) -> Any:
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
        good = {"bit_accuracy/good": GOOD_BIT_ACCURACY} if "bit_accuracy" in metrics else {}
        named = {_tag(name): value for name, value in metrics.items()} | good
        with self._writing():
            with (self.folder / METRICS).open("a", encoding="utf-8") as file:
                file.write(json.dumps({"step": step, **metrics}) + "\n")
            for service in self._services:
                service.log(named, step=step)

    def show(self, step: int, names: Sequence[str], images: Sequence[Image.Image]) -> None:
        """Sample pictures: ``samples/step_N_name.png``, TensorBoard and the services."""
        folder = self.folder / "samples"
        shown = dict(zip(names, images, strict=True))
        with self._writing():
            folder.mkdir(exist_ok=True)
            for name, image in shown.items():
                image.save(folder / f"step_{step:07d}_{name}.png")
            for service in self._services:
                pictures = {f"samples/{name}": service.Image(shown[name]) for name in shown}
                service.log(pictures, step=step)

    def draw(self, last: bool = False) -> None:
        """The curves so far, as a picture beside the metrics; once a minute, and the last time."""
        is_due = last or time.monotonic() - self._drawn_s >= SECONDS_BETWEEN_DRAWINGS
        if not (self._draws and is_due):
            return
        self._drawn_s = time.monotonic()
        with self._writing():
            if lines := read_metrics(self.folder):
                plot_run(lines, self.folder / CURVES)

    def close(self) -> None:
        with self._writing():
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


class _Board:
    """TensorBoard's files, called like trackio and wandb."""

    Image = staticmethod(np.array)

    def __init__(self, folder: Path, step: int) -> None:
        place = str(folder / "tensorboard")
        self._writer = SummaryWriter(
            place, purge_step=step + 1, flush_secs=SECONDS_BETWEEN_DRAWINGS
        )
        charts = {title: ["Multiline", names] for title, names in BOARD_CHARTS.items()}
        self._writer.add_custom_scalars({"Bit accuracy": charts})

    def log(self, values: Mapping[str, Any], step: int) -> None:
        for name, value in values.items():
            if isinstance(value, np.ndarray):
                self._writer.add_image(name, value, step, dataformats="HWC")
            else:
                self._writer.add_scalar(name, value, step)

    def finish(self) -> None:
        self._writer.close()


def read_metrics(folder: Path) -> list[dict[str, float]]:
    """The metrics of a run, oldest first; each has ``step``. A line cut off by a kill is left out."""
    path = folder / METRICS
    if not path.exists():
        return []
    whole, _, _ = path.read_text(encoding="utf-8").rpartition("\n")
    return [json.loads(line) for line in whole.splitlines() if line]


def plot_run(lines: Sequence[Mapping[str, float]], path: Path) -> None:
    """Lines of ``metrics.jsonl`` in, PNG out; written whole or not at all.

    Loss, bit accuracy per scale with the 80% line, and the rest; what was measured on held-out
    pictures is dotted.
    """
    panels = tuple(_panels({name for line in lines for name in line}))
    columns = min(4, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(4.2 * columns, 3.1 * rows), layout="tight")
    grid = figure.subplots(rows, columns, squeeze=False).flat
    for panel, (title, curves) in zip(grid, panels, strict=False):
        for name, style in curves.items():
            points = [(line["step"], line[name]) for line in lines if name in line]
            panel.plot(*zip(*points, strict=True), linewidth=1, **style)
        panel.set(title=title, xlabel="step")
        panel.grid(alpha=0.3)
        if any(SCALE in name for name in curves):
            panel.axhline(GOOD_BIT_ACCURACY, color="crimson", linestyle="--", linewidth=1.2)
            place = (0.01, GOOD_BIT_ACCURACY)
            panel.annotate("80%", place, xycoords=("axes fraction", "data"), va="bottom")
            panel.set(ylim=(0.4, 1.0))
        if len(curves) > 1:
            panel.legend(fontsize=6, ncols=2)
    for panel in grid[len(panels) :]:
        panel.set_visible(False)
    temporary = path.with_suffix(".writing")
    FigureCanvasAgg(figure).print_png(temporary)
    temporary.replace(path)


def _panels(names: Iterable[str]) -> Iterator[tuple[str, dict[str, dict[str, Any]]]]:
    """Titles, and metric -> style of its curve."""
    for title, prefix in (("bit accuracy by scale", ""), ("the same, held out", HELD_OUT)):
        start = prefix + SCALE
        scales = sorted(int(name[len(start) :]) for name in names if name.startswith(start))
        shades = {scale: 0.15 + 0.75 * (scale - 1) / max(1, len(scales) - 1) for scale in scales}
        if scales:
            yield (
                title,
                {
                    f"{start}{scale}": {"label": str(scale), "color": (0.1, shade, 1 - shade)}
                    for scale, shade in shades.items()
                },
            )
    for name, title in PANELS.items():
        if name in names:
            held_out = {"label": "held out", "linestyle": ":", "marker": "."}
            yield (
                title,
                {name: {}} | ({HELD_OUT + name: held_out} if HELD_OUT + name in names else {}),
            )


def _tag(name: str) -> str:
    """bit_accuracy_scale_3 -> bit_accuracy/scale_03."""
    return re.sub(r"_scale_(\d+)$", lambda match: f"/scale_{int(match[1]):02d}", name)
