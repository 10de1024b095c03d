"""Imports go one way, libraries have one owner, and importing does nothing but define things."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# From the ground up: a room may import rooms of earlier lines, never of its own or later ones
# (its own files aside).
LAYERS: tuple[tuple[str, ...], ...] = (
    ("errors", "console", "shipped", "version"),
    ("files", "int8"),
    ("schedule", "devices", "wildcards", "colors", "shared_work", "weights", "quantized"),
    ("arrays", "checks", "growth", "hub", "images", "memory_modes", "packing", "prompt"),
    ("config", "start", "world"),
    ("request",),
    ("events", "metadata"),
    ("spec", "recent"),
    ("registry", "presets"),
    ("rewriter",),
    ("hosting",),
    ("text", "tokenizer", "model", "scoring"),
    ("generation",),
    ("drawing", "reconstruction"),
    ("checkpoints",),
    ("estimate",),
    ("pipeline",),
    ("kept_models", "grid", "edit"),
    ("manager", "inside"),
    ("ui", "cli"),
    ("__main__", "app"),
)
RANK = {room: rank for rank, layer in enumerate(LAYERS) for room in layer}

OWNERS: dict[str, frozenset[str]] = {
    "transformers": frozenset({"text", "rewriter", "scoring"}),
    "tokenizers": frozenset({"text"}),
    "huggingface_hub": frozenset({"checkpoints", "hub"}),
    "safetensors": frozenset({"checkpoints", "weights"}),
    "gradio": frozenset({"ui", "app"}),
    "av": frozenset({"growth"}),
}
WITHOUT_TORCH = frozenset(
    {"errors", "schedule", "config", "request", "events", "spec", "registry", "presets"}
    | {"world", "wildcards"}
)
TRAINING_CEILING = RANK["pipeline"]

# Of the page, in the same way.
UI_LAYERS: tuple[tuple[str, ...], ...] = (
    ("shared", "controls"),
    ("generate", "grid", "models", "server", "tokenizer"),
    ("edit", "inside"),
    ("opening",),
    ("history", "pictures"),
    ("api",),
    ("app",),
    ("serve",),
)
UI_RANK = {room: rank for rank, layer in enumerate(UI_LAYERS) for room in layer}

# Of training, in the same way; all that is not named here is a script, on top of everything.
TRAINING_LAYERS: tuple[tuple[str, ...], ...] = (
    ("drawing",),
    ("losses", "optimizer", "schedules", "text_encoder", "world"),
    ("evaluation",),
    ("config",),
    ("data", "finetune"),
    ("steps",),
    ("engine",),
)
TRAINING_RANK = {room: rank for rank, layer in enumerate(TRAINING_LAYERS) for room in layer}

_SLOW = "transformers takes seconds to import, and prompts that are known need none of it"
_VIDEO = "a hundred megabytes of FFmpeg, for those who save a video"
_OPTIONAL = "only who asks for it has it installed"
_UNIX = "Windows has no such module"
LAZY = {
    "app: infinity.ui.serve": "Gradio reads the environment while it is imported, which is set right first",
    "infinity.__main__: infinity.cli": "loads torch; --help comes at once without",
    "infinity.growth: av": _VIDEO,
    "infinity.growth: av.video.reformatter": _VIDEO,
    "infinity.rewriter: transformers": _SLOW,
    "infinity.scoring.clip: transformers": _SLOW,
    "infinity.text: transformers": _SLOW,
    "training.data.tables: datasets": _OPTIONAL,
    "training.data.tables: datasets.exceptions": _OPTIONAL,
    "training.engine.processes: resource": _UNIX,
    "training.world.sprites: resvg_py": _OPTIONAL,
}
"""Imports inside functions ("module: what it imports"), and why each of them waits."""


@dataclass(frozen=True)
class Source:
    """One file, read and parsed once for all rules.

    Attributes:
        name: "infinity.model.rope".
        calls: every call it makes.
        imports: absolute dotted names, wherever in the file, type checking included; of
            ``from a import b`` both "a" and "a.b".
        lazy: the modules imported inside functions.
    """

    name: str
    text: str
    calls: tuple[ast.Call, ...]
    imports: frozenset[str]
    lazy: frozenset[str]

    @property
    def package(self) -> str:
        return self.name.split(".")[0]

    @property
    def room(self) -> str:
        """infinity/errors.py -> "errors", training/engine/loop.py -> "engine", app.py -> "app"."""
        return self.name.split(".")[1] if "." in self.name else self.name

    @property
    def libraries(self) -> set[str]:
        return {name.split(".")[0] for name in self.imports}

    def rooms_of(self, package: str) -> set[str]:
        """The rooms of a package that this file imports, its own room aside."""
        parts = [name.split(".") for name in self.imports if name.startswith(f"{package}.")]
        own = self.room if self.package == package else ""
        return {part[1] for part in parts} - {own}


def _modules(node: ast.AST) -> set[str]:
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"relative import of {node.module}; name the module in full"
        return {str(node.module)}
    return set()


def _source(path: Path) -> Source:
    parts = path.relative_to(ROOT).with_suffix("").parts
    text = path.read_text(encoding="utf-8")
    nodes = list(ast.walk(ast.parse(text, str(path))))
    members = {
        f"{node.module}.{alias.name}"
        for node in nodes
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    inside = [
        part for node in nodes if isinstance(node, ast.FunctionDef) for part in ast.walk(node)
    ]
    return Source(
        ".".join(parts[:-1] if parts[-1] == "__init__" else parts),
        text,
        tuple(node for node in nodes if isinstance(node, ast.Call)),
        frozenset().union(members, *map(_modules, nodes)),
        frozenset().union(*map(_modules, inside)),
    )


PATHS = [*ROOT.glob("infinity/**/*.py"), *ROOT.glob("training/**/*.py"), ROOT / "app.py"]
FILES = [_source(path) for path in sorted(PATHS)]
SOURCES = [file for file in FILES if file.package != "training" and file.name != "infinity"]
TRAINING = [file for file in FILES if file.package == "training"]


def test_rooms_import_only_rooms_below_them():
    assert not {file.room for file in SOURCES} - RANK.keys(), "give them a place in LAYERS"
    wrong = [
        f"{file.name} imports {room}"
        for file in SOURCES
        for room in file.rooms_of("infinity") & RANK.keys()
        if RANK[room] >= RANK[file.room]
    ]
    assert not wrong


def test_package_never_imports_training_tests_or_app():
    assert not [file.name for file in SOURCES if file.libraries & {"training", "tests", "app"}]


def test_libraries_are_imported_by_their_owners_only():
    wrong = [
        f"{file.name} imports {library}, which only {sorted(owners)} do"
        for library, owners in OWNERS.items()
        for file in SOURCES
        if library in file.libraries and file.room not in owners
    ]
    assert not wrong
    heavy = [
        file.name for file in SOURCES if file.room in WITHOUT_TORCH and "torch" in file.libraries
    ]
    assert not heavy, "these do without torch"


def test_training_imports_the_package_up_to_the_pipeline():
    wrong = [
        f"{file.name} imports {room}"
        for file in TRAINING
        for room in file.rooms_of("infinity") & RANK.keys()
        if RANK[room] > TRAINING_CEILING
    ]
    assert not wrong
    assert not [file.name for file in TRAINING if "gradio" in file.libraries]


def test_training_rooms_import_only_training_rooms_below_them():
    scripts = len(TRAINING_LAYERS)
    wrong = [
        f"{file.name} imports {room}"
        for file in TRAINING
        for room in file.rooms_of("training")
        if TRAINING_RANK.get(file.room, scripts) < scripts
        and TRAINING_RANK.get(room, scripts) >= TRAINING_RANK[file.room]
    ]
    assert not wrong


def test_rooms_of_the_page_import_only_rooms_below_them():
    pages = [file for file in SOURCES if file.name.startswith("infinity.ui.")]
    assert len(pages) > len(UI_RANK)
    wrong = [
        f"{file.name} imports {name}"
        for file in pages
        for name in file.imports
        if name.startswith("infinity.ui.")
        and (room := name.split(".")[2]) != (own := file.name.split(".")[2])
        and UI_RANK[room] >= UI_RANK[own]
    ]
    assert not wrong


def test_imports_inside_functions_are_listed_with_their_reason():
    """An import that waits hides a dependency: LAZY has each of them, and why it has to wait."""
    assert {f"{file.name}: {name}" for file in FILES for name in file.lazy} == LAZY.keys()


def test_imports_make_no_circle():
    """However they are imported: at the top, inside a function, or for types alone."""
    modules = {file.name for file in FILES}
    graph = {file.name: file.imports & modules - {file.name} for file in FILES}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_upstream_names_are_known_to_one_file_only():
    """Only convert.py spells upstream's parameter names."""
    telltale = ("block_chunks", "mat_qkv", "ada_gss", "text_proj_for", "nin_shortcut")
    spelling = [file.name for file in SOURCES if any(name in file.text for name in telltale)]
    assert spelling == ["infinity.checkpoints.convert"]


