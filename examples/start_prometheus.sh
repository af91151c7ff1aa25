#!/bin/sh
# Starts Prometheus on 127.0.0.1:9090, scraping a Pushgateway on 127.0.0.1:9091: as the containers `prometheus` and
# `pgw` if a Docker engine answers, otherwise with the programs on PATH. PROMETHEUS_PORT and PUSHGATEWAY_PORT set other
# ports. stop_prometheus.sh stops both.
set -eu
here=$(dirname "$0")
# shellcheck source-path=SCRIPTDIR
. "$here/ours.sh"
prometheus_port=${PROMETHEUS_PORT:-9090}
gateway_port=${PUSHGATEWAY_PORT:-9091}
ready() { ask "$prometheus_port" /-/ready && ask "$gateway_port" /-/ready; }

need_tools
docker=no
if docker_answers; then docker=yes; fi

# --- Started already? -------------------------------------------------------------------------------------------------

alive=0
for name in prometheus pushgateway; do
    if running "$name"; then alive=$((alive + 1)); fi
done
if [ "$docker" = yes ]; then
    alive=$((alive + $(docker ps --quiet --filter "label=$label" | wc -l)))
fi
if [ "$alive" -gt 0 ]; then
    if [ "$alive" -ne 2 ] || ! ready; then
        fail "Prometheus and the Pushgateway were started before, but do not both answer on the ports" \
            "$prometheus_port and $gateway_port. Run $here/stop_prometheus.sh, then start again."
    fi
    say "Already running, on http://127.0.0.1:$prometheus_port and http://127.0.0.1:$gateway_port."
    exit 0
fi

# --- Can they start? --------------------------------------------------------------------------------------------------

[ "$docker" = yes ] || need_programs prometheus prometheus-pushgateway
need_free "prometheus prometheus-pushgateway" "PROMETHEUS_PORT and PUSHGATEWAY_PORT" "$prometheus_port" "$gateway_port"

# --- Start ------------------------------------------------------------------------------------------------------------

# Clean up after an earlier start that was not stopped: the machine was switched off, or crashed.
[ ! -d "$state" ] || sh "$here/stop_prometheus.sh" >/dev/null

# From here to the end, any failure stops what was started.
trap 'sh "$here/stop_prometheus.sh" >/dev/null' EXIT
trap 'exit 130' HUP INT TERM
mkdir -p "$state"

# write_config GATEWAY
write_config() {
    sed "s/127\.0\.0\.1:9091/$1/" "$here/prometheus.yml" >"$state/prometheus.yml"
    chmod 644 "$state/prometheus.yml" # the container's Prometheus is another user
}

if [ "$docker" = yes ]; then
    how="in the containers prometheus and pgw"
    touch "$state/docker"
    # On a network of their own, containers find each other by name, on Linux and on macOS. The configuration is copied,
    # not mounted: that works with every engine, wherever it runs.
    write_config pgw:9091
    docker network inspect "$label" >/dev/null 2>&1 || docker network create --label "$label" "$label" >/dev/null
    docker create --name pgw --label "$label" --network "$label" --publish "127.0.0.1:$gateway_port:9091" \
        prom/pushgateway >/dev/null
    docker create --name prometheus --label "$label" --network "$label" --publish "127.0.0.1:$prometheus_port:9090" \
        prom/prometheus >/dev/null
    docker cp "$state/prometheus.yml" prometheus:/etc/prometheus/prometheus.yml >/dev/null
    docker start pgw prometheus >/dev/null
    servers="prometheus pgw"
    alive() { [ "$(docker inspect --format '{{.State.Running}}' "$1")" = true ]; }
    log() { docker logs --tail 20 "$1"; }
else
    how="as programs, with their files in $state"
    write_config "127.0.0.1:$gateway_port"
    launch pushgateway "$(program prometheus-pushgateway)" "$gateway_port" --persistence.file=
    launch prometheus "$(program prometheus)" "$prometheus_port" \
        --config.file="$state/prometheus.yml" --storage.tsdb.path="$state/data"
    servers="prometheus pushgateway"
    alive() { running "$1"; }
    log() { tail -n 20 "$state/$1.log"; }
fi

# --- Wait until both answer -------------------------------------------------------------------------------------------

# shellcheck disable=SC2086  # names
await "http://127.0.0.1:$prometheus_port and http://127.0.0.1:$gateway_port" $servers
trap - EXIT HUP INT TERM
say "Prometheus:  http://127.0.0.1:$prometheus_port"
say "Pushgateway: http://127.0.0.1:$gateway_port"
say "They run $how. $here/stop_prometheus.sh stops both."
