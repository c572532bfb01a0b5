package tabulate

import (
	"bytes"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/parsers"
	"github.com/caplake/caplake/parsers/ident"
	"github.com/caplake/caplake/schema"
)

// What the first payload of each side says of a flow that no parser took, in
// the upper half of Flow.User[userDNS]:
//
//	63      56 55      48 47      40 39     32
//	|  looked | the name | responder | initiator |
//
// looked has two bits more for sides that are to be looked at again.
//
// initiator and responder are what the sides may be (parsers.Maybe), the name
// is what one of them is for certain.
const (
	identInitiator = 32
	identName      = 48
	identLooked    = 56 // bits: initiator, responder
	identAgain     = 58 // bits: a side that is to be looked at again, with more
)

// A side's first bytes are looked at again with those that follow while they are so few that they may
// be a part of something, or a line that has not ended yet.
const (
	fewBytes  = 24
	manyBytes = 512
)

// unlooked reports whether the first payload of side is still to be looked at.
func unlooked(f *flows.Flow, side flows.Side) bool {
	u := f.User[userDNS]
	return u>>identLooked>>side&1 == 0 || u>>identAgain>>side&1 != 0
}

// look looks at payload that no parser takes, if it is its side's first. It returns true if more is needed.
func look(f *flows.Flow, side flows.Side, data []byte) (again bool) {
	return unlooked(f, side) && identify(f, side, data)
}

// identify looks at the first payload of a side.
func identify(f *flows.Flow, side flows.Side, data []byte) (again bool) {
	u := f.User[userDNS]&^(1<<identAgain<<side) | 1<<identLooked<<side
	if u>>identName&0xff == 0 {
		var p ident.Protocol
		var v parsers.Verdict
		if f.Proto == flows.ProtoTCP {
			p, v = ident.Stream(data, side)
		} else {
			p, v = ident.Datagram(data, side)
		}
		switch v {
		case parsers.Yes:
			u |= uint64(p) << identName
		case parsers.Maybe:
			if u>>identInitiator>>(8*side)&0xff == 0 {
				u |= uint64(p) << identInitiator << (8 * side)
			}
			u |= uint64(ident.Join(ident.Protocol(u>>identInitiator), ident.Protocol(u>>identInitiator>>8))) << identName
		}
		if again = f.Proto == flows.ProtoTCP && u>>identName&0xff == 0 && partial(data); again {
			u |= 1 << identAgain << side
		}
	}
	f.User[userDNS] = u
	return again
}

// partial reports whether a stream's first bytes, of which ident is not sure, may be only a part of what would tell.
func partial(data []byte) bool {
	if len(data) < fewBytes {
		return true
	}
	return len(data) < manyBytes && data[0] >= ' ' && data[0] < 0x7f && bytes.IndexByte(data, '\n') < 0
}

// identified reports whether the first payload named the flow's protocol.
func identified(f *flows.Flow) bool { return f.User[userDNS]>>identName&0xff != 0 }

// appOf returns the protocol of a flow that no parser named. A port names
// it only where payload was seen that does not speak against it: that is
// consistent with the port's protocol, or not the beginning of a stream, or
// of a protocol of which nothing can be told by its content.
func appOf(f *flows.Flow) (string, schema.AppBasis) {
	u := f.User[userDNS]
	if p := ident.Protocol(u >> identName); p != ident.None {
		return p.String(), schema.AppByPayload
	}
	if u>>identLooked == 0 {
		return "", schema.AppUnknown
	}
	a, b := ident.Protocol(u>>identInitiator), ident.Protocol(u>>identInitiator>>8)
	src, dst := f.SrcPort, f.DstPort
	if f.Turned() {
		src, dst = dst, src
	}
	for _, port := range [...]uint16{dst, src} {
		p, looked := ident.Port(f.Proto, port)
		if p == ident.None {
			continue
		}
		began := f.Proto != flows.ProtoTCP || f.Basis == flows.BySYN || f.Basis == flows.BySYNACK
		if ident.Suits(p, a, b, u>>identLooked&3 == 3) || !looked || !began && a == ident.None && b == ident.None {
			return p.String(), schema.AppByPort
		}
	}
	return "", schema.AppUnknown
}
