#!/bin/bash
# Builds the image with the command that the container file documents, holds what is in it
# against what is promised, and runs it. No registry is asked: the base image is a stand-in of
# that name, made of this machine's shell, Go and modules, and there is no network.
#
# Needs root, for namespaces and a file system with owners. In namespaces of its own, so that
# no mount and no process outlives it.
set -euo pipefail
cd "$(dirname "$0")/.."

containerfile=deploy/container/Containerfile
# The user, the state directory and the address are those of the container file and of the simulator.
user=65532 state=/var/lib/privatelink-dns address=10.0.2.4

fail() {
	echo "image: $*" >&2
	exit 1
}

# equal WHAT GOT WANT
equal() {
	[ "$2" = "$3" ] || fail "$1 differs, < is what is promised:"$'\n'"$(diff <(echo "$3") <(echo "$2") || true)"
}

# vfs needs neither a mount nor a kernel module; chroot needs no control groups.
builder() { buildah --root "$scratch/storage" --runroot "$scratch/run" --storage-driver vfs "$@"; }

# base makes the image that the container file builds in: a shell, mkdir, certificates, and
# the settings of the official one. Go, the modules and the build cache are mounted.
base() {
	local container root program file
	case "$(go env GOVERSION)." in
	"go${1##*:}".*) ;;
	*) fail "$containerfile builds in $1, here is $(go env GOVERSION)" ;;
	esac
	container=$(builder from scratch)
	root=$(builder mount "$container")
	mkdir -p "$root"/{bin,tmp,usr/local/go,go,modules,cache,etc/ssl/certs}
	cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
	for program in sh mkdir; do
		cp -L "$(command -v "$program")" "$root/bin/"
		for file in $(ldd "$root/bin/$program" | grep -o '/[^ ]*'); do
			mkdir -p "$root${file%/*}"
			cp -L "$file" "$root$file"
		done
	done
	builder umount "$container" >/dev/null
	builder config --workingdir /go --env PATH=/go/bin:/usr/local/go/bin:/usr/bin:/bin \
		--env GOPATH=/go --env GOTOOLCHAIN=local --env GOCACHE=/cache --env GOPROXY=file:///modules --env GOSUMDB=off "$container"
	builder commit --quiet --rm "$container" "$1" >/dev/null
}

# build runs the documented command, which names the image privatelink-dns.
build() {
	local documented
	documented=$(sed -n 's/^# *buildah build //p' "$containerfile")
	[ -n "$documented" ] || fail "$containerfile documents no line with buildah build"
	eval "builder build --isolation chroot --pull=never --volume $(go env GOROOT):/usr/local/go:ro \
		--volume $(go env GOMODCACHE)/cache/download:/modules:ro --volume $(go env GOCACHE):/cache $documented"
	builder push --quiet --disable-compression privatelink-dns "oci:$scratch/layout:latest"
}

# blob prints a blob of the pushed image.
blob() { cat "$scratch/layout/blobs/${1/://}"; }

# context holds that nothing but sources reaches the builder.
context() {
	local container
	printf 'FROM scratch\nCOPY . /\n' >"$scratch/Everything"
	builder build --quiet -f "$scratch/Everything" -t context . >/dev/null 2>&1
	container=$(builder from context)
	equal "what is sent to the builder" "$(ls -A "$(builder mount "$container")")" "$(printf '%s\n' cmd go.mod go.sum plugin zones)"
}

# contents unpacks the layers and holds what they bring, and to whom it belongs.
contents() {
	local layer
	mkdir "$scratch/rootfs"
	for layer in $(blob "$manifest" | jq -r '.layers[].digest'); do
		blob "$layer" >"$scratch/layer"
		tar --numeric-owner -tvf "$scratch/layer" | awk '{print $1, $2, $6}' >>"$scratch/listing"
		tar --numeric-owner -pxf "$scratch/layer" -C "$scratch/rootfs"
	done
	equal "what the layers hold" "$(LC_ALL=C sort -u -k3 "$scratch/listing")" "$(
		cat <<-END
			drwxr-xr-x 0/0 etc/
			drwxr-xr-x 0/0 etc/ssl/
			drwxr-xr-x 0/0 etc/ssl/certs/
			-rw-r--r-- 0/0 etc/ssl/certs/ca-certificates.crt
			-rwxr-xr-x 0/0 privatelink-dns
			drwxr-xr-x 0/0 var/
			drwxr-xr-x 0/0 var/lib/
			drwxr-xr-x $user/$user ${state#/}/
		END
	)"
	cmp "$scratch/rootfs/etc/ssl/certs/ca-certificates.crt" /etc/ssl/certs/ca-certificates.crt
	make -s build BINARY="$scratch/privatelink-dns" RELEASE="$release"
	cmp "$scratch/rootfs/privatelink-dns" "$scratch/privatelink-dns"
}

# settings holds the image's configuration.
settings() {
	equal "the configuration" "$(jq -S '.config | del(.Labels)' "$scratch/configuration")" "$(
		jq -S . <<-END
			{
				"User": "$user:$user",
				"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
				"Entrypoint": ["/privatelink-dns"],
				"Cmd": ["serve", "-c", "/etc/privatelink-dns/Corefile"],
				"ExposedPorts": {"53/udp": {}, "53/tcp": {}, "8080/tcp": {}, "8181/tcp": {}, "9153/tcp": {}},
				"Volumes": {"$state": {}},
				"StopSignal": "SIGTERM"
			}
		END
	)"
}

