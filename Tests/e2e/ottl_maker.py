"""Random expressions and statements of the model."""

import hashlib
import json
import re

from ottl_model import (
    Failed,
    Node,
    Path,
    calculate,
    compare,
    cut,
    double_like,
    exact,
    expanded,
    int_like,
    joined,
    length,
    matches,
    string_like,
    substring,
)


class Maker:
    """Random expressions and statements of one context."""

    def __init__(self, random, places):
        self.random, self.places = random, places
        self.context = places["context"]

    # Literals and paths

    KEYS = ["s", "t", "n", "i", "d", "b", "m", "l", "new"]
    TEXTS = ["", "a", "Hello World", "500", "-7", "1.5", "a/b/c", "\u65e5\u672c", "x=1", "aXbX", "<&>"]
    PATTERNS = ["o", "[0-9]+", "(l+)", "^a", "(X)|(b)", "World$", "\u65e5"]

    def pick(self, options):
        return self.random.choice(options)

    def literal(self, value):
        if value is None:
            return Node("nil", lambda record: None)
        text = json.dumps(value, ensure_ascii=False)
        return Node(text, lambda record: value)

    def any_literal(self):
        return self.literal(self.pick([None, True, False, 0, 1, 7, 500, 0.5, 1.5, 2.0, 100.25, *self.TEXTS]))

    def path(self, deep=True):
        base, text = self.pick(
            [("attributes", f"{self.context}.attributes")] * 6
            + [("resource", "resource.attributes"), ("cache", f"{self.context}.cache")]
        )
        keys = [self.pick(self.KEYS)]
        while deep and self.random.random() < 0.25:
            keys.append(self.pick(["x", "y", 0, 1, 3]))
        if self.places["any"] and self.random.random() < 0.1:
            base, text, keys = self.places["any"], f"{self.context}.{self.places['any']}", keys[1:]
        return Path(text, base, keys)

    def field(self):
        name = self.pick([self.places["text"], self.places["number"]])
        return Path(f"{self.context}.{name}", name)

    def map_path(self):
        text = f"{self.context}.attributes"
        return self.pick(
            [Path(text, "attributes")] * 3
            + [Path(text, "attributes", ["m"]), Path("resource.attributes", "resource")]
        )

    # Values

    def value(self, depth=2):
        if depth == 0:
            return self.pick([self.path, self.path, self.any_literal, self.field])()
        roll = self.random.random()
        if roll < 0.3:
            return self.path()
        if roll < 0.45:
            return self.any_literal()
        if roll < 0.5:
            return self.field()
        if roll < 0.6:
            items = [self.value(depth - 1) for _ in range(self.random.randrange(4))]
            return Node(
                f"[{', '.join(item.text for item in items)}]",
                lambda record: [item.value(record) for item in items],
            )
        if roll < 0.65:
            entries = {key: self.value(depth - 1) for key in self.random.sample(["x", "y", "z"], 2)}
            text = ", ".join(f'"{key}": {entry.text}' for key, entry in entries.items())
            return Node(
                f"{{{text}}}", lambda record: {key: entry.value(record) for key, entry in entries.items()}
            )
        if roll < 0.75:
            return self.math(depth)
        return self.call(depth)

    def math(self, depth):
        one = self.path() if depth < 2 else self.pick([self.path(), self.math(depth - 1)])
        two = self.pick([self.path(deep=False), self.literal(self.pick([0, 1, 3, -2, 2.5, 0.25]))])
        operator = self.pick("+-*/")
        left = f"({one.text})" if not isinstance(one, Path) else one.text
        return Node(
            f"{left} {operator} {two.text}",
            lambda record: calculate(one.value(record), operator, two.value(record)),
        )

    def call(self, depth):
        """A converter. What may fail has a path as its argument: literals are checked at the start."""
        path, other = self.path(), self.value(depth - 1)
        text = self.literal(self.pick(self.TEXTS))

        def of(name, function, argument=path, *rest):
            arguments = ", ".join([argument.text, *(item.text for item in rest)])
            return Node(
                f"{name}({arguments})",
                lambda record: function(argument.value(record), *(item.value(record) for item in rest)),
            )

        start, count = self.random.randrange(4), self.random.randrange(1, 4)
        pattern = self.pick(self.PATTERNS)
        return self.pick(
            [
                lambda: of("String", string_like),
                lambda: of("Int", int_like),
                lambda: of("Double", double_like),
                lambda: of("Len", length),
                lambda: of("SHA256", lambda value: hashlib.sha256(exact(value, str).encode()).hexdigest()),
                lambda: of(
                    "ConvertCase", lambda value, _: exact(value, str).upper(), path, self.literal("upper")
                ),
                lambda: of("Split", lambda value, by: exact(value, str).split(by), path, self.literal("/")),
                lambda: of("Substring", substring, path, self.literal(start), self.literal(count)),
                lambda: of("HasPrefix", lambda value, begin: exact(value, str).startswith(begin), path, text),
                lambda: of("IsString", lambda value: isinstance(value, str)),
                lambda: of("IsInt", lambda value: isinstance(value, int) and not isinstance(value, bool)),
                lambda: of("IsMap", lambda value: isinstance(value, dict)),
                lambda: of("IsMatch", matches, path, self.literal(pattern)),
                lambda: Node(
                    f"Concat([{path.text}, {other.text}], {text.text})",
                    lambda record: joined([path.value(record), other.value(record)], text.value(record)),
                ),
                lambda: Node(
                    f"Coalesce([{path.text}, {other.text}])",
                    lambda record: next(
                        (item for item in (node.value(record) for node in (path, other)) if item is not None),
                        None,
                    ),
                ),
            ]
        )()

    # Conditions

    def condition(self, depth=2):
        roll = self.random.random()
        if depth and roll < 0.15:
            inner = self.condition(depth - 1)
            return Node(f"not ({inner.text})", lambda record: not inner.value(record))
        if depth and roll < 0.4:
            word = self.pick(["and", "or"])
            one, two = self.condition(depth - 1), self.condition(depth - 1)
            if word == "and":
                return Node(
                    f"({one.text}) and ({two.text})", lambda record: one.value(record) and two.value(record)
                )
            return Node(
                f"({one.text}) or ({two.text})", lambda record: one.value(record) or two.value(record)
            )
        if roll < 0.6:
            path, pattern = self.path(), self.literal(self.pick(self.PATTERNS))
            return Node(
                f"IsMatch({path.text}, {pattern.text})",
                lambda record: matches(path.value(record), pattern.value(record)),
            )
        operator = self.pick(["==", "!=", "<", "<=", ">", ">="])
        one, two = self.path(), self.value(1)
        return Node(
            f"{one.text} {operator} {two.text}",
            lambda record: compare(one.value(record), operator, two.value(record)),
        )

    # Statements

    def statement(self):
        """Its text, and what it does to a record."""
        call = self.pick([self.setting] * 5 + [self.mapping] * 4 + [self.replacing] * 2)()
        if self.random.random() < 0.5:
            return call.text, call.value
        condition = self.condition()

        def run(record):
            if condition.value(record):
                call.value(record)

        return f"{call.text} where {condition.text}", run

    def setting(self):
        target = self.pick([self.path, self.path, self.path, self.field])()
        value = self.value()

        def run(record):
            new = value.value(record)
            if new is not None:
                target.set(record, new, self.places)

        return Node(f"set({target.text}, {value.text})", run)

    def mapping(self):
        target = self.map_path()
        keys = self.random.sample(self.KEYS, self.random.randrange(1, 5))
        pattern = self.pick(["^[st]$", "[a-m]", "new", "."])
        number = self.random.randrange(6)
        source, strategy = self.path(deep=False), self.pick(["insert", "update", "upsert"])
        listed = json.dumps(keys)

        def change(function):
            def run(record):
                entries = exact(target.get(record), dict)
                target.set(record, function(dict(entries), record), self.places)

            return run

        def kept(entries, condition):
            return {key: value for key, value in entries.items() if condition(key)}

        def limited(entries, _):
            if len(entries) <= number:
                return entries
            room = number - sum(key in entries for key in keys[:number])
            ordinary = [key for key in entries if key not in keys[:number]][:room]
            return kept(entries, lambda key: key in keys[:number] or key in ordinary)

        def merged(entries, record):
            for key, value in exact(source.get(record), dict).items():
                if (key in entries) != (strategy == "insert") or strategy == "upsert":
                    entries[key] = value
            return entries

        def truncated(entries, _):
            return {
                key: cut(value, number) if isinstance(value, str) else value for key, value in entries.items()
            }

        def appended(record):
            old = source.get(record)
            if isinstance(old, dict):
                raise Failed
            items = [] if old is None else old if isinstance(old, list) else [old]
            source.set(record, [*items, number], self.places)

        return self.pick(
            [
                Node(
                    f"delete_key({target.text}, {json.dumps(keys[0])})",
                    change(lambda e, _: kept(e, lambda k: k != keys[0])),
                ),
                Node(
                    f'delete_matching_keys({target.text}, "{pattern}")',
                    change(lambda e, _: kept(e, lambda k: not re.search(pattern, k))),
                ),
                Node(
                    f'keep_matching_keys({target.text}, "{pattern}")',
                    change(lambda e, _: kept(e, lambda k: re.search(pattern, k))),
                ),
                Node(
                    f"keep_keys({target.text}, {listed})", change(lambda e, _: kept(e, lambda k: k in keys))
                ),
                Node(f"limit({target.text}, {number}, {json.dumps(keys[:number])})", change(limited)),
                Node(f"truncate_all({target.text}, {number})", change(truncated)),
                Node(f'merge_maps({target.text}, {source.text}, "{strategy}")', change(merged)),
                Node(f"append({source.text}, {number})", appended),
            ]
        )

    def replacing(self):
        pattern, template = self.pick(self.PATTERNS), self.pick(["", "#", "<$1>", "${1}!", "$1x"])
        target, entries = self.path(deep=False), self.map_path()

        def replaced(text):
            return re.sub(pattern, lambda match: expanded(template, match), text)

        def one(record):
            old = target.get(record)
            if isinstance(old, str) and re.search(pattern, old):
                target.set(record, replaced(old), self.places)

        def all_values(record):
            old = exact(entries.get(record), dict)
            new = {key: replaced(value) if isinstance(value, str) else value for key, value in old.items()}
            entries.set(record, new, self.places)

        def whole(record):
            old = target.get(record)
            if isinstance(old, str) and re.fullmatch("a.*b.*", old, re.DOTALL):
                target.set(record, template, self.places)

        arguments = f"{json.dumps(pattern, ensure_ascii=False)}, {json.dumps(template)}"
        return self.pick(
            [
                Node(f"replace_pattern({target.text}, {arguments})", one),
                Node(f'replace_all_patterns({entries.text}, "value", {arguments})', all_values),
                Node(f'replace_match({target.text}, "a*b*", {json.dumps(template)})', whole),
            ]
        )
