#!/usr/bin/env bash
# Installs the real peers of the test-suite, as the lock files say, into a folder each of tests/peers/.installed/.
# Run it as often as you like: what is up to date is left alone. Remedies for what is missing are in its messages.
#
#     tests/peers/setup.sh [NAME…]    only these
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
installed=$here/.installed
examples=../../examples/plugins # from here
handler=$examples/javascript-handler
wkg=0.16.1
started=$SECONDS
mkdir -p "$installed"
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT

die() {
  printf 'peers: %s\n' "$@" >&2
  exit 1
}

# One at a time: a second run waits here and then finds nothing to do. (No flock on macOS; there, don't.)
if command -v flock >/dev/null; then
  exec 9>"$installed/.lock"
  flock 9
fi

# --- what this machine has --------------------------------------------------------------------------------------------

find_python() {
  local candidate
  for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  return 1
}

has_venv() { "$1" -c 'import ensurepip, venv' 2>/dev/null; }

node_at_least() { # BINARY MAJOR MINOR
  "$1" -e "const [a, b] = process.versions.node.split('.').map(Number);
           process.exit(a > $2 || (a === $2 && b >= $3) ? 0 : 1)" 2>/dev/null
}

has_npm() { node_at_least node 20 0 && npm --version >/dev/null 2>&1; }

# As root on Debian and its kin: install what is missing, if the distribution has it new enough.
install_packages() {
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 0
  local wanted=() candidate
  if ! python=$(find_python) || ! has_venv "$python"; then
    wanted+=(python3 python3-venv)
  fi
  if ! has_npm; then
    apt-get update -qq >&2 || true
    candidate=$(apt-cache policy nodejs | sed -n 's/^ *Candidate: *\([0-9]*\:\)\{0,1\}\([0-9]*\).*/\2/p')
    if [ "${candidate:-0}" -ge 20 ]; then wanted+=(nodejs npm); fi
  fi
  [ ${#wanted[@]} -gt 0 ] || return 0
  echo "peers: installing Debian packages: ${wanted[*]}" >&2
  [[ " ${wanted[*]} " == *" npm "* ]] || apt-get update -qq >&2 || true
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${wanted[@]}" >&2 || true
}

check_machine() {
  python=$(find_python) && has_venv "$python" && has_npm || install_packages
  python=$(find_python) ||
    die "no Python 3.11 or newer; on Debian 12 or newer: apt-get install python3 python3-venv"
  has_venv "$python" ||
    die "\`$python\` can't make virtual environments; on Debian: apt-get install python3-venv"
  has_npm ||
    die "no Node 20 or newer with npm; install it from your distribution if that has it, else from nodejs.org"
}

# --- the installs -----------------------------------------------------------------------------------------------------

stamp_of() { # NAME: changes when the install has to be made anew
  local inputs
  case $1 in
    node) inputs=(node/package.json node/package-lock.json node/.npmrc) ;;
    clients) inputs=(clients/package.json clients/package-lock.json node/.npmrc) ;;
    typescript) inputs=("$examples/typescript/package.json" "$examples/typescript/package-lock.json" node/.npmrc) ;;
    registry | wkg) inputs=() ;;
    compilers) inputs=("$examples/python/requirements.txt" "$examples/c/requirements.txt" python/go.txt python/go_proxy.py) ;;
    javascript-handler) inputs=("$handler/package.json" "$handler/package-lock.json" node/.npmrc) ;;
    *) inputs=("python/$1.txt") ;;
  esac
  # The Go module that bindings need comes with the crate that writes them.
  local crate='^name = "wit-bindgen-go"'
  (cd "$here" && echo "$installed $(uname -sm) $1 $wkg" && cat /dev/null "${inputs[@]}" &&
    { [ "$1" != compilers ] || grep -A 1 "$crate" ../../Cargo.lock; }) | cksum
}

