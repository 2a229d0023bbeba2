"""For uWSGI: the application that SERVED_APP names ("module:attribute"). It takes a dictionary,
also one that can be called, for a table of mount points."""

import importlib
import os

module, _, attribute = os.environ["SERVED_APP"].partition(":")
found = getattr(importlib.import_module(module), attribute)
application = found.__call__ if isinstance(found, dict) else found
