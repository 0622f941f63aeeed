"""Secrets at rest: Fernet with a key of its own, never Django's SECRET_KEY.

The plaintext is bound to the row it belongs to, so a ciphertext copied onto another row does not
open. There is no fallback: without a key nothing is stored, with a wrong one nothing is read.
"""

from __future__ import annotations

from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured


class SecretUnreadable(Exception):
    """The stored secret cannot be opened with the keys at hand."""


def _keys() -> MultiFernet:
    if not settings.ENCRYPTION_KEYS:
        raise ImproperlyConfigured("No encryption key: run `manage.py setup` or set STKWEB_ENCRYPTION_KEYS")
    return _opened(tuple(settings.ENCRYPTION_KEYS))


@lru_cache(maxsize=4)
def _opened(keys: tuple[str, ...]) -> MultiFernet:
    try:
        return MultiFernet([Fernet(key) for key in keys])
    except ValueError as exc:
        raise ImproperlyConfigured("STKWEB_ENCRYPTION_KEYS holds something that is not a Fernet key") from exc


def seal(secret: str, owner: str) -> str:
    """Ciphertext of `secret`, readable for the row `owner` alone."""
    return _keys().encrypt(f"{owner}:{secret}".encode()).decode()


def unseal(ciphertext: str, owner: str) -> str:
    """The secret; raises SecretUnreadable for a wrong key, a damaged text or another row's."""
    return _unsealed(tuple(settings.ENCRYPTION_KEYS), ciphertext, owner)


# Every question opens its agent's secret; the clients that call agents hold the same ones open.
@lru_cache(maxsize=64)
def _unsealed(keys: tuple[str, ...], ciphertext: str, owner: str) -> str:
    try:
        plain = _keys().decrypt(ciphertext.encode()).decode()
    except InvalidToken as exc:
        raise SecretUnreadable("the encryption key does not open this secret") from exc
    bound, _, secret = plain.partition(":")
    if bound != owner:
        raise SecretUnreadable("this secret belongs to another row")
    return secret


def reseal(ciphertext: str) -> str:
    """The same secret under the newest key; raises SecretUnreadable."""
    try:
        return _keys().rotate(ciphertext.encode()).decode()
    except InvalidToken as exc:
        raise SecretUnreadable("the encryption key does not open this secret") from exc
