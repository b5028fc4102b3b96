"""Texts of somebody else, as a person is shown them: no terminal acts on anything in them."""

import io

import pytest
from fixture_types import Said
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.markdown import Markdown
from rich.table import Table

from shared.config.section import Section
from shared.errors import DataError, escaped, one_line
from shared.ops.printing import show
from shared.ops.terminal import Terminal

FORGED = "\x1b[2K\x1b[1A\x1b]0;title\x07\x9b31m\rhushtune: all is well\x7f\u202egnp.exe"
ACTING = set(map(chr, (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A))))


@settings(max_examples=40)
@given(st.text(max_size=30))
def test_nothing_that_a_terminal_acts_on_is_left_and_all_else_is_as_it_was(text: str) -> None:
    shown = escaped(text)
    assert not set(shown) & ACTING
    shown.encode()
    if not set(text) & ACTING and text.isprintable():
        assert shown == text


def test_joiners_that_scripts_need_stay() -> None:
    assert escaped("\u0645\u06cc\u200c\u062e\u0648\u0645") == "\u0645\u06cc\u200c\u062e\u0648\u0645"


def test_an_error_is_one_line_whatever_is_in_it() -> None:
    assert not set(one_line(DataError(f"column '{FORGED}'\nis missing"))) & ACTING


def test_a_table_and_a_page_show_texts_and_do_not_obey_them() -> None:
    table = Table("label")
    table.add_row(FORGED)
    table.add_row("[red]x[/] [/] [link=file:///etc/passwd]here[/link] :warning:")
    out = io.StringIO()
    Terminal(file=out, width=200, force_terminal=True, color_system=None, legacy_windows=False).print(
        table, Markdown(f"# {FORGED}\n\n- {FORGED}"), f"plain {FORGED}", sep="\n"
    )
    said = out.getvalue()
    assert "\x1b]0" not in said
    assert "\x1b[2K" not in said
    assert not set(said) & (ACTING - {"\n", "\x1b"})
    assert "[red]x[/] [/] [link=file:///etc/passwd]here[/link] :warning:" in said


def test_commands_print_tables_through_that_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    show({}, False, lambda: [f"label {FORGED}"])
    assert not set(capsys.readouterr().out) & (ACTING - {"\n"})


def test_a_command_that_fails_shows_its_error_escaped(said: Said) -> None:
    status, _, err = said("card", "show", f"/nowhere/{FORGED}")
    assert status == 2
    assert not set(err) & (ACTING - {"\n"})


class Named(Section):
    """A section with texts in every kind of field."""

    text: str = ""
    texts: tuple[str, ...] = ()
    by_name: dict[str, tuple[str, ...]] = {}  # noqa: RUF012  pydantic copies it


@pytest.mark.parametrize("field", [{"text": FORGED}, {"texts": ["a", FORGED]}, {"by_name": {FORGED: ["a"]}}])
def test_no_config_and_no_order_holds_such_a_text(field: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="characters that a terminal acts on"):
        Named.model_validate(field)
    assert Named.model_validate({"text": "a prompt\nof two lines\twith a tab"}).text
