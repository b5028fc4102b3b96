import subprocess
import sys
from pathlib import Path

import pytest

from server.report.files import rewrite
from shared.errors import RunError


@pytest.mark.parametrize("content", [None, b"", b"{", b"\xff\xfe", b"[]", b'"text"'])
def test_a_folder_without_a_report_is_refused_in_one_line(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "report.json").write_bytes(content)
    with pytest.raises(RunError, match="no readable report") as caught:
        rewrite(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.slow  # a process of its own
def test_a_report_is_shown_again_without_the_libraries_that_train() -> None:
    code = (
        "import sys, server.report.files, simulations.display.run; print({'torch', 'transformers', 'flwr'} & {*sys.modules})"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, text=True).stdout == "set()\n"
