"""WsgiDAV: a writable directory with a file, without login, locks and properties in memory."""

import atexit
import tempfile

from wsgidav.wsgidav_app import WsgiDAVApp

directory = tempfile.TemporaryDirectory(prefix="files")
atexit.register(directory.cleanup)
with open(f"{directory.name}/file.txt", "w") as file:
    file.write("a file\n" * 100)
app = WsgiDAVApp(
    {
        "provider_mapping": {"/": directory.name},
        "simple_dc": {"user_mapping": {"*": True}},
        "property_manager": True,
        "lock_storage": True,
        "logging": {"enable": False},
        "verbose": 0,
    }
)
