import json

from server.report.document import LIBRARIES, versions


def test_the_versions_name_python_and_every_library_that_decides() -> None:
    found = versions()
    assert set(found) == {"python", *LIBRARIES}
    assert all(version[0].isdigit() for version in found.values())
    json.dumps(found)
