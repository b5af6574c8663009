#!/usr/bin/env bash
# Install the Debian packages that the full test suite drives for real, without starting any of them as a service.
# Usage: tools/install-system.sh PACKAGE...   Prints one line for each package that could not be had.
set -u

missing=()
for package in "$@"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

if ! command -v apt-get >/dev/null; then
  echo "left out: ${missing[*]} (no apt-get on this system)"
  exit 0
fi
if [ "$(id -u)" -eq 0 ]; then sudo=""; elif sudo -n true 2>/dev/null; then sudo="sudo"; else
  echo "left out: ${missing[*]} (not root; run: sudo apt-get install ${missing[*]})"
  exit 0
fi

# Debian starts a server when its package is installed; a policy that says no is the documented way to prevent it.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' | $sudo tee "$policy" >/dev/null && $sudo chmod +x "$policy"
  trap '$sudo rm -f "$policy"' EXIT
fi

log=$(mktemp)
echo "installing with apt: ${missing[*]}"
$sudo apt-get update >"$log" 2>&1
for package in "${missing[@]}"; do
  if ! DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y --no-install-recommends "$package" >>"$log" 2>&1; then
    echo "left out: $package (apt-get install failed: $(grep -E '^E:' "$log" | tail -n 1))"
  fi
done
rm -f "$log"
exit 0
