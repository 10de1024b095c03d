"""Imports go one way, libraries have one owner, and importing does nothing but define things."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "infinity"

# From the ground up: a room may import rooms of earlier lines, never of its own or later ones
# (its own files aside).
LAYERS: tuple[tuple[str, ...], ...] = (
    ("errors", "console", "files", "shipped", "nvidia"),
    ("schedule", "devices", "wildcards", "colors", "shared_work", "weights"),
    ("config", "request", "images", "vocabulary", "saving"),
    ("events", "metadata"),
    ("spec",),
    ("registry", "presets"),
    ("rewriter",),
    ("hosting",),
    ("t5",),
    ("text", "tokenizer", "model"),
    ("generation",),
    ("drawing", "reconstruction"),
    ("checkpoints",),
    ("pipeline", "estimate"),
    ("kept_models", "grid"),
    ("manager",),
    ("ui", "cli"),
    ("__main__", "app"),
)
RANK = {room: rank for rank, layer in enumerate(LAYERS) for room in layer}

OWNERS: dict[str, frozenset[str]] = {
    "transformers": frozenset({"t5", "text", "rewriter"}),
    "tokenizers": frozenset({"t5"}),
    "huggingface_hub": frozenset({"checkpoints"}),
    "safetensors": frozenset({"checkpoints", "weights"}),
    "gradio": frozenset({"ui", "app"}),
}
WITHOUT_TORCH = frozenset(
    {"errors", "schedule", "config", "request", "events", "spec", "registry", "presets"}
    | {"vocabulary", "wildcards"}
)
TRAINING_CEILING = RANK["pipeline"]

# Of training, in the same way; all that is not named here is a script, on top of everything.
TRAINING_LAYERS: tuple[tuple[str, ...], ...] = (
    ("losses", "optimizer", "schedules", "self_correction", "stepping", "text_encoder", "world"),
    ("config",),
    ("data", "finetune"),
    ("steps",),
    ("engine",),
)
TRAINING_RANK = {room: rank for rank, layer in enumerate(TRAINING_LAYERS) for room in layer}
TRAINING_EXCEPTIONS = {("config", "default_model")}
"""The preset of the shipped model reads its recipe, when it is asked for."""


def _python_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.py") if "__pycache__" not in path.parts)


def _imports(path: Path) -> set[str]:
    """Absolute dotted names a file imports, wherever in the file, type checking included."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; name the module in full"
            assert node.module is not None
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def _room(path: Path) -> str:
    """errors.py -> "errors", model/rope.py -> "model", app.py -> "app"."""
    if path.is_relative_to(PACKAGE):
        return path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return path.stem


def _rooms_imported(path: Path) -> set[str]:
    return {
        parts[1]
        for name in _imports(path)
        if (parts := name.split("."))[0] == "infinity" and len(parts) > 1 and parts[1] in RANK
    }


def _libraries(path: Path) -> set[str]:
    return {name.split(".")[0] for name in _imports(path)}


SOURCES = [
    path
    for path in (*_python_files(PACKAGE), ROOT / "app.py")
    if path.is_file() and path != PACKAGE / "__init__.py"
]
TRAINING = _python_files(ROOT / "training")


