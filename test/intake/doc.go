// Package intake tests the built webhook-channel as a sender and a host see
// it: kill -9 under load, hosts that do not read, floods, full disks, and the
// figures of make bench.
//
// The programs must be built (make build); without them the tests are skipped,
// and fail when WATCHKEEPER_REQUIRE_BINARIES is set.
package intake
