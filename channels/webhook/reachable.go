package webhook

import "net"

// Reachable returns where this machine reaches an intake that listens on
// address: one that listens on every interface is on the loopback too.
func Reachable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}
