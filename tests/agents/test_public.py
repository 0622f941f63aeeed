from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import chat.agents


def test_the_public_names_are_sorted_and_exist() -> None:
    assert chat.agents.__all__ == sorted(chat.agents.__all__)
    for name in chat.agents.__all__:
        assert hasattr(chat.agents, name), name


def test_every_public_name_is_documented() -> None:
    for name in chat.agents.__all__:
        member = getattr(chat.agents, name)
        if inspect.isclass(member) or inspect.isfunction(member):
            assert member.__doc__ and not member.__doc__.startswith(f"{name}("), name


def test_it_loads_neither_django_nor_channels() -> None:
    code = "import sys, chat.agents; sys.exit('django' in sys.modules or 'channels' in sys.modules)"
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, timeout=60).returncode == 0
