"""Which addresses an agent may be at: public ones over https, others only when an administrator
listed their host. For `HttpSession(vet)`, which asks at the moment of connecting.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final
from urllib.parse import urlsplit

from . import options
from .errors import AgentError
from .http import Vet

# IPv4 addresses inside IPv6 ones, which a router or the system may unwrap again.
_NAT64: Final = ip_network("64:ff9b::/96")
_COMPATIBLE: Final = ip_network("::/96")


def is_public(address: str) -> bool:
    """Whether `address` belongs to the public internet, whatever notation hides it."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if inner is None and (found in _NAT64 or found in _COMPATIBLE):
            inner = IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return found.is_global and not (found.is_multicast or found.is_reserved or found.is_unspecified)


def vetting(allowed_hosts: Iterable[str]) -> Vet:
    """A check for `HttpSession`: public addresses, and whatever the hosts of the list resolve to."""
    allowed = frozenset(host.strip().lower().rstrip(".") for host in allowed_hosts)

    def vet(host: str, address: str) -> bool:
        return host.lower().rstrip(".") in allowed or is_public(address)

    return vet


def check_agent_url(url: str, name: str, allowed_hosts: Iterable[str]) -> str:
    """`url` without trailing slashes, for the moment an administrator saves it.

    Raises AgentError (agent_misconfigured) unless it is https, or its host is on the list. What its
    name resolves to is looked at when connecting, for names can change.
    """
    clean = options.address(url, name)
    parts = urlsplit(clean)
    allowed = vetting(allowed_hosts)
    host = parts.hostname or ""
    listed = allowed(host, "")
    if parts.scheme != "https" and not listed:
        raise AgentError("agent_misconfigured", detail=f"the {name} must begin with https")
    literal = host.replace(".", "").isdigit() or ":" in host or host.startswith("0x")
    if literal and not allowed(host, host):
        raise AgentError("agent_misconfigured", detail=f"the {name} is at an address that is not allowed")
    return clean
