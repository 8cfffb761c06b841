#!/bin/bash
# Runs test programs, two at once for each core: tests/run.sh SUMMARY ROOT PROGRAM... For most of their time they
# wait, each for servers of its own.
#
# Each prints what it found; of a program that passes only its last line is shown, of one that fails everything. The
# lines at the end, which are also written to SUMMARY, are the programs' own.
set -u
here=$(cd "$(dirname "$0")" && pwd)

# What it prints is written in one piece: others write beside it.
run_one() {
    local program=$1 log name args=() status line
    log=$(mktemp)
    name=${program#"$root"/tests/}
    case $name in
    fuzz/*) args=("$here/fuzz/corpus/$(basename "$name" _fuzz)") ;;
    esac
    timeout --kill-after=5 "${TEST_TIMEOUT:-180}" "$program" "${args[@]}" >"$log" 2>&1
    status=$?
    line=$(grep -aE '\[  PASSED  \]' "$log" | tail -n 1)
    if [ $status -eq 124 ] || [ $status -eq 137 ]; then
        line="timed out"
    fi
    {
        flock 9
        if [ $status -ne 0 ]; then
            cat "$log"
            line="FAILED (status $status) $line"
        fi
        printf '%-44s %s\n' "$name" "${line:-[  PASSED  ]}" | tee -a "$summary"
    } 9<"$here/run.sh"
    rm -f "$log"
}

if [ "$1" = --one ]; then
    summary=$2 root=$3
    run_one "$4"
    exit 0
fi

summary=$1 root=$2
shift 2
: >"$summary"

export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1:halt_on_error=1}
export TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=1}

printf '%s\0' "$@" | xargs -0 -n 1 -P "${TEST_JOBS:-$(($(nproc) * 2))}" "$here/run.sh" --one "$summary" "$root"

# Counted from what was written: a program whose line is missing has failed too.
ended=$(grep -acvE ' FAILED \(status [0-9]+\)' "$summary")
passed=$(grep -aoE 'PASSED  \] [0-9]+' "$summary" | awk '{ n += $3 } END { print n + 0 }')
echo "check: $# programs, $passed tests passed, $(($# - ended)) programs failed" | tee -a "$summary"
[ "$ended" -eq $# ]
