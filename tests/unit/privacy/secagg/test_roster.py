from pathlib import Path

import pytest

from privacy.secagg.roster import Roster
from shared.errors import ConfigError
from shared.identity.keys import fingerprint, new_key, public_line


def written(folder: Path, lines: dict[str, str]) -> Path:
    path = folder / "ROSTER.toml"
    path.write_text("[peers]\n" + "".join(f'{site} = "{line.strip()}"\n' for site, line in lines.items()))
    return path


def test_a_roster_reads_the_lines_of_pub_files_and_shows_their_fingerprints(tmp_path: Path) -> None:
    keys = {site: new_key().public_key() for site in ("north", "south")}
    roster = Roster.read(written(tmp_path, {site: public_line(key, site) for site, key in keys.items()}))
    assert roster.fingerprints() == {site: fingerprint(key) for site, key in keys.items()}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ({"north": "ssh-rsa nonsense"}, "peers.north: not a public key in OpenSSH's format"),
        ({"North": "ssh-rsa nonsense"}, "peers.North"),
        ({}, "peers"),
    ],
)
def test_a_roster_that_pins_no_key_is_refused(tmp_path: Path, lines: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        Roster.read(written(tmp_path, lines))
    assert "\n" not in str(caught.value)


def test_one_key_under_two_names_is_refused(tmp_path: Path) -> None:
    line = public_line(new_key().public_key(), "north")
    with pytest.raises(ConfigError, match="two sites have the same key"):
        Roster.read(written(tmp_path, {"north": line, "south": line}))


def test_a_missing_roster_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ROSTER\.toml: cannot read"):
        Roster.read(tmp_path / "ROSTER.toml")
