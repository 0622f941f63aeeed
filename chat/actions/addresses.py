"""Where an agent may be, in sentences for the administrator who types it.

What a name resolves to is looked at when connecting (chat/agents/addresses.py), for names can change.
"""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from django.conf import settings
from django.utils.translation import gettext as _

from chat.agents import AgentError
from chat.agents.addresses import check_agent_url, vetting


def url_problem(url: str) -> str:
    """Why an agent may not be at `url`; empty when it may.

    A secret and every question go there: https to a public address, but for the hosts of
    STKWEB_AGENT_HOSTS.
    """
    if not url:
        return _("Give the address, for example https://host.")
    try:
        parts = urlsplit(url)
        _port = parts.port
    except ValueError:
        return _("This is not an address.")
    return _form_problem(url, parts) or _place_problem(url, parts)


def _form_problem(url: str, parts: SplitResult) -> str:
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return _("An address begins with https:// and names a host.")
    if "@" in parts.netloc or parts.query or parts.fragment or "?" in url or "#" in url:
        return _("The address must hold neither a password nor anything after ? or #.")
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        return _("The address holds a character that has no place in it.")
    return ""


def _place_problem(url: str, parts: SplitResult) -> str:
    try:
        check_agent_url(url, "address", settings.AGENT_HOSTS)
    except AgentError:
        return _(
            "Use https:// and a public address: the secret and every question go there. Another host"
            " is allowed by whoever runs the server: STKWEB_AGENT_HOSTS=%(host)s."
        ) % {"host": parts.hostname}
    return ""


def proxy_problem(url: str) -> str:
    """Why questions may not go through the proxy at `url`; empty when they may, or there is none."""
    if not url:
        return ""
    try:
        parts = urlsplit(url)
        host, usable = parts.hostname or "", parts.scheme in ("http", "https") and parts.port != 0
    except ValueError:
        host, usable = "", False
    if not usable or not host:
        return _("Give the proxy as http://host:port.")
    if _is_literal(host) and not vetting(settings.AGENT_HOSTS)(host, host):
        return (
            _("A proxy at a private address is allowed by whoever runs the server: STKWEB_AGENT_HOSTS=%s.")
            % host
        )
    return ""


def _is_literal(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
