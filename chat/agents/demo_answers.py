"""Which sample the demo agent gives to which question. The texts are Markdown files in demo_texts."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent / "demo_texts"

# The first subject with a word that begins like one of these answers; else the welcome.
SUBJECTS: Final[dict[str, str]] = {
    "formula": "formula|fórmula|equation|equação|equacao|math|matem|calcul|juros|interest|probab",
    "review": "review|revis|code|código|codigo|bug|function|função|funcao|refactor|refator",
    "plan": "migrat|migra|plan|roadmap|rollout|deploy|implanta|cronograma",
    "concept": "expl[ai]|what is|what are|o que é|o que são|how does|como funciona|concept|conceito|idempot",
}
WELCOME: Final = "welcome"
SOURCES: Final[dict[str, dict[str, str]]] = {
    "concept": {"en": "Handbook: reliable requests", "pt": "Manual: pedidos confiáveis"},
}

# Words that only one of the two languages uses often.
_PORTUGUESE: Final = frozenset({
    "ao", "com", "como", "da", "das", "de", "dos", "e", "em", "esta", "este", "isso", "meu", "minha", "na",
    "nao", "nosso", "o", "oi", "ola", "os", "ou", "para", "pode", "por", "qual", "que", "se", "sobre", "um",
    "voce", "obrigado", "obrigada", "bom", "explique", "escreva", "revise", "plano", "tudo",
    "bem", "uma",
})  # fmt: skip
_ENGLISH: Final = frozenset({
    "an", "and", "are", "can", "code", "does", "explain", "for", "hello", "hi", "how", "i", "in", "is", "it",
    "my", "of", "our", "plan", "please", "review", "the", "this", "to", "what", "why", "with", "write", "you",
})  # fmt: skip
_ACCENTS: Final = re.compile("[ãõçáéíóúâêô]")


def language_of(question: str) -> str:
    """pt or en, by the little words of each and by accents."""
    lower = question.lower()
    words = re.findall(r"\w+", lower)
    portuguese = sum(word in _PORTUGUESE for word in words) + 2 * len(_ACCENTS.findall(lower))
    return "pt" if portuguese > sum(word in _ENGLISH for word in words) else "en"


def subject_of(question: str) -> str:
    """The subject the question asks for."""
    for subject, words in SUBJECTS.items():
        if re.search(rf"\b(?:{words})", question.lower()):
            return subject
    return WELCOME


@cache
def text(name: str, language: str) -> str:
    """A text of the folder; "" when there is none of that name."""
    path = FOLDER / f"{name}.{language}.md"
    return path.read_text("utf-8") if path.exists() else ""
