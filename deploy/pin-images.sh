#!/bin/sh
# Asks the registries for the digest of every image that deploy/ names by version, and writes it behind the version, so
# that the same bytes are run everywhere: `image:1.2.3` becomes `image:1.2.3@sha256:…`. An old digest is replaced.
set -eu
cd "$(dirname "$0")"
command -v docker > /dev/null || { echo 'docker is needed to ask registries' >&2; exit 1; }
images=$(sed -nE 's/^(FROM| *image:) ([a-z0-9./-]+:v?[0-9][A-Za-z0-9.-]*).*/\2/p' Dockerfile compose/compose.yaml | sort -u)
for image in $images; do
    digest=$(docker buildx imagetools inspect "$image" --format '{{.Manifest.Digest}}') || exit 1
    case "$digest" in sha256:????????????????????????????????????????????????????????????????) ;; *)
        echo "no digest for $image: $digest" >&2; exit 1 ;;
    esac
    sed -i -E "s|($image)(@sha256:[0-9a-f]{64})?|\1@$digest|" Dockerfile compose/compose.yaml
    echo "$image@$digest"
done
