"""Compare the methods of aggregation, from what each method and each adapter family declares."""

from collections.abc import Iterator, Mapping

from shared.config.adapter import FAMILIES
from shared.config.aggregation import METHODS, Contract

ANY = "any"
Row = Mapping[str, str | bool]


def method_rows() -> list[Row]:
    """Return a row for each method: with each adapter if the adapter decides whether the method is exact, else one.

    Returns
    -------
    list of mappings
        ``method``, ``adapter``; ``exact``, whether the aggregated adapter computes what the aggregated updates of the
        layers would, or "to the rank" if it is the nearest one of its rank; ``mixed_ranks``, whether sites may have ranks of
        their own; ``privacy``, whether a run with privacy accepts the method; ``sums``, whether the method works with secure
        sums (``privacy.trust`` = ``distributed``, or ``aggregation.secure_sums`` with privacy), and ``central``, with a
        trusted server; ``numbers``, how many numbers a layer of r, d_in and d_out sends each way.
    """
    return [row for name, contract in METHODS.items() for row in _rows_of(name, contract)]


def personal_row() -> Row:
    """Return the row of a personal adapter (`hushtune personalise`): it is no method, because nothing is aggregated."""
    return {
        "method": "personalise",
        "adapter": ANY,
        "exact": "not sent",
        "mixed_ranks": False,
        "privacy": True,
        "sums": True,
        "central": False,
        "numbers": "0",
    }


def _rows_of(name: str, contract: Contract) -> Iterator[Row]:
    if contract.factors:
        both = next(sent for sent in FAMILIES["lora"].sent if not sent.linear)
        none = dict.fromkeys(("mixed_ranks", "privacy", "sums", "central"), False)
        yield {"method": name, "adapter": both.adapter, "exact": "to the rank", **none, "numbers": both.numbers}
        return
    trust = {"sums": contract.sums, "central": contract.central is not None}
    if not contract.linear:
        yield {
            "method": name,
            "adapter": ANY,
            "exact": False,
            "mixed_ranks": False,
            "privacy": True,
            **trust,
            "numbers": ANY,
        }
        return
    for family in FAMILIES.values():
        for sent in family.sent:
            if contract.ranks and not sent.nested:
                continue
            private = {key: works and sent.linear for key, works in trust.items()}
            yield {
                "method": name,
                "adapter": sent.adapter,
                "exact": sent.linear,
                "mixed_ranks": contract.ranks,
                "privacy": sent.linear,
                **private,
                "numbers": sent.numbers,
            }
