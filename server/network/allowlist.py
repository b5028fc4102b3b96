"""Which sites may connect: a folder with one public key a site, read again while the server runs."""

from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from shared.config.section import SiteId
from shared.errors import ConfigError

Read = Callable[[Path], bytes]


class AllowList:
    """The keys of ``<site id>.pub`` files; a file that comes or goes counts at the next look."""

    def __init__(self, folder: Path, read: Read) -> None:
        self._folder, self._read = folder, read
        self._seen: Mapping[Path, tuple[int, int]] = {}
        self.faults: tuple[str, ...] = ()

    def changed(self) -> bool:
        """Whether the folder is another than at the last ``sites``."""
        return self._look() != self._seen

    def sites(self) -> Mapping[bytes, str]:
        """The site of each key. What cannot be used is left out, and named in ``faults``."""
        self._seen = self._look()
        found: dict[bytes, str] = {}
        faults = []
        for path in self._seen:
            try:
                site_id = TypeAdapter(SiteId).validate_python(path.stem)
                key = self._read(path)
                if key in found:
                    faults.append(f"{path}: holds the key of site {found[key]}; each site makes a key of its own")
                else:
                    found[key] = site_id
            except (ConfigError, OSError) as error:
                faults.append(str(error))
            except ValidationError:
                faults.append(f"{path}: name it after the site: lower-case letters, digits and hyphens, then .pub")
        self.faults = tuple(faults)
        return found

    def _look(self) -> Mapping[Path, tuple[int, int]]:
        """Name, time and size of each key file, in order of name."""
        look = {}
        for path in sorted(self._folder.glob("*.pub")):
            try:
                stat = path.stat()
            except OSError:
                continue
            look[path] = (stat.st_mtime_ns, stat.st_size)
        return look
