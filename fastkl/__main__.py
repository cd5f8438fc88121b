"""``python -m fastkl`` is the command ``fastkl``."""

import sys

from fastkl.cli import main

if __name__ == "__main__":
    sys.exit(main())
