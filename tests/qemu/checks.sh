# shellcheck shell=dash
# SPDX-License-Identifier: GPL-2.0-or-later
# What the checks in a guest share: each is a line of the Test Anything Protocol. `log` names a file
# that a failure shows as well.
number=0

check() { # NAME COMMAND...
	name=$1
	shift
	number=$((number + 1))
	if "$@" >/tmp/output 2>&1; then
		echo "ok $number - $name"
	else
		echo "not ok $number - $name"
		echo "# $*" | cut -c 1-300
		tail -n 100 /tmp/output | cut -c 1-300 | tell # a verifier's log is endless
		[ -s "$log" ] && sed 's/^/# log: /' "$log"
	fi
}

skip() { # NAME REASON
	number=$((number + 1))
	echo "ok $number - $1 # SKIP $2"
}

tell() {
	sed 's/^/# /' "$@"
}

# The output contains the pattern.
says() { # PATTERN COMMAND...
	pattern=$1
	shift
	"$@" >/tmp/said 2>&1
	cat /tmp/said
	grep -Eq -- "$pattern" /tmp/said
}

fails() { # STATUS COMMAND...
	status=$1
	shift
	"$@"
	[ $? -eq "$status" ]
}

wait_for() { # COMMAND...
	for _ in $(seq 300); do
		"$@" >/tmp/waited 2>&1 && return 0
		sleep 0.1
	done
	cat /tmp/waited
	return 1
}

plan() {
	echo "1..$number"
}
