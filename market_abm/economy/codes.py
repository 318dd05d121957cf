"""The codes of industries in tables: which are equal, and whether two lists of them agree."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Any

from market_abm.errors import TableError


def tidy_code(code: Any) -> str:
    """A code as it is compared: composed letters (NFC), plain single spaces, nothing invisible."""
    visible = re.sub("[\u200b\u2060\ufeff\xad]", "", unicodedata.normalize("NFC", str(code)))
    return " ".join(visible.split())


def check_order(
    codes: Sequence[str], others: Sequence[str], what: str, other: str, file: str | None = None
) -> None:
    """Refuse two lists of codes that are not the same in the same order."""
    if len(codes) != len(others):
        raise TableError(
            f"{what} and {other} differ in number: {len(codes)} and {len(others)} industries",
            remedy="give the same industries, in the same order",
            file=file,
        )
    for k, (code, found) in enumerate(zip(codes, others, strict=True)):
        if code != found:
            raise TableError(
                f"industry {k + 1} is '{code}' in {what}, and '{found}' in {other}",
                remedy="give the same industries, in the same order",
                name=code,
                file=file,
            )
