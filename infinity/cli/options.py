"""The options of every command; wrong ones are refused in one line with exit status 2."""

import argparse
from collections.abc import Callable
from typing import Any, NoReturn

from infinity.console import expand_home, home_path
from infinity.errors import RequestError, quoted
from infinity.grid.axes import parse_wholes
from infinity.presets import PRESET_NAMES
from infinity.registry import DEFAULT_MODEL
from infinity.request import MAX_THREADS, parse_per_scale
from infinity.version import __version__

BAD_USAGE = 2
MOST_SAID = 500


class _Parser(argparse.ArgumentParser):
    """Complains in one line."""

    def error(self, message: str) -> NoReturn:
        message = message if len(message) <= MOST_SAID else f"{message[:MOST_SAID]} …"
        self.exit(BAD_USAGE, f"{self.prog}: {message} (see {self.prog} --help)\n")


def make_parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m infinity", description="Pictures from text, bit by bit.")
    parser.add_argument("--version", action="version", version=f"infinity {__version__}")
    group = parser.add_subparsers(title="commands", required=True, parser_class=_Parser)
    prompt = "may have wildcards: a {red|blue} car"

    command = _command(group, "generate", "draw a prompt")
    add = command.add_argument
    add("prompt", help=prompt)
    add("--num-images", type=int, default=1, help="how many, with seeds one after another")
    _add_sampling(command)
    _add_output(command, "infinity.png")
    scales = "save the picture after every scale here"
    add("--scales-dir", type=home_path, metavar="DIR", help=scales)
    _add_model(command, DEFAULT_MODEL)

    command = _command(group, "grid", "one picture for every pair of values")
    add = command.add_argument
    add("prompt", help=prompt)
    values = "seed 1-4, guidance '1, 3, 5', words 'red, blue', ..."
    shape: dict[str, Any] = {"nargs": 2, "metavar": ("SETTING", "VALUES")}
    add("--x", **shape, required=True, help=f"what varies over the columns: {values}")
    add("--y", **shape, help=f"what varies over the rows: {values}")
    _add_sampling(command)
    _add_output(command, "grid.png")
    _add_model(command, DEFAULT_MODEL)

    command = _command(group, "replay", "draw a picture again from its record")
    command.add_argument("picture", type=home_path, help="a PNG made by this package")
    _add_output(command, "replay.png")
    _add_model(command, None)

    command = _command(group, "reconstruct", "a picture to bits and back")
    command.add_argument("picture", type=home_path)
    command.add_argument("--aspect-ratio", help="one of the model's; default: the nearest")
    _add_output(command, "reconstruction.png")
    _add_model(command, DEFAULT_MODEL)

    command = _command(group, "convert", "upstream's checkpoint to our format")
    add = command.add_argument
    upstream = "a released model's name, or upstream's file or folder"
    add("upstream", type=expand_home, help=upstream)
    add("-o", "--output", type=home_path, required=True, help="new folder")
    add("--tokenizer", "--vae", type=home_path, help="upstream's tokenizer, if elsewhere")
    add("--dtype", help="float32 or bfloat16 (default: as it is)")
    add("--ema", action="store_true", help="a training checkpoint's average")

    _command(group, "models", "list the models")
    return parser


def _command(group: Any, name: str, help: str) -> argparse.ArgumentParser:
    command = group.add_parser(name, help=help, description=help.capitalize() + ".")
    command.add_argument("--verbose", action="store_true", help="log what is being done")
    command.set_defaults(command=name)
    return command


def _add_sampling(command: argparse.ArgumentParser) -> None:
    add = command.add_argument_group(
        "sampling", "what is not given is the model's default"
    ).add_argument
    per_scale = "a number, or one a scale: 1,2,3"
    number = _reader(parse_per_scale, "a number or a comma-separated list of numbers")
    layers = _reader(parse_wholes, "a list of whole numbers")
    add("--negative-prompt", default="", help="what the picture should not show")
    add("--aspect-ratio", default="1:1", help="width:height (default 1:1)")
    add("--seed", type=int, default=0, help="0 to 4294967295 (default 0); -1: random")
    add(
        "--preset",
        choices=PRESET_NAMES,
        help="settings to begin with, which those given here replace: balanced is the model's own, "
        "paper the paper's evaluation, pyramid guidance from 1 to 5, fast without guidance at the end",
    )
    add("--guidance", "--cfg", type=number, help=f"1 is none; {per_scale}")
    add("--temperature", "--tau", type=number, help=f"0 is greedy; {per_scale}")
    add("--top-k", type=int, help="1 is greedy; else no effect on two-way bits")
    add("--top-p", type=float, help="never draw a bit less likely than 1 - P")
    where = "0: the logits; -1: after the last block; 0,-4: both"
    add("--guidance-layers", type=layers, help=where)
    add("--guided-scales", type=int, help="guide only the first N scales")


def _add_output(command: argparse.ArgumentParser, default: str) -> None:
    told = f"replaced if it is there; default {default}, or the next number that is free"
    command.add_argument("-o", "--output", type=home_path, help=told)
    command.set_defaults(default_output=default)


def _add_model(command: argparse.ArgumentParser, default: str | None) -> None:
    add = command.add_argument_group("model").add_argument
    told = f"name or folder (default: {default or 'the model in the record'})"
    adapter = "a fine-tuned adapter for the model"
    threads = _reader(_threads, f"a whole number from 1 to {MAX_THREADS}")
    add("--model", type=expand_home, default=default, help=told)
    add("--adapter", type=expand_home, metavar="PATH", help=adapter)
    add("--device", help="cpu, cuda, mps (default: the best there is)")
    add("--dtype", help="float32 or bfloat16 (default: bfloat16 on cuda)")
    add("--threads", type=threads, help="CPU threads")


def _reader(read: Callable[[str], Any], wanted: str) -> Callable[[str], Any]:
    """``read`` for argparse, which refuses what is not ``wanted`` in these words."""

    def read_or_refuse(text: str) -> Any:
        try:
            return read(text)
        except (ValueError, RequestError) as error:
            raise argparse.ArgumentTypeError(f"{quoted(text)} is not {wanted}") from error

    return read_or_refuse


def _threads(text: str) -> int:
    if not 1 <= (value := int(text)) <= MAX_THREADS:
        raise ValueError(text)
    return value
