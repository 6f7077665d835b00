#!/bin/sh
# Stands before rustc for this workspace's own crates (RUSTC_WORKSPACE_WRAPPER): those that run while fuzzing get the counters by which
# libFuzzer sees where an input leads. The crates of others are left as they are, which saves compiling wasmtime anew. These are the flags of
# cargo-fuzz, less the sanitizer's.
case "${CARGO_CRATE_NAME:-}" in
    "" | build_script_* | understudy_componentize) exec "$@" ;;
esac
exec "$@" --cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares
