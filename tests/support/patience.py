"""How long a test waits for something that must come. Reached only by a test that fails."""

import os

SECONDS = float(os.environ.get("E2E_PATIENCE", "60"))
