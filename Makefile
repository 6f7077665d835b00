# `make demo` and `make test` are all that a fresh machine needs: they install what is missing and say what they can't.
# Set up once, plain `cargo build --workspace`, `cargo test --workspace` and `cargo clippy --workspace` work too.

CARGO ?= cargo

RUNS ?= 1000000

RACE = understudy-peer-native/race,understudy-peer-sandboxed/race
RACED = race race-understudy race-native race-rmcp-client race-server race-provider

.PHONY: demo test unit lint deny soak bench bench-growth bench-attacks bench-check bench-record fuzz fuzz-brief raced race-understudy setup setup-rust setup-lint setup-peers

# The features of the whole workspace, so that `make test` compiles nothing of it again; of the programs only the two that are shown.
demo: setup-rust
	$(CARGO) build --workspace --bin understudy --bin summarize-server
	target/debug/understudy demo

# The peers are installed while the tests compile. `UNDERSTUDY_BUILT` tells the tests that the programs are up to date.
test: setup-rust
	$(CARGO) fetch --locked
	tests/peers/setup.sh & $(CARGO) build --workspace --bins && $(CARGO) test --workspace --no-run && wait $$!
	UNDERSTUDY_BUILT=1 $(CARGO) test --workspace --no-fail-fast --lib --bins --tests
	$(CARGO) test --workspace --doc
	$(MAKE) fuzz-brief

# The inner loop: the unit tests of every crate. No peer is needed.
unit: setup-rust
	$(CARGO) test --workspace --lib

# The features of fuzz targets and races turn on nothing of others' crates, so clippy and `make test` share build scripts and macros.
lint: setup-rust setup-lint
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --features understudy-fuzz/host,$(RACE) -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --workspace --no-deps --quiet
	@$(MAKE) --no-print-directory deny

# Licences, sources and bans of all packages, and what is known against them where the database can be had. The test `supply.rs` holds licences
# and sources to the same lists without it.
deny:
	@if ! $(CARGO) deny --version >/dev/null 2>&1; then \
	  echo 'deny: left out: `cargo install cargo-deny --locked` installs it (minutes)'; \
	else \
	  $(CARGO) deny --offline check licenses sources bans && \
	  if $(CARGO) deny fetch db >/dev/null 2>&1; then $(CARGO) deny check advisories; \
	  else echo 'deny: advisories left out: their database (github.com/RustSec/advisory-db) can not be fetched here'; fi; \
	fi

# The attacks of the test-suite, a thousand times each, 100,000 requests with random faults on every side, and 500 swaps of a plugin under
# load: about half an hour. `tests/peers/setup.sh` first.
soak: setup
	ATTACKS=1000 REQUESTS=100000 $(CARGO) test --workspace --test attacks -- --nocapture
	REQUESTS=10000 SWAPS=500 $(CARGO) test --workspace --test peers -- --nocapture serve_cuts swaps_under_load

# What Understudy costs, part by part and in a race; `make bench ONLY="'32 at once'"` for some of it.
bench: raced
	target/release/race $(ONLY)

# What it costs with thousands of requests in flight, a thousand plugins, hundreds of servers, and messages of 100 MB.
bench-growth: raced
	target/release/race growth

# All that is raced: other people's clients, and our programs as users get them, with the features of the whole workspace. Nothing is compiled twice.
raced: setup-rust
	tests/peers/setup.sh node fastmcp compilers & $(CARGO) build --release --workspace --features $(RACE) $(RACED:%=--bin %) && wait $$!

# What honest requests notice of attacks, and how soon a cancelled request is gone.
bench-attacks: setup-rust
	$(CARGO) bench --workspace --bench attacks --bench cancel

# Counts the instructions of the parts and fails if one has got 10 % more than are recorded in tests/peers/sandboxed/src/parts/counts.json; needs
# valgrind.
bench-check: race-understudy
	target/release/race-understudy parts check

bench-record: race-understudy
	target/release/race-understudy parts record

race-understudy: setup-rust
	$(CARGO) build --release --workspace --features $(RACE) --bin race-understudy

# Every fuzz target, RUNS times each; needs a C++ compiler. `make fuzz RUNS=10000` for a short one.
fuzz: setup-rust
	tests/fuzz/run.sh $(RUNS)

# What `make test` ends with. By a fixed seed: a test is not to fail by chance.
fuzz-brief: setup-rust
	SEED=1 tests/fuzz/run.sh 2000

setup: setup-rust setup-peers

# The compile target of the built-in plugins.
setup-rust:
	.ci/setup-rust

# Clippy and rustfmt.
setup-lint:
	.ci/setup-lint

# Other people's MCP servers, clients and providers, which the tests run against.
setup-peers:
	tests/peers/setup.sh
