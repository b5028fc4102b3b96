"""hushtune card: what a data-protection officer types, and what they get."""

import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from fixture_types import Said
from rich.table import Table

from server.display import card_page
from server.report.figures import count, epsilon
from server.report.markdown import privacy_page
from server.report.signed import CARD_FILE, SignedCard
from shared.ops.terminal import Terminal


def test_a_card_that_holds_is_one_line(published: Any, said: Said) -> None:
    folder, key = str(published.folder), published.key.public
    status, out, err = said("card", "verify", folder, "--key", key)
    assert (status, out.count("\n"), err) == (0, 1, "")
    assert out.startswith("run wards (run-77): card holds: signature, 3 adapter files, epsilon, ledger heads of 2 sites")
    assert "signed with the key that you gave, a simulation's key" in out
    status, out, _ = said("card", "verify", folder)
    assert f"signed with {key}, which only the card itself vouches for" in out


def test_a_card_that_does_not_hold_is_one_line_and_status_2(published: Any, tmp_path: Path, said: Said) -> None:
    run = Path(shutil.copytree(published.folder, tmp_path / "run"))
    text = (run / CARD_FILE).read_text(encoding="utf-8")
    (run / CARD_FILE).write_text(text.replace('"rounds_committed": 4', '"rounds_committed": 5'), encoding="utf-8")
    status, out, err = said("card", "verify", run)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "signature: not valid, so the card was changed" in err
    status, out, _ = said("card", "show", run)
    assert status == 0
    assert out.startswith("! The signature does not fit this card")


def test_a_card_is_shown_as_a_page_or_as_json(published: Any, said: Said) -> None:
    _, page, _ = said("card", "show", published.folder)
    assert page.strip().startswith("Privacy card of run wards")
    assert "What is not protected" in page
    _, plain, _ = said("card", "show", published.folder, "--json")
    assert json.loads(plain) == json.loads(json.dumps(published.card))


@pytest.mark.parametrize("width", [40, 80, 120])  # a table of sites needs 100
def test_no_sentence_or_figure_of_a_card_is_lost_at_any_width(published: Any, width: int) -> None:
    out, signed = io.StringIO(), SignedCard.load(published.folder)
    Terminal(file=out, width=width).show(card_page(signed))
    page = out.getvalue()
    assert max(map(len, page.splitlines())) <= width
    squeezed = re.sub(r"[\s•]+", "", page)
    lines = [line for line in privacy_page(signed.card).splitlines() if line and not line.startswith("|")]
    assert len(lines) > 40
    for line in lines:  # without the signs of Markdown
        plain = re.sub(r"\\(?=\W)|`|^#+ |^- |\s", "", line)
        assert plain in squeezed, line
    assert "…" not in page
    assert published.key.public in squeezed
    assert ("• Site north, Declared size" in re.sub(r"\s+", " ", page)) == (width < 100)
    for site in signed.card["sites"]:
        assert all(figure in page for figure in (count(site["declared_size"]), epsilon(site["epsilon"])))


@pytest.mark.parametrize("width", [40, 120])
def test_no_cell_of_a_table_is_cut(width: int) -> None:
    table = Table("site", "head", "why")
    table.add_row("north", "a" * 64, "one sentence of several words that does not fit into a narrow column")
    out = io.StringIO()
    Terminal(file=out, width=width).show([table])
    assert out.getvalue().count("a") >= 64
    assert "…" not in out.getvalue()
