"""What does `python -m gateway` do? The same as `gateway`."""

import sys

from gateway.cli import main

if __name__ == "__main__":
    sys.exit(main())
