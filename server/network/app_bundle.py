"""The app bundle that Flower requires for a run; ours holds metadata and no code."""

ENVELOPE = {
    "pyproject.toml": b"""[project]
name = "hushtune"
version = "1.0.0"
description = "no code"
license = { file = "LICENSE" }
dependencies = ["flwr>=1.41.0"]
[tool.flwr.app]
publisher = "hushtune"
fab-format-version = 1
flwr-version-target = "1.41.0"
[tool.flwr.app.components]
serverapp = "nowhere:nothing"
clientapp = "nowhere:nothing"
""",
    "LICENSE": b"Apache-2.0",
}
