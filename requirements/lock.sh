#!/bin/sh
# Locks the dependencies of pyproject.toml with their hashes, for every platform and Python from 3.11 on.
# Takes the newest allowed versions; with --no-upgrade it keeps those already locked.
set -eu
upgrade=${1:---upgrade}
cd "$(dirname "$0")/.."

compile() {
    uv pip compile --quiet --universal --python-version 3.11 "$upgrade" --generate-hashes \
        --no-header --no-emit-index-url --no-emit-find-links "$@"
}

compile requirements/build.in --output-file requirements/build.txt
compile pyproject.toml --constraint requirements/build.txt --output-file requirements/runtime.txt
compile pyproject.toml --all-extras --group pyproject.toml:engines --constraint requirements/runtime.txt \
    --constraint requirements/build.txt --output-file requirements/cluster.txt
compile --group pyproject.toml:test --constraint requirements/cluster.txt --constraint requirements/build.txt \
    --output-file requirements/test.txt
compile --group pyproject.toml:lint --constraint requirements/cluster.txt --constraint requirements/build.txt \
    --constraint requirements/test.txt --output-file requirements/lint.txt
compile requirements/lock.in --output-file requirements/lock.txt
