"""The report in a browser: charts, formulas, filters, keys, phones, the dark; and nothing a solution says is run."""

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from reporting import opened, row

from bench.finished import finished
from data.arith import oracle, world
from data.schema import Row
from pipeline.report import page

sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install -e '.[dev]'")

pytestmark = pytest.mark.slow

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = ("background-networking", "component-update", "sync", "quic")  # what else would it ask the network?
HOSTILE = (
    "</script><script>window.hurt=1</script><img src=x onerror='window.hurt=1'> $\\text{<svg onload='window.hurt=1'>}$"
    " $\\href{javascript:window.hurt=1}{x}$ <!-- \u2028 {{7*7}} ${window.hurt=1}"
)
EASY = next(world.problems("easy", 1))
RIGHT = oracle.solve(world.read(EASY.text))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no Chromium: `make install-chromium` as root, or your system's package")
    with sync_api.sync_playwright() as tools:
        made = tools.chromium.launch(
            executable_path=found, args=["--no-sandbox", "--disable-gpu", *(f"--disable-{name}" for name in QUIET)]
        )
        yield made
        made.close()


class Seen:
    """A page, and all it complained about or asked for."""

    def __init__(self, browser: Any, file: Path, address: str = "", **options: Any) -> None:
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page = browser.new_context(**({"viewport": {"width": 1300, "height": 800}} | options)).new_page()
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(file.as_uri() + address)
        self.page.wait_for_function("document.getElementById('theme').textContent !== ''")

    def charts(self) -> list[Any]:
        """Sizes of the charts, once all are drawn."""
        self.page.wait_for_function("[...document.querySelectorAll('.chart')].every((one) => one.querySelector('svg'))")
        boxes: list[Any] = [one.bounding_box() for one in self.page.query_selector_all(".chart svg")]
        return boxes

    def run(self, script: str) -> Any:
        return self.page.evaluate(script)

    def shows(self, solution: str) -> bool:
        """Whether a solution comes on view; an address takes effect a moment after the key that changes it."""
        self.page.wait_for_function("(id) => document.querySelector('#solution h2')?.textContent === id", arg=solution)
        return True

    def quiet(self) -> bool:
        """Whether nothing went wrong, nothing was fetched but the page, and nothing hostile ran."""
        return not self.said and len(self.asked) == 1 and self.run("window.hurt === undefined")

    def fits(self) -> bool:
        return bool(self.run("document.documentElement.scrollWidth <= window.innerWidth"))


def arith() -> list[Row]:
    """Both sides, rewards and posteriors, and an oracle that knows the first errors."""
    wrong = [RIGHT[0].replace(" = ", " = 9", 1), *RIGHT[1:]]
    rows = []
    for number in range(12):
        steps = wrong if number % 2 else RIGHT
        known = {"dataset": "arith", "problem": EASY.text, "posterior": number / 12}
        known |= {"rewards": [0.1 * number, *[-0.2] * (len(steps) - 1)]}
        rows.append(row(f"a{number:02}", 0, steps, "judge_later" if number % 3 == 0 else None, **known))
    return [*rows, row("hostile", text=HOSTILE, steps=(HOSTILE, HOSTILE), reason=f"failed: {HOSTILE}", level=HOSTILE)]


def written(out: Path, source: str, *settings: str, shown: int = page.SHOWN) -> Path:
    """The page of a run, made in a thread of its own: the browser's tools have an event loop in this one."""
    with ThreadPoolExecutor(1) as apart:
        return Path(apart.submit(lambda: page.write(finished(out, source, *settings), shown)).result().path)


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(page.write(opened(tmp_path_factory.mktemp("arith"), arith())).path)


def test_the_overview_shows_charts_and_counts_of_an_arith_run(browser: Any, figures: Path) -> None:
    seen = Seen(browser, figures)
    boxes = seen.charts()
    assert len(boxes) == 5
    assert all(box["width"] > 300 and box["height"] > 60 for box in boxes)
    text = seen.page.inner_text("#figures")
    assert "First error against the truth" in text
    assert "Do judge and rollouts agree?" in text
    assert "8 (61.5%)" in text  # kept, of 13
    assert seen.run("document.querySelectorAll('.matrix .cell').length") == 11
    assert seen.fits()
    assert seen.quiet(), seen.said


def test_keys_filters_search_and_addresses_choose_solutions(browser: Any, figures: Path) -> None:
    seen = Seen(browser, figures, "#solutions")
    press = seen.page.keyboard.press
    assert seen.shows("a00/policy/0")
    for key, to in (("j", "a01"), ("ArrowRight", "a02"), ("k", "a01"), ("ArrowLeft", "a00"), ("k", "hostile")):
        press(key)
        assert seen.shows(f"{to}/policy/0")
        assert seen.page.inner_text("#list a[aria-current]").splitlines()[0] != ""
    seen.page.select_option("#side", "judge_later")
    assert seen.page.inner_text("#found").startswith("4 of 13")
    seen.page.select_option("#side", "kept")
    assert seen.page.inner_text("#found").startswith("8 of 13")
    seen.page.select_option("#meeting", "differ")
    assert "No solution fits" in seen.page.inner_text("#solution")
    seen.page.goto(figures.as_uri() + "#" + quote("a03/policy/0", safe=""))
    assert seen.shows("a03/policy/0")
    assert seen.page.inner_text("#found").startswith("13 of 13")  # an address undoes filters that hide it
    press("/")
    seen.page.keyboard.type("onerror WINDOW.hurt")
    assert seen.page.inner_text("#found").startswith("1 of 13")
    press("Escape")
    press("?")
    seen.page.wait_for_selector("#help", state="visible")
    press("Escape")
    press("o")
    seen.page.wait_for_selector("#figures", state="visible")
    seen.charts()
    assert seen.quiet(), seen.said


