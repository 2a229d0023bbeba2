"""pypiserver, an application on Bottle: an index with one package, uploads without a password."""

import atexit
import tempfile

import pypiserver

directory = tempfile.TemporaryDirectory(prefix="packages")
atexit.register(directory.cleanup)
with open(f"{directory.name}/chair-1.0.tar.gz", "wb") as package:
    package.write(b"not an archive, which pypiserver does not check")
app = pypiserver.app(
    roots=[directory.name], disable_fallback=True, authenticate=[], password_file="."
)
