"""The options of every command; wrong ones are refused in one line with exit status 2."""

import argparse
from collections.abc import Callable
from typing import Any, NoReturn

from infinity.console import expand_home, home_path
from infinity.errors import RequestError, quoted
from infinity.grid.axes import parse_wholes
from infinity.memory_modes import BUDGETS, MEMORY_MODES, PARTS
from infinity.presets import PRESET_NAMES
from infinity.registry import DEFAULT_MODEL
from infinity.request import MAX_THREADS, parse_per_scale
from infinity.start import REPAIR_DOUBT
from infinity.version import __version__

BAD_USAGE = 2
MOST_SAID = 500
FILE_OF_BITS = "a file of its bits (.npz)"


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
    _add_growth(command)
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
    _add_growth(command)
    _add_model(command, None)

    command = _command(group, "reconstruct", "a picture to bits and back, scale by scale")
    add = command.add_argument
    add("picture", type=home_path, help=f"any picture, or {FILE_OF_BITS}")
    add("--aspect-ratio", help="one of the model's; default: the nearest")
    told = "save the picture after every scale, JPEG and WebP of equal size, and the figures here"
    add("--scales-dir", type=home_path, metavar="DIR", help=told)
    _add_output(command, "reconstruction.png")
    _add_model(command, DEFAULT_MODEL)

    told = "a picture's bits as one small file, which may be named where a picture may"
    command = _command(group, "bits", told, module="editing")
    command.add_argument("picture", type=home_path, help="any picture")
    command.add_argument("--aspect-ratio", help="one of the model's; default: the nearest")
    _add_output(command, "bits.npz")
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
    _add_editing(group)
    return parser


def _add_editing(group: Any) -> None:
    """The commands that go on from a picture's bits."""
    picture = f"a picture, or {FILE_OF_BITS}; of one made by this package, drawn anew with its own settings "
    picture += "where others are not given"
    for name, told, output in (
        ("vary", "keep a picture's coarse scales, draw the rest anew", "variation.png"),
        ("edit", "draw a part of a picture anew and keep the bits around it", "edit.png"),
        ("mix", "the coarse scales of one picture, the fine ones of another", "mix.png"),
        ("repair", "draw the bits anew that the model finds unlikely", "repair.png"),
        ("extend", "draw a picture's surroundings, to another aspect ratio", "extended.png"),
        ("inspect", "what the model thinks of every bit of a picture, as numbers", "inside.npz"),
        ("flip", "turn bits of a picture over, and see what changes", "flipped.png"),
    ):
        command = _command(group, name, told, module="editing")
        add = command.add_argument
        add("picture", type=home_path, help=picture)
        if name == "mix":
            add("fine", type=home_path, help=f"the picture of the fine scales, or {FILE_OF_BITS}")
        if name == "edit":
            add(
                "prompt",
                help="what the picture shows then (what this leaves open stays); without --mask or "
                "--box, the part is where these words part from the picture's own",
            )
        else:
            add("--prompt", help="what the picture shows (default: what its record says)")
        if name == "flip":
            place = _reader(_place, "a bit such as 5,3,4,12")
            told = "which bit, each counted from 1; several may follow"
            add("bits", nargs="+", type=place, metavar="SCALE,ROW,COLUMN,BIT", help=told)
        if name in ("inspect", "flip"):
            add("--maps", action="store_true", help="also draw all of it on one PNG beside it")
        if name in ("vary", "mix"):
            add("--keep-scales", type=int, default=3, help="how many coarse scales (default 3)")
        if name in ("edit", "repair"):
            box = _reader(_shares, "four shares such as 0.5,0,1,1")
            place = command.add_mutually_exclusive_group().add_argument
            place(
                "--mask", type=home_path, help="a picture of any size, bright where it may change"
            )
            place(
                "--box",
                type=box,
                metavar="LEFT,TOP,RIGHT,BOTTOM",
                help="as shares of the whole picture: 0.5,0,1,1 is its right half",
            )
        if name == "edit":
            add("--keep-scales", type=int, default=0, help="coarse scales that stay everywhere")
            add("--softness", type=int, default=0, help="tokens over which the edge is soft")
        if name == "repair":
            add(
                "--doubt",
                type=float,
                default=REPAIR_DOUBT,
                help="the largest share of a scale's bits that is taken for errors "
                f"(default {REPAIR_DOUBT:g})",
            )
            add("--rounds", type=int, default=1, help="how often (default 1)")
        if name == "extend":
            add("--aspect-ratio", required=True, help="width:height, one of the model's")
        if name not in ("inspect", "flip"):
            add("--seed", type=int, help="0 to 4294967295 (default: the picture's own); -1: random")
            add("--num-images", type=int, help="how many, with seeds one after another")
        _add_output(command, output)
        _add_model(command, DEFAULT_MODEL)


