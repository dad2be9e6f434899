# What went wrong in the tests of a log of `cargo test`, for each of its programs: the tests that failed, with what they have
# printed; panics on its threads and Gs, of which some are meant; and the signal that has ended it, with the tests that had
# not ended by then. Without backtraces, which the log has. If nothing of that is in it, it exits with 1. Not a check itself.

# What cargo runs now: the program before it is said.
/^ +Running / {
    say()
    program = $2 == "unittests" ? $3 : $2
    file = $NF
    gsub(/[()]/, "", file)
    next
}

/^test result: / { keep(); is_list = 0; next }
test == "" && /^test [^ ]+ .*\.\.\. / { keep(); ended[$2]; next }
/^---- [^ ]+ stdout ----$/ { keep(); test = $2; add("FAILED " test); next }
/^failures:$/ { keep(); test = ""; is_list = 1; next }
is_list && /^    [^ ]+$/ { if (!($1 in shown)) add("FAILED " $1); next }

# A runtime that hangs says which Gs wait for what.
/^HANG/ { keep(); add($0); hung = 20; next }
hung > 0 && / waiting for / { hung--; add("    " $0); next }

/ process didn.t exit successfully: / && match($0, /\(signal: [^)]*\)/) {
    keep()
    add("ENDED BY " substr($0, RSTART + 1, RLENGTH - 2))
    while (((file " --list 2>&1") | getline line) > 0) {
        if (sub(/: test$/, "", line) && !(line in ended)) add("    it had not ended: " line)
    }
    died = 1
    next
}
# It was not built.
/^error(\[|: )/ && !/^error: (test failed|[0-9]+ targets? failed)/ { add($0) }

/^(stack backtrace:$| +[0-9]+: | +at |note: )/ { keep(); next }
# What a test has printed.
test != "" { if ($0 != "") add("    " $0); next }
# A panic: where, and the first lines of what it says. Numbers of threads and Gs are left out, so that the same are one.
/ panicked at .*:$/ {
    keep()
    place = $0
    gsub(/ \([0-9]+\)|[0-9]+, started/, "", place)
    next
}
place != "" { if ($0 == "" || split(text, lines, "\n") > 4) keep(); else text = text "\n        " $0 }

END { say(); exit !wrong }

function add(line) {
    what = what line "\n"
    if (line ~ /^FAILED /) shown[substr(line, 8)]
}

# The panic is complete.
function keep(    panic) {
    if (place != "") {
        panic = place text
        if (!times[panic]++) panics[++count] = panic
        first[panic] = text
        sub(/^\n +/, "", first[panic])
        sub(/\n.*/, "", first[panic])
    }
    place = text = ""
}

# Of the panics those with which a test says that it has failed; or all, if there are none, or the program was ended.
function say(    i, said, all) {
    keep()
    if (what != "") {
        wrong = 1
        printf "--- %s\n%s", program, what
        for (all = died; !said && all < 2; all++) {
            for (i = 1; i <= count && said < 30; i++) {
                if (!all && !index(what, first[panics[i]])) continue
                print panics[i] (times[panics[i]] > 1 ? "    (" times[panics[i]] " times)" : "")
                said++
            }
        }
    }
    what = test = program = file = place = text = ""
    died = is_list = count = hung = 0
    split("", ended)
    split("", shown)
    split("", panics)
    split("", times)
    split("", first)
}
