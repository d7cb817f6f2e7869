"""``python -m seaspeak``: the same as the command ``seaspeak``."""

from seaspeak.cli.main import run

run()
