#!/usr/bin/env bash
# Sees to the C++ compiler that libFuzzer needs; says what to do where it can't.
set -euo pipefail
has_compiler() { echo 'int main() {}' | "${CXX:-c++}" -std=c++17 -x c++ -fsyntax-only - 2>/dev/null; }
has_compiler && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "fuzz: installing the Debian package g++" >&2
  apt-get update -qq >&2 || true
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends g++ >&2 || true
fi
has_compiler && exit 0
echo "fuzz: the fuzz targets need a C++ compiler (\`${CXX:-c++}\`), because libFuzzer is C++; install one (Debian: apt-get install g++; macOS: xcode-select --install)" >&2
exit 1
