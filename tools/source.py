"""What the checks share: the tree's files, C text without comments and strings, and reporting."""

import re
import subprocess
import sys
from pathlib import Path

GROUPS = {"base", "codec", "net", "flow"}


def root(argv):
    """The folder to check: the first argument, or the repository this script stands in."""
    return Path(argv[1]).resolve() if len(argv) > 1 else Path(__file__).resolve().parent.parent


def files(top, *suffixes):
    """Files git tracks or would track, in order; every file where there is no git."""
    try:
        out = subprocess.run(["git", "-C", top, "ls-files", "-co", "--exclude-standard"], check=True,
                             capture_output=True, text=True).stdout.split("\n")
    except (subprocess.CalledProcessError, FileNotFoundError):
        out = [str(p.relative_to(top)) for p in top.rglob("*") if p.is_file()]
    return sorted(p for p in set(out) if p.endswith(suffixes) and (top / p).is_file())


def bare(text):
    """C text with comments, string and character literals blanked; same length, same lines."""
    token = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
    return token.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def module_of(path):
    """The folder; a folder `fn` (functions of a language, one file each) belongs to the one above it."""
    folder = Path(path).parent
    return str(folder.parent if folder.name == "fn" else folder)


class Report:
    """Collects findings; the exit status is their number, at most 1."""

    def __init__(self, name):
        self.name, self.found = name, []

    def add(self, path, line, text):
        self.found.append(f"{path}:{line}: {text}")

    def close(self):
        for f in self.found:
            print(f)
        print(f"{self.name}: {len(self.found)} finding(s)" if self.found else f"{self.name}: ok")
        sys.exit(1 if self.found else 0)
