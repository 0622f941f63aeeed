"""Browser contexts that are used again: with an empty cache and a process of its own a page costs twice
as much, and a good part of the suite is pages.

A context that is given back is emptied of cookies and storage; only what the server lets every browser
keep (static files under hashed names) stays. One whose test changed what cannot be taken back is closed.
"""

from __future__ import annotations

from typing import Any

#: Contexts that wait; those of servers that are gone are closed by and by.
KEPT = 6
#: What lasts as long as a context does.
LASTING = (
    "add_init_script", "close", "expose_binding", "expose_function", "grant_permissions", "new_cdp_session",
    "route", "set_extra_http_headers", "set_offline",
)  # fmt: skip
#: Everything that a page can keep, but for the cache of HTTP.
STORED = "cookies,file_systems,indexeddb,local_storage,websql,service_workers,cache_storage"
#: Reports what the Content-Security-Policy blocked.
_WATCH = """
document.addEventListener("securitypolicyviolation", event => window.stkwebViolation(
  [event.violatedDirective, event.blockedURI, event.sourceFile, event.lineNumber, event.sample].join(" ")));
"""


class Context:
    """A browser context. `problems` is the list of who uses it now."""

    def __init__(self, browser: Any, options: dict[str, Any]) -> None:
        self.options = options
        self.problems: list[str] = []
        self.lasting = False
        self.browser = browser.new_context(**options)
        self.browser.expose_function("stkwebViolation", lambda text: self.problems.append(f"CSP: {text}"))
        self.browser.add_init_script(_WATCH)
        self._keeper = self.browser.new_page()
        self._storage = self.browser.new_cdp_session(self._keeper)
        self._close = self.browser.close
        for name in LASTING:
            setattr(self.browser, name, self._noted(getattr(self.browser, name)))

    def _noted(self, method: Any) -> Any:
        def called(*args: Any, **kwargs: Any) -> Any:
            self.lasting = True
            return method(*args, **kwargs)

        return called

    def empty(self) -> bool:
        """Close its pages and forget what they kept; False where something would stay."""
        if self.lasting:
            return False
        for page in self.browser.pages:
            if page != self._keeper:
                page.close()
        self.browser.clear_cookies()
        origin = self.options["base_url"]
        self._storage.send("Storage.clearDataForOrigin", {"origin": origin, "storageTypes": STORED})
        return True

    def close(self) -> None:
        self._close()


class Contexts:
    """The contexts of one browser."""

    def __init__(self, browser: Any) -> None:
        self._browser = browser
        self._waiting: list[Context] = []

    def take(self, options: dict[str, Any], problems: list[str]) -> Context:
        """One with these options that holds nothing."""
        found = next((context for context in self._waiting if context.options == options), None)
        if found is not None:
            self._waiting.remove(found)
        else:
            found = Context(self._browser, options)
        found.problems = problems
        return found

    def give_back(self, context: Context) -> None:
        """Its test is over."""
        if not context.empty():
            context.close()
            return
        self._waiting.append(context)
        while len(self._waiting) > KEPT:
            self._waiting.pop(0).close()
