"""The client: one interface, two transports (REST over httpx, gRPC), each imported at its first use."""
