# For the scripts that run exams: programs and crates of others on what pirn has. A process for each exam, a line for
# each, and a total. The script has the table of what has to be installed (needs), says of which crate the exams are
# ($exams_of), in which modes they run ($all_modes), and which run in the isolated mode alone ($isolated_only). Not a check
# itself.

# Debian has the servers of PostgreSQL in a folder of their release.
for folder in /usr/lib/postgresql/*/bin; do
    PATH=$PATH:$folder
done
# Thousands of sockets, of both sides.
ulimit -n "$(ulimit -Hn)"
# An exam takes some seconds; one that takes so long hangs, and prints which Gs wait for what.
hang_secs=${PIRN_TEST_HANG_SECS:-150}
work=${CARGO_TARGET_DIR:-$PWD/target}/$exams_of-exams
program=$work/release/$exams_of-exams

is_in() { [[ " $2 " == *" $1 "* ]]; }

# What is not there that the exam needs; nothing if all is.
missing() {
    local names check install
    while IFS='|' read -r names check install; do
        if is_in "$1" "$names" && ! bash -c "$check" >/dev/null 2>&1; then
            echo "not there:${check% }; install by:$install"
        fi
    done < <(needs)
}

run() {
    # Ends what the exam has started, too.
    PIRN_TEST_MODE=$1 timeout --kill-after=10 $((hang_secs + 10)) "$program" "$2" "$hang_secs"
}

line() { printf '%-9s %-19s %-9s %s\n' "$@"; }

# Those that the caller names, in the modes that it names; or all, in all modes.
run_exams() {
    local modes=() exams=() argument mode exam lacks log passed=0 failed=0 left_out=0
    cargo build --locked --release --manifest-path "$exams_of/exams/Cargo.toml" --target-dir "$work"
    for argument in "$@"; do
        if is_in "$argument" "$all_modes"; then modes+=("$argument"); else exams+=("$argument"); fi
    done
    [ ${#modes[@]} -gt 0 ] || read -ra modes <<<"$all_modes"
    [ ${#exams[@]} -gt 0 ] || mapfile -t exams < <("$program")
    for mode in "${modes[@]}"; do
        for exam in "${exams[@]}"; do
            [ "$mode" = isolated ] || ! is_in "$exam" "$isolated_only" || continue
            lacks=$(missing "$exam")
            log=$work/$exam-$mode.log
            if [ -n "$lacks" ]; then
                left_out=$((left_out + 1))
                line "$mode" "$exam" "left out" "$lacks"
            elif run "$mode" "$exam" >"$log" 2>&1; then
                passed=$((passed + 1))
                line "$mode" "$exam" passed "$(tail -n 1 "$log")"
            else
                failed=$((failed + 1))
                line "$mode" "$exam" FAILED "the end of $log:"
                tail -n 60 "$log"
            fi
        done
    done
    echo "$passed passed, $failed failed, $left_out left out"
    [ "$failed" -eq 0 ]
}
