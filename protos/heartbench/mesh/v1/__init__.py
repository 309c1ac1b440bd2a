"""Version 1 of the wire contract: messages in `mesh_pb2`, services in `mesh_pb2_grpc`, generated from `mesh.proto`."""
