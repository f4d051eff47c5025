"""Run the command line: `python -m minibert` is the same as `minibert`."""

import sys

from minibert.commands import main

if __name__ == "__main__":
    sys.exit(main())
