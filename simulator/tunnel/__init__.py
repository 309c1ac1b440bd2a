"""WireGuard between a node's transport and its link.

`wireguard` is the way of packets through the tunnel and its timers, `handshake` how an end gets a key. The records are
in `simulator.tunnel_state`, because they are part of the link's; `simulator.tcp.staging` is TCP's side.
"""
