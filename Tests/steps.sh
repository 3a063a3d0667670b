# Steps of a script, each with its time. To be sourced.

# step NAME COMMAND…: runs it in the foreground; its exit code is the step's. When COMMAND is a function, `set -e` does not
# hold inside of it.
step() {
    local name=$1 begin=$SECONDS code=0
    shift
    echo "=== $name"
    "$@" || code=$?
    echo "=== $name: $([[ $code == 0 ]] && echo done || echo "FAILED with $code") in $((SECONDS - begin)) s"
    return "$code"
}

declare -A background_pids=()

# start NAME COMMAND…: runs it beside what follows. What it prints comes with `finish`.
start() {
    local name=$1 log
    log=$(mktemp)
    background_logs[$name]=$log
    step "$@" >"$log" 2>&1 &
    background_pids[$name]=$!
    echo "=== $1: started"
}
declare -A background_logs=()

# finish NAME: waits for it and prints what it printed; its exit code is that of the step.
finish() {
    local code=0
    wait "${background_pids[$1]}" || code=$?
    unset "background_pids[$1]"
    cat "${background_logs[$1]}"
    rm "${background_logs[$1]}"
    unset "background_logs[$1]"
    return "$code"
}

# stop_tree PID: ends it and what it has started. A shell waits for its child before it hears of a signal.
stop_tree() {
    local child
    for child in $(pgrep -P "$1"); do stop_tree "$child"; done
    kill "$1" 2>/dev/null
}

# Nothing that was started outlives the script.
stop_background() {
    local pid
    for pid in "${background_pids[@]}"; do stop_tree "$pid"; done
    ((${#background_logs[@]})) && rm -f "${background_logs[@]}"
    return 0
}
trap stop_background EXIT
