#!/usr/bin/env bash
# Write the proxy's own answers anew, with this environment's CORS_ORIGINS and MAX_BODY_MIB, and bound the bodies that it holds by this
# machine's memory. If that fails it is told, and the files of the bundle stay. Run by deployments and, through .platform/confighooks, by
# changes of properties.
set -uo pipefail
shopt -s nullglob
cd "$(dirname "${BASH_SOURCE[0]}")/../../.." || exit 0

for folder in /var/app/venv/*/bin; do PATH=$folder:$PATH; done
for root in "${PROXY_ROOT:-/var/proxy/staging/nginx}" /etc/nginx; do
    if [[ -f $root/conf.d/20_answers.conf ]]; then break; fi
done
target=$root/conf.d/20_answers.conf
memory_kib=$(awk '/^MemTotal:/ {print $2}' "${MEMINFO:-/proc/meminfo}")
made=$(mktemp) && trap 'rm -f "$made"' EXIT
export PYTHONDONTWRITEBYTECODE=1
if mib=$(python -c 'from analyzer import settings; print(settings.read().max_body_bytes // settings.MIB)') &&
    python -m deploy.proxy_answers >"$made" && [[ -f $target ]]; then
    cat "$made" >"$target"
    buffer_mib=$((mib * 4 / 3))
    bodies=$((memory_kib / 4 / 1024 / buffer_mib))  # a quarter of the memory, or 8
    bodies=$((bodies > 160 ? 160 : bodies < 8 ? 8 : bodies))
    sed -i -E "s/^(client_max_body_size) [0-9]+m;/\1 ${mib}m;/; s/^(client_body_buffer_size) [0-9]+m;/\1 ${buffer_mib}m;/
        s/^(limit_conn bodies) [0-9]+;/\1 $bodies;/" "$root/conf.d/10_service.conf"
    echo "proxy: its own answers are written to $target, bodies up to $mib MiB pass, $bodies at a time"
else
    echo "proxy: ITS OWN ANSWERS KEEP THE DEFAULTS: $target could not be written" >&2
fi
exit 0
