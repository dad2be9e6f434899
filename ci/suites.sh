# For the scripts that run tests of others, as published, on pirn's types: changing them, leaving some out, running them,
# counting, and saying what failed. The script says where it works ($work), has a table (left_out) and collects the names of
# what it has written ($suites). Not a check itself.

mkdir -p "$work"
: >"$work/left_out.log"
any_failed=0
# A suite takes a few seconds; one that takes so long hangs.
hang_secs=${PIRN_TEST_HANG_SECS:-300}
# One folder for all, so that what they depend on is built once.
built=${CARGO_TARGET_DIR:-$root/target}/suites

# Written anew only when it changes: cargo looks at the time.
write() {
    mkdir -p "$(dirname "$1")"
    cat >"$1.new"
    if cmp -s "$1.new" "$1"; then rm "$1.new"; else mv "$1.new" "$1"; fi
}

# Some tests yield some thousand times, to give others time, or because each of many rounds does. On a busy machine each
# yield may take a slice of another thread: altogether minutes. So .ci/run asks for fewer (PIRN_FEW_YIELDS).
few_yields() {
    [ -n "${PIRN_FEW_YIELDS:-}" ] || { cat; return; }
    sed -e 's/^\( *for _ in 0\.\.\)5000 {$/\150 {/' -e '/^fn stress_clone/,/^}/s/\bRUNS: usize = 1000;/RUNS: usize = 50;/' \
        -e '/fn test_pseudo_random_send/,/^    }/s/\bfor cap in 0\.\.N {/for cap in (0..N).step_by(10) {/'
}

