"""Every formula renders on GitHub, in VS Code, in JupyterLab and in Colab.

The first part reads the Markdown: macros that one of the four does not know, the form of the blocks, braces. The second
renders each formula with KaTeX and MathJax from npm, which `make test` puts into .venv/math where there is npm.
"""

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [*sorted(ROOT.glob("notebooks/*.ipynb")), *sorted(ROOT.glob("*.md"))]
RENDER = Path(__file__).parent / "math" / "render.mjs"
NODE_MODULES = ROOT / ".venv" / "math" / "node_modules"

CODE = re.compile(r"^(`{3,}|~{3,}).*?^\1`*[ \t]*$|(?<!`)(`+)(?!`).+?(?<!`)\2(?!`)", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"(?<!\\)\$\$(.*?)(?<!\\)\$\$", re.DOTALL)
INLINE = re.compile(r"(?<![\\$])\$(?![\s$])([^$\n]*?)(?<![\s\\])\$(?![\d$])")
FORBIDDEN = re.compile(
    r"\\(?:operatorname|argmin|argmax|boldsymbol|bm|mbox|[hv]?phantom|newcommand|label|eqref|color"
    r"|cancel)(?![A-Za-z])|\\begin\{(?:align|eqnarray)\*?\}"
)
ROUND_OR_SQUARE = re.compile(r"(?<!\\)(?:\\\\)*\\[(\[]")


@dataclass(frozen=True)
class Formula:
    tex: str
    display: bool


def texts(path):
    """The Markdown of a page, or of each Markdown cell of a notebook."""
    content = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        return [content]
    return ["".join(cell["source"]) for cell in json.loads(content)["cells"] if cell["cell_type"] == "markdown"]


def without_code(text):
    """The text with its code blocks and code spans replaced by a word."""
    return CODE.sub("code", text)


def formulas(text):
    """The formulas of a Markdown text: $$…$$ in display style, $…$ inline."""
    text = without_code(text)
    blocks = [Formula(tex, True) for tex in BLOCK.findall(text)]
    return blocks + [Formula(tex, False) for tex in INLINE.findall(BLOCK.sub("block", text))]


def text_problems(text):
    """What is wrong with the form of a text's mathematics, a sentence each."""
    text = without_code(text)
    lines = ["", *text.splitlines(), ""]
    fences = [i for i, line in enumerate(lines) if "$$" in line]
    for i in fences:
        if lines[i] != "$$":
            yield f"$$ must stand alone on its line: {lines[i]!r}"
    for opening, closing in zip(fences[::2], fences[1::2], strict=False):
        if lines[opening - 1].strip() or lines[closing + 1].strip():
            yield f"a block needs a blank line before and after it: {lines[opening + 1]!r}"
        if not all(line.strip() for line in lines[opening:closing]):
            yield f"a block must not hold a blank line: {lines[opening + 1]!r}"
    if len(fences) % 2:
        yield "a block is not closed"
    rest = INLINE.sub("formula", BLOCK.sub("block", text))
    yield from (
        f"a $ without its partner on the line: {line!r}" for line in rest.splitlines() if re.search(r"(?<!\\)\$", line)
    )
    yield from (f"write $…$ or $$…$$: {line!r}" for line in rest.splitlines() if ROUND_OR_SQUARE.search(line))
    if re.search(r"\$\$\s*<br", text):
        yield "<br> after an equation"
    yield from (
        f"write \\mid for the bar of a formula in a table: {line!r}"
        for line in text.splitlines()
        if line.lstrip().startswith("|") and any("|" in tex for tex in INLINE.findall(line))
    )


def formula_problems(formula):
    """What is wrong with a formula, before any engine sees it."""
    yield from (f"{found[0]} is not understood everywhere" for found in FORBIDDEN.finditer(formula.tex))
    bare = re.sub(r"\\.", "", formula.tex, flags=re.DOTALL)
    depth = 0
    for character in bare:
        depth += {"{": 1, "}": -1}.get(character, 0)
        if depth < 0:
            break
    if depth:
        yield "the braces do not match"
    if re.search(r"<[A-Za-z/!]", formula.tex):
        yield "`<` before a letter opens an HTML tag: leave a space after it"


def page_problems(path):
    """All problems of one page that can be found without an engine."""
    for text in texts(path):
        yield from text_problems(text)
        yield from (
            f"{problem}: {formula.tex.strip()}" for formula in formulas(text) for problem in formula_problems(formula)
        )


def render(listed):
    """What KaTeX or MathJax refuse among these formulas, a sentence each. Skips where they are not installed."""
    missing = "node is not installed" if shutil.which("node") is None else ""
    if not missing and not all((NODE_MODULES / name).is_dir() for name in ("katex", "mathjax-full")):
        missing = "KaTeX and MathJax are not installed: `make test` does it where there is npm"
    if missing and os.environ.get("CI") == "true":
        pytest.fail(missing)
    if missing:
        pytest.skip(missing)
    sent = json.dumps([{"tex": formula.tex, "display": formula.display} for formula in listed])
    done = subprocess.run(
        ["node", RENDER, NODE_MODULES.parent], input=sent, capture_output=True, text=True, encoding="utf-8", timeout=300
    )
    assert done.returncode == 0, done.stderr
    return [
        f"{refusal['engine']}: {refusal['message']}\n  in {listed[refusal['index']].tex.strip()}"
        for refusal in json.loads(done.stdout)
    ]


