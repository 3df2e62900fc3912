#!/bin/sh
# Builds the release twice, from copies of the committed sources in different places and
# with nothing from a build cache, and compares the files.
set -eu
scratch=$(mktemp -d)
trap 'chmod -R u+w "$scratch"; rm -rf "$scratch"' EXIT
release=$(git describe --tags --always 2>/dev/null || echo unknown)
for place in one another/and-deeper; do
	mkdir -p "$scratch/$place"
	git archive HEAD | tar -x -C "$scratch/$place"
	GOCACHE="$scratch/cache-${place%%/*}" make -s -C "$scratch/$place" build RELEASE="$release"
	echo "$(sha256sum <"$scratch/$place/bin/privatelink-dns" | cut -d' ' -f1) $place"
done
cmp "$scratch/one/bin/privatelink-dns" "$scratch/another/and-deeper/bin/privatelink-dns"
echo "two builds of $release are the same"
