"""`python -m iotax` is the command."""

import sys

from iotax.cli import main

if __name__ == "__main__":
    sys.exit(main())
