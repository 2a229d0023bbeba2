"""Configuration of the documentation site. `./test docs` builds it without network."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

project = "iotax"
author = "the iotax authors"
project_copyright = "the iotax authors, MIT license"
_version = re.search(r"project\(iotax VERSION ([0-9.]+)", (ROOT / "CMakeLists.txt").read_text())
assert _version is not None
version = release = _version[1]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinxcontrib.mermaid"]
source_suffix = {".md": "markdown"}

# ---- Markdown

myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence", "deflist"]
# ```mermaid, so that the code hosts draw the diagrams too.
myst_fence_as_directive = ["mermaid"]
suppress_warnings = ["myst.header"]  # evidence and included pages begin below the first level

# ---- the API, from docstrings; the extension has to be importable

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
nitpicky = True
# The documentation of Python is not at hand without a network.
nitpick_ignore_regex = [
    ("py:(class|obj|data)", r"(collections\.abc|contextlib|typing|Any|Callable|Unpack|Self)\b.*"),
    ("py:(class|obj|exc)", r"(Base|Connection|OS|Type|Value)?(Exception|Error)"),
    ("py:(class|obj)", r"(iotax\.testing\.)?(_\w+\.)?(Application|Pairs|Body|Content|Headers)"),
    ("py:(class|obj)", r"iotax\.(server|_config)\..*Options"),
]

# ---- the site

smartquotes = False  # "--host" has two hyphens
html_theme = "furo"
html_title = f"iotax {version}"
html_static_path = ["_static"]
html_css_files = ["iotax.css"]
html_show_sourcelink = False
html_copy_source = False
pygments_style = "friendly"
pygments_dark_style = "native"
# Drawn by the reader's browser, in the colors of the theme.
mermaid_output_format = "raw"
mermaid_height = "auto"
mermaid_fullscreen = False
mermaid_light_theme = "neutral"
# Otherwise the id of a diagram is the time, and two of the same millisecond are drawn as one.
mermaid_init_config = {"startOnLoad": False, "deterministicIds": True}
