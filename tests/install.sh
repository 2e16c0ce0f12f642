#!/usr/bin/env bash
# Installs what the project needs and this machine lacks: tests/install.sh NEED...
#
# As root by apt-get, else by sudo where that asks for no password. Where neither is possible it says the one line to
# type, and ends with 1. A need that is there already costs nothing.
set -euo pipefail

go_version=$(sed -n 's/^go //p' "$(dirname "$0")/../go.mod")

# has NEED: whether the machine has it.
has() {
  case $1 in
    gcc) command -v "${CC:-gcc}" && echo '#include <stdlib.h>' | "${CC:-gcc}" -E - ;;
    softhsm2) command -v softhsm2-util && softhsm_library ;;
    opensc) command -v pkcs11-tool ;;
    openssl) command -v openssl ;;
    libnss3-tools) command -v certutil && compgen -G '/usr/lib*/*/libsoftokn3.so' ;;
    python3-pykmip) /usr/bin/python3 -c 'import kmip' ;;
    *) dpkg -s "$1" ;;
  esac >/dev/null 2>&1
}

# softhsm_library: whether SoftHSM's module is in one of the places where strongroomd looks for it.
softhsm_library() {
  compgen -G '/usr/lib/softhsm/libsofthsm2.so' || compgen -G '/usr/lib/*/softhsm/libsofthsm2.so' ||
    compgen -G '/usr/lib64/pkcs11/libsofthsm2.so' || compgen -G '/usr/lib64/softhsm/libsofthsm2.so' ||
    compgen -G '/usr/local/lib/softhsm/libsofthsm2.so' || compgen -G '/opt/homebrew/lib/softhsm/libsofthsm2.so'
}

# packages NEED: Debian's packages for it.
packages() {
  case $1 in
    gcc) echo gcc libc6-dev ;;
    *) echo "$1" ;;
  esac
}

# go_present: whether go is there and not older than go.mod asks (a Go from 1.21 on fetches the newer one by itself).
go_present() {
  local have
  have=$(command -v "${GO:-go}" >/dev/null && "${GO:-go}" version | sed -n 's/^go version \(devel \)\{0,1\}go\([0-9][0-9.]*\).*/\2/p')
  if [ -z "$have" ]; then
    echo "Go is missing: install Go $go_version or newer (https://go.dev/dl) and put its bin folder into PATH" >&2
    return 1
  fi
  if [ "$(printf '%s\n%s\n' "$go_version" "$have" | sort -V | head -n 1)" != "$go_version" ]; then
    echo "Go $have is too old: install Go $go_version or newer (https://go.dev/dl); the distribution's own may be older" >&2
    return 1
  fi
}

missing=()
for need in "$@"; do
  if [ "$need" = go ]; then
    go_present || exit 1
  elif ! has "$need"; then
    read -ra names <<<"$(packages "$need")"
    missing+=("${names[@]}")
  fi
done
[ ${#missing[@]} -gt 0 ] || exit 0

line="sudo apt-get install ${missing[*]}"
if ! command -v apt-get >/dev/null; then
  echo "missing: ${missing[*]} (Debian's names): install them with this system's package manager" >&2
  exit 1
fi
as_root=()
if [ "$(id -u)" != 0 ]; then
  if ! { command -v sudo && sudo -n true; } >/dev/null 2>&1; then
    echo "missing: ${missing[*]}; type: $line" >&2
    exit 1
  fi
  as_root=(sudo -n)
fi

apt() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 -o APT::Update::Error-Mode=any "$@" >&2
}
echo "installing: ${missing[*]}" >&2
# The package lists may be absent or old: they are fetched where the first attempt does not succeed.
apt install -y --no-install-recommends "${missing[@]}" 2>/dev/null ||
  { apt update && apt install -y --no-install-recommends "${missing[@]}"; } ||
  {
    echo "could not install: ${missing[*]}; type: $line" >&2
    exit 1
  }
