"""The site of these pages; `make docs` builds it, and fails at a broken link."""

import re
from pathlib import Path

VERSION = Path(__file__).parents[1] / "gateway" / "__init__.py"

project = "Gateway"
release = re.findall(r'__version__ = "(.*)"', VERSION.read_text(encoding="utf-8"))[0]
extensions = ["myst_parser"]
myst_heading_anchors = 4
html_theme = "furo"
html_title = f"Gateway {release}"
html_show_copyright = False
html_copy_source = False
html_show_sourcelink = False
