"""Whether sharing is offered at all, for the page's header."""

from __future__ import annotations

from django import template

from chat import limits

register = template.Library()


@register.simple_tag
def sharing_allowed() -> bool:
    """False where the administrator has switched sharing off."""
    return limits.of_sharing().allowed
