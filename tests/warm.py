"""Import the heavy libraries and scrub a text once, which fills the caches of word lists and of compiled expressions.

Only the server of ``forked`` imports this module: its forks need not do this again.
"""

from importlib import import_module

for name in (
    "server.app",
    "server.display",
    "client.service",
    "client.set_up",
    "simulations.fleets.workers",
    "privacy.anonymise.polyglot",
    "transformers.models.bert.modeling_bert",
):
    import_module(name)
import_module("privacy.anonymise.texts").Scrubber().scrub(["Dr. Okafor called."])
# How long a declined order waits for its answer is a claim of tests/unit/client/test_malicious_server.py.
import_module("client.service").FIRST_LEAVES = 0.25  # type: ignore[attr-defined]
