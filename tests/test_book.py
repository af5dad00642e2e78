"""The book: how a notebook becomes a chapter; and all its pages, opened from their folder in a real browser."""

import base64
import io
import os
import re
import shutil
from html.parser import HTMLParser
from urllib.parse import unquote

import build
import pytest
from explorers import draw
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image
from running import NOTEBOOKS, read

CHAPTERS = [path.stem for path in sorted(NOTEBOOKS.glob("0*.ipynb"))]
PAGES = ["index", *CHAPTERS, "glossary", "reference", "genindex", "search"]
WIDTHS = {"phone": 390, "desk": 1400}
MEGABYTES = 6  # a page, with what it loads; some 5 are asked for


# --- from a notebook to a chapter ------------------------------------------------------------------------------------


def test_a_mention_of_an_equation_becomes_a_link_and_the_equation_its_goal():
    source = "By (3.4) and (1.2):\n\n$$\nx = y \\tag{3.5}\n$$\n\nSee (3.5), not `(3.1)`, $f(3.1)$ nor (9.9)."
    linked = build.with_links(source, "03_vae")
    assert '<a href="#eq-3-4">(3.4)</a> and <a href="01_ae.html#eq-1-2">(1.2)</a>' in linked
    assert '<span class="equation" id="eq-3-5"></span>\n\n$$\nx = y \\tag{3.5}\n$$' in linked
    assert linked.endswith('<a href="#eq-3-5">(3.5)</a>, not `(3.1)`, $f(3.1)$ nor (9.9).')


def test_a_figure_becomes_a_file_with_its_description(tmp_path):
    png = io.BytesIO()
    Image.new("L", (600, 400)).save(png, "png")
    picture = {"image/png": base64.b64encode(png.getvalue()).decode(), "text/plain": "Figure"}
    seen = {"image/png": {"alt": 'A "7" & more', "width": 300}}
    cell = new_code_cell("plots.show(ax)", outputs=[new_output("display_data", picture, metadata=seen)])
    made = build.chapter(new_notebook(cells=[cell]), "01_ae", tmp_path)
    assert (tmp_path / "01_ae-1.png").read_bytes() == png.getvalue()
    html = '<img class="figure" src="_static/figures/01_ae-1.png" alt="A &quot;7&quot; &amp; more" width="300" {}>'
    assert made.cells[0].outputs[0].data == {"text/html": html.format('height="200" loading="lazy"')}


def test_what_was_printed_in_pieces_stands_together(tmp_path):
    pieces = [("stdout", "one "), ("stdout", "two"), ("stderr", "three"), ("stdout", "four")]
    cell = new_code_cell("", outputs=[new_output("stream", name=name, text=text) for name, text in pieces])
    made = build.chapter(new_notebook(cells=[cell]), "01_ae", tmp_path)
    assert [output.text for output in made.cells[0].outputs] == ["one two", "three", "four"]


@pytest.mark.parametrize(
    "source, ends_with_one",
    [
        ("x = 1\nNoiseExplorer(x)", True),
        ("DrawPad(methods)  # needs anywidget\n", True),
        ("explorer = NoiseExplorer(x)\nprint(1)", False),
        ("NoiseExplorer(x)\nprint(1)", False),
    ],
)
def test_the_cells_that_end_with_an_explorer_are_known(source, ends_with_one):
    assert build.has_explorer(new_code_cell(source)) == ends_with_one
    assert not build.has_explorer(new_markdown_cell(source))


def test_a_run_is_used_again_until_code_or_grid_change():
    notebook = new_notebook(cells=[new_code_cell("NoiseExplorer(x)")])
    before = build.fingerprint(notebook)
    notebook.cells[0].outputs = [new_output("stream", text="1")]
    assert build.fingerprint(notebook) == before
    notebook.cells[0].metadata["freeze"] = {"level": 3}
    after = build.fingerprint(notebook)
    notebook.cells[0].source = "NoiseExplorer(y)"
    assert len({before, after, build.fingerprint(notebook)}) == 3


