"""Messages and chunks: the only place that knows protobuf."""

from google.protobuf.internal import api_implementation

if api_implementation.Type() == "python":
    raise ImportError(
        "expected protobuf's own parser (upb), found the one in pure Python, which any peer can"
        " exhaust by nesting messages (CVE-2025-4565); unset"
        " PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION, or install protobuf from a wheel"
    )
