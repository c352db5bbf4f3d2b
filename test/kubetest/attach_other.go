//go:build !linux

package kubetest

import "syscall"

// dieWithUs is what only Linux has; elsewhere a panic leaves programs behind.
func dieWithUs() *syscall.SysProcAttr { return nil }
