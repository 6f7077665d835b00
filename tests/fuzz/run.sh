#!/usr/bin/env bash
# Builds the fuzz targets and runs each: tests/fuzz/run.sh [RUNS] [TARGET…], by default a million runs of every target. SEED=N makes it
# the same each time. What a target finds is kept in tests/fuzz/corpus, what it fails on in tests/fuzz/artifacts.
#
# Only what is ours is compiled anew, with instrument.sh, beside what `cargo test` has compiled; so the whole workspace is named, for the same
# features of everybody's crates. `cargo fuzz` with its sanitizer works too, and takes far longer to compile (CONTRIBUTING.md).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
fuzz=tests/fuzz
runs=${1:-1000000}
shift $(($# > 0 ? 1 : 0))
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
  while read -r name; do targets+=("$name"); done < <(sed -n 's/^name = "\([a-z]*_*[a-z_]*\)"$/\1/p' $fuzz/Cargo.toml)
fi

"$fuzz/setup.sh"
bins=()
for target in "${targets[@]}"; do bins+=(--bin "$target"); done
RUSTC_WORKSPACE_WRAPPER=$PWD/$fuzz/instrument.sh \
  "${CARGO:-cargo}" build --workspace --features understudy-fuzz/host,understudy-fuzz/libfuzzer "${bins[@]}"

mkdir -p "$fuzz/artifacts"
failed=()
for target in "${targets[@]}"; do
  mkdir -p "$fuzz/corpus/$target"
  began=$SECONDS log=$fuzz/artifacts/$target.log
  # Bounded by runs; what takes 20 s or 1 GiB is a finding.
  if "${CARGO_TARGET_DIR:-target}/debug/$target" "$fuzz/corpus/$target" -runs="$runs" ${SEED:+-seed="$SEED"} -max_len=20000 -timeout=20 \
    -rss_limit_mb=1024 -artifact_prefix="$fuzz/artifacts/$target-" -print_final_stats=1 >"$log" 2>&1; then
    printf 'fuzz: %s: %s runs in %d s\n' "$target" "$runs" $((SECONDS - began))
  else
    failed+=("$target")
    printf 'fuzz: %s failed (all of it: %s):\n' "$target" "$log" >&2
    grep -a -A 3 'panicked at' "$log" | cut -c 1-2000 >&2 || true
    grep -a -e 'ERROR: libFuzzer' -e 'Test unit written' "$log" >&2 || true
  fi
done
if [ ${#failed[@]} -gt 0 ]; then
  printf 'fuzz: failed: %s; run %s/debug/TARGET with the file in %s/artifacts to see one again\n' "${failed[*]}" "${CARGO_TARGET_DIR:-target}" "$fuzz" >&2
  exit 1
fi
