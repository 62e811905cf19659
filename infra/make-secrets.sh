#!/usr/bin/env bash
# Makes the service's secrets as files in a folder that you alone may enter; what is there stays.
#
#     infra/make-secrets.sh            # into infra/secrets, which git ignores
#     infra/make-secrets.sh DIRECTORY
#
# Compose mounts them, and Kubernetes takes them by `kubectl create secret --from-file` (docs/deploy.md).
# To change one: remove its file, run this again, start again what uses it.
set -euo pipefail
umask 077

folder=${1:-$(dirname "$0")/secrets}
mkdir -p "$folder"
chmod 0700 "$folder"
cd "$folder"

strong() { # 32 bytes of the kernel's randomness, in letters that no url and no shell trips over
  od -An -N32 -tx1 /dev/urandom | tr -d ' \n'
}
keep() { # NAME: standard input, unless the file is there
  if [ -e "$1" ]; then
    cat >/dev/null
  else
    cat >"$1.new"
    # Compose mounts the file itself, and each container's own user must read it; on this host the
    # folder keeps everybody else out.
    chmod 0444 "$1.new"
    mv "$1.new" "$1"
    echo "made $folder/$1"
  fi
}

strong | keep postgres_password
printf 'cord:%s' "$(strong)" | keep prefect_auth_string # user:password, as Prefect's dashboard asks for it
strong | keep teacher_api_key
printf 'cord%s' "$(strong | cut -c1-16)" | keep s3_access_key
strong | keep s3_secret_key
printf 'admin%s' "$(strong | cut -c1-16)" | keep s3_admin_access_key
strong | keep s3_admin_secret_key
# The S3 server's own list: the admin makes the bucket; what cord may do, the bucket's policy says.
cat <<JSON | keep s3_identities.json
{"identities": [
  {"name": "admin", "actions": ["Admin"],
   "credentials": [{"accessKey": "$(cat s3_admin_access_key)", "secretKey": "$(cat s3_admin_secret_key)"}]},
  {"name": "cord", "actions": [],
   "credentials": [{"accessKey": "$(cat s3_access_key)", "secretKey": "$(cat s3_secret_key)"}]}
]}
JSON
