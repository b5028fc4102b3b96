"""Offer the public API of hushtune, and start its command line.

Only the names in ``__all__`` are promised to stay; each is imported on first access::

    from hushtune import RunConfig, simulate

    result = simulate(RunConfig.load("configs/demo.toml"))
    print(result.metrics, result.privacy)
"""

import errno
import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from privacy.accounting import Accountant
    from privacy.anonymise.texts import Scrubber
    from privacy.dp.plan import PrivacyPlan
    from privacy.dp.training import make_private
    from privacy.mechanism_event import MechanismEvent
    from server.report.result import load_report
    from shared.config.run import RunConfig
    from shared.ops.command_group import CommandGroup
    from shared.ops.flaws import Flaw
    from simulations.run import simulate
    from simulations.studies.compare import compare

    __version__: str
else:

    def __getattr__(name: str) -> Any:
        """Import a public name on first access."""
        if name == "__version__":
            from importlib.metadata import version

            return version("hushtune")
        if name not in __all__:
            raise AttributeError(f"module 'hushtune' has no attribute '{name}'")
        return _public(name)


__all__ = [
    "Accountant",
    "MechanismEvent",
    "PrivacyPlan",
    "RunConfig",
    "Scrubber",
    "__version__",
    "compare",
    "load_report",
    "make_private",
    "simulate",
]
PACKAGES = ("shared", "privacy", "client", "server", "simulations")
EXTRAS = {"simulate": "research", "compare": "research", "make_private": "site", "load_report": "server"}
MAKE_ROOM = "; make room on the disk, then start the same command again: nothing that was committed is lost"
GIVE_MEMORY = "the system gives this process no more memory; raise its limit (ulimit -v, or the container's)"
NO_MEMORY = ("failed to map segment", "DefaultCPUAllocator", "Cannot allocate memory")  # in errors of the loader and torch
RESEARCHER = ("simulate", "compare", "sweep", "trainable", "evaluate", "generate", "attack")


def command_line() -> "CommandGroup":
    """Return the group of all commands; a command's package is imported only when that command runs."""
    import shared.commands as common
    from shared.ops.command_group import CommandGroup, Role

    keys: dict[str, Role] = {
        "server": Role(lambda: _commands("server").provision, "server"),
        **dict.fromkeys(("site", "roster", "admit"), Role(lambda: _commands("client").provision, "site")),
        "verify": Role(lambda: common.verification(_flaws)),
    }
    roles: dict[str, Role] = {
        **dict.fromkeys(RESEARCHER, Role(lambda: _commands("simulations").app, "research")),
        **dict.fromkeys(("plan", "models", "methods", "init"), Role(lambda: _commands("simulations").app)),
        **dict.fromkeys(("anonymise", "score-pii"), Role(lambda: _commands("simulations").app, "site")),
        "report": Role(lambda: _commands("simulations").app, "server"),
        **dict.fromkeys(("server", "explain", "export", "serve"), Role(lambda: _commands("server").app, "server")),
        **dict.fromkeys(("client", "check", "personalise"), Role(lambda: _commands("client").app, "site")),
        **dict.fromkeys(("status", "config"), Role(lambda: common.app)),
        "doctor": Role(lambda: common.verification(_flaws, "doctor")),
        "card": Role(lambda: _commands("server").card, "server"),
        "review": Role(lambda: _commands("server").review, "server"),
        "ledger": Role(lambda: _commands("client").ledger, "site"),
    }
    audits = dict.fromkeys(("run", "adapter"), Role(lambda: _commands("simulations").audit, "research"))
    audits["mechanism"] = Role(lambda: _commands("client").audit, "site")
    provision = CommandGroup("provision", "Make and check keys, certificates and folders.", keys)
    audit = CommandGroup("audit", "Measure what a run really protects, beside what it claims.", audits)
    about = "Federated, privacy-preserving fine-tuning of language models."
    return CommandGroup("hushtune", about, roles, [provision, audit], completion=True)


