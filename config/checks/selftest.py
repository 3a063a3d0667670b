"""Breaks a copy once for each kind of mistake and expects the finding: a check that finds nothing checks nothing."""

import concurrent.futures
import difflib
import pathlib
import shutil
import tempfile

from .breaks import BREAKS
from .findings import Tree


def copy_of(root, folder):
    for name in ("config", ".github"):
        shutil.copytree(
            root / name,
            pathlib.Path(folder, name),
            symlinks=True,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
    # What the SBOM is made of besides the binary.
    for name in ("Package.resolved", "Package.swift"):
        if (root / name).exists():
            shutil.copy(root / name, folder)


def one(root, binary, checks, broken):
    """Whether the check finds it where it should, and the finding or what is said instead."""
    with tempfile.TemporaryDirectory(prefix="sluice-broken-") as folder:
        copy_of(root, folder)
        path = pathlib.Path(folder, broken.file)
        text = path.read_text()
        if broken.old not in text:
            return False, f"{broken.file} does not hold {broken.old!r} any more"
        changed = text.replace(broken.old, broken.new, 1)
        path.write_text(changed)
        findings = checks[broken.check](Tree(folder, binary))
        places = [each for each in findings if broken.text in each.text]
        where = broken.where or broken.file
        lines = pathlib.Path(folder, where).read_text().splitlines()
    for finding in places:
        if finding.file != where:
            continue
        if (
            broken.at in lines[finding.line - 1]
            if broken.at
            else finding.line in changed_lines(text, changed)
        ):
            return True, str(finding)
    return (
        False,
        f"not found there; the check says: {[str(each)[:240] for each in places or findings[:3]] or 'nothing'}",
    )


def changed_lines(before, after):
    """The numbers of the lines of the second text that are not in the first; where some are gone, the next one."""
    found = set()
    for kind, _, _, begin, end in difflib.SequenceMatcher(
        None, before.splitlines(), after.splitlines(), autojunk=False
    ).get_opcodes():
        if kind != "equal":
            found.update(range(begin + 1, max(end, begin + 1) + 1))
    return found


def main(root, binary, checks):
    """Every case, two at a time, in order."""
    failed = 0
    with concurrent.futures.ProcessPoolExecutor(max_workers=2) as pool:
        outcomes = [pool.submit(one, root, binary, checks, broken) for broken in BREAKS]
        for broken, outcome in zip(BREAKS, outcomes, strict=True):
            # A check that crashes or takes too long is one that finds nothing; the others are still told.
            error = outcome.exception()
            found, words = (False, f"{type(error).__name__}: {error}") if error else outcome.result()
            failed += not found
            print(
                f"{'ok' if found else 'MISSED'}: {broken.check}: {broken.file}: {broken.new.strip()[:60]!r}"
            )
            print(f"    {words[:400]}", flush=True)
    missing = set(checks) - {broken.check for broken in BREAKS}
    for name in sorted(missing):
        print(f"MISSED: no case for the check {name}")
    print(f"{len(BREAKS) - failed} passed, {failed + len(missing)} failed")
    return 1 if failed or missing else 0
