"""Command line: ``python -m training.world build`` fetches the art and writes the sprites."""

import argparse
from pathlib import Path

from infinity.console import home_path, log_to_terminal
from infinity.errors import InfinityError
from training.world.sprites import build_sprites


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.world", description=__doc__)
    parser.add_argument("command", choices=["build"])
    parser.add_argument("--output", type=home_path, default=Path("data/world"))
    parser.add_argument("--cache", type=home_path, default=Path("data/packages"))
    arguments = parser.parse_args()
    log_to_terminal()
    try:
        build_sprites(arguments.output, arguments.cache)
    except InfinityError as error:
        parser.exit(1, f"{error}\n")


if __name__ == "__main__":
    main()
