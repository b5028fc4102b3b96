"""Provisioning as an operator and a steward do it, and what ``verify`` says of each thing that may go wrong."""

import datetime
import errno
import json
import os
import socket
import ssl
import stat
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from unittest import mock

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_private_key,
    load_ssh_public_key,
)
from fixture_types import ConfigOf, Said

from client.provision import check_site, provision_site
from client.site_file import SiteFile
from server.provision import ServerFolder, check_server, provision_server
from shared.errors import ConfigError
from shared.identity.certificates import private_pem
from shared.identity.keys import fingerprint, new_key, public_line, read_public


@pytest.fixture
def server(tmp_path: Path) -> ServerFolder:
    """Make a server's folder for two hosts and two sites."""
    folder = ServerFolder(tmp_path / "server")
    provision_server(folder, ["fed.example.org", "127.0.0.1"], 8443, ["north", "east"], 365)
    return folder


@pytest.fixture
def site(server: ServerFolder) -> Path:
    """Return the folder of site north, filled in, with a key and records."""
    folder = server.hand_over / "north"
    path = folder / "SITE.toml"
    text = path.read_text().replace("declared_size = 0 ", "declared_size = 2000 ")
    path.write_text(text.replace("labels = [] ", 'labels = ["billing", "cardiology"] ', 1))
    (folder / "records.jsonl").write_text("{}\n")
    provision_site(folder)
    return folder


@pytest.fixture
def say(said: Said) -> Said:
    """Run ``hushtune provision ...``."""
    return partial(said, "provision")


def server_flaws(server: ServerFolder) -> list[str]:
    return [str(flaw) for flaw in check_server(server.root) or []]


def site_flaws(site: Path) -> list[str]:
    return [str(flaw) for flaw in check_site(site) or []]


def test_a_new_server_folder_is_in_order_and_its_private_files_are_private(server: ServerFolder) -> None:
    assert server_flaws(server) == []
    for private in (server.key, server.authority_key):
        assert stat.S_IMODE(private.stat().st_mode) == 0o600


def handshake(server: ServerFolder, authority: Path, name: str) -> str:
    """Connect to a real TLS listener with the folder's certificate; what the client says, or ''."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server.certificate, server.key)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            try:
                context.wrap_socket(listener.accept()[0], server_side=True).close()
            except OSError:
                return

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            with socket.create_connection(listener.getsockname(), timeout=5) as plain:
                ssl.create_default_context(cafile=str(authority)).wrap_socket(plain, server_hostname=name).close()
        except ssl.SSLError as error:
            return str(error)
        finally:
            thread.join(5)
    return ""


def test_a_client_that_trusts_the_authority_connects_and_others_do_not(server: ServerFolder, tmp_path: Path) -> None:
    other = ServerFolder(tmp_path / "other")
    provision_server(other, ["fed.example.org"], 8443, [], 365)
    given = server.hand_over / "north/ca.crt"
    assert handshake(server, given, "fed.example.org") == ""
    assert handshake(server, given, "127.0.0.1") == ""
    assert "certificate verify failed" in handshake(server, other.authority, "fed.example.org")
    assert "Hostname mismatch" in handshake(server, given, "elsewhere.example.org")


def test_a_second_call_adds_a_site_and_changes_nothing_that_is_there(server: ServerFolder) -> None:
    before = {path: path.read_bytes() for path in server.root.rglob("*") if path.is_file()}
    made = provision_server(server, ["fed.example.org"], 8443, ["north", "west"], 365)
    assert made == [server.hand_over / "west/SITE.toml", server.hand_over / "west/ca.crt"]
    assert all(path.read_bytes() == content for path, content in before.items())


def test_a_moved_certificate_is_renewed_with_the_same_key_and_authority(server: ServerFolder) -> None:
    server.certificate.unlink()
    assert provision_server(server, ["new.example.org"], 8443, [], 10) == [server.certificate]
    flaws = server_flaws(server)
    assert any("expires on" in flaw for flaw in flaws)
    assert any(
        "north/SITE.toml: connects to 'fed.example.org', but server.crt is valid for new.example.org" in f for f in flaws
    )


def test_a_disk_that_fills_up_at_any_moment_leaves_whole_files_and_the_same_command_then_makes_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file is flushed to the disk before it gets its name; the flush meets the full disk."""
    sites, flushed, room = ["north", "east"], 0, 0

    def flush(handle: int, real: Callable[[int], None] = os.fsync) -> None:
        nonlocal flushed
        flushed += 1
        if flushed > room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    while True:
        folder, flushed = ServerFolder(tmp_path / f"server-{room}"), 0
        with monkeypatch.context() as patch:
            patch.setattr("shared.ops.disk.os.fsync", flush)
            try:
                provision_server(folder, ["fed.example.org"], 8443, sites, 365)
                break
            except OSError as error:
                assert error.errno == errno.ENOSPC
        assert list(folder.root.rglob("*.partial")) == []
        provision_server(folder, ["fed.example.org"], 8443, sites, 365)
        assert server_flaws(folder) == []
        assert handshake(folder, folder.hand_over / "east/ca.crt", "fed.example.org") == ""
        room += 1
    assert room > len([path for path in folder.root.rglob("*") if path.is_file()])


