"""A plain model of the semantics of OTTL, on Python's values, beside the gateway's that works on wire bytes.

Expressions are small trees that know their text and their value on a record, statements their text and what they
do to it; `ottl_maker` makes random ones. A record is a dict: `attributes`, `resource` (shared by the records of a
resource), `cache`, and the fields of its context by name.
"""

import json
import re
from decimal import Decimal

LOG = {"context": "log", "text": "severity_text", "number": "severity_number", "any": "body"}
SPAN = {"context": "span", "text": "name", "number": "kind", "any": None}


class Failed(Exception):
    """An error of a statement on a record: nothing of it is done."""


class Unknown(Exception):
    """The model does not say: the run is not compared."""


# Values


def wrapped(number):
    return (number + (1 << 63)) % (1 << 64) - (1 << 63)


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def kind(value):
    return "number" if is_number(value) else type(value).__name__


def float_text(number):
    if number != number or abs(number) == float("inf"):
        raise Unknown
    if number != 0 and not 1e-6 <= abs(number) < 1e21:
        raise Unknown
    text = format(Decimal(repr(number)), "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" and str(number)[0] != "-" else text


def json_text(value):
    """As encoding/json writes it: keys in order, no spaces, <, > and & escaped."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{json_text(key)}:{json_text(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(json_text, value)) + "]"
    if isinstance(value, float):
        return float_text(value)
    text = json.dumps(value, ensure_ascii=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def string_like(value):
    return value if value is None or isinstance(value, str) else json_text(value)


def int_like(value):
    if value is None or isinstance(value, int):
        return value if not isinstance(value, bool) else int(value)
    if isinstance(value, float):
        if not abs(value) < 1 << 62:
            raise Unknown
        return int(value)
    if isinstance(value, str):
        in_range = re.fullmatch(r"[-+]?[0-9]+", value, re.ASCII) and -(1 << 63) <= int(value) < 1 << 63
        return int(value) if in_range else None
    raise Failed


def double_like(value):
    if value is None or isinstance(value, (bool, int, float)):
        return None if value is None else float(value)
    if isinstance(value, str) and re.fullmatch(r"[-+]?[0-9]+(\.[0-9]+)?", value, re.ASCII):
        return float(value)
    raise Failed


def exact(value, *types):
    if type(value) not in types:
        raise Failed
    return value


def same(one, two):
    if is_number(one) and is_number(two):
        return one == two if type(one) is type(two) else float(one) == float(two)
    if type(one) is not type(two):
        return False
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(same(one[key], two[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(two) and all(map(same, one, two))
    return one == two


def compare(one, operator, two):
    if operator in ("==", "!="):
        return same(one, two) == (operator == "==")
    if one is None and two is None:
        return operator in ("<=", ">=")
    if kind(one) != kind(two) or isinstance(one, (dict, list, type(None))):
        return False
    if is_number(one) and type(one) is not type(two):
        one, two = float(one), float(two)
    if isinstance(one, str):
        one, two = one.encode(), two.encode()
    return {"<": one < two, "<=": one <= two, ">": one > two, ">=": one >= two}[operator]


def calculate(one, operator, two):
    if not is_number(one) or not is_number(two):
        raise Failed
    if operator == "/" and two == 0:
        raise Failed
    if isinstance(one, int) and isinstance(two, int):
        if operator == "/":
            return wrapped(abs(one) // abs(two) * (1 if (one < 0) == (two < 0) else -1))
        return wrapped({"+": one + two, "-": one - two, "*": one * two}[operator])
    one, two = float(one), float(two)
    return {"+": one + two, "-": one - two, "*": one * two, "/": one / two if two else 0.0}[operator]


# Places


def read(container, keys):
    value = container
    for key in keys:
        if value is None:
            return None
        if isinstance(key, str):
            value = exact(value, dict).get(key)
        else:
            items = exact(value, list)
            if not 0 <= key < len(items):
                raise Failed
            value = items[key]
    return value


def write(container, keys, value):
    """Sets what lies below keys; maps and lists come into being on the way."""
    *way, last = keys
    for key, following in zip(way, keys[1:]):
        inner = read(container, [key])
        if inner is None:
            inner = {} if isinstance(following, str) else [None] * (following + 1)
            put(container, key, inner)
        container = inner
    put(container, last, value)


def put(container, key, value):
    if isinstance(key, str):
        exact(container, dict)[key] = value
    else:
        items = exact(container, list)
        if not 0 <= key < len(items):
            raise Failed
        items[key] = value


def copied(value):
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    return [copied(item) for item in value] if isinstance(value, list) else value


class Node:
    """An expression: its text and its value on a record."""

    def __init__(self, text, value):
        self.text, self.value = text, value


class Path(Node):
    """A place: a field, or keys below a map or a field of any kind."""

    def __init__(self, text, base, keys=()):
        super().__init__(text + "".join(f"[{json.dumps(key)}]" for key in keys), self.get)
        self.base, self.keys = base, list(keys)

    def get(self, record):
        # A body that is no map or list is not indexed, nor is none.
        if self.base == LOG["any"] and self.keys:
            if not isinstance(record[self.base], (dict, list)):
                raise Failed
        return read(record[self.base], self.keys)

    def set(self, record, value, places):
        if self.keys:
            if self.base == places["any"]:
                # A body that is no map or list is not indexed.
                if not isinstance(record[self.base], (dict, list)):
                    raise Failed
            # What fails on the way must leave the record as it was.
            changed = copied(record[self.base])
            write(changed, self.keys, copied(value))
            replace(record, self.base, changed)
        elif self.base == places["text"]:
            record[self.base] = exact(value, str)
        elif self.base == places["number"]:
            record[self.base] = exact(value, int)
        elif self.base == places["any"]:
            record[self.base] = copied(value)
        else:
            replace(record, self.base, copied(exact(value, dict)))


def replace(record, base, value):
    """In place where records share it."""
    if isinstance(record[base], dict) and isinstance(value, dict):
        record[base].clear()
        record[base].update(value)
    else:
        record[base] = value


def expanded(template, match):
    """Go's Expand: $1, ${1}, $name; the longest name of letters, digits and _."""

    def group(found):
        name = found[1] or found[2]
        if name.isdigit() and int(name) <= match.re.groups:
            return match[int(name)] or ""
        return ""

    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", group, template)


def cut(text, count):
    """The first bytes, without a broken character at the end."""
    return text.encode()[:count].decode(errors="ignore")


def length(value):
    if isinstance(value, str):
        return len(value.encode())
    return len(exact(value, list, dict))


def substring(value, start, count):
    data = exact(value, str).encode()
    if start + count > len(data):
        raise Failed
    try:
        return data[start : start + count].decode()
    except UnicodeDecodeError as error:
        raise Unknown from error


def matches(value, pattern):
    text = string_like(value)
    return text is not None and re.search(pattern, text) is not None


def joined(values, delimiter):
    return delimiter.join("<nil>" if value is None else string_like(value) for value in values)


def run(statements, record):
    """Statements in order; one that fails is left out."""
    record["cache"] = {}
    for statement in statements:
        try:
            statement(record)
        except Failed:
            continue
