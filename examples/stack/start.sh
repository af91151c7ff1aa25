#!/bin/sh
# Starts Prometheus, a Pushgateway and an Alertmanager on 127.0.0.1, with gangplank's rules; with Grafana and its dashboards
# too if a Docker engine answers, otherwise with the programs on PATH. PROMETHEUS_PORT, PUSHGATEWAY_PORT,
# ALERTMANAGER_PORT and GRAFANA_PORT set other ports than 9090, 9091, 9093 and 3000. stop.sh stops all of them.
set -eu
here=$(dirname "$0")
# shellcheck source-path=SCRIPTDIR
. "$here/../ours.sh"
state=${state%/*}/stack
prometheus_port=${PROMETHEUS_PORT:-9090}
gateway_port=${PUSHGATEWAY_PORT:-9091}
alertmanager_port=${ALERTMANAGER_PORT:-9093}
grafana_port=${GRAFANA_PORT:-3000}
addresses="http://127.0.0.1:$prometheus_port, http://127.0.0.1:$gateway_port and http://127.0.0.1:$alertmanager_port"

ready() {
    ask "$prometheus_port" /-/ready && ask "$gateway_port" /-/ready && ask "$alertmanager_port" /-/ready &&
        { [ "$docker" = no ] || ask "$grafana_port" /api/health; }
}
compose() { docker compose --file "$here/compose.yaml" "$@"; }

need_tools
command -v gangplank >/dev/null || fail "gangplank is not on PATH: install it, or run \`make stack\` in a checkout."
docker=no
if compose_answers; then docker=yes; fi

# --- Can they start? --------------------------------------------------------------------------------------------------

if [ "$docker" = no ]; then
    alive=0
    for name in prometheus pushgateway alertmanager; do
        if running "$name"; then alive=$((alive + 1)); fi
    done
    if [ "$alive" -eq 3 ] && ready; then
        say "Already running, on $addresses."
        exit 0
    fi
    [ "$alive" -eq 0 ] ||
        fail "They were started before, but do not all answer on $addresses. Run $here/stop.sh, then start again."
    need_programs prometheus prometheus-pushgateway prometheus-alertmanager
    need_free "prometheus prometheus-pushgateway prometheus-alertmanager" \
        "PROMETHEUS_PORT, PUSHGATEWAY_PORT and ALERTMANAGER_PORT" "$prometheus_port" "$gateway_port" "$alertmanager_port"
    [ ! -d "$state" ] || sh "$here/stop.sh" >/dev/null # what a crash has left
fi

# --- Start ------------------------------------------------------------------------------------------------------------

mkdir -p "$here/generated/rules" "$here/generated/dashboards"
gangplank rules --out "$here/generated/rules/gangplank.yml"
gangplank dashboards --out "$here/generated/dashboards"
mkdir -p "$state"

# From here to the end, any failure stops what was started.
trap 'exit 130' HUP INT TERM
if [ "$docker" = yes ]; then
    trap 'compose stop' EXIT # what an earlier start has stored stays
    touch "$state/docker"
    chmod -R a+rX "$here/generated" # in the containers, Prometheus and Grafana are other users
    compose up --detach
    alive() { [ -n "$(compose ps --quiet --status running "$1")" ]; }
    log() { compose logs --tail 20 "$1"; }
    await "$addresses" pushgateway alertmanager prometheus grafana
    # Where Prometheus ran before, it has the rules of then. (A signal by `compose kill` would end its restart policy.)
    compose exec -T prometheus kill -HUP 1
else
    trap 'sh "$here/stop.sh" >/dev/null' EXIT
    cp -R "$here/generated/rules" "$here/alertmanager.yml" "$state"
    sed "s/pushgateway:9091/127.0.0.1:$gateway_port/; s/alertmanager:9093/127.0.0.1:$alertmanager_port/" \
        "$here/prometheus.yml" >"$state/prometheus.yml"
    launch pushgateway "$(program prometheus-pushgateway)" "$gateway_port" --persistence.file=
    launch alertmanager "$(program prometheus-alertmanager)" "$alertmanager_port" \
        --config.file="$state/alertmanager.yml" --storage.path="$state/alertmanager" --cluster.listen-address= \
        --web.external-url="http://127.0.0.1:$alertmanager_port"
    launch prometheus "$(program prometheus)" "$prometheus_port" \
        --config.file="$state/prometheus.yml" --storage.tsdb.path="$state/data" \
        --web.external-url="http://127.0.0.1:$prometheus_port"
    alive() { running "$1"; }
    log() { tail -n 20 "$state/$1.log"; }
    await "$addresses" pushgateway alertmanager prometheus
fi
trap - EXIT HUP INT TERM

say "Prometheus:   http://127.0.0.1:$prometheus_port/alerts"
say "Pushgateway:  http://127.0.0.1:$gateway_port"
say "Alertmanager: http://127.0.0.1:$alertmanager_port"
if [ "$docker" = yes ]; then
    say "Grafana:      http://127.0.0.1:$grafana_port"
    say "They run in containers. $here/stop.sh stops them."
else
    say "Grafana:      not started without Docker; import the dashboards in $here/generated/dashboards into yours."
    say "They run as programs, with their files in $state. $here/stop.sh stops them."
fi
