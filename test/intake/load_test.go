package intake_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A sender is one connection that POSTs over and over. It writes requests that
// were made before and reads no more of a reply than it has to, so that on two
// cores the generator is not what is measured.
type sender struct {
	conn  net.Conn
	reply *bufio.Reader
}

func dial(addr string) (*sender, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return &sender{conn, bufio.NewReader(conn)}, nil
}

// request is a whole HTTP request.
func request(body string) []byte {
	return fmt.Appendf(nil, "POST /webhook/alertmanager HTTP/1.1\r\nHost: test\r\nUser-Agent: Alertmanager/0.34.2\r\n"+
		"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

var errStatus = errors.New("not accepted")

// post sends one request and waits for its whole reply.
func (s *sender) post(req []byte) error {
	if _, err := s.conn.Write(req); err != nil {
		return err
	}
	status, err := s.reply.ReadString('\n')
	if err != nil {
		return err
	}
	length := 0
	for {
		line, err := s.reply.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) <= 2 {
			break
		}
		if v, ok := strings.CutPrefix(string(line), "Content-Length: "); ok {
			if length, err = strconv.Atoi(strings.TrimSpace(v)); err != nil {
				return err
			}
		}
	}
	if _, err := io.CopyN(io.Discard, s.reply, int64(length)); err != nil {
		return err
	}
	if !strings.Contains(status, " 200 ") {
		return fmt.Errorf("%w: %s", errStatus, status)
	}
	return nil
}

// flood POSTs bodies of alerts alerts each over connections connections, until
// each has sent requests, and returns the tags that were acknowledged.
// It stops at the first error of a connection: the receiver may be killed.
func flood(addr, tag string, connections, requests, alerts int) (acknowledged []string) {
	var mu sync.Mutex
	var all sync.WaitGroup
	for c := range connections {
		all.Go(func() {
			s, err := dial(addr)
			if err != nil {
				return
			}
			defer s.conn.Close()
			for r := range requests {
				t := fmt.Sprintf("%s-%d-%d", tag, c, r)
				if s.post(request(body(t, alerts))) != nil {
					return
				}
				mu.Lock()
				acknowledged = append(acknowledged, t)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return acknowledged
}

// quantile returns the q-quantile of sorted durations.
func quantile(sorted []time.Duration, q float64) time.Duration {
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}
