"""The client: one interface, two transports (REST over httpx, gRPC), each imported when it is used."""
