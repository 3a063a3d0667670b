"""PromQL: does it parse, and which metrics does it read?"""

import itertools
import re

import promql_parser

# What Grafana puts in before it asks.
GRAFANA = ((re.compile(r"\$__rate_interval|\$__interval"), "5m"), (re.compile(r"\$\{?\w+\}?"), "x"))
GROUP = re.compile(r"\(([\w|]*)\)(\?)?")


def plain(text):
    """The query with Grafana's variables filled in."""
    for pattern, value in GRAFANA:
        text = pattern.sub(value, text)
    return text


def alternatives(pattern):
    """The names that a regular expression of plain groups stands for; an optional group is left out."""
    parts, end = [], 0
    for group in GROUP.finditer(pattern):
        parts += [[pattern[end : group.start()]], [""] if group[2] else group[1].split("|")]
        end = group.end()
    parts.append([pattern[end:]])
    return ["".join(each) for each in itertools.product(*parts)]


def selectors(node):
    """All vector selectors of a parsed expression."""
    if isinstance(node, promql_parser.VectorSelector):
        yield node
        return
    for attribute in ("lhs", "rhs", "expr", "vector_selector", "param"):
        child = getattr(node, attribute, None)
        if child is not None:
            yield from selectors(child)
    for argument in getattr(node, "args", None) or []:
        yield from selectors(argument)


def metrics(text):
    """The names of the metrics that a query reads.

    Raises ValueError with the parser's words where it is no PromQL.
    """
    parsed = promql_parser.parse(plain(text))
    names = set()
    for selector in selectors(parsed):
        if selector.name:
            names.add(selector.name)
            continue
        for matcher in selector.matchers.matchers:
            if matcher.name == "__name__":
                names.update(alternatives(matcher.value))
    return names


def values(text, label):
    """What the selectors of a query want a label to be equal to."""
    return {
        matcher.value
        for selector in selectors(promql_parser.parse(plain(text)))
        for matcher in selector.matchers.matchers
        if matcher.name == label and str(matcher.op) in ("MatchOp.Equal", "=")
    }
