"""OTLP JSON by the protobuf library's own JSON, and random requests to put through it.

protobuf's JSON differs from OTLP's in one thing: it writes ids in base 64.
"""

import base64
import json
import random

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor as Field

from backend import SIGNALS

IDS = {"traceId", "spanId", "parentSpanId", "trace_id", "span_id", "parent_span_id"}
KEYS = {"traces": "resourceSpans", "metrics": "resourceMetrics", "logs": "resourceLogs"}
# Of profiles: they have no meaning in these signals, and the gateway does not know them.
FOREIGN = {"string_value_strindex", "key_strindex"}

TEXTS = [
    "",
    "a",
    "GET",
    "http.request.method",
    "\u00dcn\u00efc\u00f6d\u00e9 \u65e5\u672c \U0001f600",
    '"\\/',
    "\n\t\r\0\x1f\x7f",
    "\u2028<&>",
]
DOUBLES = [0.0, -0.0, 0.1, 1 / 3, 5e-324, 1.7976931348623157e308, 1e15, 1e16, 123456.789, -2.5e-7]
DOUBLES += [float("nan"), float("inf"), float("-inf")]
LIMITS = {
    Field.TYPE_UINT32: (0, (1 << 32) - 1),
    Field.TYPE_FIXED32: (0, (1 << 32) - 1),
    Field.TYPE_SINT32: (-(1 << 31), (1 << 31) - 1),
    Field.TYPE_INT64: (-(1 << 63), (1 << 63) - 1),
    Field.TYPE_SFIXED64: (-(1 << 63), (1 << 63) - 1),
    Field.TYPE_UINT64: (0, (1 << 64) - 1),
    Field.TYPE_FIXED64: (0, (1 << 64) - 1),
}


def _ids(value, convert):
    if isinstance(value, dict):
        return {
            key: convert(item) if key in IDS and isinstance(item, str) else _ids(item, convert)
            for key, item in value.items()
        }
    return [_ids(item, convert) for item in value] if isinstance(value, list) else value


def decode(text):
    """Signal and request of OTLP JSON as the gateway writes it; anything that is not strict is an error."""
    whole = json.loads(text, parse_constant=lambda name: 1 / 0)
    signal = next(signal for signal, key in KEYS.items() if key in whole)
    whole = _ids(whole, lambda digits: base64.b64encode(bytes.fromhex(digits)).decode())
    return signal, json_format.ParseDict(whole, SIGNALS[signal][1]())


def encode(request, **options):
    """OTLP JSON of a request; options are those of protobuf's `MessageToDict`."""
    whole = json_format.MessageToDict(request, **options)
    return json.dumps(_ids(whole, lambda text: base64.b64decode(text).hex()))


class RandomRequest:
    """Requests of any shape; the same for the same seed."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def make(self, signal):
        request = SIGNALS[signal][1]()
        # With at least one item, so that it is handed on.
        while not self._items(request):
            request.Clear()
            self._fill(request, 0)
        return request

    @staticmethod
    def _items(request):
        from data import item_count

        return item_count(request)

    def _fill(self, message, depth):
        arms = set()
        for field in message.DESCRIPTOR.fields:
            if field.name in FOREIGN or self.random.random() < 0.25:
                continue
            if field.containing_oneof:
                # At most one arm.
                if field.containing_oneof.name in arms:
                    continue
                arms.add(field.containing_oneof.name)
                choices = [f for f in field.containing_oneof.fields if f.name not in FOREIGN]
                if depth > 12:
                    choices = [f for f in choices if f.type != Field.TYPE_MESSAGE]
                if not choices:
                    continue
                field = self.random.choice(choices)
            count = self.random.choice([0, 1, 1, 2, 3]) if field.is_repeated else 1
            for _ in range(count):
                self._set(message, field, depth)

    def _set(self, message, field, depth):
        if field.type == Field.TYPE_MESSAGE:
            if depth > 14:
                return
            if field.is_repeated:
                self._fill(getattr(message, field.name).add(), depth + 1)
            else:
                inner = getattr(message, field.name)
                inner.SetInParent()
                self._fill(inner, depth + 1)
        elif field.is_repeated:
            getattr(message, field.name).append(self._value(field))
        else:
            setattr(message, field.name, self._value(field))

    def _value(self, field):
        pick = self.random
        if field.type == Field.TYPE_STRING:
            return "".join(pick.choice(TEXTS) for _ in range(pick.randrange(4)))
        if field.type == Field.TYPE_BYTES:
            sizes = {"trace_id": 16, "span_id": 8, "parent_span_id": 8}
            return pick.randbytes(sizes.get(field.name) or pick.randrange(9))
        if field.type == Field.TYPE_DOUBLE:
            return pick.choice(DOUBLES) if pick.random() < 0.5 else pick.uniform(-1e6, 1e6)
        if field.type == Field.TYPE_BOOL:
            return pick.random() < 0.5
        if field.type == Field.TYPE_ENUM:
            return pick.choice(field.enum_type.values).number
        low, high = LIMITS[field.type]
        return pick.choice([0, 1, low, high, pick.randint(low, high), max(low, min(high, 1_700_000_000_000_000_000))])
