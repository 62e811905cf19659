#!/bin/sh
# Secrets come as files (compose's and Kubernetes' secrets), programs read variables: each NAME_FILE
# in the environment becomes NAME, for the program started here alone. Nothing is printed.
set -eu

for variable in $(env | sed -n 's/^\([A-Z][A-Z0-9_]*\)_FILE=.*/\1/p'); do
  case $variable in
    PREFECT_API_AUTH_STRING | PREFECT_SERVER_API_AUTH_STRING | PREFECT_SERVER_DATABASE_PASSWORD | \
      AWS_ACCESS_KEY_ID | AWS_SECRET_ACCESS_KEY | HF_TOKEN | *_API_KEY) ;;
    *) continue ;; # SSL_CERT_FILE is a file indeed
  esac
  eval "file=\$${variable}_FILE"
  if [ ! -r "$file" ]; then
    echo "cord-entrypoint: ${variable}_FILE names $file, which cannot be read; infra/make-secrets.sh makes the secrets" >&2
    exit 1
  fi
  export "$variable=$(cat "$file")"
  unset "${variable}_FILE"
done
exec "$@"
