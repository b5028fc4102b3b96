"""Combine the accepted deltas of a round into one change of the adapter: one file for each method, and the optimisers."""

from pkgutil import resolve_name

from server.aggregation.method import Aggregate, Memory, Method, Setting
from server.aggregation.optimiser import Optimised
from shared.config.aggregation import METHODS
from shared.errors import PrivacyError

__all__ = ["Aggregate", "Memory", "Method", "Setting", "begin", "method_of"]


def begin(setting: Setting) -> Method:
    """Begin the aggregation of one round, by the method and the optimiser of the run.

    Parameters
    ----------
    setting
        What the aggregation may depend on.

    Returns
    -------
    Method
        Takes the round's deltas and returns their aggregate.

    Raises
    ------
    PrivacyError
        The server is trusted to add noise, but the method has no version with noise.
    """
    name: str | None = setting.section.method
    if setting.plan is not None:
        name = METHODS[setting.section.method].central
    if name is None:
        raise PrivacyError(
            f"aggregation.method = '{setting.section.method}': has no guarantee under privacy.trust = 'central'"
        )
    return Optimised(method_of(name)(setting), setting)


def method_of(name: str) -> type[Method]:
    """Return the class of a method: ``TrimmedMean`` in ``server.aggregation.trimmed_mean`` for ``trimmed_mean``.

    ``name`` is one that `shared.config.aggregation.METHODS` lists; the module is loaded only when it is used.
    """
    found: type[Method] = resolve_name(f"{__name__}.{name}:{name.title().replace('_', '')}")
    return found
