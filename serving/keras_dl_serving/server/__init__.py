"""The server: `rest_api`, `grpc_api` (protocols) -> `core` (models, versions) -> `engines` (runtimes)."""
