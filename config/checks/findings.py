"""A finding, where it is, and how the programs that look for some are run."""

import os
import pathlib
import subprocess
import sys
from dataclasses import dataclass

BIN = pathlib.Path(sys.executable).parent


@dataclass(frozen=True, order=True)
class Finding:
    """Something wrong: the file from the root of the repository, the line from 1, the check's name, and words."""

    file: str
    line: int
    check: str
    text: str

    def __str__(self):
        return f"{self.file}:{self.line}: {self.check}: {self.text}"


class Tree:
    """The files that are checked: a clone, or a copy of its config/ and .github/."""

    def __init__(self, root, binary):
        self.root = pathlib.Path(root).resolve()
        self.binary = binary

    def path(self, name):
        return self.root / name

    def name(self, path):
        """The path from the root."""
        return os.path.relpath(path, self.root)

    def files(self, *patterns):
        """What matches below the root, without links, in order."""
        found = {path for pattern in patterns for path in self.root.glob(pattern)}
        return sorted(path for path in found if path.is_file() and not path.is_symlink())


def run(*command, cwd=None, env=None, timeout=200):
    """Runs a program to its end. Its output is text; it is never taken for success here."""
    return subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def line_of(text, needle, after=0):
    """The line, from 1, of the first place that holds `needle` at or after line `after`; 1 if none does."""
    for number, line in enumerate(text.splitlines(), 1):
        if number >= after and needle in line:
            return number
    return 1
