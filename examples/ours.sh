# shellcheck shell=sh
# Shared by start_prometheus.sh and stop_prometheus.sh: what they started, and how to recognise it.

# Pid files, logs and Prometheus' data; deleted by a stop.
state=${XDG_STATE_HOME:-$HOME/.local/state}/gangplank/examples
# The label of our containers, so that no other container of the same name is touched; also the name of their network.
# shellcheck disable=SC2034  # used by the scripts that read this one
label=gangplank-example

# running NAME: is the process that was started as NAME still running? Sets $pid to its process ID. Another process that
# has received this ID since does not count: ours has its address on its command line.
running() {
    [ -s "$state/$1.pid" ] || return 1
    read -r pid address <"$state/$1.pid"
    case " $(ps -ww -o args= -p "$pid" 2>/dev/null) " in
        *" --web.listen-address=$address "*) return 0 ;;
        *) return 1 ;;
    esac
}

# Does a Docker engine answer, within five seconds? The client alone is not enough, and it can hang.
docker_answers() {
    command -v docker >/dev/null || return 1
    docker version >/dev/null 2>&1 &
    tries=0
    while kill -0 $! 2>/dev/null; do
        if [ "$tries" -eq 50 ]; then
            kill -9 $! 2>/dev/null || true
            break
        fi
        tries=$((tries + 1))
        sleep 0.1
    done
    wait $! 2>/dev/null
}
