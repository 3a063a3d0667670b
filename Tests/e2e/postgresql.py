"""A PostgreSQL server of the tests' own, which can be killed and started again."""

import itertools
import os
import subprocess

from gateway import ROOT, command

SCRIPT = ROOT / "Tests/postgresql"
# Each module of tests may have one.
SERVERS = itertools.count(1)


def run(*arguments, **options):
    done = subprocess.run([*map(str, arguments)], capture_output=True, text=True, timeout=120, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class PostgreSQL:
    """Started by the constructor; ends, with its folder, when this process does."""

    def __init__(self):
        self.folder = f"/tmp/sluice-e2e-pg-{os.getpid()}-{next(SERVERS)}"
        # The script's watcher lives on: its output is not waited for.
        subprocess.run([SCRIPT, "start", self.folder, str(os.getpid())], check=True, timeout=120)
        self._numbers = itertools.count(1)

    def crash(self):
        run(SCRIPT, "crash", self.folder)

    def restart(self):
        run(SCRIPT, "restart", self.folder, stdin=subprocess.DEVNULL)

    def psql(self, database, sql, role="postgres"):
        """Runs SQL in one transaction, and returns the rows."""
        options = ["-X", "-q", "-t", "-A", "-1", "-v", "ON_ERROR_STOP=1"]
        return run("psql", *options, "-h", self.folder, "-U", role, "-d", database, "-c", sql)

    def audit_log(self):
        """The name of a new database with the tables that `sluice audit schema` makes."""
        name = f"audit{next(self._numbers)}"
        run("createdb", "-h", self.folder, "-U", "postgres", name)
        schema = command("audit", "schema")
        assert schema.returncode == 0, schema.stderr
        options = ["-X", "-q", "-1", "-v", "ON_ERROR_STOP=1"]
        run("psql", *options, "-h", self.folder, "-U", "postgres", "-d", name, input=schema.stdout)
        return name

    def uri(self, database, role):
        return f"postgresql:///{database}?host={self.folder}&user={role}"
