"""``python -m infinity``, and the command ``infinity`` where the package is installed."""

import sys

from infinity.cli import main


def run() -> None:
    sys.exit(main())


if __name__ == "__main__":
    run()