def _ids(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", SOURCES, ids=_ids)
def test_room_imports_only_rooms_below_it(path):
    room = _room(path)
    assert room in RANK, f"{room} has no place in LAYERS; give it one"
    above = {
        other for other in _rooms_imported(path) if other != room and RANK[other] >= RANK[room]
    }
    assert not above, f"{_ids(path)} ({room}) must not import {sorted(above)}"


@pytest.mark.parametrize("path", SOURCES, ids=_ids)
def test_package_never_imports_training_tests_or_app(path):
    assert not _libraries(path) & {"training", "tests", "app"}


@pytest.mark.parametrize("path", SOURCES, ids=_ids)
def test_library_is_imported_by_its_owner_only(path):
    room = _room(path)
    for library, owners in OWNERS.items():
        if library in _libraries(path):
            assert room in owners, f"only {sorted(owners)} import {library}"
    if room in WITHOUT_TORCH:
        assert "torch" not in _libraries(path), f"{room} does without torch"


@pytest.mark.parametrize("path", TRAINING, ids=_ids)
def test_training_imports_the_package_up_to_the_pipeline(path):
    above = {room for room in _rooms_imported(path) if RANK[room] > TRAINING_CEILING}
    assert not above, f"training must not import {sorted(above)}"
    assert "gradio" not in _libraries(path)


@pytest.mark.parametrize("path", TRAINING, ids=_ids)
def test_training_room_imports_only_training_rooms_below_it(path):
    room = _training_room(path)
    scripts = len(TRAINING_LAYERS)
    rank = TRAINING_RANK.get(room, scripts)
    above = {
        other
        for name in _imports(path)
        if (parts := name.split("."))[0] == "training"
        and len(parts) > 1
        and (other := parts[1]) != room
        and rank < scripts
        and TRAINING_RANK.get(other, scripts) >= rank
        and (room, other) not in TRAINING_EXCEPTIONS
    }
    assert not above, f"{_ids(path)} ({room}) must not import {sorted(above)}"


def _training_room(path: Path) -> str:
    """training/engine/loop.py -> "engine", training/train.py -> "train"."""
    return path.relative_to(ROOT / "training").parts[0].removesuffix(".py")


def test_upstream_names_are_known_to_one_file_only():
    """Only convert.py spells upstream's parameter names."""
    telltale = ("block_chunks", "mat_qkv", "ada_gss", "text_proj_for", "nin_shortcut")
    spelling = [
        _ids(path)
        for path in SOURCES
        if path != PACKAGE / "checkpoints" / "convert.py"
        and any(name in path.read_text() for name in telltale)
    ]
    assert not spelling


# Runs in a process of its own: third-party libraries first, then ours under watch.
_IMPORT_ALL = """
import importlib, json, os, sys
modules, libraries, root = json.loads(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3]
sys.path.insert(0, root)
sys.dont_write_bytecode = True
for library in libraries:
    importlib.import_module(library)

class Untouchable(list):
    def __getattribute__(self, name):
        raise AssertionError("argv was read")
    def __iter__(self):
        raise AssertionError("argv was read")
    def __len__(self):
        raise AssertionError("argv was read")
    def __getitem__(self, index):
        raise AssertionError("argv was read")

seen, watching = [], True
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC

def hook(event, arguments):
    if not watching:
        return
    if event in ("socket.connect", "socket.bind", "socket.getaddrinfo", "subprocess.Popen",
                 "os.system", "os.mkdir", "os.remove", "shutil.copyfile"):
        seen.append(f"{event} {arguments!r}")
    elif event == "open":
        path, mode, flags = arguments
        name = os.fspath(path) if isinstance(path, (str, bytes, os.PathLike)) else str(path)
        name = os.fsdecode(name)
        ours = os.path.abspath(name).startswith(root + os.sep)
        writes = isinstance(flags, int) and flags & WRITING
        if writes or (ours and not name.endswith((".py", ".pyc"))):
            seen.append(f"open {name} {mode}")

sys.argv = Untouchable()
sys.addaudithook(hook)
for module in modules:
    before = len(seen)
    importlib.import_module(module)
    seen[before:] = [f"{module}: {what}" for what in seen[before:]]
watching = False
import torch
if torch.cuda.is_available() and torch.cuda.is_initialized():
    seen.append("CUDA was initialised")
print(json.dumps(seen))
"""
_LIBRARIES = (
    "torch", "numpy", "PIL.Image", "einops", "tqdm", "safetensors.torch", "huggingface_hub",
    "transformers", "transformers.models.t5.modeling_t5", "gradio", "concurrent.futures",
)  # fmt: skip


def _module_names() -> list[str]:
    names = []
    for path in (*_python_files(PACKAGE), ROOT / "app.py"):
        if path.is_file():
            parts = path.relative_to(ROOT).with_suffix("").parts
            names.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return names


def test_importing_touches_no_disk_network_device_or_argv():
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            _IMPORT_ALL,
            json.dumps(_module_names()),
            json.dumps(_LIBRARIES),
            str(ROOT),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1]) == []


def test_light_modules_load_no_heavy_library():
    """``import infinity`` and the rooms without torch stay instant to import."""
    code = (
        "import sys, infinity, "
        + ", ".join(f"infinity.{room}" for room in sorted(WITHOUT_TORCH) if _exists(room))
        + "; print(sorted({'torch', 'gradio', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        cwd=ROOT,
    )
    assert done.stdout.strip() == "[]"


def _exists(room: str) -> bool:
    return (PACKAGE / f"{room}.py").is_file() or (PACKAGE / room).is_dir()


def test_files_stay_small():
    long = {
        _ids(path): lines
        for path in (*SOURCES, *TRAINING)
        if (lines := len(path.read_text().splitlines())) > 330
    }
    assert not long, "split these files"
