package doctor

import "golang.org/x/sys/unix"

// fileSystem looks whether locks and the log of the memory work at path.
func fileSystem(path string) Finding {
	const what = "file system"
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return machine.wrong(what, err.Error(), "look at it: df -T "+path)
	}
	if remote := map[int64]string{
		unix.NFS_SUPER_MAGIC: "NFS", unix.SMB_SUPER_MAGIC: "SMB", unix.SMB2_SUPER_MAGIC: "SMB", unix.CIFS_SUPER_MAGIC: "CIFS",
		unix.CEPH_SUPER_MAGIC: "CephFS", unix.AFS_SUPER_MAGIC: "AFS", unix.CODA_SUPER_MAGIC: "Coda", unix.NCP_SUPER_MAGIC: "NCP",
		unix.V9FS_MAGIC: "9P",
	}[s.Type]; remote != "" {
		return machine.wrong(what, path+" is on "+remote+": neither locks nor the memory are safe on a network", "name a folder on a local disk with --state or WATCHKEEPER_STATE")
	}
	switch s.Type {
	case unix.TMPFS_MAGIC, unix.RAMFS_MAGIC:
		return machine.advice(what, path+" is in memory: a reboot forgets everything", "name a folder on a disk with --state or WATCHKEEPER_STATE")
	case unix.OVERLAYFS_SUPER_MAGIC:
		return machine.advice(what, path+" is the layer of a container: it goes with the container", "put a volume there")
	case unix.FUSE_SUPER_MAGIC:
		return machine.advice(what, path+" is on FUSE: whether locks work there, nobody knows", "name a folder on a local disk with --state or WATCHKEEPER_STATE")
	}
	return machine.ok(what, "local")
}
