"""The REST API's JSON: documents, tensors, examples and error texts."""
