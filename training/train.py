"""Train a transformer or a tokenizer; the same command continues a run that was stopped.

    python -m training.train run.json --optimization.steps 2000
    python -m training.train --preset 125m-256 --data.sources pictures --output runs/first
    torchrun --nproc-per-node 8 -m training.train run.json --parallel.shard full

``--help`` lists every setting.
"""

import logging
import os
import sys
from collections.abc import Sequence

from infinity.console import log_to_terminal
from infinity.errors import InfinityError
from training.config.load import load_config
from training.engine.loop import train

INTERRUPTED = 130
"""A shell's exit code of a command stopped by ^C."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0 when the run is complete, 2 after an error, told in one sentence, 130 after ^C."""
    first = os.environ.get("RANK", "0") == "0"
    log_to_terminal(logging.INFO if first else logging.ERROR, "%(levelname)s %(message)s")
    given = list(sys.argv[1:] if arguments is None else arguments)
    file = given.pop(0) if given and not given[0].startswith("-") else None
    try:
        train(load_config(file, given))
    except InfinityError as error:
        logging.getLogger(__name__).error("%s", error)
        return 2
    except KeyboardInterrupt:
        logging.getLogger(__name__).error("Stopped; the same command goes on from the last save.")
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
