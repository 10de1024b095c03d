"""Command line: ``python -m training.world build`` fetches the art, ``sheets`` draws all of the world."""

import argparse
from pathlib import Path

from infinity.console import home_path, log_to_terminal
from infinity.errors import InfinityError
from training.world.concepts import STYLES
from training.world.sheets import write_sheets
from training.world.sprites import build_sprites, ensure_sprites
from training.world.world import World


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.world", description=__doc__)
    parser.add_argument("command", choices=["build", "sheets"])
    parser.add_argument("--output", type=home_path, default=Path("data/world"), help="the art")
    parser.add_argument("--cache", type=home_path, default=Path("data/packages"))
    parser.add_argument(
        "--sheets", type=home_path, default=Path("data/sheets"), help="their folder"
    )
    arguments = parser.parse_args()
    log_to_terminal()
    try:
        if arguments.command == "build":
            build_sprites(arguments.output, arguments.cache)
        else:
            ensure_sprites(arguments.output)
            write_sheets(World.load(arguments.output, STYLES), arguments.sheets)
    except InfinityError as error:
        parser.exit(1, f"{error}\n")


if __name__ == "__main__":
    main()
