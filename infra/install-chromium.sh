#!/usr/bin/env bash
# A browser for the tests of pages and of the dashboard: Chromium, as Debian packages it.
# Does nothing when it is there; without root or apt it says so, and those tests skip with the reason.
set -euo pipefail

if command -v chromium >/dev/null; then
  exit 0
fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "Chromium is not installed and cannot be from here (apt-get as root): its tests will skip"
  exit 0
fi
echo "installing Chromium for the tests of pages (90 MB)"
apt-get update -qq >/dev/null
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
  chromium fonts-dejavu-core >/dev/null || echo "Chromium could not be installed: its tests will skip"
