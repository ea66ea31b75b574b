#!/usr/bin/env bash
# Generates m2kt/wire/v1 from proto/. `--check` generates elsewhere and fails on any difference.
# Runs the oldest grpcio-tools that we support, from .proto-venv (see the Makefile).
set -euo pipefail
cd "$(dirname "$0")/.."

tools=${PROTO_VENV:-.proto-venv}/bin
target=m2kt/wire/v1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

messages=$(cd proto && LC_ALL=C ls m2kt/wire/v1/*.proto)
services=$(cd proto && LC_ALL=C ls m2kt/wire/v1/*_service.proto)
protoc() { PATH="$tools:$PATH" "$tools/python" -m grpc_tools.protoc -Iproto "$@"; }
# shellcheck disable=SC2086  # lists of file names without spaces
protoc --python_out="$scratch" --mypy_out=quiet:"$scratch" $messages
# shellcheck disable=SC2086
protoc --grpc_python_out="$scratch" --mypy_grpc_out=quiet:"$scratch" $services

if [ "${1:-}" = --check ]; then
    diff -r -x __init__.py -x __pycache__ "$scratch/$target" "$target" ||
        { echo "$target is not what proto/ says: run make proto and commit the result" >&2; exit 1; }
else
    rm -f "$target"/*_pb2*
    cp "$scratch/$target"/* "$target"/
fi