def test_a_renewal_without_the_authoritys_key_is_refused(server: ServerFolder) -> None:
    server.certificate.unlink()
    server.authority_key.unlink()
    with pytest.raises(ConfigError, match=r"ca\.key: missing, but needed to issue a new server\.crt"):
        provision_server(server, ["fed.example.org"], 8443, [], 365)


def test_a_certificate_for_other_hosts_is_not_taken_as_good(server: ServerFolder) -> None:
    with pytest.raises(ConfigError, match=r"server\.crt: not valid for else\.example\.org; move it away"):
        provision_server(server, ["else.example.org"], 8443, [], 365)


@pytest.mark.parametrize(
    ("host", "site_id"), [("https://x", "a"), ("x:8443", "a"), ("", "a"), ("x", "North"), ("x", "../a")]
)
def test_names_that_cannot_be_names_make_nothing(tmp_path: Path, host: str, site_id: str) -> None:
    with pytest.raises(ConfigError, match=r"--host|--site"):
        provision_server(ServerFolder(tmp_path / "s"), [host], 8443, [site_id], 365)
    assert not (tmp_path / "s").exists()


def test_the_template_needs_only_the_declared_size_and_the_labels(site: Path) -> None:
    read = SiteFile.load(site / "SITE.toml")
    assert (read.site.id, read.server.address) == ("north", "fed.example.org:8443")
    assert not read.policy.without_privacy
    assert not read.policy.unreleased_metrics
    assert site_flaws(site) == []


def test_an_address_of_ipv6_is_written_as_one(tmp_path: Path) -> None:
    folder = ServerFolder(tmp_path / "s")
    provision_server(folder, ["::1"], 9000, ["north"], 365)
    assert 'address = "[::1]:9000"' in (folder.hand_over / "north/SITE.toml").read_text()
    assert server_flaws(folder) == []


def test_a_sites_key_is_openssh_ecdsa_on_p384_and_stays_when_asked_again(site: Path) -> None:
    private = (site / "site.key").read_bytes()
    key = load_ssh_private_key(private, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert key.curve.name == "secp384r1"
    assert stat.S_IMODE((site / "site.key").stat().st_mode) == 0o600
    again = provision_site(site)
    assert not again.made
    assert (site / "site.key").read_bytes() == private
    public = load_ssh_public_key((site / "north.pub").read_bytes())
    kind = (Encoding.OpenSSH, PublicFormat.OpenSSH)
    assert public.public_bytes(*kind) == key.public_key().public_bytes(*kind)
    assert (site / "north.pub").read_text().endswith(" north\n")


def test_a_key_is_private_whatever_the_umask(server: ServerFolder) -> None:
    old = os.umask(0)
    try:
        provision_site(server.hand_over / "east")
    finally:
        os.umask(old)
    assert stat.S_IMODE((server.hand_over / "east/site.key").stat().st_mode) == 0o600


def test_an_expired_certificate_is_named_with_its_day(server: ServerFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = type("Clock", (datetime.datetime,), {})
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=400)
    clock.now = classmethod(lambda cls, tz=None: later)  # type: ignore[attr-defined]
    monkeypatch.setattr("shared.identity.certificates.datetime.datetime", clock)
    [flaw] = server_flaws(server)
    assert flaw.startswith(f"{server.certificate}: expired on ")


def test_a_certificate_and_a_key_that_do_not_belong_together(server: ServerFolder) -> None:
    server.key.write_bytes(private_pem(new_key()))
    assert server_flaws(server)[0].startswith(f"{server.key}: not the key of server.crt; ")


def test_a_certificate_of_another_authority(server: ServerFolder, tmp_path: Path) -> None:
    other = ServerFolder(tmp_path / "other")
    provision_server(other, ["fed.example.org"], 8443, [], 365)
    server.authority.write_bytes(other.authority.read_bytes())
    assert f"{server.certificate}: not signed by the authority of ca.crt" in server_flaws(server)[0]


def test_files_that_are_missing_or_something_else(server: ServerFolder) -> None:
    server.certificate.write_text("hello")
    assert "server.crt: not a certificate in PEM format" in server_flaws(server)[0]
    server.certificate.unlink()
    assert "server.crt: cannot be read (No such file or directory)" in server_flaws(server)[0]


def test_a_private_file_that_others_may_use(server: ServerFolder) -> None:
    for mode in (0o644, 0o640, 0o602):
        server.key.chmod(mode)
        says = f"{server.key}: others may read or change it (mode {mode:04o}); chmod 600 {server.key}"
        assert server_flaws(server) == [says]


def ssh(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)


WRONG_PUBLIC = {
    "ed25519": (lambda: ssh(ed25519.Ed25519PrivateKey.generate()), "not an ECDSA key on P-384"),
    "another curve": (lambda: ssh(ec.generate_private_key(ec.SECP256R1())), "not an ECDSA key on P-384"),
    "PEM": (
        lambda: new_key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "not a public key in OpenSSH's format",
    ),
    "a private key": (
        lambda: new_key().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()),
        "contains a private key, which must never leave its site",
    ),
    "nothing": (lambda: b"", "not a public key in OpenSSH's format"),
}


