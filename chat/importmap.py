"""The import map: bare module name -> static path. The page's template puts static() around each path.

Only browser modules that are imported by a bare name belong here; a name missing here cannot be imported by a
page, because hashed static files make relative imports impossible.
"""

from __future__ import annotations

HIGHLIGHT_LANGUAGES: tuple[str, ...] = (
    "bash",
    "cpp",
    "csharp",
    "css",
    "diff",
    "dockerfile",
    "go",
    "ini",
    "java",
    "javascript",
    "json",
    "kotlin",
    "markdown",
    "php",
    "powershell",
    "python",
    "ruby",
    "rust",
    "sql",
    "typescript",
    "xml",
    "yaml",
)

IMPORTS: dict[str, str] = {
    "stkweb/app": "chat/app.js",
    "stkweb/composer": "chat/composer.js",
    "stkweb/controls": "chat/controls.js",
    "stkweb/files": "chat/files.js",
    "stkweb/given": "chat/given.js",
    "stkweb/net": "chat/net.js",
    "stkweb/parts": "chat/parts.js",
    "stkweb/sidebar": "chat/sidebar.js",
    "stkweb/thread": "chat/thread.js",
    "stkweb/transcript": "chat/transcript.js",
    "stkweb/ui": "chat/ui.js",
    "stkweb/tray": "chat/tray.js",
    "stkweb/uploads": "chat/uploads.js",
    "stkweb/markdown": "chat/markdown.js",
    "stkweb/markdown-enhance": "chat/markdown-enhance.js",
    "stkweb/markdown-parse": "chat/markdown-parse.js",
    "stkweb/markdown-stream": "chat/markdown-stream.js",
    "markdown-it": "chat/vendor/markdown-it/markdown-it.esm.min.mjs",
    # Scripts, not modules: imported for what they set on globalThis.
    "dompurify": "chat/vendor/dompurify/purify.min.js",
    "katex": "chat/vendor/katex/katex.min.js",
    "highlight.js/core": "chat/vendor/highlightjs/core.min.js",
    **{
        f"highlight.js/{language}": f"chat/vendor/highlightjs/languages/{language}.min.js"
        for language in HIGHLIGHT_LANGUAGES
    },
}
