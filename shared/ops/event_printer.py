"""Print each event of a server or a client as one line on standard error, or as JSON for programs that collect logs."""

import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass

from shared.errors import escaped

Value = str | int | float | bool | None
# The words of an event's line; a field that the event lacks is left out together with its words.
SENTENCES: Mapping[str, str] = {
    "connected": "connected to {host}:{port}",
    "disconnected": "not connected ({reason}); trying again",
    "order": "round {round}: an order came",
    "trained": "round {round}: trained in {seconds} s",
    "refused": "round {round}: refused because of {reason}",
    "server_started": "run {run_id} begins with round {round}",
    "waiting": "{here} of {quorum} needed sites are connected; missing: {missing}",
    "round": "round {round}: committed: {committed}",
    "rejected": "round {round}: the reply of {site_id} was rejected: {reason}",
    "missing": "round {round}: {site_id} did not reply",
    "run_ended": "the run is over after {rounds} rounds",
}
STEPS: Mapping[str, str] = {  # steps of the set-up of a site's records
    "assess": "measuring what the anonymiser finds in these records",
    "anonymise": "anonymised {done} of {of} records",
    "paraphrase": "paraphrased {done} of {of} records",
    "load_model": "loading the model",
    "padded": "batches are padded, because computing them without padding is not exact on this device",
    "ready": "records and model are ready",
}
LEFT_OUT = frozenset({"process", "run_id", "kwh", "co2e_kg"})


@dataclass(frozen=True)
class EventPrinter:
    """Print events as lines, or with ``structured`` as JSON objects."""

    structured: bool = False

    def print_event(self, kind: str, fields: Mapping[str, Value]) -> None:
        """Print one event."""
        sys.stderr.write(self.line(kind, fields, time.time()) + "\n")
        sys.stderr.flush()

    def line(self, kind: str, fields: Mapping[str, Value], now: float) -> str:
        """Return the line of an event at a Unix time."""
        if self.structured:
            return json.dumps({"time": round(now, 3), "event": kind, **fields})
        try:
            sentence = STEPS[str(fields["step"])] if kind == "step" else SENTENCES[kind]
            said = sentence.format_map(fields)
        except KeyError:
            said = " ".join([kind, *(f"{name}={value}" for name, value in fields.items() if name not in LEFT_OUT)])
        return escaped(f"{time.strftime('%H:%M:%S', time.localtime(now))} {said}")
