"""Reach real sites through the SuperLink of this process, and identify them by their keys."""

import hashlib
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from server.network.allowlist import AllowList
from server.network.superlink import Incoming, Link, Node, RunLost
from server.screening import Answer
from shared.errors import RunError
from shared.ops import crash_points as faults
from shared.wire.messages import Order

POLL = 0.25  # seconds between looks at who is connected; the arrival of a reply ends the wait
RETURN = 30.0  # seconds in which a site that lost its connection may come back, before the round continues without it
MARGIN = 60.0  # seconds that Flower keeps a message beyond the deadline
CODE = re.compile(r"[A-Za-z][\w.:-]{0,95}")


@dataclass
class Pending:
    """An order without an answer yet: when its site had connected, and since when the site is gone."""

    message_id: str
    since: str
    bytes_down: int
    gone: float | None = None


class GridFleet:
    """The connected sites of a run, and the exchange of one round with them."""

    def __init__(self, link: Link, allowed: AllowList, sites: Sequence[str]) -> None:
        self._link, self._allowed, self._sites = link, allowed, tuple(sites)
        self._ids: dict[bytes, int] = {}
        self._nodes: dict[str, int] = {}
        self._keys: dict[str, str] = {}
        self._lock = threading.Lock()
        self.waiting: tuple[str, ...] = ()
        self.faults = self.refresh()

    def refresh(self) -> tuple[str, ...]:
        """Read the allow-list again if it changed, and return what is wrong with it."""
        with self._lock:
            if not self._ids or self._allowed.changed():
                admitted = self._allowed.sites()
                for key in admitted:
                    if key not in self._ids:
                        self._ids[key] = self._link.register(key)
                gone = set(self._nodes.values()) - {self._ids[key] for key in admitted}
                self._nodes = {site: self._ids[key] for key, site in admitted.items()}
                self._keys = {site: hashlib.sha256(key).hexdigest() for key, site in admitted.items()}
                self._link.filter.admit(admitted)
                for node in gone:
                    self._link.dismiss(node)
                return self._allowed.faults
        return ()

    def nodes(self) -> Mapping[str, Node]:
        """Return how each site of the run that has a key is connected."""
        found, nodes = self._link.nodes(), self._nodes
        return {site: found[nodes[site]] for site in self._sites if site in nodes}

    def key_of(self, site: str) -> str | None:
        """Return the SHA-256 of the public key that a site is admitted by; None for a site that is not admitted."""
        return self._keys.get(site)

    def connected(self) -> tuple[str, ...]:
        """Return the sites of the run that are connected now."""
        return tuple(site for site, node in self.nodes().items() if node.online)

    def ask(self, orders: Mapping[str, Order], deadline: float) -> Iterator[Answer]:
        """Send each site its order and yield answers as they come, until all came or the deadline passed.

        A site that connects anew gets its order again: it may have died with the first.
        """
        end = time.monotonic() + deadline
        sent: dict[str, str] = {}
        pending: dict[str, Pending] = {}

        def send(site: str) -> None:
            node = self._nodes.get(site)
            if node is None:  # its key was removed, so ``_look`` gives the site up
                pending.setdefault(site, Pending("", "", 0))
                return
            if site in pending:  # frees the received part of the reply to the first order
                self._link.forget([pending[site].message_id])
                sent.pop(pending[site].message_id, None)
            since = self._link.node(node).since
            lifetime = end - time.monotonic() + MARGIN
            message_id, size = self._link.push(node, orders[site].to_record(), lifetime, orders[site].kind)
            sent[message_id] = site
            pending[site] = Pending(message_id, since, size)

        try:
            self._send_all(list(orders), send)
            faults.point("asked", next(iter(orders.values())).round)
            while pending and time.monotonic() < end:
                self.waiting = tuple(sorted(pending))
                try:
                    yield from self._look(sent, pending)
                    nodes = self.nodes()
                    self._send_all([site for site in pending if _is_back(nodes.get(site), pending[site])], send)
                except RunLost:
                    sent.clear()
                    self._send_all(list(pending), send, anew=True)
                if pending:
                    self._link.wait(POLL)
        finally:
            self.waiting = ()
            self._link.forget(list(sent))

    def _send_all(self, sites: Sequence[str], send: Callable[[str], None], anew: bool = False) -> None:
        """Send to several sites; open a new run of Flower's if the old one is lost."""
        if anew:
            self._link.open_run()
        try:
            for site in sites:
                send(site)
        except RunLost as error:
            if anew:
                raise RunError("server: Flower ended a run as soon as it was opened; start the server again") from error
            self._send_all(sites, send, anew=True)

    def _look(self, sent: dict[str, str], pending: dict[str, Pending]) -> Iterator[Answer]:
        """Yield the answers that have arrived."""
        for incoming in self._link.pull([found for found, site in sent.items() if site in pending]):
            site = sent.pop(incoming.message_id)
            if site not in pending:
                continue
            if incoming.away:
                pending[site].gone = pending[site].gone or time.monotonic()
                continue
            yield _answer(site, incoming, pending.pop(site).bytes_down)
        for site, order in list(pending.items()):
            if site not in self._nodes:
                yield Answer(site, None, "KeyRemoved", pending.pop(site).bytes_down, 0)
            elif order.gone is not None and time.monotonic() - order.gone > RETURN:
                yield Answer(site, None, "Disconnected", pending.pop(site).bytes_down, 0)


def _is_back(node: Node | None, order: Pending) -> bool:
    """Return whether the site connected again, perhaps with another key, after it was sent its order."""
    return node is not None and node.online and node.since != order.since


def _answer(site: str, incoming: Incoming, bytes_down: int) -> Answer:
    """Return an answer; drop an error that does not look like a code, because a site could write anything there."""
    error = incoming.error
    if error is not None and not CODE.fullmatch(error):
        error = "unknown"
    return Answer(site, incoming.content, error, bytes_down, incoming.size)