# --- the pages -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_formulas_are_written_to_render_everywhere(path):
    problems = list(page_problems(path))
    assert not problems, "\n".join(problems)


@pytest.mark.slow
@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_katex_and_mathjax_render_every_formula(path):
    refused = render([formula for text in texts(path) for formula in formulas(text)])
    assert not refused, "\n".join(refused)


@pytest.mark.parametrize("path", sorted(ROOT.glob("notebooks/*.ipynb")), ids=lambda path: path.name)
def test_a_notebooks_formulas_are_found(path):
    found = [formula for text in texts(path) for formula in formulas(text)]
    assert any(f.display and r"\tag" in f.tex for f in found) and not all(f.display for f in found)


# --- the checks see what they should ---------------------------------------------------------------------------------

GOOD = r"""
A price of \$5, some `$code$`, ``more $`code` ``, and $D_{\mathrm{KL}}(q \,\lVert\, p)$, $z_1$-axis, $\{a, b\}$:

```python
price = "$$ \bm"
```

$$
\begin{aligned}
L_H(x, \hat{x}) &= -\sum_i x_i \log \hat{x}_i \\[4pt]
          &= \underset{\theta}{\arg\min}\; \mathbb{E}_{q^0(X)}\left[ \lVert x - \hat{x} \rVert^2 \mid x \right]
\end{aligned}
\tag{1.1}
$$

| K | loss |
|---|---|
| $K$ | $a \mid b$ |
"""


def test_formulas_are_extracted():
    found = formulas(GOOD)
    assert [f.tex for f in found if not f.display] == [
        r"D_{\mathrm{KL}}(q \,\lVert\, p)",
        "z_1",
        r"\{a, b\}",
        "K",
        r"a \mid b",
    ]
    assert [r"\tag{1.1}" in f.tex for f in found if f.display] == [True]


def test_good_mathematics_passes():
    assert list(text_problems(GOOD)) == []
    assert [problem for formula in formulas(GOOD) for problem in formula_problems(formula)] == []


@pytest.mark.parametrize(
    "text",
    [
        "$$ x $$",
        "a\n$$\nx\n$$",
        "$$\nx\n$$\na",
        "$$\nx\n\ny\n$$",
        "$$\nx",
        "- $$\n  x\n  $$",
        "a $x",
        "$x\ny$",
        "$ x $",
        r"\(x\)",
        r"\[x\]",
        "$$\nx\n$$<br>",
        "$$\nx\n$$\n<br>",
        "| $p(x|z)$ |",
    ],
)
def test_a_bad_text_is_seen(text):
    assert list(text_problems(text))


@pytest.mark.parametrize(
    "tex",
    [
        r"\operatorname{KL}",
        r"\argmin_x",
        r"\boldsymbol{x}",
        r"\bm x",
        r"\mbox{a}",
        r"\phantom{x}",
        r"\newcommand{\a}{b}",
        r"\label{a}",
        r"\eqref{a}",
        r"\color{red} x",
        r"\cancel{x}",
        r"\begin{align} x \end{align}",
        r"\begin{align*} x \end{align*}",
        r"\begin{eqnarray} x \end{eqnarray}",
        r"\frac{1}{2",
        r"a} + {b",
        r"\{x}",
        "x<y",
    ],
)
def test_a_bad_formula_is_seen(tex):
    assert list(formula_problems(Formula(tex, True)))


def test_macros_that_only_begin_like_a_forbidden_one_pass():
    assert list(formula_problems(Formula(r"\begin{aligned} x \coloneqq \{y\} \\ a < b \end{aligned}", True))) == []


def test_katex_and_mathjax_render_the_good_formulas():
    assert render(formulas(GOOD)) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "tex, engines",
    [
        (r"\frac{1}{2", {"KaTeX", "MathJax"}),
        (r"\undefinedmacro", {"KaTeX", "MathJax"}),
        (r"\left( x", {"KaTeX", "MathJax"}),
        (r"\begin{aligned} x", {"KaTeX", "MathJax"}),
        (r"\bm{x}", {"MathJax"}),
        (r"\text{a} é", {"KaTeX"}),
    ],
)
def test_katex_and_mathjax_refuse_a_bad_formula(tex, engines):
    refused = render([Formula("x", False), Formula(tex, True)])
    assert {problem.partition(":")[0] for problem in refused} == engines
    assert all(tex in problem for problem in refused)


def test_a_tag_belongs_to_a_block():
    assert render([Formula(r"x \tag{1.1}", True)]) == []
    assert render([Formula(r"x \tag{1.1}", False)])


def test_without_the_engines_the_test_skips_but_fails_on_ci(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setenv("CI", "")
    with pytest.raises(pytest.skip.Exception, match="node"):
        render([])
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="node"):
        render([])
