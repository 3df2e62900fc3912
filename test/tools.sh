#!/bin/sh
# Installs the programs that the tests run, and that make bench compares with: as root
# on Debian through apt, else it says in one line what to install. With the argument
# "image" it is the programs of test/image.sh instead.
set -eu
missing=
need() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || missing="$missing $2"; }
if [ "${1:-}" = image ]; then
	need buildah buildah
	need crun crun
	need jq jq
	need dig bind9-dnsutils
else
	need dig bind9-dnsutils
	need named bind9
	need unbound unbound
	need dnsmasq dnsmasq-base
	need ip iproute2
	need gcc gcc
	need dnsperf dnsperf
	need systemd-analyze systemd
	need strace strace
	need dnsdist dnsdist
	need pdns_recursor pdns-recursor
	need kresd knot-resolver
	need jq jq
	need promtool prometheus
fi
[ -n "$missing" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
	echo "installing$missing"
	apt-get update -qq
	# Installing a server must not start it.
	if [ ! -e /usr/sbin/policy-rc.d ]; then
		printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
		chmod +x /usr/sbin/policy-rc.d
		trap 'rm -f /usr/sbin/policy-rc.d' EXIT
	fi
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
	exit 0
fi
echo "the tests need these programs: apt-get install --no-install-recommends$missing" >&2
exit 1