def _command(
    group: Any, name: str, help: str, *, module: str = "commands"
) -> argparse.ArgumentParser:
    command = group.add_parser(name, help=help, description=help.capitalize() + ".")
    command.add_argument("--verbose", action="store_true", help="log what is being done")
    command.set_defaults(command=name, module=module)
    return command


def _add_sampling(command: argparse.ArgumentParser) -> None:
    add = command.add_argument_group(
        "sampling", "what is not given is the model's default"
    ).add_argument
    per_scale = "a number, or one a scale: 1,2,3"
    number = _reader(parse_per_scale, "a number or a comma-separated list of numbers")
    layers = _reader(parse_wholes, "a list of whole numbers")
    add("--negative-prompt", default="", help="what the picture should not show")
    told = (
        "draw the prompt as it is: its seed chooses nothing that it leaves open (small worlds only)"
    )
    add("--no-complete-prompt", dest="complete_prompt", action="store_false", help=told)
    add("--aspect-ratio", default="1:1", help="width:height (default 1:1)")
    add("--seed", type=int, default=0, help="0 to 4294967295 (default 0); -1: random")
    add(
        "--preset",
        choices=PRESET_NAMES,
        help="settings to begin with, which those given here replace: balanced is the model's own, "
        "paper the paper's evaluation, pyramid guidance from 1 to 5, fast without guidance at the last "
        "scale, turbo in fp8 at the last three, varied more different pictures",
    )
    add("--guidance", "--cfg", type=number, help=f"1 is none; {per_scale}")
    add("--temperature", "--tau", type=number, help=f"0 is greedy; {per_scale}")
    add("--top-k", type=int, help="1 is greedy; else no effect on two-way bits")
    add("--top-p", type=float, help="never draw a bit less likely than 1 - P")
    where = "0: the logits; -1: after the last block; 0,-4: both"
    add("--guidance-layers", type=layers, help=where)
    add("--guided-scales", type=int, help="guide only the first N scales")
    told = "share of the tokens that skips the blocks at the last two scales (0: none, exact)"
    add("--pruning", type=float, help=told)
    told = "multiply in fp8 at the last N scales, on a card that does"
    add("--fp8-scales", type=int, help=told)
    told = f"0.5 to 1: raise the temperature until bits are no surer than this; {per_scale}"
    add("--confidence", type=number, help=told)
    add = command.add_argument_group("best of several").add_argument
    add("--candidates", type=int, default=1, help="draw so many for each picture, keep the best")
    pruned = "after scale N drop the worse half (default 0: never)"
    add("--prune-at-scale", type=int, default=0, metavar="N", help=pruned)
    chooses = "who chooses: judge (the default model's own), or a CLIP-like model's name or folder"
    add("--scorer", default="", help=chooses)


def _add_output(command: argparse.ArgumentParser, default: str) -> None:
    told = f"replaced if it is there; default {default}, or the next number that is free"
    command.add_argument("-o", "--output", type=home_path, help=told)
    command.set_defaults(default_output=default)


def _add_growth(command: argparse.ArgumentParser) -> None:
    told = "also save how the picture grew as one animation: .webp, .gif or .mp4"
    command.add_argument("--growth", type=home_path, metavar="FILE", help=told)


def _add_model(command: argparse.ArgumentParser, default: str | None) -> None:
    add = command.add_argument_group("model").add_argument
    told = f"name or folder (default: {default or 'the model in the record'})"
    adapter = "a fine-tuned adapter for the model"
    threads = _reader(_threads, f"a whole number from 1 to {MAX_THREADS}")
    add("--model", type=expand_home, default=default, help=told)
    add("--adapter", type=expand_home, metavar="PATH", help=adapter)
    add("--device", help="cpu, cuda, mps (default: the best there is)")
    add("--dtype", help="float32 or bfloat16 (default: bfloat16 on cuda)")
    modes = f"{', '.join((*MEMORY_MODES, *BUDGETS))} (a card's size: what fits it at least cost)"
    parts = f"or parts with commas between: {', '.join(PARTS)}"
    add("--memory", help=f"memory to save: {modes}, {parts}")
    add("--threads", type=threads, help="CPU threads")


def _reader(read: Callable[[str], Any], wanted: str) -> Callable[[str], Any]:
    """``read`` for argparse, which refuses what is not ``wanted`` in these words."""

    def read_or_refuse(text: str) -> Any:
        try:
            return read(text)
        except (ValueError, RequestError) as error:
            raise argparse.ArgumentTypeError(f"{quoted(text)} is not {wanted}") from error

    return read_or_refuse


def _shares(text: str) -> tuple[float, ...]:
    left, top, right, bottom = (float(share) for share in text.split(","))
    return left, top, right, bottom


def _place(text: str) -> tuple[int, ...]:
    scale, row, column, bit = (int(number) for number in text.split(","))
    return scale, row, column, bit


def _threads(text: str) -> int:
    if not 1 <= (value := int(text)) <= MAX_THREADS:
        raise ValueError(text)
    return value
