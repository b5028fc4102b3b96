"""Tampering with anything that a card speaks of is found, and named."""

import copy
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from privacy.ledger import Ledger
from server.report.signed import CARD_FILE, SignedCard
from server.report.verification import read_public_key, verify
from server.signing import SigningKey
from shared.errors import RunError

if TYPE_CHECKING:
    from server.report.card_facts import CardFacts

Step = str | int


@pytest.fixture
def run(published: Any, tmp_path: Path) -> Path:
    """Copy the published run, so that a test can tamper with it."""
    return Path(shutil.copytree(published.folder, tmp_path / "run"))


def leaves(node: Any, path: tuple[Step, ...] = ()) -> Iterator[tuple[tuple[Step, ...], Any]]:
    """Every value of a JSON document with its place; empty lists and objects count as values."""
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    found = False
    for step, value in inner:
        found = True
        yield from leaves(value, (*path, step))
    if not found:
        yield path, node


def parent(document: Any, path: tuple[Step, ...]) -> Any:
    for step in path[:-1]:
        document = document[step]
    return document


def other(value: Any) -> Any:
    """Return a value that differs as little as its type allows."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, float):
        return value * (1 + 1e-12) if value else 1e-12
    if isinstance(value, int):
        return value + 1
    return "x" if value is None else f"{value}." if isinstance(value, str) else [*value, 0]


def rewrite(run: Path, card: Any, signature: str) -> None:
    (run / CARD_FILE).write_text(json.dumps({"card": card, "signature": signature}), encoding="utf-8")


def test_a_published_card_holds(published: Any, run: Path) -> None:
    found = verify(run, published.key.public)
    assert found.known_key
    assert not verify(run).known_key


def test_tampering_with_each_field_is_found(published: Any, run: Path) -> None:
    signed = SignedCard.load(run)
    places = list(leaves(signed.card))
    assert len(places) > 120
    for path, value in places:
        card = copy.deepcopy(dict(signed.card))
        parent(card, path)[path[-1]] = other(value)
        rewrite(run, card, signed.signature)
        expected = "not a privacy card" if path[0] in ("kind", "version") else "signature"
        with pytest.raises(RunError, match=expected) as caught:
            verify(run)
        assert "\n" not in str(caught.value), path


def test_a_field_left_out_or_put_in_is_found(run: Path) -> None:
    signed = SignedCard.load(run)
    for name in signed.card:
        card = {key: value for key, value in signed.card.items() if key != name}
        rewrite(run, card, signed.signature)
        with pytest.raises(RunError, match=r"signature|privacy card"):
            verify(run)
    rewrite(run, {**signed.card, "epsilon": 0.1}, signed.signature)
    with pytest.raises(RunError, match="signature"):
        verify(run)


@pytest.mark.parametrize(
    "form",
    ["", "[]", "{", '{"card": {}}', '{"card": 3, "signature": ""}', '{"card": NaN}', "[" * 100_000],
)
def test_a_file_that_is_no_card_is_refused_in_one_line(run: Path, form: str) -> None:
    (run / CARD_FILE).write_text(form, encoding="utf-8")
    with pytest.raises(RunError, match="privacy card") as caught:
        verify(run)
    assert "\n" not in str(caught.value)


def test_a_number_beyond_the_range_is_refused_since_it_has_no_canonical_form(run: Path) -> None:
    text = (run / CARD_FILE).read_text(encoding="utf-8")
    (run / CARD_FILE).write_text(text.replace('"sites":', '"more": 1e999, "sites":', 1), encoding="utf-8")
    with pytest.raises(RunError, match="not a readable privacy card"):
        verify(run)


@pytest.mark.parametrize(("part", "value"), [("sites", []), ("adapter", {"files": 3})])
def test_a_signed_card_of_another_form_is_refused_in_one_line(run: Path, part: str, value: Any) -> None:
    key = SigningKey.load_or_create(run / "other.pem")
    card = {**copy.deepcopy(dict(SignedCard.load(run).card)), part: value}
    card["signing"]["public_key"] = key.public
    SignedCard.sign(card, key).save(run)
    with pytest.raises(RunError, match="malformed"):
        verify(run)


def test_a_repeated_name_is_refused_since_readers_could_differ(run: Path) -> None:
    text = (run / CARD_FILE).read_text(encoding="utf-8")
    (run / CARD_FILE).write_text(text.replace('"version":', '"version": 9, "version":', 1), encoding="utf-8")
    with pytest.raises(RunError, match="not a readable privacy card"):
        verify(run)


def test_a_card_signed_again_by_somebody_else_fails_against_the_servers_key(published: Any, run: Path) -> None:
    thief = SigningKey.load_or_create(run / "thief.pem")
    card = copy.deepcopy(dict(SignedCard.load(run).card))
    card["signing"]["public_key"] = thief.public
    SignedCard.sign(card, thief).save(run)
    with pytest.raises(RunError, match="key: signed with"):
        verify(run, published.key.public)
    assert not verify(run).known_key  # without the server's key nobody can tell, and the command says so


def change_byte(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1] + b"~")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (
            lambda adapter: change_byte(adapter / "adapter_model.safetensors"),
            r"_model\.safetensors: adapter: its SHA",
        ),
        (lambda adapter: change_byte(adapter / "run.json"), r"run\.json: adapter: its SHA"),
        (lambda adapter: (adapter / "adapter_config.json").unlink(), r"adapter_config\.json: adapter: .* missing"),
        (lambda adapter: (adapter / "pytorch_model.bin").write_text("x"), r"pytorch_model\.bin: adapter: .* added"),
        (lambda adapter: (adapter / "run.json").unlink() or (adapter / "run.json").mkdir(), r"run\.json: adapter: its SHA"),
        (lambda adapter: shutil.rmtree(adapter), r"adapter: .* missing"),
    ],
)
def test_tampering_with_the_adapter_is_named(run: Path, spoil: Callable[[Path], Any], says: str) -> None:
    spoil(run / "adapter")
    with pytest.raises(RunError, match=says):
        verify(run)


def test_another_last_round_than_the_cards_is_named(run: Path) -> None:
    (run / "checkpoint" / "state.json").write_text('{"adapter_digest": "00"}', encoding="utf-8")
    with pytest.raises(RunError, match=r"state\.json: adapter"):
        verify(run)


def test_where_a_round_was_chosen_the_card_is_held_against_that_round(run: Path) -> None:
    report = json.loads((run / "report.json").read_text(encoding="utf-8"))
    digest = json.loads((run / "checkpoint" / "state.json").read_text(encoding="utf-8"))["adapter_digest"]
    (run / "checkpoint" / "state.json").write_text('{"adapter_digest": "00"}', encoding="utf-8")  # a later, worse round
    rows = [
        {"round": 1, "committed": True, "adapter_digest": digest},
        {"round": 2, "committed": True, "adapter_digest": "00"},
    ]
    for best, fits in ((1, True), (2, False), (3, False)):
        changed = report | {"choice": {"best_round": best}, "rounds": [*rows, report["rounds"][-1] | {"committed": False}]}
        changed["rounds"][-1]["round"] = 3
        (run / "report.json").write_text(json.dumps(changed), encoding="utf-8")
        if fits:
            verify(run)
        else:
            with pytest.raises(RunError, match=r"report\.json: adapter"):
                verify(run)


@pytest.mark.parametrize("field", ["entries", "hash"])
@pytest.mark.parametrize("whose", ["north", "south", "record"])
def test_tampering_with_a_head_is_named(run: Path, field: str, whose: str) -> None:
    report = json.loads((run / "report.json").read_text(encoding="utf-8"))
    last = report["rounds"][-1]
    head = last["record"] if whose == "record" else last["ledgers"][whose]
    head[field] = other(head[field])
    (run / "report.json").write_text(json.dumps(report), encoding="utf-8")
    with pytest.raises(
        RunError, match="head of the server's chain" if whose == "record" else f"ledger head of site {whose}"
    ):
        verify(run)


def test_a_ledger_that_lacks_the_head_is_named(run: Path) -> None:
    Ledger(run / "ledger" / "north", "north")  # a new one: it has not the entries that the server saw
    with pytest.raises(RunError, match=r"ledger head: .*north/ledger\.jsonl.*was seen before"):
        verify(run)


@pytest.mark.parametrize("content", ["{", '{"rounds": 3}', '{"rounds": [3]}', '{"rounds": [{}]}'])
def test_a_spoilt_report_is_one_line(run: Path, content: str) -> None:
    (run / "report.json").write_text(content, encoding="utf-8")
    with pytest.raises(RunError) as caught:
        verify(run)
    assert "\n" not in str(caught.value)


def test_an_epsilon_below_its_charges_is_found_even_when_it_is_signed(published: Any, run: Path) -> None:
    card = copy.deepcopy(dict(published.card))
    card["sites"][1]["epsilon"] -= 1e-3
    SignedCard.sign(card, published.key).save(run)
    with pytest.raises(RunError, match="epsilon: site south states"):
        verify(run, published.key.public)


def test_a_run_without_privacy_has_a_card_that_holds(
    without_privacy: "CardFacts", publish_in: Callable[..., Any], tmp_path: Path
) -> None:
    done = publish_in(tmp_path, without_privacy)
    assert verify(tmp_path, done.key.public).signed.card["privacy"]["enabled"] is False


def test_a_public_key_comes_as_digits_or_in_a_file(published: Any, tmp_path: Path) -> None:
    (tmp_path / "key.pub").write_text(f"{published.key.public}\n", encoding="utf-8")
    assert read_public_key(published.key.public) == read_public_key(str(tmp_path / "key.pub")) == published.key.public
    for wrong in ("", "00", "g" * 64, published.key.public.upper() + "0", str(published.folder / "signing_key.pem")):
        with pytest.raises(RunError, match="not a public key"):
            read_public_key(wrong)


def test_facts_of_a_real_server_make_a_card_that_holds_too(
    facts: "CardFacts", publish_in: Callable[..., Any], tmp_path: Path
) -> None:
    done = publish_in(tmp_path, replace(facts, simulated=False))
    assert not verify(tmp_path, done.key.public).signed.card["signing"]["simulation_key"]
