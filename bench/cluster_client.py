"""Clients that behave as OTLP/HTTP prescribes: 429, 502, 503, 504 and broken connections are tried again with growing
pauses, everything else is final. Each keeps its connection, as one behind a ClusterIP does; spans have ids to compare.
"""

import array
import http.client
import random
import struct
import sys
import threading
import time

RETRIED = (429, 502, 503, 504)
ATTEMPTS, FIRST_PAUSE, LONGEST_PAUSE = 12, 0.05, 5.0
SPANS = 10
TIMEOUT = 10


class Endpoints:
    """The addresses that new connections go to, as a Service's are: in turn."""

    def __init__(self, addresses):
        self.lock, self.addresses, self.turn = threading.Lock(), list(addresses), 0

    def add(self, address):
        with self.lock:
            self.addresses.append(address)

    def remove(self, address):
        with self.lock:
            self.addresses.remove(address)

    def next(self):
        with self.lock:
            self.turn += 1
            return self.addresses[self.turn % len(self.addresses)]


def field(number, payload):
    """A length-delimited field of protobuf; payloads are below 16 KiB here."""
    length = len(payload)
    size = bytes([length]) if length < 128 else bytes([length & 0x7F | 0x80, length >> 7])
    return bytes([number << 3 | 2]) + size + payload


def request(first):
    """An export request of SPANS spans, whose span ids count from `first`."""
    spans = b"".join(
        field(
            2,
            field(1, bytes(8) + struct.pack(">Q", first))
            + field(2, struct.pack(">Q", first + index))
            + field(5, b"rollout"),
        )
        for index in range(SPANS)
    )
    return field(1, field(2, spans))


class Clients:
    """Threads that send until they are stopped. Every request is counted once, with its last outcome."""

    def __init__(self, endpoints, count):
        self.endpoints, self.ending = endpoints, threading.Event()
        # A list a thread: (time of the answer, seconds it took, attempts, first id, taken).
        self.results = [[] for _ in range(count)]
        self.errors = []
        self.threads = [threading.Thread(target=self.run, args=[number]) for number in range(count)]
        for thread in self.threads:
            thread.start()

    def run(self, number):
        connection, mine = None, self.results[number]
        first = (number + 1) << 40
        chance = random.Random(number)
        while not self.ending.is_set():
            body, begin, attempts, taken = request(first), time.monotonic(), 0, False
            while attempts < ATTEMPTS and not taken:
                attempts += 1
                if connection is None:
                    connection = http.client.HTTPConnection(*self.endpoints.next(), timeout=TIMEOUT)
                status, connection = self.attempt(connection, body)
                taken = status == 200
                if not taken and status not in (None, *RETRIED):
                    self.errors.append(status)
                    break
                if not taken:
                    pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (attempts - 1))
                    time.sleep(pause * chance.uniform(0.5, 1.5))
            mine.append((time.monotonic(), time.monotonic() - begin, attempts, first, taken))
            first += SPANS
            time.sleep(0.005)
        if connection:
            connection.close()

    @staticmethod
    def attempt(connection, body):
        """(status or None for a broken connection, the connection if it may be used again)"""
        try:
            connection.request("POST", "/v1/traces", body, {"Content-Type": "application/x-protobuf"})
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            return None, None
        if answer.will_close or answer.status != 200:
            connection.close()
            return answer.status, None
        return answer.status, connection

    def stop(self):
        self.ending.set()
        for thread in self.threads:
            thread.join()

    def all(self):
        return [each for mine in self.results for each in list(mine)]

    def rate(self, seconds):
        """Requests answered a second in the next `seconds`."""
        before = sum(len(mine) for mine in self.results)
        time.sleep(seconds)
        return (sum(len(mine) for mine in self.results) - before) / seconds

    def compare(self, recorded):
        """(spans acknowledged, of them missing in the file of ids that the sink recorded, that came more than once)."""
        ids = array.array("Q")
        with open(recorded, "rb") as file:
            text = file.read()
        ids.frombytes(text[: len(text) // 8 * 8])
        if sys.byteorder == "little":
            ids.byteswap()
        seen = set(ids)
        wanted = {each[3] + index for each in self.all() if each[4] for index in range(SPANS)}
        return len(wanted), len(wanted - seen), len(ids) - len(seen)

    def summary(self):
        results = sorted(self.all())
        taken = [each for each in results if each[4]]
        times = sorted(each[1] for each in taken)
        gaps = [after[0] - before[0] for before, after in zip(taken, taken[1:])]
        return {
            "requests": len(results),
            "failed": len(results) - len(taken),
            "final_answers": self.errors[:10],
            "retried": sum(each[2] - 1 for each in results),
            "longest_gap": max(gaps, default=float("inf")),
            "p95_ms": 1000 * times[int(len(times) * 0.95)] if times else float("inf"),
        }
