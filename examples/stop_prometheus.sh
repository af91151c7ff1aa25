#!/bin/sh
# Stops what start_prometheus.sh started, and nothing else, and deletes what it has stored.
set -eu
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/ours.sh"

stop_programs prometheus pushgateway

if docker_answers; then
    containers=$(docker ps --all --filter "label=$label" --format '{{.Names}}')
    for container in $containers; do
        docker rm --force --volumes "$container" >/dev/null
        stopped="$stopped $container"
    done
    networks=$(docker network ls --quiet --filter "label=$label")
    for network in $networks; do
        docker network rm "$network" >/dev/null
    done
elif [ -e "$state/docker" ]; then
    echo "They were started in containers, and no Docker engine answers now: start it, then run this again." >&2
    exit 1
fi

rm -rf "$state"
say_stopped
