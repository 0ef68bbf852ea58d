"""The program `pumice`, also started by `python -m pumice`."""

import signal
import sys

from . import _native


def main() -> int:
    """Run the program with the arguments of this process and return its exit status."""
    # The program hears Ctrl-C itself: Python would only take note of it until the call is over.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return _native.cli(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
