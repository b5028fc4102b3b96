import json
from pathlib import Path

import pytest

from client.data_stage.pseudonym_map import PseudonymMap
from shared.errors import DataError

PAIRS = {3: {"<PERSON_1>": "Marnie Quill"}, 4: {}}


@pytest.fixture
def reversal(tmp_path: Path) -> PseudonymMap:
    kept = PseudonymMap(tmp_path / "state", "north")
    kept.keep(PAIRS)
    return kept


def test_a_map_is_told_by_record_and_no_file_shows_a_word_of_it(reversal: PseudonymMap) -> None:
    assert reversal.of(3) == {"<PERSON_1>": "Marnie Quill"}
    assert reversal.of(4) == {}
    for path in reversal.state.iterdir():
        assert path.stat().st_mode & 0o177 == 0
        assert b"Quill" not in path.read_bytes()
        assert b"PERSON" not in path.read_bytes()


def test_a_later_map_takes_the_place_of_an_earlier_one_under_the_same_key(reversal: PseudonymMap) -> None:
    key, sealed = (reversal.state / "reversal.key").read_bytes(), (reversal.state / "reversal.sealed").read_bytes()
    reversal.keep({9: {}})
    assert (reversal.state / "reversal.key").read_bytes() == key
    assert (reversal.state / "reversal.sealed").read_bytes() != sealed
    with pytest.raises(DataError, match="holds no record 3"):
        reversal.of(3)


def test_it_opens_with_its_own_key_for_its_own_site_alone(reversal: PseudonymMap) -> None:
    with pytest.raises(DataError, match="cannot be opened"):
        PseudonymMap(reversal.state, "south").of(3)
    (reversal.state / "reversal.key").write_bytes(bytes(32))
    with pytest.raises(DataError, match="cannot be opened"):
        reversal.of(3)
    (reversal.state / "reversal.key").unlink()
    with pytest.raises(DataError, match="no map is kept"):
        reversal.of(3)


def test_a_key_that_others_may_read_is_refused(reversal: PseudonymMap) -> None:
    (reversal.state / "reversal.key").chmod(0o640)
    for use in (lambda: reversal.of(3), lambda: reversal.keep(PAIRS)):
        with pytest.raises(DataError, match="others may read the key; run chmod 600"):
            use()


def test_a_site_without_a_map_is_told_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"set anonymise.reversible = true"):
        PseudonymMap(tmp_path, "north").of(1)
    (tmp_path / "file").write_text(json.dumps({}))
    with pytest.raises(DataError, match="cannot be written"):
        PseudonymMap(tmp_path / "file" / "state", "north").keep(PAIRS)
