#!/bin/bash
# What a compiler does not check: who may include whom, and how large things may grow. Run from the top.
set -u
bad=0

complain() { echo "lint: $*"; bad=1; }

# includes FOLDER PATTERN WHY
forbid() {
    local hits
    hits=$(grep -rnE --include='*.[ch]' "#include [\"<]($2)" "$1" 2>/dev/null | grep -vE "${4:-^$}")
    [ -z "$hits" ] || complain "$3:"$'\n'"$hits"
}

forbid common 'worker/|scheduler/' "common/ includes neither worker/ nor scheduler/"
forbid worker 'scheduler/' "worker/ must not include scheduler/"
forbid scheduler 'worker/' "scheduler/ must not include worker/"
for d in common worker scheduler; do
    forbid $d 'hiredis' "hiredis belongs to common/redis*.c alone" '^common/redis[^/]*\.[ch]:'
    forbid $d 'curl/' "libcurl belongs to worker/net/http.* alone" '^worker/net/http[^/]*\.[ch]:'
done

while read -r n file; do
    [ "$file" = total ] || [ "$n" -le 600 ] || complain "$file has $n lines, 600 are allowed"
done < <(find common worker scheduler -name '*.[ch]' -exec wc -l {} + 2>/dev/null)

# A function begins with "{" and ends with "}" in the first column.
while read -r file line n; do
    complain "$file:$line: a function of $n lines, 100 are allowed"
done < <(find common worker scheduler -name '*.c' -exec awk '
    FNR == 1 { start = 0 }
    /^\{/ { start = FNR }
    /^\}/ { if (start && FNR - start - 1 > 100) print FILENAME, start, FNR - start - 1; start = 0 }' {} +)

flags=$(sed -n 's/^\(HIREDIS\|DEPS\)_CFLAGS := //p' build/deps.mk | tr '\n' ' ')
for h in $(find common worker scheduler -name '*.h'); do
    # shellcheck disable=SC2086
    gcc -std=gnu17 -D_GNU_SOURCE -I. $flags -fsyntax-only -x c "$h" 2>/dev/null || complain "$h does not compile alone"
done

[ $bad -eq 0 ] && echo "lint: layering, sizes and headers are right"
exit $bad
