"""`python -m gangplank` is the `gangplank` command."""

import sys

from gangplank.cli import main

sys.exit(main())
