"""Fills a fresh database for a run: people with sessions, the agents, and enough leave to ask.

Runs in a process of its own, because it is the only part that loads Django. Prints one JSON object:
``{"session_cookie", "csrf_cookie", "people": [session key, ...], "username", "password",
"agents": {shape: id}}``. Run: ``python -m benchmarks.prepare AGENT_URL PEOPLE SHAPE...`` with the server's
environment.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from importlib import import_module
from typing import Any

PASSWORD = secrets.token_urlsafe(24)


def make_people(count: int) -> list[str]:
    """Make `count` people who are signed in; their session keys."""
    from django.conf import settings
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
    from django.contrib.auth.hashers import make_password

    model = get_user_model()
    model.objects.bulk_create(
        [model(username=f"reader{number:04d}", password=make_password(None)) for number in range(count)]
    )
    store: Any = import_module(settings.SESSION_ENGINE).SessionStore
    keys = []
    for user in model.objects.filter(username__startswith="reader").order_by("username"):
        session = store()
        session[SESSION_KEY] = str(user.pk)
        session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[-1]
        session[HASH_SESSION_KEY] = user.get_session_auth_hash()
        session.create()
        keys.append(session.session_key)
    return keys


def make_agents(url: str, shapes: list[str]) -> dict[str, str]:
    """Make one agent row for each shape; the ids that a send names them by."""
    from chat.models import Agent

    ids = {}
    for shape in shapes:
        agent = Agent(name=shape, kind="stackspot", agent_id=shape, client_id="benchmark")
        agent.base_url, agent.token_url = url, f"{url}/oidc/oauth/token"
        agent.set_secret("benchmark")
        agent.save()
        ids[shape] = agent.public_id
    return ids


def main(url: str, count: int, shapes: list[str]) -> None:
    """Make everything and print what the load needs to know."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "stkweb.settings")
    import django

    django.setup()
    from django.conf import settings
    from django.contrib.auth import get_user_model
    from django.db import transaction

    with transaction.atomic():
        people, agents = make_people(count), make_agents(url, shapes)
        get_user_model().objects.create_user("alice", password=PASSWORD)
    print(
        json.dumps(
            {
                "session_cookie": settings.SESSION_COOKIE_NAME,
                "csrf_cookie": settings.CSRF_COOKIE_NAME,
                "people": people,
                "agents": agents,
                "username": "alice",
                "password": PASSWORD,
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
