package ingest_test

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/ingest"
)

// openLoopback opens the loopback interface, or skips the test.
func openLoopback(t *testing.T) *ingest.Live {
	t.Helper()
	l, err := ingest.OpenLive("lo", ingest.LiveConfig{})
	if err != nil {
		if errors.Is(err, os.ErrPermission) || strings.Contains(err.Error(), "not permitted") || strings.Contains(err.Error(), "no such file") {
			t.Skip("no right to listen to the loopback interface: ", err)
		}
		t.Fatal(err)
	}
	return l
}

// TestLive listens to datagrams that the test sends over the loopback interface.
func TestLive(t *testing.T) {
	l := openLoopback(t)
	to, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Skip("no loopback address: ", err)
	}
	defer to.Close()
	from, err := net.Dial("udp", to.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	port := uint16(to.LocalAddr().(*net.UDPAddr).Port)

	const n = 50
	before := time.Now().UnixNano()
	for range n {
		if _, err := from.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	seen, ended, fine := 0, 0, false
	for ev, err := range flows.Events(l.Packets(ctx), flows.EventConfig{Kinds: flows.EventPacket | flows.EventEnded}) {
		if err != nil {
			t.Fatal(err)
		}
		if ev.Flow.DstPort != port {
			continue // of somebody else
		}
		switch ev.Kind {
		case flows.EventPacket:
			seen++
			if ev.At.Time < before || ev.At.Time > time.Now().UnixNano() {
				t.Errorf("time %d", ev.At.Time)
			}
			fine = fine || ev.At.Time%1000 != 0
			if seen == n {
				if s := l.Stats(); s.Received < n {
					t.Errorf("%+v", s)
				}
				cancel() // as an interrupt would
			}
		case flows.EventEnded:
			ended++
			if ev.Flow.End != flows.EndOfInput || ev.Flow.Sides[0].Packets != n {
				t.Errorf("ended by %s with %d packets", ev.Flow.End, ev.Flow.Sides[0].Packets)
			}
		}
	}
	if seen != n || ended != 1 || !fine {
		t.Errorf("%d packets, %d flows ended, nanoseconds %v", seen, ended, fine)
	}
	if s := l.Stats(); s.Received < n {
		t.Errorf("after the end: %+v", s)
	}
}

// TestLiveCancel: a loop over a silent interface ends when its context does.
func TestLiveCancel(t *testing.T) {
	l := openLoopback(t)
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(20*time.Millisecond, cancel)
	for _, err := range l.Packets(ctx) {
		if err != nil {
			t.Error(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	errs := 0
	for _, err := range l.Packets(context.Background()) {
		if err == nil {
			t.Error("a packet of what was closed")
		}
		errs++
	}
	if errs != 1 {
		t.Errorf("%d errors of what was closed", errs)
	}
}

func TestOpenLive(t *testing.T) {
	for _, name := range []string{"", "no such interface", "../lo", "."} {
		if l, err := ingest.OpenLive(name, ingest.LiveConfig{}); err == nil {
			l.Close()
			t.Errorf("%q opens", name)
		}
	}
}
