"""What the interoperability tests stand on: the router process, the peers, the payloads and a codec of our own."""
