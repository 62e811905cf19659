#!/usr/bin/env bash
# A real S3 server for the tests: Ceph's gateway with a monitor and an OSD, as Debian packages them.
# Does nothing when it is there; without root or apt it says so, and those tests skip with the reason.
set -euo pipefail

if command -v radosgw >/dev/null && command -v ceph-mon >/dev/null && command -v ceph-osd >/dev/null; then
  exit 0
fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "Ceph is not installed and cannot be from here (apt-get as root): its S3 tests will skip"
  exit 0
fi
echo "installing Ceph for the S3 tests (60 MB)"
apt-get update -qq >/dev/null
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
  radosgw ceph-mon ceph-osd >/dev/null || echo "Ceph could not be installed: its S3 tests will skip"
