"""axe-core finds nothing in any tab. `axe.min.js` is axe-core 4.10.2 (Deque Systems, MPL 2.0), as npm has it."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import open_settings, run

pytestmark = pytest.mark.slow

AXE = Path(__file__).with_name("axe.min.js")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(app, visit, theme):
    page = visit(f"{app}/?__theme={theme}")
    page.wait_for_selector("#guidance button.explain")  # the page's script has marked all words
    page.evaluate(AXE.read_text("utf-8"))

    def found() -> list[str]:
        page.wait_for_timeout(1200)  # colours fade in
        answer = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in answer["violations"]]

    run(page, steps=3, count=2)
    open_settings(page)
    assert found() == []
    page.click("#player .edit")
    page.wait_for_selector("#edit-canvas .painter[data-mode=paint]")
    assert found() == [], "editing on the stage"
    for name in ("Learn", "Compare", "Points", "Forward", "Models", "Train"):
        page.get_by_role("tab", name=name).click()
        assert found() == [], name
