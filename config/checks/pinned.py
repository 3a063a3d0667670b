"""What an image must look like."""

import re

# NAME@sha256:DIGEST, without a tag that would be for nobody.
PINNED = re.compile(r"^[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9._-]+)+@sha256:(?!0{64})[0-9a-f]{64}$")