# bundle writes what crun runs: the image, as the documented podman run starts it, with the
# arguments given in place of the image's own.
bundle() {
	jq '{
		ociVersion: "1.0.2",
		root: {path: "'"$scratch"'/rootfs", readonly: true},
		process: {
			user: {uid: (.config.User | split(":")[0] | tonumber), gid: (.config.User | split(":")[1] | tonumber)},
			args: (.config.Entrypoint + (if $ARGS.positional == [] then .config.Cmd else $ARGS.positional end)),
			env: .config.Env, cwd: "/", capabilities: {}, noNewPrivileges: true
		},
		mounts: [
			{destination: "/proc", type: "proc", source: "proc"},
			{destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "noexec", "mode=755", "size=64k"]},
			{destination: "/etc/privatelink-dns/Corefile", type: "bind", source: "'"$scratch"'/Corefile", options: ["bind", "ro"]},
			{destination: (.config.Volumes | keys[0]), type: "bind", source: "'"$scratch"'/volume", options: ["bind", "rw"]}
		],
		linux: {
			namespaces: ["pid", "ipc", "uts", "mount", "network"] | map({type: .}),
			sysctl: {"net.ipv4.ip_unprivileged_port_start": "53"}
		}
	}' "$scratch/configuration" --args "$@" >"$scratch/bundle/config.json"
}

runtime() { crun --root "$scratch/containers" --cgroup-manager disabled "$@"; }

# inside runs a command in the network of the running image.
inside() { nsenter --net --target "$process" "$@"; }

# status prints the first line of the reply to GET PATH on a port.
status() {
	inside timeout 10 bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$0"; printf "GET %s HTTP/1.0\r\n\r\n" "$1" >&3; head -n 1 <&3' "$@" | tr -d '\r'
}

# await returns when the program has written a text; half a minute is for a busy machine.
await() {
	local left=300
	until grep -qF "$1" "$scratch/output"; do
		left=$((left - 1))
		[ "$left" -gt 0 ] && kill -0 "$runner" || fail "the program did not write $1, but:"$'\n'"$(cat "$scratch/output")"
		sleep 0.1
	done
}

# serve runs the image, asks it, and stops it.
serve() {
	local process runner protocol
	bundle
	runtime run --bundle "$scratch/bundle" --pid-file "$scratch/pid" served >"$scratch/output" 2>&1 &
	runner=$!
	await "[INFO] serving on "
	process=$(cat "$scratch/pid")
	for protocol in notcp tcp; do
		equal "the answer ($protocol)" "$(inside dig +short "+$protocol" +time=5 +tries=3 @127.0.0.1 db1.database.windows.net A | tail -n 1)" "$address"
	done
	equal "GET /health" "$(status 8080 /health)" "HTTP/1.0 200 OK"
	equal "GET /ready" "$(status 8181 /ready)" "HTTP/1.0 200 OK"
	equal "rights" "$(grep -E '^(Uid|Cap(Eff|Prm|Bnd)|NoNewPrivs)' "/proc/$process/status" | tr -s '\t' ' ' | sort)" "$(
		printf 'Cap%s: 0000000000000000\n' Bnd Eff Prm
		echo "NoNewPrivs: 1"
		echo "Uid: $user $user $user $user"
	)"
	runtime kill served "$(jq -r .config.StopSignal "$scratch/configuration")"
	wait "$runner" || fail "after the stop signal the exit code is $?:"$'\n'"$(cat "$scratch/output")"
	[ -n "$(find "$scratch/volume" -type f -user "$user")" ] || fail "the program left no state in its volume"
}

check() {
	local manifest
	base "$(sed -n 's/^FROM \(.*\) AS build$/\1/p' "$containerfile")"
	context
	build
	manifest=$(jq -r '.manifests[0].digest' "$scratch/layout/index.json")
	blob "$(blob "$manifest" | jq -r .config.digest)" >"$scratch/configuration"
	settings
	contents
	mkdir "$scratch/bundle"
	# As an engine makes a new volume.
	cp -a "$scratch/rootfs$state" "$scratch/volume"
	cat >"$scratch/Corefile" <<-END
		.:53 {
		    errors
		    health :8080
		    ready :8181
		    prometheus :9153
		    privatelink {
		        upstream azure 127.0.0.1:1054
		        route    .     azure
		        clients  stub  127.0.0.0/8
		        state    $state
		    }
		}
		.:1054 {
		    bind 127.0.0.1
		    azuresim
		}
	END
	bundle version
	equal "the version" "$(runtime run --bundle "$scratch/bundle" version | cut -d' ' -f1-2)" "privatelink-dns $release"
	serve
	echo "image: $release serves, and is $(du -sm "$scratch/rootfs" | cut -f1) MiB in $(blob "$manifest" | jq '.layers | length') layer(s)"
}

release=$(git describe --tags --always)
if [ "${1:-}" = within ]; then
	scratch=$2
	# crun looks at the control groups even when it is to leave them alone, and dislikes some.
	mount -t tmpfs none /sys/fs/cgroup
	check
	exit
fi
test/tools.sh image
if [ "$(id -u)" != 0 ]; then
	[ "${CI:-}" != true ] || fail "CI=true allows no skipping, and this is not root"
	echo "image: skipped, it needs root"
	exit
fi
go mod download
scratch=$(mktemp -d)
chmod 755 "$scratch"
TMPDIR=$scratch unshare --mount --net --pid --fork --kill-child --mount-proc -- "$0" within "$scratch" &
namespaces=$!
# The end of its first process ends all others of a PID namespace.
trap 'pkill -KILL -P "$namespaces" || true; wait "$namespaces" || true; rm -rf "$scratch"' EXIT
trap 'exit 1' INT TERM
wait "$namespaces"
