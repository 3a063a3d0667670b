"""Terraform: format, syntax, the tests of the modules that need no provider, the guide's names."""

from .findings import Finding


def check_terraform(tree):
    return []
