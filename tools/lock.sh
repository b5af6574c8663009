#!/usr/bin/env bash
# Re-make the lock files from pyproject.toml. Hashes pin the content; no registry's address is written.
set -eu
cd "$(dirname "$0")/.."
compile() { # OUTPUT ARGUMENT...
  local output=$1; shift
  uv pip compile pyproject.toml "$@" --universal --python-version 3.11 --generate-hashes --no-header \
    --no-annotate --quiet --output-file "$output"
}
compile requirements.lock --extra all --group build
for extra in agent collector controlplane ml; do
  compile "requirements-$extra.lock" --extra "$extra" --group build
done
# What an agent needs that also asks network devices.
compile requirements-gnmi.lock --extra agent --extra gnmi --group build
compile requirements-dev.lock --extra all --extra dashboards --group dev
