package kubetest

import "syscall"

// dieWithUs makes the kernel end a program when the tests end, even by a panic
// or a time limit.
func dieWithUs() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
