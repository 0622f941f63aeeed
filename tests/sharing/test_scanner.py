"""What the scan points at, what it leaves alone, and that no text makes it slow."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.sharing.scanner import Kind, is_card, is_cnpj, is_cpf, scan, settled

FOUND = [
    (Kind.KEY, "AKIAIOSFODNN7EXAMPLE"),
    (Kind.KEY, "ghp_" + "a1B2" * 9),
    (Kind.KEY, "github_pat_" + "a1B2c3" * 12),
    (Kind.KEY, "glpat-abcdEFGH1234ijkl5678"),
    (Kind.KEY, "xox" + "b-123456789012-abcdefABCDEF"),
    (Kind.KEY, "AIzaSyA1234567890abcdefghijklmnopqrstuv"),
    (Kind.KEY, "sk-proj-abcdefghijklmnopqrst1234"),
    (Kind.KEY, "sk-ant-api03-abcdefghijklmnopqrst1234"),
    (Kind.KEY, "sk" + "_live_abcdefghijklmnop1234"),
    (Kind.KEY, "npm_" + "a1B2" * 9),
    (Kind.KEY, "hf_" + "abcdefghij" * 3),
    (Kind.KEY, "ASIA" + "A1B2C3D4E5F6G7H8"),
    (Kind.KEY, "gldt" + "-abcdEFGH1234ijkl5678"),
    (Kind.KEY, "xapp" + "-1-A0123456789-abcdef"),
    (Kind.KEY, "ya29" + ".a0AfH6SMBx12345_-67890"),
    (Kind.KEY, "GOCSPX" + "-abcdefghijklmnopqrstuvwxyz12"),
    (Kind.KEY, "gsk_" + "a1B2" * 11),
    (Kind.KEY, "pplx-" + "a1B2" * 11),
    (Kind.KEY, "rk" + "_test_abcdefghijklmnop1234"),
    (Kind.KEY, "whsec" + "_abcdefgh+ABCDEFGH/1234567"),
    (Kind.KEY, "SG" + ".abcdefghijklmnopqrstuv.abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQ"),
    (Kind.KEY, "pypi-" + "AgEIcHlw" * 8),
    (Kind.KEY, "dckr" + "_pat_abcdefghijklmnopqrst1234"),
    (Kind.KEY, "glsa_" + "a1B2" * 8 + "_0123abcd"),
    (Kind.KEY, "dop" + "_v1_" + "0123456789abcdef" * 4),
    (Kind.KEY, "shpat_" + "0123456789abcdef" * 2),
    (Kind.KEY, "lin" + "_api_" + "a1B2" * 10),
    (Kind.KEY, "AC" + "0123456789abcdef" * 2),
    (Kind.KEY, "123456789" + ":AAabcdefghijklmnopqrstuvwxyz1234567"),
    (Kind.KEY, "APP" + "_USR-1234567890123456-112233-0123456789abcdef0123456789abcdef-123456789"),
    (Kind.KEY, "AccountKey" + "=" + "a1B2" * 21 + "aa=="),
    (Kind.KEY, "SharedAccessSignature" + "=sr=x&sig=abcdefghijklmnop"),
    (
        Kind.KEY,
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
    ),
    (Kind.KEY, "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----"),
    (Kind.KEY, "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk and no end"),
    (Kind.CPF, "529.982.247-25"),
    (Kind.CPF, "52998224725"),
    (Kind.CNPJ, "11.222.333/0001-81"),
    (Kind.CNPJ, "11222333000181"),
    (Kind.CNPJ, "12.ABC.345/01DE-35"),
    (Kind.EMAIL, "maria.silva+x@sub.example.com.br"),
    (Kind.PHONE, "+55 11 91234-5678"),
    (Kind.PHONE, "+55 (11) 91234-5678"),
    (Kind.PHONE, "(11) 91234-5678"),
    (Kind.PHONE, "(11) 3456-7890"),
    (Kind.PHONE, "+44 20 7946 0958"),
    (Kind.PHONE, "+1 212-555-0123"),
    (Kind.PHONE, "11 91234-5678"),
    (Kind.PHONE, "11912345678"),
    (Kind.PHONE, "91234-5678"),
    (Kind.PHONE, "(212) 555-0123"),
    (Kind.PHONE, "212-555-0123"),
    (Kind.CARD, "4111 1111 1111 1111"),
    (Kind.CARD, "5500-0000-0000-0004"),
    (Kind.CARD, "378282246310005"),
]
INSIDE = [
    (Kind.PASSWORD, "password: hunter2-x", "hunter2-x"),
    (Kind.PASSWORD, 'DB_PASSWORD="s3cr3t!pass"', "s3cr3t!pass"),
    (Kind.PASSWORD, "a senha é Ver4o2026", "Ver4o2026"),
    (Kind.PASSWORD, "pwd=8f14e45f", "8f14e45f"),
    (Kind.PASSWORD, "my passphrase is 8f14e45f.", "8f14e45f"),
    (Kind.PASSWORD, "the secret => '8f14e45f'", "8f14e45f"),
    (Kind.PASSWORD, "segredo: 8f14e45f", "8f14e45f"),
    (Kind.PASSWORD, "GITHUB_TOKEN=8f14e45f", "8f14e45f"),
    (Kind.PASSWORD, "api-key: 8f14e45f", "8f14e45f"),
    (Kind.PASSWORD, "chave de api: 8f14e45f", "8f14e45f"),
    (Kind.PASSWORD, "client_secret = 8f14e45fceea167a", "8f14e45fceea167a"),
    (Kind.PASSWORD, "postgres://app:tr0ub4dor@db.internal/x", "tr0ub4dor"),
    (Kind.KEY, "Authorization: Bearer abcDEF123456.7890-xyz", "abcDEF123456.7890-xyz"),
    (Kind.KEY, "authorization: basic YWxpY2U6aHVudGVyMg==", "YWxpY2U6aHVudGVyMg=="),
]
LEFT_ALONE = [
    "Moving 40000000 rows takes 2 hours.",
    "CPF 123.456.789-00 has wrong check digits",
    "11111111111 and 00000000000",
    "CNPJ 11.222.333/0001-82 has wrong check digits",
    "order 4111 1111 1111 1112 fails Luhn",
    "barcode 1234567812345670 passes Luhn and begins as no card does",
    "version 1.2.3.4, 10.0.0.1, 2026-11-21 10:33:05",
    "SELECT id FROM orders WHERE id BETWEEN 1 AND 5000;",
    "password: <your password>, token = $TOKEN, secret: xxxxxxxx, senha: ******",
    "The token is important. The secret is trust.",
    "sk-learn and sk-short, AKIA is a prefix",
    "https://example.com/path?x=1 and user@localhost",
    "01ARZ3NDEKTSV4RRFFQ69G5FAV",
    "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "ISBN 978-85-359-0277-5",
]


@pytest.mark.parametrize(("kind", "text"), FOUND)
@pytest.mark.parametrize("around", ["{}", "It is {}, keep it.", "`{}`", "|{}|", "\n- {}\n", "({})"])
def test_it_points_at_what_looks_like_a_secret_or_personal_data(kind: Kind, text: str, around: str) -> None:
    whole = around.format(text)
    found = [(f.kind, whole[f.start : f.end]) for f in scan(whole)]
    if "no end" in text:
        assert found[0] == (kind, whole[whole.index(text) :]), "it goes to the end of the text"
        return
    assert found == [(kind, text)]


@pytest.mark.parametrize(("kind", "whole", "secret"), INSIDE)
def test_it_points_at_the_secret_and_not_at_its_name(kind: Kind, whole: str, secret: str) -> None:
    assert [(f.kind, whole[f.start : f.end]) for f in scan(whole)] == [(kind, secret)]


@pytest.mark.parametrize("text", LEFT_ALONE)
def test_it_leaves_the_rest_alone(text: str) -> None:
    assert [text[f.start : f.end] for f in scan(text)] == []


def test_check_digits_are_checked() -> None:
    assert is_cpf("52998224725")
    assert not is_cpf("52998224726")
    assert is_cnpj("11222333000181")
    assert is_cnpj("12ABC34501DE35"), "the alphanumeric form of 2026"
    assert not is_cnpj("11222333000182")
    assert is_card("4111111111111111")
    assert not is_card("4111111111111112")


@given(st.text(max_size=300))
def test_findings_are_in_order_and_do_not_overlap(text: str) -> None:
    end = 0
    for finding in scan(text):
        assert end <= finding.start < finding.end <= len(text)
        end = finding.end


@pytest.mark.parametrize(
    "piece",
    [
        "a@b.",
        "1 ",
        "1-",
        "password=",
        "eyJ.",
        "-----BEGIN PRIVATE KEY-----",
        "://a:",
        "x_",
        "(11) 9",
        "a" * 50 + "@",
    ],
)
def test_no_text_makes_it_slow(piece: str) -> None:
    text = piece * (200_000 // len(piece))
    began = time.process_time()
    scan(text)
    settled(text)
    assert time.process_time() - began < 3, "200 KB of the same"


def test_a_private_key_that_has_begun_is_held_back_however_long_it_gets() -> None:
    key = "-----BEGIN PRIVATE KEY-----\n" + "MIIEowIBAAKCAQEA\n" * 200
    assert "MIIE" not in settled(f"Here it is: {key} ")
    ended = f"Here it is: {key}-----END PRIVATE KEY-----\n" + "and on we go " * 200
    assert settled(ended).startswith(f"Here it is: {key}-----END PRIVATE KEY-----")


SECRETS = [text for _, text in FOUND if "\n" not in text] + [secret for _, _, secret in INSIDE[-3:]]


@pytest.mark.parametrize("secret", SECRETS)
def test_a_growing_text_never_shows_the_beginning_of_a_secret(secret: str) -> None:
    whole = f"Before it all comes {secret} and after it more."
    if secret == "tr0ub4dor":
        whole = "Use postgres://app:tr0ub4dor@db.internal/x and go on."
    elif secret.startswith(("abcDEF", "YWxp")):
        whole = f"Send Authorization: Bearer {secret} with it."
    for length in range(len(whole)):
        shown = settled(whole[:length])
        for finding in reversed(scan(shown)):
            shown = shown[: finding.start] + "█" + shown[finding.end :]
        begun = [shown.endswith(secret[:size]) for size in range(4, len(secret) + 1)]
        assert not any(begun), f"{shown!r} shows a part of {secret!r}"
