"""Command line: `python -m training.world build|preview`."""

import argparse
import logging
from pathlib import Path

from PIL import Image

from infinity.console import home_path, log_to_terminal
from training.drawing import sheet
from training.world.sampling import STAGES
from training.world.sprites import STYLES, build_sprites
from training.world.world import World

logger = logging.getLogger(__name__)

EXAMPLES, COLUMNS = 48, 8


def main() -> None:
    """Build the sprites, or draw a sheet of examples to look at."""
    parser = argparse.ArgumentParser(prog="python -m training.world", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser("build", help="fetch the art and write the sprites")
    build.add_argument("--output", type=home_path, default=Path("data/world"))
    build.add_argument("--cache", type=home_path, default=Path("data/packages"))
    preview = commands.add_parser("preview", help="draw a sheet of captioned examples")
    preview.add_argument("--world", type=home_path, default=Path("data/world"))
    preview.add_argument("--output", type=home_path, required=True, help="PNG file to write")
    preview.add_argument("--stage", choices=STAGES, default="full")
    preview.add_argument("--split", choices=("train", "heldout"), default="train")
    preview.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    log_to_terminal()
    if args.command == "build":
        build_sprites(args.output, args.cache)
        return
    world = World.load(args.world, styles=STYLES)
    examples = [
        world.example(args.seed, index, stage=args.stage, split=args.split)
        for index in range(EXAMPLES)
    ]
    pictures = [Image.fromarray(example.image) for example in examples]
    sheet(pictures, [example.caption for example in examples], columns=COLUMNS).save(args.output)
    logger.info("wrote %d examples to %s", len(examples), args.output)


if __name__ == "__main__":
    main()
