//go:build !linux

package doctor

// fileSystem cannot tell here what a file system is.
func fileSystem(path string) Finding {
	return machine.ok("file system", "not looked at on this system; %s must be on a local disk", path)
}
