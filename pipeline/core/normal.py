"""How values of identifiers are written, so that two spellings of one address are one identifier.

Unicode NFC, no invisible or bidirectional control characters, no space at the ends. E-mail: lower case, domain by IDNA.
Phone: E.164 where it is a possible number. Look-alike letters are never mapped: that would let one address become
another's. A lone surrogate, which no encoding can carry, becomes U+FFFD.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_INVISIBLE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""Control characters and what Unicode calls default-ignorable."""
TYPE_NAME: Final = re.compile(r"[^\s:\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,64}")
"""What a type of identifiers may be called."""
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_LOCAL: Final = re.compile(r'[^\s@()<>\[\]:;,\\"]+')
_DOMAIN: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9_-]{1,63}(?<!-))+")
_DOTLESS: Final = frozenset({"gmail.com", "googlemail.com"})
_PLUS: Final = _DOTLESS | {
    "fastmail.com",
    "hotmail.com",
    "icloud.com",
    "live.com",
    "me.com",
    "msn.com",
    "outlook.com",
    "proton.me",
    "protonmail.com",
}
"""Providers that deliver to the part before `+`."""


def encodable(text: str) -> str:
    """The text with U+FFFD for what UTF-8 cannot carry."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def clean(text: str) -> str:
    """NFC, without invisible characters, trimmed."""
    if text.isascii() and text.isprintable():
        return text.strip()
    while (cleaned := unicodedata.normalize("NFC", _INVISIBLE.sub("", encodable(text).strip()))) != text:
        text = cleaned
    return text


def lower(text: str) -> str:
    """Lower case in which the Turkish capital İ is an i; the dotless ı stays."""
    text = text.lower()
    return text if text.isascii() else unicodedata.normalize("NFC", text.replace("i\u0307", "i"))


def email(text: str, provider_rules: bool) -> str | None:
    """Clean text in lower case -> the address; None if it is none."""
    local, at, domain = text.rpartition("@")
    if not at or not _LOCAL.fullmatch(local):
        return None
    host = _host(domain)
    if host is None:
        return None
    if provider_rules:
        local = _mailbox(local, host)
    return f"{local}@{host}"


def _host(domain: str) -> str | None:
    if not domain.isascii():
        import idna

        try:
            domain = idna.encode(domain, uts46=True).decode()
        except (idna.IDNAError, UnicodeError):
            return None
    return domain if len(domain) <= 253 and _DOMAIN.fullmatch(domain) else None


def _mailbox(local: str, host: str) -> str:
    box = local
    if host in _PLUS:
        box = box.partition("+")[0]
    if host in _DOTLESS:
        box = box.replace(".", "")
    return box or local


def phone(text: str, region: str) -> str:
    """Clean text -> E.164 if it is a possible number, else as it is. `region`: of numbers without country code."""
    import phonenumbers

    try:
        number = phonenumbers.parse(text, region or None)
    except phonenumbers.NumberParseException:
        return text
    if phonenumbers.is_possible_number_with_reason(number) != phonenumbers.ValidationResult.IS_POSSIBLE:
        return text
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
