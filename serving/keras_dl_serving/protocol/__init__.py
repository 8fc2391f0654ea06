"""The protocol: gRPC's messages, the REST API's JSON, and the signatures of a model."""
