"""Why a touchpoint is none, on its way to the one place that makes a Rejected of it."""

from __future__ import annotations

from typing import Final

NOT_JSON: Final = "not_json"
TOO_LARGE: Final = "too_large"
TOO_DEEP: Final = "too_deep"
BAD_ENVELOPE: Final = "bad_envelope"
BAD_FIELD: Final = "bad_field"
NO_IDENTIFIER: Final = "no_identifier"
TOO_MANY_IDENTIFIERS: Final = "too_many_identifiers"
TWO_VALUES_OF_UNIQUE: Final = "two_values_of_unique"

DECODE: Final = frozenset({NOT_JSON, TOO_LARGE, TOO_DEEP, BAD_ENVELOPE})
"""Codes of what could not be decoded; the others did not pass a rule."""


class Refused(Exception):
    """code: one of the above. message: which field and why, never a value: values are personal data."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


def bad_field(field: str, why: str) -> Refused:
    return Refused(BAD_FIELD, f"{field}: {why}")


def bad_envelope(message: str) -> Refused:
    return Refused(BAD_ENVELOPE, message)
