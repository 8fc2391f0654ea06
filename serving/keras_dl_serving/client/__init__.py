"""The client: one interface and two transports, REST and gRPC, each imported at its first use."""