# --- the pages -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def book(recorded, tmp_path_factory):
    """The folder of the book, built from the notebooks' run."""
    missing = "There is no node." if shutil.which("node") is None else ""
    if not build.KATEX.is_dir():
        missing = "There is no KaTeX in .venv/math: `make test` puts it there where there is npm."
    if missing:
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    html = tmp_path_factory.mktemp("book") / "html"
    # from the last to the first: another process may be running the notebooks in their order
    notebooks = {
        name: build.kept(NOTEBOOKS / f"{name}.ipynb") or recorded(f"{name}.ipynb").executed for name in CHAPTERS[::-1]
    }
    assert build.build({name: notebooks[name] for name in CHAPTERS}, html) == 0
    return html


class Elements(HTMLParser):
    """The elements of a page, [(tag, attributes)]."""

    def __init__(self, path):
        super().__init__()
        self.found = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def ids(self):
        return {attributes["id"] for _, attributes in self.found if "id" in attributes}


@pytest.mark.slow
def test_every_link_leads_somewhere(book):
    pages = {path.name: Elements(path) for path in book.glob("*.html")}
    assert {f"{page}.html" for page in PAGES} <= pages.keys()
    dead = []
    for name, page in pages.items():
        for tag, attributes in page.found:
            address = unquote(attributes.get("href") or attributes.get("src") or "")
            if address.startswith(("data:", "http:", "https:")) or not address:
                continue  # an address elsewhere is for the reader to follow, and not loaded
            file, _, place = address.partition("#")
            file = file.partition("?")[0] or name
            if not (book / file).exists() or (place and place not in pages[file].ids() and file in pages):
                dead.append(f"{name}: <{tag}> {address}")
    assert dead == []


@pytest.mark.slow
@pytest.mark.parametrize("name", CHAPTERS)
def test_every_figure_has_its_description_and_every_equation_its_place(name, book):
    page, notebook = Elements(book / f"{name}.html"), read(NOTEBOOKS / f"{name}.ipynb")
    described = [a["alt"] for tag, a in page.found if tag == "img" and a.get("class") == "figure"]
    figures = [o for cell in notebook.cells for o in cell.get("outputs", []) if "image/png" in o.get("data", {})]
    assert len(described) == len(figures) and all(len(alt) > 20 for alt in described)
    tags = {tag for cell in notebook.cells if cell.cell_type == "markdown" for tag in build.TAG.findall(cell.source)}
    assert {f"eq-{chapter}-{number}" for chapter, number in tags} <= page.ids()


@pytest.mark.slow
@pytest.mark.parametrize("name", CHAPTERS)
def test_a_page_is_small_enough_and_holds_no_error(name, book):
    text = (book / f"{name}.html").read_text(encoding="utf-8")
    figures = sum(path.stat().st_size for path in (book / "_static" / "figures").glob(f"{name}-*.png"))
    assert len(text) + figures < MEGABYTES * 1e6
    assert "Traceback" not in text and "katex-error" not in text and "NBVAL" not in text
    assert "git+ADDRESS" not in text  # what a notebook says where there is no package
    assert "run this notebook to move" not in text  # the text of a widget that is no picture


@pytest.fixture
def opened(browser, book):
    """A function that opens a page of the book; errors, messages and requests for other hosts fail the test."""
    pages, wrong = [], []

    def open_page(name, width=1400, **options):
        page = browser.new_page(viewport={"width": width, "height": 1000}, **options)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: message.type == "error" and wrong.append(message.text))
        page.on("request", lambda request: request.url.startswith(("file:", "data:")) or wrong.append(request.url))
        page.on("requestfailed", lambda request: wrong.append(f"not there: {request.url[:200]}"))
        address, _, query = name.partition("?")
        page.goto((book / f"{address}.html").as_uri() + f"?{query}" * bool(query))
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert wrong == []


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_opens_from_its_folder_and_fits_the_screen(name, width, scheme, opened):
    page = opened(name, WIDTHS[width], color_scheme=scheme)
    page.evaluate("window.scrollTo(0, document.documentElement.scrollHeight)")
    page.wait_for_timeout(200)
    assert page.evaluate("document.documentElement.scrollWidth") <= WIDTHS[width]
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert dark == (scheme == "dark")


