package ingest

import "github.com/caplake/caplake/flows"

// Quote is the five-tuple of the packet that an ICMP error quotes, as it was
// on the wire.
type Quote struct {
	Src, Dst         flows.Addr
	SrcPort, DstPort uint16
	Proto            uint8
}

// QuoteOf returns what p quotes. p is a packet of a batch and data what its
// offsets count in; false if it is no ICMP error.
func QuoteOf(p *flows.Packet, data []byte) (Quote, bool) {
	if p.Flags&flows.ICMPError == 0 || uint64(p.Payload)+uint64(p.PayloadCaptured) > uint64(len(data)) {
		return Quote{}, false
	}
	var q quoted
	if !q.parse(data[p.Payload:][:p.PayloadCaptured]) {
		return Quote{}, false
	}
	return Quote{q.src, q.dst, q.srcPort, q.dstPort, q.proto}, true
}
