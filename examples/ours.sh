# shellcheck shell=sh
# Shared by start_prometheus.sh, stop_prometheus.sh and the two scripts of stack/: how to start a program, how to recognise
# what they started, and how to stop it.

# Pid files, logs and the servers' data; deleted by a stop.
state=${XDG_STATE_HOME:-$HOME/.local/state}/gangplank/examples
# The label of our containers, so that no other container of the same name is touched; also the name of their network.
# shellcheck disable=SC2034  # used by the scripts that read this one
label=gangplank-example

say() { printf '%s\n' "$*"; }
fail() {
    say "$@" >&2
    exit 1
}

need_tools() {
    for tool in curl ps; do
        command -v "$tool" >/dev/null ||
            fail "This script needs curl and ps (on Debian, the packages curl and procps): $tool is missing."
    done
}

# ask PORT PATH: curl, without its settings file and without a proxy.
ask() { curl -q --fail --silent --noproxy '*' --max-time 2 --output /dev/null "http://127.0.0.1:$1$2"; }
# 7 is curl's "could not connect": with any other status, something listens on the port.
taken() {
    status=0
    ask "$1" / || status=$?
    [ "$status" -ne 7 ]
}

# need_free PACKAGES VARIABLES PORT...: Debian's packages that may listen on these ports, and the variables that set others
need_free() {
    packages=$1 variables=$2 busy=
    shift 2
    for port in "$@"; do
        if taken "$port"; then busy="$busy 127.0.0.1:$port"; fi
    done
    [ -n "$busy" ] || return 0
    say "Something else listens on:$busy. Stop it, or choose other ports with $variables." >&2
    fail "(Debian's packages start services of their own: systemctl stop $packages)"
}

# need_programs PACKAGE...: whether each is on PATH, as a program of its name or without `prometheus-`
need_programs() {
    missing=
    for package in "$@"; do
        [ -n "$(program "$package")" ] || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    say "No Docker engine answers, and not on PATH:$missing." >&2
    fail "Start Docker, or install the programs; on Debian and Ubuntu: apt install$missing"
}
program() { command -v "$1" || command -v "${1#prometheus-}" || true; }

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

# launch NAME PROGRAM PORT OPTION...: in the background, until it ends or is stopped.
launch() {
    name=$1 program=$2 address=127.0.0.1:$3
    shift 3
    nohup "$program" "--web.listen-address=$address" "$@" </dev/null >"$state/$name.log" 2>&1 &
    echo "$! $address" >"$state/$name.pid"
    # Wait until the new process shows its own command line, or has ended.
    until running "$name" || ! kill -0 $! 2>/dev/null; do sleep 0.01; done
}

# await ADDRESSES NAME...: until they are `ready`. The script says what that is, whether one is `alive`, and has its `log`.
await() {
    addresses=$1 tries=0
    shift
    until ready; do
        for name in "$@"; do
            if ! alive "$name"; then
                say "$name did not start. The end of its log:" >&2
                log "$name" >&2
                exit 1
            fi
        done
        if [ "$tries" -eq 300 ]; then
            for name in "$@"; do
                say "The end of the log of $name:" >&2
                log "$name" >&2
            done
            fail "They run, but do not answer on $addresses."
        fi
        tries=$((tries + 1))
        sleep 0.1
    done
}

# stop_programs NAME...: those of them that run; $stopped has their names
stop_programs() {
    stopped=
    for name in "$@"; do
        running "$name" || continue
        kill "$pid" || true
        tries=0
        while running "$name"; do
            if [ "$tries" -eq 100 ]; then kill -9 "$pid" || true; fi # ten seconds are enough
            tries=$((tries + 1))
            sleep 0.1
        done
        stopped="$stopped $name"
    done
}

say_stopped() {
    if [ -n "$stopped" ]; then
        say "Stopped:$stopped"
    else
        say "Nothing to stop."
    fi
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
compose_answers() { docker_answers && docker compose version >/dev/null 2>&1; }