def main() -> None:
    """Run a command; a user's mistake ends in one line on standard error and status 2, a missing quorum in status 3."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        _refuse_hidden()  # finds files and runs none
    except ImportError as error:
        sys.stderr.write(f"hushtune: {error}\n")
        sys.exit(2)
    _leave_out_the_working_folder()
    from shared.errors import HushtuneError, QuorumError, one_line
    from shared.ops.plain_output import print_plainly
    from shared.ops.start import answer_at_once

    print_plainly()

    try:
        answer_at_once(sys.argv[1:], sys.platform)
        command_line()(prog_name="hushtune")
    except (HushtuneError, OSError) as error:
        full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
        sys.stderr.write(f"hushtune: {one_line(error)}{MAKE_ROOM if full else ''}\n")
        sys.exit(3 if isinstance(error, QuorumError) else 2)
    except Exception as error:
        if not _is_lack_of_memory(error):
            raise
        sys.stderr.write(f"hushtune: {GIVE_MEMORY}\n")
        sys.exit(2)


def _is_lack_of_memory(error: Exception) -> bool:
    """Return whether Python, the loader of a library or torch was refused memory."""
    return isinstance(error, MemoryError) or any(part in str(error) for part in NO_MEMORY)


def _leave_out_the_working_folder() -> None:
    """Import nothing from the working folder, which ``python -m`` looks in first: files there are data, not code."""
    home, here = Path(__file__).resolve().parent, Path.cwd().resolve()
    if here != home and sys.path and Path(sys.path[0]).resolve() == here:
        del sys.path[0]


def _refuse_hidden() -> None:
    """Refuse to start where a file or folder of the user hides one of our packages.

    Raises
    ------
    ImportError
        Python finds something else under the name of a package of ours; the message says what hides it.
    """
    home = Path(__file__).resolve().parent
    for name in PACKAGES:
        loaded = sys.modules.get(name)
        spec = None if loaded else importlib.util.find_spec(name)
        origin = getattr(loaded, "__file__", None) if loaded else spec and spec.origin
        if origin and Path(origin).resolve() != home / name / "__init__.py":
            hiding = Path(origin).parent if Path(origin).stem == "__init__" else Path(origin)
            raise ImportError(
                f"{hiding} hides the package '{name}' of hushtune, because Python looks in its folder first; rename it, or "
                "work in another folder"
            )


def _public(name: str) -> Any:
    """Import the object behind a public name; an error says what hides a package of ours, or which extra is missing."""
    _refuse_hidden()
    from shared.errors import ConfigError
    from shared.ops.extras import require

    try:
        if name in EXTRAS:
            require(f"hushtune.{name}", EXTRAS[name])
    except ConfigError as error:
        raise ImportError(str(error)) from None
    return getattr(_home(name), name)


def _home(name: str) -> ModuleType:
    """Import the module that defines a public name, and as few others as possible."""
    if name == "Accountant":
        from privacy import accounting

        return accounting
    if name == "MechanismEvent":
        from privacy import mechanism_event

        return mechanism_event
    if name == "Scrubber":
        from privacy.anonymise import texts

        return texts
    if name == "PrivacyPlan":
        from privacy.dp import plan

        return plan
    if name == "make_private":
        from privacy.dp import training

        return training
    if name == "load_report":
        from server.report import result

        return result
    if name == "simulate":
        from simulations import run

        return run
    if name == "compare":
        from simulations.studies import compare

        return compare
    from shared.config import run as config

    return config


def _commands(package: Literal["client", "server", "simulations"]) -> ModuleType:
    """Import the commands of one package only, because the other packages may not be installed in full."""
    if package == "client":
        from client import commands as steward

        return steward
    if package == "server":
        from server import commands as operator

        return operator
    from simulations import commands as researcher

    return researcher


def _flaws(folder: Path, tell: Callable[[str], None]) -> "list[Flaw] | None":
    """List the flaws of a site's or a server's folder, and tell what is in order; None if the folder is neither."""
    from client.provision import check_site
    from server.provision import check_server

    flaws = check_site(folder, tell)
    return check_server(folder) if flaws is None else flaws


if __name__ == "__main__":
    main()
