"""The REST API's JSON: requests and answers as text, tensors and examples in it."""
