"""The hub on gRPC: streams, services and the server."""
