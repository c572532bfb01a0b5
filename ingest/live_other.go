//go:build !linux

package ingest

import (
	"context"
	"errors"

	"github.com/caplake/caplake/flows"
)

// Live is a network interface, on Linux. Elsewhere there are none.
type Live struct{}

var errNoLive = errors.New("live capture needs Linux")

// OpenLive returns an error.
func OpenLive(name string, cfg LiveConfig) (*Live, error) { return nil, errNoLive }

// Packets is an empty source.
func (l *Live) Packets(ctx context.Context) flows.Source {
	return func(yield func(flows.Captured, error) bool) { yield(flows.Captured{}, errNoLive) }
}

// Stats returns zeros.
func (l *Live) Stats() LiveStats { return LiveStats{} }

// Close does nothing.
func (l *Live) Close() error { return nil }
