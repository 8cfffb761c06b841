#!/bin/sh
# make_users.sh FLEET DIR: writes DIR/users.acl for Redis (aclfile) and DIR/ROLE.password for certfleet
# (redis.password_file) from users.acl.in. Passwords that are there already stay; a role without one gets one. The user
# `default` may do nothing afterwards, unless DIR/default.acl has a line of its own for it.
set -eu
[ $# -eq 2 ] || { echo "usage: $0 FLEET DIR" >&2; exit 2; }
fleet=$1 dir=$2 here=$(dirname "$0")
case $fleet in *[!A-Za-z0-9._-]* | "") echo "$0: not a fleet's name: \"$fleet\"" >&2; exit 2 ;; esac
umask 077
mkdir -p "$dir"

# A user a line: its name, then its rules.
rules() {
	sed -e '/^#/d' -e '/^[[:space:]]*$/d' -e "s/{FLEET}/{$fleet}/g" "$here/users.acl.in" |
		awk '/^user / { if (line) print line; line = $2; next } { $1 = $1; line = line " " $0 } END { print line }'
}

{
	if [ -f "$dir/default.acl" ]; then cat "$dir/default.acl"; else echo "user default off resetpass resetkeys -@all"; fi
	rules | while read -r name rest; do
		file=$dir/${name#certfleet-}.password
		[ -s "$file" ] || head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$file"
		hash=$(tr -d '\n' <"$file" | sha256sum | cut -d' ' -f1)
		echo "user $name reset on #$hash resetchannels $rest"
	done
} >"$dir/users.acl.new"
mv "$dir/users.acl.new" "$dir/users.acl"
