"""What goes over the network: the messages of gRPC, the JSON of REST, and the signatures of a model."""
