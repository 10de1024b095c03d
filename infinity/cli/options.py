"""The options of every command; wrong ones are refused in one line with exit status 2."""

import argparse
from typing import Any, NoReturn

from infinity.console import expand_home, home_path
from infinity.errors import RequestError
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

    command = _command(group, "generate", "draw a prompt")
    command.add_argument("prompt", help="may have wildcards: a {red|blue} car")
    command.add_argument(
        "--num-images", type=int, default=1, help="how many, with seeds one after another"
    )
    _add_sampling(command)
    _add_output(command, "infinity.png")
    command.add_argument(
        "--scales-dir",
        type=home_path,
        metavar="DIR",
        help="save the picture after every scale here",
    )
    _add_model(command, DEFAULT_MODEL)

    command = _command(group, "grid", "one picture for every pair of values")
    command.add_argument("prompt", help="may have wildcards: a {red|blue} car")
    for axis, what in (("--x", "columns"), ("--y", "rows")):
        command.add_argument(
            axis,
            nargs=2,
            metavar=("SETTING", "VALUES"),
            required=axis == "--x",
            help=f"what varies over the {what}: seed 1-4, guidance '1, 3, 5', words 'red, blue', ...",
        )
    _add_sampling(command)
    _add_output(command, "grid.png")
    _add_model(command, DEFAULT_MODEL)

    command = _command(group, "replay", "draw a picture again from its record")
    command.add_argument("picture", type=home_path, help="a PNG made by this package")
    _add_output(command, "replay.png")
    _add_model(command, None, "the model in the record")

    command = _command(group, "reconstruct", "a picture to bits and back")
    command.add_argument("picture", type=home_path)
    command.add_argument("--aspect-ratio", help="one of the model's; default: the nearest")
    _add_output(command, "reconstruction.png")
    _add_model(command, DEFAULT_MODEL)

    command = _command(group, "convert", "upstream's checkpoint to our format")
    command.add_argument(
        "upstream", type=expand_home, help="a released model's name, or upstream's file or folder"
    )
    command.add_argument("-o", "--output", type=home_path, required=True, help="new folder")
    command.add_argument(
        "--tokenizer", "--vae", type=home_path, help="upstream's tokenizer, if elsewhere"
    )
    command.add_argument("--dtype", help="float32 or bfloat16 (default: as it is)")
    command.add_argument("--ema", action="store_true", help="a training checkpoint's average")

    _command(group, "models", "list the models")
    return parser


def _command(group: Any, name: str, help: str) -> argparse.ArgumentParser:
    command = group.add_parser(name, help=help, description=help.capitalize() + ".")
    command.add_argument("--verbose", action="store_true", help="log what is being done")
    command.set_defaults(command=name)
    return command


def _add_sampling(command: argparse.ArgumentParser) -> None:
    per_scale = "a number, or one a scale: 1,2,3"
    group = command.add_argument_group("sampling", "what is not given is the model's default")
    group.add_argument("--negative-prompt", default="", help="what the picture should not show")
    group.add_argument("--aspect-ratio", default="1:1", help="width:height (default 1:1)")
    group.add_argument(
        "--seed", type=int, default=0, help="0 to 4294967295 (default 0); -1: random"
    )
    group.add_argument(
        "--preset",
        choices=PRESET_NAMES,
        help="settings to begin with, which those given here replace: balanced is the model's own, "
        "paper the paper's evaluation, pyramid guidance from 1 to 5, fast without guidance at the end",
    )
    group.add_argument("--guidance", "--cfg", type=_per_scale, help=f"1 is none; {per_scale}")
    group.add_argument("--temperature", "--tau", type=_per_scale, help=f"0 is greedy; {per_scale}")
    group.add_argument("--top-k", type=int, help="1 is greedy; else no effect on two-way bits")
    group.add_argument("--top-p", type=float, help="never draw a bit less likely than 1 - P")
    group.add_argument(
        "--guidance-layers",
        type=_layers,
        help="0: the logits; -1: after the last block; 0,-4: both",
    )
    group.add_argument("--guided-scales", type=int, help="guide only the first N scales")


def _add_output(command: argparse.ArgumentParser, default: str) -> None:
    command.add_argument(
        "-o",
        "--output",
        type=home_path,
        help=f"replaced if it is there; default {default}, or the next number that is free",
    )
    command.set_defaults(default_output=default)


def _add_model(
    command: argparse.ArgumentParser, default: str | None, shown: str | None = None
) -> None:
    group = command.add_argument_group("model")
    group.add_argument(
        "--model",
        type=expand_home,
        default=default,
        help=f"name or folder (default: {shown or default})",
    )
    group.add_argument(
        "--adapter", type=expand_home, metavar="PATH", help="a fine-tuned adapter for the model"
    )
    group.add_argument("--device", help="cpu, cuda, mps (default: the best there is)")
    group.add_argument("--dtype", help="float32 or bfloat16 (default: bfloat16 on cuda)")
    group.add_argument("--threads", type=_threads, help="CPU threads")


def _per_scale(text: str) -> float | tuple[float, ...]:
    try:
        return parse_per_scale(text)
    except RequestError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _layers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of whole numbers") from error


def _threads(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if not 1 <= value <= MAX_THREADS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {MAX_THREADS}")
    return value
