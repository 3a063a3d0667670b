"""YAML whose mappings and lists know their lines."""

import yaml


class Mapping(dict):
    """A mapping with the line it begins at, and the line of each key."""

    line = 1

    def __init__(self):
        super().__init__()
        self.lines = {}


class Sequence(list):
    """A list with the line it begins at, and the line of each item."""

    line = 1

    def __init__(self):
        super().__init__()
        self.lines = []


class Loader(yaml.SafeLoader):
    """The safe loader, which makes Mapping and Sequence."""


def mapping(loader, node):
    found = Mapping()
    found.line = node.start_mark.line + 1
    yield found
    loader.flatten_mapping(node)
    for key, value in node.value:
        name = loader.construct_object(key, deep=True)
        found[name] = loader.construct_object(value, deep=True)
        found.lines[name] = key.start_mark.line + 1


def sequence(loader, node):
    found = Sequence()
    found.line = node.start_mark.line + 1
    yield found
    for item in node.value:
        found.append(loader.construct_object(item, deep=True))
        found.lines.append(item.start_mark.line + 1)


Loader.add_constructor("tag:yaml.org,2002:map", mapping)
Loader.add_constructor("tag:yaml.org,2002:seq", sequence)


def documents(text):
    """All documents of a YAML text, without the empty ones."""
    return [each for each in yaml.load_all(text, Loader) if each is not None]


def line_at(document, path):
    """The line of the deepest part of a path (keys and indexes) that the document has."""
    line = getattr(document, "line", 1)
    for step in path:
        if isinstance(document, Mapping) and step in document:
            line, document = document.lines[step], document[step]
        elif isinstance(document, Sequence) and isinstance(step, int) and step < len(document):
            line, document = document.lines[step], document[step]
        else:
            break
    return line
