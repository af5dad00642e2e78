"""Sphinx's settings for the book. Formulas are rendered at build time, by KaTeX (formulas.mjs)."""

import json
import subprocess
from functools import cache
from pathlib import Path

from docutils import nodes

BOOK = Path(__file__).parent
KATEX = BOOK.parent / ".venv" / "math"

project = "aetutor"
author = "the aetutor authors"
copyright = "MIT licence"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = "aetutor: autoencoders that run"
html_static_path = ["_source/_static"]
templates_path = []
html_css_files = ["katex.min.css", "explorer.css", "book.css"]
html_js_files = [("explorer.js", {"defer": "defer"})]
html_math_renderer = "katex"
html_copy_source = False
html_show_search_summary = False  # it would fetch pages, which no page in a folder may
html_show_sourcelink = False
html_show_sphinx = False
pygments_style, pygments_dark_style = "default", "github-dark"

myst_enable_extensions = ["dollarmath"]
nb_execution_mode = "off"
nb_output_stderr = "remove"
nb_render_markdown_format = "myst"
suppress_warnings = ["myst.header"]

default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
napoleon_numpy_docstring = False


@cache
def katex():
    """The process that renders formulas: a line of JSON in, a line of JSON out."""
    return subprocess.Popen(
        ["node", BOOK / "formulas.mjs", KATEX], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )


def rendered(formula, display):
    """A formula as HTML. Raises ValueError, with KaTeX's message, for one that it does not take."""
    katex().stdin.write(json.dumps({"tex": formula, "display": display}) + "\n")
    answer = json.loads(katex().stdout.readline())
    if "error" in answer:
        raise ValueError(f"KaTeX refuses a formula: {answer['error']}: {formula}")
    return answer["html"]


def inline(self, node):
    self.body.append(rendered(node.astext(), display=False))
    raise nodes.SkipNode


def block(self, node):
    self.body.append(f'<div class="formula">{rendered(node.astext(), display=True)}</div>')
    raise nodes.SkipNode


def setup(app):
    app.add_html_math_renderer("katex", inline_renderers=(inline, None), block_renderers=(block, None))
