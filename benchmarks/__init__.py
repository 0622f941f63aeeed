"""Load and measurement for the whole product; nothing in `chat` imports it."""
