#!/usr/bin/env bash
# Fetch the published model into the cache and check it, before the service starts and traffic comes.
# Whatever fails is told in /var/log/eb-hooks.log, and the deployment goes on: the service then answers with what it fetched
# earlier or with the bundled model, and goes on trying (docs/deploy.md, "Where the artefact comes from").
set -uo pipefail
shopt -s nullglob
cd "$(dirname "${BASH_SOURCE[0]}")/../../.." || exit 0

LONGEST_S=240  # the whole deployment may take 900
bundled=${MODEL_DIR:-models}/hare_run_v6_facial
for folder in /var/app/venv/*/bin; do PATH=$folder:$PATH; done
as_service=()  # the cache has to belong to the user that the service runs as
if [[ $EUID -eq 0 ]] && id webapp >/dev/null 2>&1; then
    as_service=(runuser -u webapp --)
    if [[ -n ${MODEL_CACHE_DIR:-} ]]; then install -d -o webapp -g webapp -m 755 "$MODEL_CACHE_DIR"; fi
fi

store() { timeout "$LONGEST_S" ${as_service[@]+"${as_service[@]}"} python -m analyzer.model_store "$@" 2>&1; }

if [[ -z ${S3_BUCKET:-} ]]; then
    echo "model: S3_BUCKET is not set; the bundled model will be served"
elif told=$(store fetch); then
    echo "model: fetched and verified: ${told##*$'\n'}"
else
    echo "model: NOT FETCHED, an earlier or the bundled one will be served until S3 delivers: ${told##*$'\n'}" >&2
fi
if told=$(store verify "$bundled" --open); then
    echo "model: the bundled one passed its self-test: ${told##*$'\n'}"
else
    echo "model: THE BUNDLED ONE CANNOT BE SERVED: ${told##*$'\n'}" >&2
fi
exit 0
