"""Several clients that send as fast as they are answered, and remember what was acknowledged."""

import http.client
import threading

import grpc

import data
from client import GRPCClient, HTTPClient, error_retry_seconds

_lock = threading.Lock()
_next_number = 0


def take_numbers(count):
    """The first of so many numbers that nobody else gets."""
    global _next_number
    with _lock:
        first = _next_number
        _next_number += count
        return first


class Load:
    """Runs from `start` until `stop`, or until every client has sent `requests`. Every span's name is a
    number of its own."""

    def __init__(
        self, gateway, clients=4, spans=10, padding=0, requests=None, transport="grpc", timeout=20, pause=0
    ):
        self.gateway, self.spans, self.padding, self.requests = gateway, spans, padding, requests
        self.transport, self.timeout = transport, timeout
        # Seconds between a client's requests; may change while it runs.
        self.pause = pause
        self.acknowledged = set()
        self.refusals = []
        self.faults = []
        self.broken = 0
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(clients)]

    def start(self):
        for thread in self._threads:
            thread.start()
        return self

    def join(self):
        for thread in self._threads:
            thread.join()
        assert self.faults == []
        return self

    def stop(self):
        self._stop.set()
        return self.join()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def _run(self):
        client = (
            GRPCClient(self.gateway.grpc_port)
            if self.transport == "grpc"
            else HTTPClient(self.gateway.http_port, self.timeout)
        )
        sent = 0
        try:
            while not self._stop.is_set() and sent != self.requests:
                sent += 1
                if self.pause:
                    self._stop.wait(self.pause)
                first = take_numbers(self.spans)
                request = data.spans(self.spans, first=first, padding=self.padding)
                if self._send(client, request):
                    with _lock:
                        self.acknowledged.update(map(str, range(first, first + self.spans)))
                else:
                    # A client that was refused comes again, though here sooner than it was asked to.
                    self._stop.wait(0.01)
        except (OSError, http.client.HTTPException):
            # The gateway has gone; whether it might is the test's business.
            self.broken += 1
        except Exception as error:
            self.faults.append(error)
        finally:
            client.close()

    def _send(self, client, request):
        """Whether it was acknowledged; a refusal is remembered as its code and when to come again."""
        if self.transport == "grpc":
            try:
                client.export(request, timeout=self.timeout)
                return True
            except grpc.RpcError as error:
                self.refusals.append((error.code(), error_retry_seconds(error)))
                return False
        status, headers, _ = client.post(request.SerializeToString())
        if status != 200:
            self.refusals.append((status, headers["Retry-After"]))
        return status == 200
