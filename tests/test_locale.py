"""Every text in English has its Brazilian Portuguese, and a person never meets a mixture of both.

The texts are found anew in code and templates, without the GNU tools, so that this runs everywhere;
`make messages` brings the catalogue up to date.
"""

from __future__ import annotations

import ast
import gettext
import re
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.utils.translation import override
from django.utils.translation.template import templatize

from chat import faults
from chat.strings import strings
from chat.templatetags.page import count, duration

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "chat/locale/pt_BR/LC_MESSAGES"
SINGLE = {"_", "gettext", "gettext_lazy"}
PLURAL = {"ngettext", "ngettext_lazy"}
#: A text of one form is (text,), one of two is (singular, plural).
Text = tuple[str, ...]

#: The same in both languages: names, units, frames of numbers.
ALIKE = {
    "CNPJ",
    "CPF",
    "StackSpot", "proxy", "Tokens", "{author}, {time}", "%(author)s, %(time)s", "{seconds} s",
    "%(seconds)s s", "{minutes} min {seconds} s", "%(minutes)d min %(seconds)d s", "{total} tokens",
    "%(total)s tokens", "tokens", "{minutes} min", "API", "links", "%s s", "× %s",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    """A request leaves its language behind in the thread."""
    with override("en"):
        yield


# -- what there is to translate, and what is translated --------------------------------------------


def _of_code(source: str) -> Iterator[Text]:
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        size = 1 if name in SINGLE else 2 if name in PLURAL else 0
        given = [
            a.value for a in node.args[:size] if isinstance(a, ast.Constant) and isinstance(a.value, str)
        ]
        if size and len(given) == size:
            yield tuple(given)


def _of_template(source: str) -> Iterator[Text]:
    literal = r"""(u?'(?:[^'\\]|\\.)*'|u?"(?:[^"\\]|\\.)*")"""
    code = templatize(source)
    for pattern in (rf"(?<!n)(?:gettext|\b_)\({literal}\)", rf"ngettext\({literal},\s*{literal}"):
        for found in re.finditer(pattern, code):
            yield tuple(ast.literal_eval(each) for each in found.groups())


def texts() -> set[Text]:
    """Every text of code and templates that is marked for translation."""
    found: set[Text] = set()
    for folder in ("chat", "stkweb"):
        for path in (ROOT / folder).rglob("*.py"):
            found.update(_of_code(path.read_text(encoding="utf-8")))
    for path in (ROOT / "templates").rglob("*.html"):
        found.update(_of_template(path.read_text(encoding="utf-8")))
    return found


def entries() -> list[dict[str, Any]]:
    """The catalogue's source: {msgid, msgid_plural?, msgstr or msgstr[0].., flags}."""
    found: list[dict[str, Any]] = []
    for block in (FOLDER / "django.po").read_text(encoding="utf-8").split("\n\n"):
        entry: dict[str, Any] = {"flags": ""}
        key = ""
        for line in block.splitlines():
            if line.startswith("#"):
                entry["flags"] += line
                continue
            if not line.startswith('"'):
                key, _, line = line.partition(" ")
                entry[key] = ""
            entry[key] += ast.literal_eval(line)
        if "msgid" in entry:
            found.append(entry)
    return found


ENTRIES = entries()[1:]


def _forms(entry: dict[str, Any]) -> list[str]:
    return [value for key, value in entry.items() if key.startswith("msgstr")]


def _key(entry: dict[str, Any]) -> Text:
    return tuple(entry[key] for key in ("msgid", "msgid_plural") if key in entry)


def _holes(text: str) -> list[str]:
    braces = [f"{{{name}}}" for _, name, _, _ in string.Formatter().parse(text) if name]
    return sorted(braces + re.findall(r"%\(\w+\)[sd]|%[sd]", text))


def test_every_text_of_code_and_templates_is_in_the_catalogue_and_nothing_else() -> None:
    marked, known = texts(), {_key(entry) for entry in ENTRIES}
    assert len(marked) > 300
    assert sorted(marked - known) == [], "run `make messages` and translate these"
    assert sorted(known - marked) == [], "run `make messages`: nobody uses these"


def test_every_text_is_translated_for_certain() -> None:
    assert [entry for entry in ENTRIES if not all(form.strip() for form in _forms(entry))] == []
    assert [entry for entry in ENTRIES if "fuzzy" in entry["flags"]] == []
    alike = {entry["msgid"] for entry in ENTRIES if entry["msgid"] in _forms(entry)}
    assert alike - ALIKE - {"agent"} == set()


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["msgid"][:40])
def test_a_translation_has_the_holes_and_the_end_of_its_text(entry: dict[str, Any]) -> None:
    for form in _forms(entry):
        assert _holes(form) in [_holes(text) for text in _key(entry)]
        for text in _key(entry):
            assert form[-1:] == text[-1:] or text[-1:] not in ".…:?"
            assert form.strip() == form