@pytest.mark.parametrize(("make", "says"), WRONG_PUBLIC.values(), ids=WRONG_PUBLIC)
def test_a_public_key_that_cannot_admit_a_site(server: ServerFolder, make: Callable[[], bytes], says: str) -> None:
    (server.allow_list / "north.pub").write_bytes(make())
    [flaw] = server_flaws(server)
    assert flaw.startswith(f"{server.allow_list / 'north.pub'}: {says}; ")


def test_one_key_for_two_sites_and_a_file_that_names_no_site(server: ServerFolder, site: Path) -> None:
    for name in ("east.pub", "north.pub", "North Clinic.pub", "notes.txt"):
        (server.allow_list / name).write_bytes((site / "north.pub").read_bytes())
    flaws = server_flaws(server)
    assert f"{server.allow_list / 'north.pub'}: the same key as east.pub; each site must create its own key" in flaws
    assert sum("not named after a site, so it admits no site" in flaw for flaw in flaws) == 2


def locked() -> bytes:
    """Return a key under a passphrase; the key derivation needs another package and does not matter here."""
    with mock.patch("cryptography.hazmat.primitives.serialization.ssh._bcrypt_kdf", lambda *_: bytes(48)):
        return new_key().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, BestAvailableEncryption(b"secret"))


WRONG_PRIVATE = {
    "PEM": (lambda: private_pem(new_key()), "not a private key in OpenSSH's format"),
    "locked": (locked, "locked with a passphrase"),
    "ed25519": (
        lambda: ed25519.Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()),
        "not an ECDSA key on P-384",
    ),
}


@pytest.mark.parametrize(("make", "says"), WRONG_PRIVATE.values(), ids=WRONG_PRIVATE)
def test_a_private_key_that_the_client_cannot_use(site: Path, make: Callable[[], bytes], says: str) -> None:
    (site / "site.key").write_bytes(make())
    [flaw] = site_flaws(site)
    assert flaw.startswith(f"{site / 'site.key'}: {says}; ")
    with pytest.raises(ConfigError):
        provision_site(site)


def test_a_site_without_key_public_file_records_or_authority(site: Path) -> None:
    for name in ("site.key", "records.jsonl", "ca.crt"):
        (site / name).unlink()
    says = ("ca.crt: cannot be read", "site.key: cannot be read", "records.jsonl: no such file; set data.file")
    assert all(say in flaw for say, flaw in zip(says, site_flaws(site), strict=True))


def test_a_public_file_that_is_not_the_keys(server: ServerFolder, site: Path) -> None:
    provision_site(server.hand_over / "east")
    (site / "north.pub").write_bytes((server.hand_over / "east/east.pub").read_bytes())
    assert site_flaws(site)[0].startswith(f"{site / 'north.pub'}: not the public half of site.key; ")


def test_the_servers_certificate_in_the_authoritys_place(server: ServerFolder, site: Path) -> None:
    (site / "ca.crt").write_bytes(server.certificate.read_bytes())
    assert site_flaws(site) == [f"{site / 'ca.crt'}: not the certificate of an authority; copy ca.crt, not server.crt"]


def test_an_exposed_site_key(site: Path) -> None:
    (site / "site.key").chmod(0o644)
    assert "site.key: others may read or change it (mode 0644); chmod 600" in site_flaws(site)[0]


def test_the_commands_from_an_empty_folder_to_a_site_that_is_in_order(tmp_path: Path, say: Said) -> None:
    folder = tmp_path / "server"
    status, out, err = say("server", "--host", "localhost", "--site", "north", "--out", folder)
    assert (status, err) == (0, "")
    assert f"made {folder}/hand-over/north/SITE.toml" in out
    status, out, err = say("verify", folder)
    assert (status, out, err) == (0, f"{folder}: in order\n", "")
    status, out, err = say("verify", folder / "hand-over/north")
    assert status == 1
    assert "data.declared_size = 0: must be greater than or equal to 1" in out
    status, out, err = say("site", folder / "hand-over/north")
    assert (status, err) == (0, "")
    assert "made the key of site north: SHA256:" in out
    assert read_public(folder / "hand-over/north/north.pub").curve.name == "secp384r1"


