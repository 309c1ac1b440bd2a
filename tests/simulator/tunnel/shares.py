"""What outages do to heartbeats in a tunnel, by the length of the outage: the second table of docs/wireguard.md.

python -m tests.simulator.tunnel.shares     500 outages of each length, at random ages of the key
"""

import numpy as np
from tests.simulator.tunnel.tunnelled import passage

from heartbench.simulator.tunnel.handshake import REJECT_AFTER_S
from heartbench.simulator.tunnel_state import NO_TUNNEL, WIREGUARD

LENGTHS_S = (50.0, 60.0, 75.0, 90.0, 105.0, 120.0, 135.0, 150.0, 180.0)
OUTAGES = 500
SAME_S = 0.001


def main() -> None:
    """Print the table."""
    print("| outage | expired key | by the formula | arrives earlier | later |")
    print("| ---: | ---: | ---: | ---: | ---: |")
    for length_s in LENGTHS_S:
        from_s = np.random.default_rng(1).uniform(300.0, 800.0, OUTAGES)
        both = [
            [passage(float(at), length_s, jitter=0.1, kind=kind, seed=i) for kind in (WIREGUARD, NO_TUNNEL)]
            for i, at in enumerate(from_s)
        ]
        expired = np.mean([there.key_age_s >= REJECT_AFTER_S for there, _ in both])
        earlier_s = np.array([without.first_after_s - there.first_after_s for there, without in both])
        print(
            f"| {length_s:.0f} s | {expired:.1%} | {min(max((length_s - 56.6) / 123.4, 0.0), 1.0):.1%}"
            f" | {np.mean(earlier_s > SAME_S):.1%} | {np.mean(earlier_s < -SAME_S):.1%} |"
        )


if __name__ == "__main__":
    main()
