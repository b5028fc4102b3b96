"""The allow-list: a folder with one public key per site; only these sites may connect.

The server reads the folder again while it runs, so the operator can add or remove a site without a restart.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from shared.config.section import SiteId
from shared.errors import ConfigError

Read = Callable[[Path], bytes]


class AllowList:
    """The public keys of the ``<site id>.pub`` files in a folder.

    Parameters
    ----------
    folder
        The folder to read. Added, changed and removed files take effect at the next call of ``sites``.
    read
        Reads the public key of one file; raises ConfigError if the file holds none.
    """

    def __init__(self, folder: Path, read: Read) -> None:
        self._folder, self._read = folder, read
        self._seen: Mapping[Path, tuple[int, int]] = {}
        self.faults: tuple[str, ...] = ()

    def changed(self) -> bool:
        """Return whether a file was added, changed or removed since the last call of ``sites``."""
        return self._look() != self._seen

    def sites(self) -> Mapping[bytes, str]:
        """Return the site of each public key; leave out unusable files and describe each in ``faults``."""
        self._seen = self._look()
        found: dict[bytes, str] = {}
        faults = []
        for path in self._seen:
            try:
                site_id = TypeAdapter(SiteId).validate_python(path.stem)
                key = self._read(path)
                if key in found:
                    faults.append(f"{path}: holds the same key as site {found[key]}; each site must create its own key")
                else:
                    found[key] = site_id
            except (ConfigError, OSError) as error:
                faults.append(str(error))
            except ValidationError:
                faults.append(f"{path}: name it after the site: lower-case letters, digits and hyphens, then .pub")
        self.faults = tuple(faults)
        return found

    def _look(self) -> Mapping[Path, tuple[int, int]]:
        """Return the modification time and size of each key file, sorted by name."""
        look = {}
        for path in sorted(self._folder.glob("*.pub")):
            try:
                stat = path.stat()
            except OSError:
                continue
            look[path] = (stat.st_mtime_ns, stat.st_size)
        return look
