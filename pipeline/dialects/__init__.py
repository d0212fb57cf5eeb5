"""Foreign bytes become touchpoints here, or the reason why they are none. One file per dialect, one table of names."""

from pipeline.dialects.reader import Reader

__all__ = ["Reader"]