def test_steps_bear_marks_flags_and_evidence(browser: Any, figures: Path) -> None:
    seen = Seen(browser, figures, "#" + quote("a02/policy/0", safe=""))
    steps = [one.inner_text() for one in seen.page.query_selector_all(".step")]
    assert steps[0].startswith("✓")
    assert "3/8+" in steps[0]
    assert steps[1].startswith("✗")
    assert "judge: first error" in steps[1]
    assert "rollouts: first error" in steps[1]
    assert "0/8" in steps[1]
    assert steps[2].startswith("·")
    assert "inferred" in steps[2]
    assert "reward -0.20" in steps[2]
    assert seen.run("document.querySelector('.step.wrong .unseen').textContent") == "first error"


def test_hostile_text_is_shown_and_never_run(browser: Any, figures: Path) -> None:
    seen = Seen(browser, figures, "#" + quote("hostile/policy/0", safe=""))
    shown = seen.page.inner_text("#solution")
    assert "</script><script>window.hurt=1</script><img src=x onerror=" in shown
    assert (
        seen.run("document.querySelectorAll('#solution script, #solution img, #solution svg, #solution [href]').length")
        == 0
    )
    assert seen.run("document.querySelectorAll('script').length") == 3
    assert seen.fits()
    seen.page.wait_for_timeout(200)
    assert seen.quiet(), seen.said


def test_a_phone_scrolls_in_one_direction_and_has_buttons(browser: Any, figures: Path) -> None:
    seen = Seen(browser, figures, viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    assert all(box["width"] <= 360 for box in seen.charts())
    assert seen.fits()
    for name in ("a00/policy/0", "hostile/policy/0"):
        seen.page.goto(figures.as_uri() + "#" + quote(name, safe=""))
        assert seen.shows(name)
        assert seen.fits()
    seen.page.tap("#next")
    assert seen.shows("a00/policy/0")
    assert not seen.page.is_visible("#list")
    seen.page.tap("#browse")
    assert seen.page.is_visible("#list")
    assert seen.fits()
    seen.page.tap("#list li:nth-child(3) a")
    assert seen.shows("a02/policy/0")
    assert not seen.page.is_visible("#list")
    assert seen.quiet(), seen.said


def test_the_dark_is_dark_and_can_be_switched(browser: Any, figures: Path) -> None:
    seen = Seen(browser, figures, color_scheme="dark")
    bright = (
        "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).reduce((sum, part) => sum + Number(part), 0)"
    )
    ink = "getComputedStyle(document.querySelector('.chart svg text')).fill"
    seen.charts()
    dark = seen.run(ink)
    assert seen.run(bright) < 150
    seen.page.click("#theme")
    assert seen.run(bright) > 600
    seen.page.wait_for_function(f"{ink} !== {json.dumps(dark)}")  # the charts follow
    seen.page.keyboard.press("t")
    assert seen.run(bright) < 150
    assert seen.quiet(), seen.said


def test_the_judges_words_unfold(browser: Any, tmp_path: Path) -> None:
    seen = Seen(browser, written(tmp_path, "scripted", "data.limit=4", "judge.votes=2"), "#solutions")
    folds = seen.page.query_selector_all(".reply")
    assert len(folds) == 2
    assert not seen.page.is_visible(".reply .words")
    folds[0].query_selector("summary").click()
    assert seen.page.is_visible(".reply .words")
    assert seen.quiet(), seen.said


def test_real_solutions_show_their_formulas(browser: Any, shared_data: Path, tmp_path: Path) -> None:
    given = ("solutions=given", "judge.kind=equations", "completer.plan=none", "consensus.rule=judge")
    file = written(tmp_path, str(shared_data / "bon" / "strictprm_math500_n32.jsonl"), *given)
    assert file.stat().st_size < 5_000_000
    seen = Seen(browser, file, "#solutions")
    count = seen.run("document.querySelectorAll('#list a').length")
    assert count == page.SHOWN
    assert "8,064" in seen.page.content()
    flat = sources = bare = 0
    thin = "[...document.querySelectorAll('#solution math')].filter((one) => one.getBoundingClientRect().width < 2)"
    for _ in range(count):
        flat += seen.run(f"{thin}.length")
        sources += seen.run("document.querySelectorAll('#solution code.latex').length")
        assert seen.fits()
        bare += not seen.run("document.querySelectorAll('#solution math').length")
        seen.page.keyboard.press("j")
    seen.page.set_viewport_size({"width": 360, "height": 740})
    for _ in range(count):
        assert seen.fits(), seen.page.inner_text("#solution h2")
        seen.page.keyboard.press("j")
    assert flat == 0
    assert sources < count / 20
    assert bare < count / 20
    assert seen.quiet(), seen.said
