"""What an experiment was read from, and where in it an error is."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from market_abm.errors import MarketError, SettingError, clip, shown
from market_abm.experiment.toml import key_lines, plain_key, program_offset


@dataclass(frozen=True)
class Source:
    """The text of an experiment.

    Parameters
    ----------
    text
        The text, TOML.
    file
        The file of the text, if any.
    overrides
        Settings that override the text, by dotted key.
    """

    text: str
    file: str | None
    overrides: Mapping[str, Any]

    @property
    def folder(self) -> Path:
        """Where the files that it names are looked for: beside it, those of an override here."""
        here = "economy.input_output" in self.overrides
        return Path(self.file).parent if self.file and not here else Path()

    def with_override(self, key: str, value: Any) -> Source:
        """The same text with one more override."""
        return dataclasses.replace(self, overrides={**self.overrides, key: value})

    def placed(self, error: MarketError) -> MarketError:
        """``error`` with the file and line, or the override, that caused it."""
        if error.file:  # the error is in another file
            return error
        for key, value in self.overrides.items():
            plain = plain_key(key)
            if error.name and (error.name in (key, plain) or error.name.startswith(f"{plain}.")):
                text = clip(value) if isinstance(value, str) else shown(value, 80)
                return error.located(file=f"--set {key}={text}")
            if key == "economy.program" and error.line is not None:
                return error.located(file=f"--set {key}")
        places = key_lines(self.text)
        if error.line is None:
            name = error.name or ""
            for key, value in self.overrides.items():
                if name and name not in places and plain_key(key).startswith(f"{name}."):
                    return error.located(file=f"--set {key}={clip(str(value))}")
            inside = [line for key, line in places.items() if key.startswith(f"{name}.")]
            while name and name not in places:
                name = name.rpartition(".")[0]
            error.located(line=places.get(name, *inside[:1]))
        elif "economy.program" in places and not isinstance(error, SettingError):
            error.line += program_offset(self.text, places["economy.program"])
        return error.located(file=self.file)
