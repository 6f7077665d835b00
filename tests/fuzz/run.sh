#!/bin/sh
# Runs every fuzz target: tests/fuzz/run.sh [RUNS] [TARGET…], by default a million runs each. What crashes is kept in
# tests/fuzz/artifacts, and is run again by `cargo fuzz run TARGET FILE`.
set -eu
cd "$(dirname "$0")"
runs=${1:-1000000}
[ $# -gt 0 ] && shift
[ $# -gt 0 ] || set -- $(sed -n 's/^name = "\([a-z]*_[a-z_]*\)"$/\1/p' Cargo.toml)
if ! cargo fuzz --version >/dev/null 2>&1; then
    echo "fuzz: installing cargo-fuzz"
    cargo install cargo-fuzz --version 0.13.2 --locked --quiet
fi
# The sanitizers' flags are unstable; the pinned compiler takes them all the same.
export RUSTC_BOOTSTRAP=1
for target in "$@"; do
    echo "fuzz: $target, $runs runs"
    mkdir -p "corpus/$target"
    cargo fuzz run --fuzz-dir . "$target" "corpus/$target" -- -runs="$runs" -max_len=20000 -timeout=10 -print_final_stats=1 -verbosity=0
done