@pytest.mark.slow
@pytest.mark.parametrize("name", CHAPTERS)
def test_every_formula_is_whole_or_can_be_scrolled_and_its_number_hides_nothing(name, opened):
    page = opened(name, 390)
    wide = page.evaluate(
        """() => [...document.querySelectorAll('.katex-display .katex-html')].map(formula => {
            const tag = formula.querySelector(':scope > [class$="tag"]');
            const bases = formula.querySelectorAll(':scope > [class$="base"]');
            const end = bases[bases.length - 1].getBoundingClientRect().right;
            const over = tag ? end - tag.getBoundingClientRect().left : 0;
            const box = formula.closest('.katex-display');
            return [over, getComputedStyle(box).overflowX, box.scrollWidth > box.clientWidth];
        })"""
    )
    assert len(wide) > 5
    assert all(over <= 0 for over, *_ in wide)
    assert all(overflow == "auto" for _, overflow, _ in wide) and any(scrolls for *_, scrolls in wide)


@pytest.mark.slow
@pytest.mark.parametrize("name", CHAPTERS)
def test_every_explorer_of_the_notebook_is_in_the_page_and_each_of_its_controls_moves_it(name, opened):
    page, notebook = opened(name), read(NOTEBOOKS / f"{name}.ipynb")
    expected = [
        re.match(r"\w+", cell.source.rstrip().splitlines()[-1])[0]
        for cell in notebook.cells
        if build.has_explorer(cell)
    ]
    sections = page.locator("section.aetutor-explorer")
    assert sections.evaluate_all("found => found.map(section => section.dataset.kind)") == expected and expected
    for section in sections.all():
        if section.locator("canvas").count():
            draw_in(page, section)
        for control in section.locator("[data-control]:not(.drawing):not([hidden])").all():
            before = pictures(section)
            if control.locator("input[type=range]").count():
                control.locator("input").focus()
                page.keyboard.press("ArrowRight")
            elif control.locator("input[type=radio]").count():
                control.locator("label").nth(2).click()
            else:
                control.get_by_role("button").click()
            assert pictures(section) != before


def pictures(section):
    return section.locator(".frame img").evaluate_all("images => images.map(image => image.src)")


def draw_in(page, section):
    draw(page, section.locator("canvas"))
    page.wait_for_timeout(200)


@pytest.mark.slow
def test_a_seven_drawn_in_the_pages_is_taken_for_what_it_is(opened):
    page = opened("04_cvae")
    pad = page.locator("[data-kind=StylePad]")
    draw_in(page, pad)
    assert pad.locator("output").first.inner_text() == "taken for a 7"
    page = opened("03_vae", 390)
    pad = page.locator("[data-kind=PosteriorPad]")
    draw_in(page, pad)
    assert re.match(r"nearest: a [79], 0\.\d\d away", pad.locator("output").nth(2).inner_text())
    page = opened("02_dae")
    pad = page.locator("[data-kind=DrawPad]")
    draw_in(page, pad)
    noisy, restored = (float(pad.locator("output").nth(i).inner_text().split()[0]) for i in (2, 3))
    assert restored > noisy


@pytest.mark.slow
def test_answers_are_folded_until_one_asks(opened):
    page = opened("03_vae")
    answer = page.locator("details").filter(has_text="Answer").first
    assert answer.evaluate("answer => !answer.open")
    answer.locator("summary").click()
    assert answer.evaluate("answer => answer.open && answer.getBoundingClientRect().height > 60")


@pytest.mark.slow
def test_a_link_to_an_equation_leads_to_it(opened):
    page = opened("04_cvae")
    page.locator("a[href='03_vae.html#eq-3-15']").first.evaluate("link => link.click()")
    page.wait_for_url("**/03_vae.html#eq-3-15")
    top = "document.getElementById('eq-3-15')?.getBoundingClientRect().top"
    page.wait_for_function(f"{top} > -5 && {top} < 500", timeout=20_000)  # the page scrolls there smoothly


@pytest.mark.slow
def test_the_search_finds(opened):
    page = opened("search?q=evidence")
    page.wait_for_selector("#search-results li a", timeout=20_000)
    assert page.locator("#search-results li a").count() >= 3


@pytest.mark.slow
def test_the_book_prints(opened, tmp_path):
    page = opened("03_vae")
    assert len(page.pdf(path=tmp_path / "chapter.pdf", format="A4")) > 100_000
