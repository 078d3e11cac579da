"""`python -m videod`."""

import sys

from videod.cli import main

sys.exit(main())
