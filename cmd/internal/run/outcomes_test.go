package run_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/caplake/caplake/cmd/internal/filter"
	"github.com/caplake/caplake/cmd/internal/run"
	"github.com/caplake/caplake/schema"
)

// TestOutcomes has a packet of every outcome, three of the fragments that
// come together, and holds the ledger to them.
func TestOutcomes(t *testing.T) {
	o := binary.LittleEndian
	var file []byte
	block := func(typ uint32, body []byte) {
		for len(body)%4 != 0 {
			body = append(body, 0)
		}
		file = o.AppendUint32(o.AppendUint32(file, typ), uint32(12+len(body)))
		file = o.AppendUint32(append(file, body...), uint32(12+len(body)))
	}
	packet := func(link uint32, wire int, data []byte) {
		b := o.AppendUint32(o.AppendUint32(o.AppendUint32(nil, link), 0), 1)
		b = o.AppendUint32(o.AppendUint32(b, uint32(len(data))), uint32(max(wire, len(data))))
		block(6, append(b, data...))
	}
	ethernet := func(typ uint16, payload []byte) []byte {
		return append(binary.BigEndian.AppendUint16(make([]byte, 12), typ), payload...)
	}
	ip := func(proto byte, id, field uint16, payload []byte) []byte {
		h := []byte{0x45, 0, 0, 0, 0, 0, 0, 0, 64, proto, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2}
		binary.BigEndian.PutUint16(h[2:], uint16(20+len(payload)))
		binary.BigEndian.PutUint16(h[4:], id)
		binary.BigEndian.PutUint16(h[6:], field)
		return ethernet(0x0800, append(h, payload...))
	}
	udp := func(port byte, n int) []byte {
		return append([]byte{0, 1, 0, port, 0, byte(8 + n), 0, 0}, make([]byte, n)...)
	}
	block(0x0a0d0d0a, []byte{0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	block(1, []byte{1, 0, 0, 0, 0, 0, 0, 0})   // Ethernet
	block(1, []byte{189, 0, 0, 0, 0, 0, 0, 0}) // USB

	whole := udp(7, 56)
	packet(0, 0, ip(17, 0, 0, udp(7, 0)))               // flow
	packet(0, 0, ethernet(0x0806, make([]byte, 28)))    // not IP
	packet(1, 0, make([]byte, 64))                      // unsupported link
	packet(0, 0, make([]byte, 5))                       // malformed link
	packet(0, 0, ethernet(0x0800, make([]byte, 20)))    // malformed network: version 0
	packet(0, 0, ip(6, 0, 0, make([]byte, 19)))         // malformed transport
	packet(0, 200, ip(6, 0, 0, make([]byte, 150))[:40]) // cut
	packet(0, 0, ip(17, 5, 0x2000, whole[:24]))         // reassembled
	packet(0, 0, ip(17, 5, 0x2000|24/8, whole[24:48]))
	packet(0, 0, ip(17, 5, 48/8, whole[48:]))
	packet(0, 0, ip(17, 6, 0x2000, whole[:24])) // incomplete
	packet(0, 0, ip(17, 0, 0, udp(9, 0)))       // filtered

	cfg := run.Config{Inputs: []string{"-"}, Stdin: bytes.NewReader(file)}
	cfg.Filter.Not.Ports = []filter.Ports{{Low: 9, High: 9}}
	_, out := dataset(t, cfg)
	c := read[schema.Capture](t, out, "captures")[0]
	got := [...]int64{c.FlowPackets, c.NotIPPackets, c.UnsupportedPackets, c.MalformedLink, c.MalformedNetwork, c.MalformedTransport,
		c.CutPackets, c.FragmentsReassembled, c.FragmentsIncomplete, c.FilteredPackets}
	if want := [...]int64{1, 1, 1, 1, 1, 1, 1, 3, 1, 1}; got != want || c.Packets != 12 || c.Error != "" {
		t.Errorf("outcomes %v, want %v, of %d packets; %s", got, want, c.Packets, c.Error)
	}
	if n := len(read[schema.Flow](t, out, "flows")); n != 1 { // the datagram in fragments is of the first packet's flow
		t.Errorf("%d flows", n)
	}
}
