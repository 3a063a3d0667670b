"""A small file system of its own for a gateway's store, in a mount namespace of its own."""

import errno
import pathlib
import subprocess

import pytest

MIB = 1 << 20


class SmallDisk:
    """Mounted as long as its holder runs; gateways are started in its namespace by `launcher`.

    `path` is where gateways see it, `folder` where the test does.
    """

    def __init__(self, folder, kind, mib):
        self.path = pathlib.Path(folder)
        self.path.mkdir()
        image = self.path.with_suffix(".image")
        if kind == "ext4":
            with open(image, "wb") as file:
                file.truncate(mib * MIB)
            subprocess.run(["mkfs.ext4", "-q", "-m", "0", "-O", "^has_journal", str(image)], check=True)
            mount = 'mount -o loop "$1" "$0"'
        else:
            mount = f'mount -t tmpfs -o size={mib}m none "$0"'
        self.holder = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", mount + " && echo mounted && exec sleep infinity", str(folder), str(image)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        if self.holder.stdout.readline().strip() != "mounted":
            reason = self.holder.communicate()[1].strip()
            pytest.skip(f"a {kind} file system cannot be mounted here: {reason}")
        self.launcher = ["nsenter", "--target", str(self.holder.pid), "--mount", "--"]
        self.folder = pathlib.Path(f"/proc/{self.holder.pid}/root{self.path}")
        self._filler = self.folder / "filler"

    def take(self, count):
        """Takes so many bytes."""
        self._filler.write_bytes(bytes(count))

    def fill(self):
        """Takes the last block."""
        with open(self._filler, "ab", buffering=0) as file:
            for size in (64 << 10, 4096, 512, 1):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError as error:
                    assert error.errno == errno.ENOSPC

    def free(self):
        self._filler.unlink()

    def segments(self):
        """The store's files, oldest first."""
        return sorted(self.folder.glob("exporter_*/*.segment"))

    def stop(self):
        self.holder.kill()
        self.holder.communicate()
