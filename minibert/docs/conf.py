"""The settings of Sphinx. `minibert docs build` runs it with this file."""

import os

import minibert
from minibert.docs.layout import REPOSITORY

project = "minibert"
version = release = minibert.__version__
project_copyright = "The minibert authors"
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",
    "minibert.docs.formulas",
    "minibert.docs.docstrings",
    "minibert.docs.links",
    "minibert.docs.lesson_pages",
]
repository = REPOSITORY
suppress_warnings = ["toc.not_readable", "toc.not_included"] if os.environ.get("MINIBERT_DOCS_PART") else []

source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb"}
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_dmath_allow_digits = False
myst_dmath_allow_space = False
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 180
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
add_module_names = False
python_maximum_signature_line_length = 100

html_theme = "furo"
html_title = "minibert"
html_math_renderer = "mathml"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_copy_source = False
html_show_sphinx = False
html_show_search_summary = False
html_last_updated_fmt = None
pygments_dark_style = "a11y-dark"
html_theme_options = {
    "navigation_with_keys": False,
    "light_css_variables": {"figure-padding": "0", "figure-filter": "none"},
    "dark_css_variables": {"figure-padding": "0.75rem", "figure-filter": "brightness(0.85)"},
}
