#!/bin/sh
# Runs a command of watchkeeper as the service does: as its user, on its state,
# with its environment. Install it as /usr/local/bin/watchkeeper, so that
# "watchkeeper status" says what is on duty and leaves no file of root behind.

service='
	set -a
	[ ! -r /etc/watchkeeper/environment ] || . /etc/watchkeeper/environment
	HOME=/var/lib/watchkeeper
	WATCHKEEPER_CONFIG=${WATCHKEEPER_CONFIG:-/var/lib/watchkeeper/duty/watchkeeper.yaml}
	WATCHKEEPER_STATE=${WATCHKEEPER_STATE:-/var/lib/watchkeeper/state}
	set +a
	exec /usr/local/lib/watchkeeper/watchkeeper "$@"
'
if [ "$(id -un)" = watchkeeper ]; then
	exec sh -c "$service" watchkeeper "$@"
fi
exec sudo -u watchkeeper sh -c "$service" watchkeeper "$@"
