"""Try every listed attack on a server, a site, the public port and the files, and print how many forms held.

Run with: make attack
"""

import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.outcome import Outcome, outcomes
from bench.table import parser_of, print_rows

REPOSITORY = Path(__file__).parents[1]
LIST = Path(__file__).with_suffix(".toml")


@dataclass(frozen=True)
class Attack:
    """An attack: its target, what it does, and the test that tries each of its forms."""

    upon: str
    what: str
    test: str

    def row(self, found: Mapping[str, Outcome]) -> dict[str, Any]:
        """Return how many forms were tried and how many held, from the outcomes of tests by id."""
        forms = [each for name, each in found.items() if name.startswith(f"{self.test}[")]
        forms = forms or [found[name] for name in (self.test,) if name in found]
        tried = [each for each in forms if each != "skipped"]
        return {"upon": self.upon, "attack": self.what, "tried": len(tried), "held": tried.count("passed")}


def load(path: Path = LIST) -> list[Attack]:
    """Read the list of attacks."""
    return [Attack(**each) for each in tomllib.loads(path.read_text(encoding="utf-8"))["attack"]]


def tried(attacks: Sequence[Attack]) -> list[dict[str, Any]]:
    """Run the tests of all attacks in one process; return one row for each attack."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        tests = sorted({attack.test for attack in attacks})
        command = [sys.executable, "-m", "pytest", "--quiet", "-m", "", f"--junit-xml={report}", *tests]
        subprocess.run(command, cwd=REPOSITORY, stdout=sys.stderr, check=False)  # noqa: S603  our own tests
        found = outcomes(report)
    return [attack.row(found) for attack in attacks]


def main() -> int:
    """Print a table; return 1 if an attack was not tried or did not hold."""
    arguments = parser_of(__doc__, as_json=True).parse_args()
    rows = tried(load())
    print_rows(rows, arguments.json)
    return int(any(row["tried"] == 0 or row["held"] != row["tried"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
