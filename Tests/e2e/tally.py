"""Counts that stay small however long a test runs: how often each number came, a byte each."""

import threading

import data


class Tally:
    """How often each number was seen, up to 255 times. Any thread."""

    def __init__(self):
        self._lock = threading.Lock()
        self._seen = bytearray()

    def add(self, names):
        with self._lock:
            for name in names:
                number = int(name)
                if number >= len(self._seen):
                    self._seen.extend(bytes(number + 1 - len(self._seen) + (1 << 16)))
                self._seen[number] = min(255, self._seen[number] + 1)

    update = add

    def snapshot(self, size):
        with self._lock:
            return bytes(self._seen).ljust(size, b"\0")[:size]

    @property
    def size(self):
        with self._lock:
            return len(self._seen)

    def distinct(self):
        with self._lock:
            return len(self._seen) - self._seen.count(0)

    def total(self):
        with self._lock:
            return sum(self._seen)

    def most(self):
        """How often the number came that came most often."""
        with self._lock:
            return max(self._seen, default=0)

    def lacks(self, other):
        """How many numbers the other one has and this one does not."""
        size = max(self.size, other.size)
        return sum(1 for mine, its in zip(self.snapshot(size), other.snapshot(size)) if its and not mine)


class Arrivals(list):
    """Stands for a backend's list of requests and keeps only the numbers of the spans."""

    def __init__(self, tally):
        super().__init__()
        self.tally = tally

    def append(self, request):
        self.tally.add(data.span_names([request]))


def tallied(backend):
    """Makes a backend count what it gets instead of keeping it."""
    tally = Tally()
    backend.requests = Arrivals(tally)
    backend.arrivals = Arrivals(Tally())
    backend.arrivals.append = lambda moment: None
    return tally
