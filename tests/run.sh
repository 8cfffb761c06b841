#!/bin/bash
# Runs test programs one after the other: tests/run.sh SUMMARY ROOT PROGRAM...
#
# Each prints what it found; of a program that passes only its last line is shown, of one that fails everything. The
# lines at the end, which are also written to SUMMARY, are the programs' own.
set -u
summary=$1 root=$2
shift 2
here=$(cd "$(dirname "$0")" && pwd)
log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=0
: >"$summary"

export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1:halt_on_error=1}
export TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=1}

for program; do
    name=${program#"$root"/tests/}
    args=()
    case $name in
    fuzz/*) args=("$here/fuzz/corpus/$(basename "$name" _fuzz)") ;;
    esac
    timeout --kill-after=5 "${TEST_TIMEOUT:-180}" "$program" "${args[@]}" >"$log" 2>&1
    status=$?
    line=$(grep -aE '\[  (PASSED|FAILED)  \]' "$log" | grep -a 'PASSED' | tail -n 1)
    if [ $status -ne 0 ]; then
        failed=$((failed + 1))
        cat "$log"
        [ $status -eq 124 ] && line="timed out"
        line="FAILED (status $status) $line"
    fi
    printf '%-44s %s\n' "$name" "${line:-[  PASSED  ]}" | tee -a "$summary"
done

passed=$(grep -aoE 'PASSED  \] [0-9]+' "$summary" | awk '{ n += $3 } END { print n + 0 }')
echo "check: $# programs, $passed tests passed, $failed programs failed" | tee -a "$summary"
[ $failed -eq 0 ]
