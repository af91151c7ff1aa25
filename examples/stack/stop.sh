#!/bin/sh
# Stops what start.sh started, and nothing else, and deletes what it has stored.
set -eu
here=$(dirname "$0")
# shellcheck source-path=SCRIPTDIR
. "$here/../ours.sh"
state=${state%/*}/stack

stop_programs prometheus alertmanager pushgateway
if [ -e "$state/docker" ]; then
    docker_answers || fail "They were started in containers, and no Docker engine answers now: start it, then run this again."
    docker compose --file "$here/compose.yaml" down --volumes
    stopped=" the containers"
fi
rm -rf "$state"
say_stopped
