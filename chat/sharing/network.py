"""An address made coarse: enough to tell one office from another, too little to tell a person."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address, ip_network

#: Bits that are kept of an IPv4 and of an IPv6 address.
IPV4_BITS, IPV6_BITS = 24, 48


def coarse(address: str) -> str:
    """`203.0.113.77` -> `203.0.113.0/24`, IPv6 to its /48; the empty string for what is no address."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    bits = IPV6_BITS if found.version == 6 else IPV4_BITS
    return str(ip_network((found, bits), strict=False))
