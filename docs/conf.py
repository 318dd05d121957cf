"""Sphinx: the pages in this folder, and a reference made of docstrings and of ``--help``.

``make docs`` builds it into build/docs. Neither building nor reading it needs a network: formulas
become MathML, which browsers render.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from market_abm import __version__

project = "market_abm"
version = release = __version__
language = "en"
smartquotes = False
root_doc = "index"
exclude_patterns = ["README.md", "**.ipynb"]

extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "myst_parser", "build_helpers"]
source_suffix = {".rst": "restructuredtext", ".md": "markdown"}

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
html_math_renderer = "mathml"

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_default_options = {"members": True}
napoleon_custom_sections = [("Attributes", "params_style")]  # they have entries already
add_module_names = False
toc_object_entries = False

nitpicky = True  # every name that a docstring refers to has an entry
nitpick_ignore_regex = [  # except types in signatures, and the standard library
    ("py:class", ".*"),
    ("py:func", r"dataclasses\..*"),
]

html_theme = "alabaster"
html_title = "market_abm"
html_show_copyright = False
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "description": "Competitive markets as distributed backprop",
    "page_width": "1180px",
    "sidebar_width": "250px",
    "fixed_sidebar": True,
    "show_powered_by": False,
}
html_sidebars = {"**": ["about.html", "searchfield.html", "navigation.html"]}
html_static_path = ["reference/style.css"]
html_css_files = ["style.css"]
