"""The page, from its options to a running server. ``app.py`` imports this once the environment is
ready: Gradio reads the proxies, the address to listen on and the folder of its files as it is imported."""

import argparse
import os
from contextlib import closing
from pathlib import Path

import torch

from infinity.checkpoints.adapter import read_adapter
from infinity.checkpoints.load import adapted_name
from infinity.devices import memory_of, resolve_device
from infinity.hosting import Allowance, Hosting
from infinity.manager import ModelManager
from infinity.pipeline import InfinityPipeline
from infinity.shipped import shipped
from infinity.spec import CONFIG_FILE, read_spec
from infinity.ui.app import build_app, launch_options
from infinity.ui.server.hosted import Health, trust_proxies
from infinity.ui.server.spaces import SharedGpuLoader, shared_gpu
from infinity.ui.server.storage import Storage
from infinity.ui.shared.runs import Runs

SPACE_SETTINGS = shipped("assets/hosting.toml")
MOST_OF_MEMORY = 0.8


def serve(options: argparse.Namespace, storage: Storage) -> None:
    """Serve until interrupted.

    Raises:
        InfinityError: a setting or the model cannot be used.
        OSError: the port is taken (Gradio's, with a sentence).
    """
    gpu = shared_gpu()  # before anything asks for CUDA
    device = resolve_device(options.device)
    hosting = read_hosting(options.hosting)
    storage.ceiling = hosting.disk_megabytes * 1_000_000 or None
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
        memory_budget(hosting, device),
        options.device,
        options.dtype,
        models=folders,
        adapted=adapted,
        memory_mode=options.memory_mode,
        loader=InfinityPipeline.from_pretrained if gpu is None else SharedGpuLoader(gpu),
    )
    with closing(
        Runs(Allowance(hosting))
    ) as runs:  # before the folder goes, where they would write
        app = build_app(manager, name, runs)
        health = Health(manager, runs)
        if hosting.warm_up:
            health.warm_up(name)
        trust_proxies(hosting)
        app.launch(
            server_name=bracketed(options.host),
            server_port=options.port,
            share=options.share,
            inbrowser=options.open,
            mcp_server=options.mcp or None,
            _frontend=False,  # or a machine that is slow for three seconds has no page
            **launch_options(app, runs, health, storage),
        )


def read_hosting(path: str | None) -> Hosting:
    """The settings in ``path``; by default the shipped ones on a Space, and no limits elsewhere.

    Raises:
        RequestError: the file cannot be read, or a setting in it is out of range.
    """
    if path is not None:
        return Hosting.from_file(path)
    return Hosting.from_file(SPACE_SETTINGS) if os.environ.get("SPACE_ID") else Hosting()


def bracketed(host: str | None) -> str | None:
    """An IPv6 address as it stands in a link, which is how Gradio wants it."""
    return f"[{host}]" if host and ":" in host and not host.startswith("[") else host


def memory_budget(hosting: Hosting, device: torch.device) -> int | None:
    """Bytes for all models together: what the host set, else most of what the device has."""
    if hosting.memory_gigabytes:
        return round(hosting.memory_gigabytes * 1e9)
    memory = memory_of(device)
    return None if memory is None else round(MOST_OF_MEMORY * memory[1])