up_to_date() { # NAME
  [ "$(cat "$installed/$1/.stamp" 2>/dev/null)" = "$(stamp_of "$1")" ] || return 1
  case $1 in
    node) "$installed/node/node_modules/.bin/node" --version ;;
    clients) [ -x "$installed/clients/bin/opencode" ] ;;
    javascript-handler) [ -x "$installed/javascript-handler/node_modules/.bin/jco" ] ;;
    typescript) [ -x "$installed/typescript/node_modules/.bin/componentize-qjs" ] ;;
    registry) "$installed/registry/usr/bin/docker-registry" --version ;;
    wkg) "$installed/wkg/bin/wkg" --version ;;
    compilers) "$installed/compilers/bin/go" version && [ -e "$installed/compilers/goproxy" ] ;;
    *) "$installed/$1/bin/python" --version ;; # a link to the system's Python, which may have gone
  esac >/dev/null 2>&1
}

install_node() {
  local folder=$installed/node
  mkdir "$folder"
  cp "$here/node/package.json" "$here/node/package-lock.json" "$here/node/.npmrc" "$folder/"
  (cd "$folder" && npm ci --loglevel=error)
  # npm 10 makes no link for a platform's package. Where none is for this platform, the system's Node will do if the
  # inspector accepts it.
  local bin=$folder/node_modules/.bin/node shipped
  for shipped in "$folder"/node_modules/node-linux-*/bin/node; do
    if [ -x "$shipped" ]; then ln -sf "$shipped" "$bin"; fi
  done
  if [ ! -e "$bin" ]; then
    node_at_least node 22 19 || die "the MCP inspector needs Node 22.19 or newer, and npm has none for $(uname -sm)"
    ln -sf "$(command -v node)" "$bin"
  fi
}

# Agents in the terminal. Their programs are in packages of their own for each platform, some of which a registry may lack, so that `npm ci` would
# refuse the lock file.
install_clients() {
  local folder=$installed/clients name shipped
  mkdir -p "$folder/bin"
  (cd "$here" && cp clients/package.json clients/package-lock.json node/.npmrc "$folder/")
  (cd "$folder" && npm install --no-save --loglevel=error)
  ln -s ../node_modules/.bin/codex ../node_modules/.bin/gemini "$folder/bin/"
  for name in claude opencode; do
    for shipped in "$folder"/node_modules/@anthropic-ai/claude-code-*/claude "$folder"/node_modules/opencode-*/bin/opencode; do
      # The first that runs here: others are for other C libraries or processors.
      if [ "${shipped##*/}" = "$name" ] && "$shipped" --version >/dev/null 2>&1; then
        ln -sf "$shipped" "$folder/bin/$name"
        break
      fi
    done
    [ -e "$folder/bin/$name" ] || die "npm has no \`$name\` for $(uname -sm)"
  done
}

# What builds an example plugin: the tools of its lock file.
install_tools() { # NAME
  local folder=$installed/$1
  mkdir "$folder"
  (cd "$here" && cp "$examples/$1/package.json" "$examples/$1/package-lock.json" node/.npmrc "$folder/")
  (cd "$folder" && npm ci --loglevel=error)
}

# What builds the others: as their own requirements say. Go is the system's business elsewhere; here it comes as a package, too.
install_compilers() {
  local folder=$installed/compilers
  "$python" -m venv "$folder"
  (cd "$here" && "$folder/bin/python" -m pip install --quiet --no-input --disable-pip-version-check \
    -r "$examples/python/requirements.txt" -r "$examples/c/requirements.txt" -r python/go.txt)
  "$folder/bin/python" "$here/python/go_proxy.py" "$folder/goproxy"
}

# The registry is Debian's; where its packages can be had, it needs neither root nor a service. Elsewhere the system's own will do.
install_registry() {
  local folder=$installed/registry
  mkdir "$folder"
  if command -v docker-registry >/dev/null; then
    mkdir -p "$folder/usr/bin" && ln -s "$(command -v docker-registry)" "$folder/usr/bin/docker-registry"
    return
  fi
  command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null ||
    die "there is no \`docker-registry\`; put the registry of the Docker Distribution project on the PATH under this name"
  (cd "$folder" && { apt-get download docker-registry || { apt-get update && apt-get download docker-registry; }; }) ||
    die "Debian's package docker-registry can't be had; on Debian, \`apt-get update\` as root may mend that"
  dpkg-deb -x "$folder"/docker-registry_*.deb "$folder"
}

