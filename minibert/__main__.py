"""`python -m minibert` is the command `minibert`."""

import sys

from minibert.commands import main

if __name__ == "__main__":
    sys.exit(main())
