"""The language of programs: expressions, their derivatives, their text."""
