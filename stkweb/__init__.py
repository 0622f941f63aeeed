"""How the house is wired: settings, addresses, the ASGI application. No product logic."""
