"""Places of all processes, in Redis: the rules of `places.MemoryPlaces`, in scripts.

Every step is one script, so nobody comes in between. A process that dies loses its places with their
leases; nothing stays for good.
"""

from __future__ import annotations

import logging
import math
import time
from typing import Any

import redis

from chat.turns.places import USUAL_SECONDS, WINDOW, MemoryPlaces, Place, Ticket, estimate

log = logging.getLogger(__name__)

#: Seconds after which one who shows no sign of life has left; several polls, several renewals.
WAITING_LEASE, RUNNING_LEASE = 5.0, 30.0
#: Seconds for which a Redis that did not answer is not asked again.
SILENCE = 5.0

# KEYS: waiting (ticket -> round and arrival), alive (ticket -> lease), running (ticket -> lease),
# starts (ticket -> moment), book (round, arrivals, usual, a round for each person), paused.
_ASK = """
local waiting, alive, running, starts, book = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local ticket, person = ARGV[1], ARGV[2]
local per_minute, at_once = tonumber(ARGV[3]), tonumber(ARGV[4])
local window, waiting_lease, running_lease = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', alive, '-inf', now)) do
  redis.call('ZREM', alive, gone)
  redis.call('ZREM', waiting, gone)
end
redis.call('ZREMRANGEBYSCORE', running, '-inf', now)
redis.call('ZREMRANGEBYSCORE', starts, '-inf', now - window)
if not redis.call('ZSCORE', waiting, ticket) then
  local round = tonumber(redis.call('HGET', book, 'round') or '0')
  local own = tonumber(redis.call('HGET', book, 'person:' .. person) or '-1')
  own = math.max(round, own) + 1
  redis.call('HSET', book, 'person:' .. person, own)
  local arrival = redis.call('HINCRBY', book, 'arrivals', 1)
  redis.call('ZADD', waiting, own * 1000000000 + arrival % 1000000000, ticket)
end
redis.call('ZADD', alive, now + waiting_lease, ticket)
local before = redis.call('ZRANK', waiting, ticket)
local paused = redis.call('PTTL', KEYS[6]) / 1000
local started, runs = redis.call('ZCARD', starts), redis.call('ZCARD', running)
local room = per_minute < 0 or started + before < per_minute
local free = at_once < 0 or runs + before < at_once
local function keep()
  for index = 1, 5 do redis.call('EXPIRE', KEYS[index], 3600) end
end
if room and free and paused <= 0 then
  local own = math.floor(tonumber(redis.call('ZSCORE', waiting, ticket)) / 1000000000)
  local round = tonumber(redis.call('HGET', book, 'round') or '0')
  redis.call('HSET', book, 'round', math.max(round, own - 1))
  redis.call('ZREM', waiting, ticket)
  redis.call('ZREM', alive, ticket)
  redis.call('ZADD', running, now + running_lease, ticket)
  redis.call('ZADD', starts, now, ticket)
  if redis.call('ZCARD', waiting) == 0 then
    local usual = redis.call('HGET', book, 'usual')
    redis.call('DEL', book)
    if usual then redis.call('HSET', book, 'usual', usual) end
  end
  keep()
  return {-1}
end
keep()
local frees = window
local over = started + before - per_minute
if per_minute > 0 and over >= 0 then
  local index = over % per_minute
  local entry = redis.call('ZRANGE', starts, index, index, 'WITHSCORES')
  if entry[2] then frees = tonumber(entry[2]) + window - now end
end
return {before, started, runs, tostring(frees), redis.call('HGET', book, 'usual') or '', tostring(paused)}
"""

_LEAVE = """
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
if redis.call('ZREM', KEYS[3], ARGV[1]) == 1 and ARGV[2] ~= '' then
  local usual = tonumber(redis.call('HGET', KEYS[5], 'usual') or ARGV[3])
  redis.call('HSET', KEYS[5], 'usual', tostring(usual + (tonumber(ARGV[2]) - usual) / 5))
  redis.call('EXPIRE', KEYS[5], 3600)
end
return 1
"""

_PAUSE = """
if redis.call('PTTL', KEYS[6]) < tonumber(ARGV[1]) then redis.call('SET', KEYS[6], '1', 'PX', ARGV[1]) end
return 1
"""

_RENEW = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
redis.call('ZADD', KEYS[3], 'XX', now + tonumber(ARGV[2]), ARGV[1])
return 1
"""


class RedisPlaces:
    """Places of all processes. Every step is one script, so nobody comes in between.

    While Redis does not answer, each process keeps to the limits by itself.
    """

    def __init__(self, url: str, prefix: str = "stkweb") -> None:
        self._prefix = prefix
        self._client = redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2)
        self._ask = self._client.register_script(_ASK)
        self._leave = self._client.register_script(_LEAVE)
        self._pause = self._client.register_script(_PAUSE)
        self._renew = self._client.register_script(_RENEW)
        self._alone = MemoryPlaces()
        self._silent_until = 0.0

    def _keys(self, key: str) -> list[str]:
        names = ("waiting", "alive", "running", "starts", "book", "paused")
        return [f"{self._prefix}.allowance.{{{key}}}.{name}" for name in names]

    def ask(self, ticket: Ticket) -> Place | None:
        rule = ticket.rule
        values: list[Any] = [
            ticket.id, ticket.person,
            -1 if rule.per_minute is None else rule.per_minute,
            -1 if rule.at_once is None else rule.at_once,
            WINDOW, WAITING_LEASE, RUNNING_LEASE,
        ]  # fmt: skip
        found = self._run(self._ask, ticket.key, *values)
        if found is None:
            return self._alone.ask(ticket)
        before, *rest = found
        if before < 0:
            return None
        started, running, frees, usual, paused = rest
        seconds = estimate(
            rule, before, started, float(frees), running, float(usual or USUAL_SECONDS)
        )  # fmt: skip
        return Place(before, max(seconds, math.ceil(float(paused))))

    def renew(self, ticket: Ticket) -> None:
        self._run(self._renew, ticket.key, ticket.id, RUNNING_LEASE)

    def leave(self, ticket: Ticket, seconds: float | None = None) -> None:
        self._alone.leave(ticket, seconds)
        spent = "" if seconds is None else f"{seconds:.3f}"
        self._run(self._leave, ticket.key, ticket.id, spent, USUAL_SECONDS)

    def pause(self, key: str, seconds: float) -> None:
        self._alone.pause(key, seconds)
        self._run(self._pause, key, max(1, int(seconds * 1000)))

    def _run(self, script: Any, key: str, *values: Any) -> Any:
        """What the script gives; None while Redis does not answer."""
        if time.monotonic() < self._silent_until:
            return None
        try:
            return script(keys=self._keys(key), args=list(values))
        except redis.RedisError as error:
            self._silent_until = time.monotonic() + SILENCE
            log.warning("Redis does not answer; the allowance holds in each process alone: %s", error)
            return None
