"""How long a gateway may take to stop."""

# Seconds that are left after the drain until the kubelet kills the gateway.
GRACE_REST = 10
