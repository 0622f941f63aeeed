#!/usr/bin/env python
"""Django's command line with stkweb's settings; `manage.py help` lists ours under [chat]."""

from __future__ import annotations

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "stkweb.settings")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as exc:
        sys.exit(f"stkweb cannot start: {exc}")


if __name__ == "__main__":
    main()
