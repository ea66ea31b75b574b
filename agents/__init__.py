"""The roles as gRPC services, and Ray, which hosts them."""
