"""How the documentation site is built: `make docs`, which is `sphinx-build -W docs site` (warnings are errors)."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

import empathy_geometry

project = "empathy_geometry"
author = "The empathy_geometry maintainers"
copyright = "The empathy_geometry maintainers, MIT licence"
release = version = empathy_geometry.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "mathml", "api_pages", "plain_docstrings"]
exclude_patterns = ["outputs", "_extensions"]
source_suffix = {".md": "markdown"}
root_doc = "index"

myst_enable_extensions = ["dollarmath", "attrs_inline"]
myst_heading_anchors = 3

# Docstrings write code as `code`.
default_role = "code"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_member_order = "bysource"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_attr_annotations = False
python_maximum_signature_line_length = 88
add_module_names = False
toc_object_entries = False

html_theme = "furo"
html_title = f"empathy_geometry {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
pygments_style = "friendly"
pygments_dark_style = "github-dark"
