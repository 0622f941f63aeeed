"""The wire: ChatKit's items and events, and the socket's frames around them. Knows no Django.

Shapes are those of openai-chatkit 1.6.5, whose published types check ours in the tests. What
ChatKit has no word for stands under the key `stkweb` of an item, or is a frame of its own;
docs/protocol.md describes every one.
"""

from __future__ import annotations

from chat.protocol import events, frames, items
from chat.protocol.inbound import BadFrame, Ping, Stop, Subscribe, Unsubscribe, parse

__all__ = ["BadFrame", "Ping", "Stop", "Subscribe", "Unsubscribe", "events", "frames", "items", "parse"]
