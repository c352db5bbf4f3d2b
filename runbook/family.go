package runbook

import "strings"

// Family is the name that services which differ only in a suffix share:
// "tenant-test-42" and "tenant-test-blue" belong to "tenant-test-*". The last
// dash-separated part is a suffix if it contains a digit, or if at least two
// other parts stand before it. A name without a suffix is its own family:
// "openaire-test", "backend".
func Family(service string) string {
	i := strings.LastIndexByte(service, '-')
	if i <= 0 || i == len(service)-1 {
		return service
	}
	head, tail := service[:i], service[i+1:]
	if strings.ContainsAny(tail, "0123456789") || strings.Contains(head, "-") {
		return head + "-*"
	}
	return service
}
