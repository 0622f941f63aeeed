"""The socket door: lets a signed-in person watch what is theirs. It changes nothing but by `stop`.

A socket only watches; a turn goes on without it. Subscribing joins first and reads second, so that
nothing falls between the two.
"""

from __future__ import annotations

from chat.consumers.socket import ChatConsumer

__all__ = ["ChatConsumer"]