# The reference client for components in registries. Its own debug build: it is to work, not to be fast.
install_wkg() {
  CARGO_PROFILE_DEV_DEBUG=0 CARGO_TARGET_DIR=$installed/wkg/target cargo install --quiet --debug --locked --root "$installed/wkg" "wkg@$wkg"
  rm -rf "$installed/wkg/target"
}

# uv unpacks a package in a tenth of the time that pip takes. It is installed first, since the others need it.
install_uv() {
  "$python" -m venv "$installed/uv"
  "$installed/uv/bin/python" -m pip install --quiet --no-input --disable-pip-version-check --only-binary :all: -r "$here/python/uv.txt"
}

install_python() { # NAME
  local folder=$installed/$1
  "$python" -m venv --without-pip "$folder"
  # No dependencies: the lock file's packages and no other; `check` then tells whether that is enough here.
  by_uv pip install --python "$folder/bin/python" --no-deps -r "$here/python/$1.txt" ||
    "$installed/uv/bin/python" -m pip --python "$folder/bin/python" install --quiet --no-input --disable-pip-version-check --no-deps \
      -r "$here/python/$1.txt"
  by_uv pip check --python "$folder/bin/python"
}

# uv with pip's settings: it reads none of its own, and pip's are those that a machine behind a mirror or a proxy has.
by_uv() {
  local index
  index=$("$installed/uv/bin/python" -m pip config get global.index-url 2>/dev/null || true)
  SSL_CERT_FILE=${SSL_CERT_FILE:-${PIP_CERT:-}} UV_FIND_LINKS=${PIP_FIND_LINKS:-} UV_DEFAULT_INDEX=${PIP_INDEX_URL:-$index} \
    "$installed/uv/bin/uv" --quiet --no-config --cache-dir "$installed/uv/cache" "$@"
}

install_one() { # NAME
  local name=$1 began=$SECONDS
  rm -rf "${installed:?}/$name"
  case $name in
    node) install_node ;;
    clients) install_clients ;;
    javascript-handler | typescript) install_tools "$name" ;;
    compilers) install_compilers ;;
    registry) install_registry ;;
    wkg) install_wkg ;;
    uv) install_uv ;;
    *) install_python "$name" ;;
  esac
  stamp_of "$name" >"$installed/$name/.stamp"
  printf 'peers: %s installed in %d s\n' "$name" $((SECONDS - began)) >&2
}

[ $# -gt 0 ] || set -- node clients fastmcp fastmcp4 agents litellm javascript-handler typescript compilers registry wkg
outdated=()
for name in "$@"; do
  up_to_date "$name" || outdated+=("$name")
done

if [ ${#outdated[@]} -gt 0 ]; then
  check_machine
  if ! up_to_date uv; then
    install_one uv >"$installed/uv.log" 2>&1 || { tail -n 20 "$installed/uv.log" >&2; die "uv isn't installed: see above"; }
  fi
  jobs=()
  for name in "${outdated[@]}"; do
    install_one "$name" >"$installed/$name.log" 2>&1 &
    jobs+=($!)
  done
  failed=
  for i in "${!jobs[@]}"; do
    name=${outdated[i]}
    if wait "${jobs[i]}"; then
      tail -n 1 "$installed/$name.log" >&2
    else
      failed+=" $name"
      printf 'peers: %s failed, from %s:\n' "$name" "$installed/$name.log" >&2
      tail -n 20 "$installed/$name.log" >&2
    fi
  done
  [ -z "$failed" ] || die "not installed:$failed; once the cause above is mended, run tests/peers/setup.sh again"
fi
printf 'peers: ready in %d s\n' $((SECONDS - started)) >&2