def test_the_compiled_catalogue_is_that_of_the_source() -> None:
    with (FOLDER / "django.mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    for entry in ENTRIES:
        if "msgid_plural" in entry:
            forms = [compiled.ngettext(entry["msgid"], entry["msgid_plural"], n) for n in (1, 2)]
        else:
            forms = [compiled.gettext(entry["msgid"])]
        assert forms == _forms(entry), "run `make messages`"
    sizes = {key if isinstance(key, str) else key[0] for key in compiled._catalog if key}  # type: ignore[attr-defined]
    assert sizes == {entry["msgid"] for entry in ENTRIES}


def test_there_are_no_languages_but_these() -> None:
    assert [code for code, _ in settings.LANGUAGES] == ["en", "pt-br"]


# -- what a person meets ---------------------------------------------------------------------------


def test_every_string_of_the_modules_and_every_fault_changes_with_the_language() -> None:
    english = strings()
    with override("pt-br"):
        ours, sentences = strings(), faults.all_texts()
    assert ours.keys() == english.keys()
    assert {english[key] for key in english if ours[key] == english[key]} <= ALIKE
    for code, text in faults.all_texts().items():
        for part in ("sentence", "kept", "next"):
            assert sentences[code][part] != text[part], code


def test_numbers_are_written_as_brazilians_write_them() -> None:
    with override("pt-br"):
        assert count(1204) == "1.204"
        assert duration(9_430) == "9,4 s"
        assert duration(125_000) == "2 min 5 s"


def _page(client: Client, path: str, language: str = "pt-BR,pt;q=0.9,en;q=0.5") -> Any:
    return client.get(path, headers={"Accept-Language": language, "Accept": "text/html"})


@pytest.mark.parametrize("path", ["/accounts/login/", "/c/01NOTHERE/", "/", "/accounts/password_change/"])
def test_a_page_is_in_the_language_that_the_browser_asks_for(client: Client, alice: Any, path: str) -> None:
    if path != "/accounts/login/":
        client.force_login(alice)
    shown = _page(client, path).content.decode()
    assert '<html lang="pt-br"' in shown
    visible = re.sub(r"<script.*?</script>|<[^>]*>", "\n", shown, flags=re.S)
    english = {entry["msgid"] for entry in ENTRIES} - ALIKE - {form for e in ENTRIES for form in _forms(e)}
    # The menu of languages names each in itself.
    assert {line.strip() for line in visible.splitlines()} & english <= {"English"}
    assert '<html lang="en"' in _page(client, path, "en-GB").content.decode()


def test_the_administration_speaks_it_too(client: Client, administrator: Any, demo_agent: Any) -> None:
    client.force_login(administrator)
    shown = _page(client, f"/admin/chat/agent/{demo_agent.pk}/change/").content.decode()
    for words in ("Perguntas de exemplo", "URL do token", "Trocar o segredo", "Onde ele está"):
        assert words.lower() in shown.lower()
    assert "Registro de tokens" in _page(client, "/admin/").content.decode()
