"""The checker's own modules lie beside this file; tests have no packages, so their folder does."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
