"""The command line: ``python -m infinity``, and the command ``infinity`` where it is installed.

Exit status: 0 done, 1 failed, 2 wrongly asked. An error is one line on standard error.
"""

import gc
import logging
import sys
from collections.abc import Sequence

from infinity.cli.options import BAD_USAGE, make_parser
from infinity.console import bypass_proxies, log_to_terminal, tolerate_any_text
from infinity.errors import InfinityError, RequestError

DONE, FAILED = 0, 1
GARBAGE = 100_000, 50, 100
"""Objects made before garbage is looked for, and how often among older ones. Libraries make a million that stay
while they are imported; by Python's own rule a fifth of the start is spent looking through them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; ``arguments`` default to the process's own. Returns the exit status."""
    gc.set_threshold(*GARBAGE)
    tolerate_any_text()  # help is text, too
    options = make_parser().parse_args(arguments)
    level = logging.INFO if options.verbose else logging.WARNING
    log_to_terminal(level, "%(levelname)s: %(message)s")
    bypass_proxies()
    try:
        from infinity.cli import commands, editing

        module = editing if options.module == "editing" else commands
        getattr(module, options.command)(options)
    except (InfinityError, KeyboardInterrupt) as error:
        sys.stderr.write(f"infinity: {' '.join(str(error).split()) or 'stopped'}\n")
        return BAD_USAGE if isinstance(error, RequestError) else FAILED
    except BrokenPipeError:
        return FAILED  # whoever read our output has gone
    except OSError as error:  # our output has no room, say
        sys.stderr.write(f"infinity: {error}\n")
        return FAILED
    return DONE


if __name__ == "__main__":
    sys.exit(main())
