"""How fast and how frugal the wire is: `m2kt bench wire`, against gRPC itself and others."""