def test_a_steward_pins_the_keys_of_the_other_sites_and_verify_checks_them(site: Path, tmp_path: Path, say: Said) -> None:
    path = site / "SITE.toml"
    path.write_text(path.read_text().replace('trust = ["local"]', 'trust = ["local", "distributed"]'))
    assert [flaw for flaw in site_flaws(site) if "ROSTER.toml: cannot read" in flaw]
    keys = {name: new_key().public_key() for name in ("east", "south")}
    for name, key in keys.items():
        (tmp_path / f"{name}.pub").write_text(public_line(key, name))
    own = fingerprint(read_public(site / "north.pub"))
    status, out, err = say("roster", site, tmp_path / "east.pub")
    assert (status, err) == (0, "")
    assert out.splitlines()[:2] == [f"east: {fingerprint(keys['east'])}", f"north: {own}"]
    assert "compare each fingerprint with the steward of that site" in out
    assert ["pins 2 sites, with this one, and the policy asks for 3" in flaw for flaw in site_flaws(site)] == [True]
    assert say("roster", site, tmp_path / "south.pub")[0] == 0
    assert site_flaws(site) == []
    status, out, err = say("roster", site)  # shows them again
    assert [line.partition(":")[0] for line in out.splitlines()[:3]] == ["east", "north", "south"]


def test_a_pinned_key_is_not_replaced_and_one_key_is_not_two_sites(site: Path, tmp_path: Path, say: Said) -> None:
    first, second = new_key().public_key(), new_key().public_key()
    (tmp_path / "east.pub").write_text(public_line(first, "east"))
    assert say("roster", site, tmp_path / "east.pub")[0] == 0
    before = (site / "ROSTER.toml").read_bytes()
    (tmp_path / "east.pub").write_text(public_line(second, "east"))
    (tmp_path / "south.pub").write_text(public_line(first, "south"))
    (tmp_path / "North Site.pub").write_text(public_line(first, "x"))
    for name, says in (
        ("east", "pins another key for site east; ask its steward by telephone"),
        ("south", "two sites have the same key"),
        ("North Site", "name it after the site"),
        ("west", "cannot be read"),
    ):
        status, _, err = say("roster", site, tmp_path / f"{name}.pub")
        assert status == 2
        assert says in err
        assert err.count("\n") == 1
        assert (site / "ROSTER.toml").read_bytes() == before


def test_a_steward_sees_what_was_asked_and_lets_more_pass(site: Path, say: Said, config_of: ConfigOf) -> None:
    book = SiteFile.load(site / "SITE.toml").set_ups
    for seed in (1, 2, 3):
        book.allow(config_of({"run": {"name": "letters", "seed": seed}}))
    with pytest.raises(RuntimeError), book.attempt("run-1", 7):
        raise RuntimeError
    status, out, err = say("admit", site, "--more", "2")
    assert (status, err) == (0, "")
    assert out.count("letters") == 3
    assert "run-1" in out
    assert "3 different set-ups in 30 days; 5 may be asked for now." in out
    assert (book.count().set_ups, book.count().may_set_up, book.count().failures) == (3, 5, 0)
    found = json.loads(say("admit", site, "--json")[1])
    assert (found["counted"], found["allowed"], len(found["set_ups"]), len(found["failures"])) == (3, 6, 3, 1)


def test_the_template_asks_for_labels(server: ServerFolder) -> None:
    folder = server.hand_over / "north"
    path = folder / "SITE.toml"
    path.write_text(path.read_text().replace("declared_size = 0 ", "declared_size = 2000 "))
    assert ["data.labels: policy.tasks has 'classification'" in flaw for flaw in site_flaws(folder)] == [True]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("admit", "nowhere"), "nowhere/SITE.toml: cannot read the config"),
        (("verify", "nowhere"), "nowhere: neither a server's folder nor a site's"),
        (("site", "nowhere"), "nowhere/SITE.toml: cannot read the config"),
        (("server", "--host", "a b", "--out", "s"), "--host a b: not a host name or IP address"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, say: Said, words: tuple[str, ...], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    status, out, err = say(*words)
    assert (status, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1


def test_a_site_file_without_a_name_makes_no_key(tmp_path: Path) -> None:
    (tmp_path / "SITE.toml").write_text('[server]\naddress = "x:1"\n')
    with pytest.raises(ConfigError, match=r"SITE\.toml: site\.id: missing"):
        provision_site(tmp_path)
    assert list(tmp_path.iterdir()) == [tmp_path / "SITE.toml"]