# Takes out what the table says, and tests of features that are not asked for: the suite and file as it says.
leave_out() {
    awk -v file="$1" -v both="${1/_1[23]/}" -v log_file="$work/left_out.log" '
        FILENAME != "-" {
            if (!/^ /) why = $0
            else if ($1 == file || $1 == both) for (i = 2; i <= NF; i++) reason[$i] = why
            next
        }
        function flush() { for (i = 1; i <= held; i++) print hold[i]; held = 0; is_test = 0 }
        # Attributes are held until it is known whose they are.
        !skipped && /^ *#\[/ && !/^ *#!\[/ { hold[++held] = $0; is_test = is_test || /#\[test\]/; next }
        !skipped && held && is_test && match($0, /fn [a-z0-9_]+\(/) {
            name = substr($0, RSTART + 3, RLENGTH - 4)
            if (name in reason) {
                print file "\t" name "\t" reason[name] >>log_file
                delete reason[name]
                held = 0
                is_test = 0
                skipped = 1
                indent = $0
                sub(/[^ ].*/, "", indent)
                if (/\{\}$/) skipped = 0
                next
            }
        }
        skipped { if ($0 == indent "}") skipped = 0; next }
        { flush(); print }
        END {
            flush()
            for (name in reason) { print file ": no test " name >"/dev/stderr"; failed = 1 }
            exit failed
        }
    ' <(left_out) -
}

# Channels of std become ours, and each test calls what was its body from a G.
to_g() {
    sed -E -e 's/\bstd::sync::mpsc::channel\b/pirn_channels::unbounded as channel/' \
        -e 's/\bstd::sync::mpsc::\{TryRecvError, channel\}/pirn_channels::{TryRecvError, unbounded as channel}/' |
        awk '
            /^ *#\[test\]$/ { test = 1 }
            test && match($0, /^ *fn [a-z0-9_]+\(\) \{/) {
                name = $2
                sub(/\(\)/, "", name)
                print "fn " name "() { ::pirn_suite::on_g(body_of_" name ") }"
                sub("fn " name, "fn body_of_" name)
                test = 0
            }
            { print }
        '
}

# A whole file is left out: suite and file, the source, the reason.
leave_out_file() {
    awk -v file="$1" -v reason="$3" '
        /^ *#\[test\]$/ { test = 1 }
        test && match($0, /fn [a-z0-9_]+\(/) { print file "\t" substr($0, RSTART + 3, RLENGTH - 4) "\t" reason; test = 0 }
    ' "$2" >>"$work/left_out.log"
}

# Writes a file of tests for both packages: the suite, the name, and what changes it for Gs. The test is read from stdin.
for_both() {
    local suite=$1 name=$2 to_gs=$3
    write "$work/threads/tests/$suite/$name.rs"
    "$to_gs" <"$work/threads/tests/$suite/$name.rs" | write "$work/gs/tests/$suite/$name.rs"
}

# What a log has as its result: passed, failed and ignored. A program of tests that has none has aborted; without any, nothing
# has been built or asked.
result() {
    awk '
        /^running [0-9]+ tests?$/ { programs++ }
        /^test result: / { results++; passed += $4; failed += $6; ignored += $8 }
        END {
            failed += programs - results
            print passed + 0, failed || passed + ignored ? failed : 1, ignored + 0
        }
    ' "$1"
}

# A test of crossbeam-channel's that measures what the whole process has allocated, so it needs one for itself.
measures_the_process=select2::main

# The tests that have failed by a log, if each of them has looked at the clock: those of crossbeam-channel that are about
# ticks, and those that say that something took too long. A processor that is busy for 50 ms is enough, or 5.
late_tests() {
    local says='(now - (start|fired)|fired - start|start\.elapsed\(\)|Instant::now\(\)\.duration_since\(now\)) <'
    say_failures "$1" | awk -v says="^    (a G panicked: )?(assertion failed: $says|timeout exceeded: )" '
        /^--- / { is_of_ticks = /tests\/(after|tick)\.rs$/; next }
        /^FAILED / { if (count++ && !is_late) others = 1; is_late = is_of_ticks; within = 1; print $2; next }
        !/^    / { within = 0 }
        /^(ENDED BY|HANG|error|the end of )/ { others = 1 }
        within && $0 ~ says { is_late = 1 }
        END { exit others || !is_late }
    '
}

# Has cargo run tests: a log, what cargo is told, and `--` with what their programs are told.
try() {
    local log=$1 status=0
    shift
    timeout "$hang_secs" cargo test --no-fail-fast "$@" >"$log" 2>&1 || status=$?
    [ "$status" -ne 124 ] || echo "HANG: ended after $hang_secs s" >>"$log"
}

# The same, of all tests: a log, and what cargo is told. It leaves their numbers in `passed`, `failed` and `ignored`, which
# are the caller's. The caller has a variable `alone`: a test that has a process for itself, or nothing.
ask() {
    local log=$1 last=$1 others=() late times p f i
    shift
    [ -z "$alone" ] || others=(--skip "$alone")
    try "$log" "$@" -- --test-threads=8 "${others[@]}"
    read -r passed failed ignored < <(result "$log")
    for times in 1 2 3; do
        [ "$failed" -gt 0 ] && late=$(late_tests "$last") || break
        echo "too late, and asked again:" $late
        last=$log.again
        # One by one.
        try "$last" "$@" -- --test-threads=1 --exact $late
        read -r p f i < <(result "$last")
        passed=$((passed + failed - f)) failed=$f
        cat "$last" >>"$log"
    done
    if [ -n "$alone" ]; then
        try "$log.alone" "$@" -- --exact "$alone"
        read -r p f i < <(result "$log.alone")
        passed=$((passed + p)) failed=$((failed + f)) ignored=$((ignored + i))
        cat "$log.alone" >>"$log"
    fi
    [ "$failed" -eq 0 ] || any_failed=1
}

# What went wrong, by a log.
say_failures() {
    awk -f "$root/ci/failures.awk" "$1" || { echo "the end of $1:"; tail -n 40 "$1"; }
}

# Prints the line of a suite: its name, and the seconds since when it began. Then what failed, by its log.
say() {
    local log=$1 name=$2 began=$3 without
    without=$(grep -c "^$name/" "$work/left_out.log" || true)
    printf '%-18s %4d passed %4d failed %4d ignored %4d left out %4d s\n' \
        "$name" "$passed" "$failed" "$ignored" "$without" $((SECONDS - began))
    [ "$failed" -eq 0 ] || say_failures "$log"
}

# Runs the tests of one suite, and prints a line.
run() {
    local mode=$1 package=$2 suite=$3 log=$work/$1-$3.log began=$SECONDS alone= passed failed ignored
    PIRN_TEST_MODE=${mode/threads/shared} ask "$log" "${options[@]}" \
        --manifest-path "$work/$package/Cargo.toml" --test "$suite"
    say "$log" "$suite" "$began"
}

# What was left out, and why.
say_left_out() {
    echo "=== left out"
    awk -F '\t' '
        !(($1, $3) in names) { order[++n] = $1 SUBSEP $3 }
        { names[$1, $3] = names[$1, $3] " " $2 }
        END {
            for (i = 1; i <= n; i++) {
                split(order[i], key, SUBSEP)
                print key[1] ":" names[order[i]] "\n    " key[2]
            }
        }
    ' "$work/left_out.log"
}

# Runs all in each mode, and says what was left out: threads, shared, isolated, or those that the caller names.
run_suites() {
    local mode suite package modes=("$@")
    [ $# -gt 0 ] || modes=(threads shared isolated)
    # As much stack as a thread has, and more than one P even on one CPU: some tests wait for threads of the system.
    export PIRN_STACK=${PIRN_STACK:-4M} PIRN_MAXPROCS=${PIRN_MAXPROCS:-4}
    options=(--release --target-dir "$built")
    for mode in "${modes[@]}"; do
        package=gs
        [ "$mode" != threads ] || package=threads
        cargo build --quiet "${options[@]}" --manifest-path "$work/$package/Cargo.toml" --tests
        echo "=== $mode"
        for suite in "${suites[@]}"; do
            run "$mode" "$package" "$suite"
        done
    done
    say_left_out
    return $any_failed
}