# Runs in a process of its own: third-party libraries first, then ours under watch and as on Windows.
_IMPORT_ALL = """
import importlib, json, os, sys
modules, training, libraries = map(json.loads, sys.argv[1:4])
root = sys.argv[4]
sys.path.insert(0, root)
sys.dont_write_bytecode = True
for library in libraries:
    importlib.import_module(library)
for name in ("resource", "fcntl", "pwd", "grp", "termios"):
    sys.modules[name] = None

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
for module in training:
    importlib.import_module(module)
import torch
if torch.cuda.is_available() and torch.cuda.is_initialized():
    seen.append("CUDA was initialised")
print(json.dumps(seen))
"""
_LIBRARIES = (
    "torch", "numpy", "PIL.Image", "einops", "tqdm", "safetensors.torch", "huggingface_hub",
    "transformers", "transformers.models.t5.modeling_t5", "gradio", "concurrent.futures",
    "torch.distributed.checkpoint", "datasets", "peft", "matplotlib.pyplot", "filelock",
    "multiprocessing.connection",
)  # fmt: skip


def test_importing_touches_no_disk_network_device_or_argv_and_needs_no_unix():
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            _IMPORT_ALL,
            json.dumps([file.name for file in FILES if file.package != "training"]),
            json.dumps([file.name for file in TRAINING]),
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
        + ", ".join(f"infinity.{room}" for room in sorted(WITHOUT_TORCH))
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


def test_files_stay_small():
    long = {file.name: lines for file in FILES if (lines := file.text.count("\n")) > 330}
    assert not long, "split these files"
