"""Parse network addresses of the form ``host:port``."""

import ipaddress

from shared.errors import ConfigError


def parsed(address: str) -> tuple[str, int]:
    """Split an address into host and port.

    Parameters
    ----------
    address
        Such as ``0.0.0.0:8443`` or ``[::1]:8443``.

    Returns
    -------
    tuple[str, int]
        Host, without the brackets of IPv6, and port.

    Raises
    ------
    ConfigError
        The text is not such an address.
    """
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise ConfigError(f"'{address}': not an address; write it as HOST:PORT, such as 0.0.0.0:8443")
    return host.strip("[]"), int(port)


def is_loopback(host: str) -> bool:
    """Tell whether a host, a name or an IP address without brackets, is this machine itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
