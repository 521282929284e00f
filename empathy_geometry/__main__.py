"""`python -m empathy_geometry`."""

import sys

from empathy_geometry.command_line.main import main

if __name__ == "__main__":
    sys.exit(main())
