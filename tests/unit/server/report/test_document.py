import json
from pathlib import Path

import pytest

from server.report.document import LIBRARIES, rewrite, versions
from shared.errors import RunError


@pytest.mark.parametrize("content", [None, b"", b"{", b"\xff\xfe", b"[]", b'"text"'])
def test_a_folder_without_a_report_is_refused_in_one_line(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "report.json").write_bytes(content)
    with pytest.raises(RunError, match="no readable report") as caught:
        rewrite(tmp_path)
    assert "\n" not in str(caught.value)


def test_the_versions_name_python_and_every_library_that_decides() -> None:
    found = versions()
    assert set(found) == {"python", *LIBRARIES}
    assert all(version[0].isdigit() for version in found.values())
    json.dumps(found)
