"""Write the status file of a running client, which ``hushtune status`` reads at the site."""

import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Literal, get_args

from client.site_file import SiteFile
from shared.ops.status import BudgetSeen, OrderSeen, Outcome, SiteStatus, StatusFile, UnderWay
from shared.wire.messages import Order

KEPT = 20  # orders in the status
REFRESH = 30.0  # seconds after which an unchanged status is written again, so that it does not look stale

STEPS: Mapping[str, UnderWay] = {
    "assess": "assessing",
    "anonymise": "anonymising",
    "paraphrase": "paraphrasing",
    "load_model": "loading",
    "ready": "training",
}
State = Literal["connecting", "connected", "refused", "closed"]


class StatusWriter:
    """Writes the status file of one client at each change; ``refresh`` writes it again when it grows old."""

    def __init__(self, file: SiteFile) -> None:
        self._file, self._site = StatusFile(file.status), file
        self._orders: deque[OrderSeen] = deque(maxlen=KEPT)
        self._budgets: tuple[BudgetSeen, ...] = ()
        self._connection: State = "connecting"
        self._reason: str | None = None
        self._since = time.time()
        self._written = 0.0
        self._write()

    def connection(self, state: State, reason: str | None = None) -> None:
        """Record the state of the connection to the server.

        Parameters
        ----------
        state
            The new state.
        reason
            Why there is no connection, as a short name.
        """
        if state != self._connection:
            self._since = time.time()
        if (state, reason) != (self._connection, self._reason):
            self._connection, self._reason = state, reason
            self._write()

    def order(self, order: Order, outcome: Outcome, reason: str | None = None) -> None:
        """Record the outcome of an order; the next outcome of the same round replaces one that was under way.

        Parameters
        ----------
        order
            Order from the server.
        outcome
            What the site did with it.
        reason
            Field of the policy that refused it, or class of the error.
        """
        seen = OrderSeen(time=time.time(), run_id=order.run_id, round=order.round, outcome=outcome, reason=reason)
        last = self._orders[-1] if self._orders else None
        same = last is not None and (last.run_id, last.round) == (order.run_id, order.round)
        if last is not None and same and last.outcome in get_args(UnderWay):
            self._orders.pop()
        self._orders.append(seen)
        self._write()

    def step(self, step: str) -> None:
        """Record what the site does for the order that is under way; a step without a name here changes nothing."""
        outcome, last = STEPS.get(step), self._orders[-1] if self._orders else None
        if outcome is not None and last is not None and last.outcome in get_args(UnderWay) and last.outcome != outcome:
            self._orders[-1] = last.model_copy(update={"outcome": outcome})
            self._write()

    def budgets(self, budgets: Sequence[BudgetSeen]) -> None:
        """Record the current budgets from the ledger, by dataset and for the site."""
        self._budgets = tuple(budgets)
        self._write()

    def refresh(self) -> None:
        """Write the file again if it was not written for a while."""
        if time.monotonic() - self._written > REFRESH:
            self._write()

    def _write(self) -> None:
        self._written = time.monotonic()
        self._file.write(
            SiteStatus(
                site_id=self._site.site.id,
                server=self._site.server.address,
                connection=self._connection,
                reason=self._reason,
                since=self._since,
                budgets=self._budgets,
                orders=tuple(self._orders),
            )
        )
