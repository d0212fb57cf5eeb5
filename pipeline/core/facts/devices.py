"""Kinds of device: the operating system, else the type, as producers call them, in lower case."""

from __future__ import annotations

from typing import Final

from pipeline.core.touchpoint import Device

_CHARS_MAX: Final = 32


def kind_of_device(device: Device | None) -> str | None:
    if device is None:
        return None
    kind = device.os or device.type
    return kind[:_CHARS_MAX].lower() if kind else None
