"""Messages and chunks: the only place that knows protobuf."""
