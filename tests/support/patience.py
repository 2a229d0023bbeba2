"""How long a test waits for an expected event. Reached only by a failing test."""

import os

SECONDS = float(os.environ.get("E2E_PATIENCE", "60"))
