#!/bin/sh
# Runs every fuzz target of the packages given, of the whole module where none is, for
# the time given: fuzz.sh TIME [PACKAGE...]
set -eu
time=$1
shift
for package in $(go list "${@:-./...}"); do
	for target in $(go test -list '^Fuzz' "$package" | grep '^Fuzz' || true); do
		echo "$package $target"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 10x "$package"
	done
done
