package flows

// Key turns a packet's tuple into what is to make packets one flow, by Rekey
// or SetApart. p is a copy that the Key may change; data is what its offsets
// count in, and encaps what p.Encap indexes. A Key is a pure function.
//
// Packets with the same addresses, ports and protocol (in either direction)
// that are not set apart are of one flow. Reassembly and handshakes are for
// p.Proto TCP; a Key that makes it 0 gives flows that are only counted.
type Key func(p *Packet, data []byte, encaps []Encap)

// FiveTuple is the Key by default: addresses, ports and protocol.
func FiveTuple(p *Packet, data []byte, encaps []Encap) {}

// OneWay is the five-tuple of one direction: each side is a flow of its own.
func OneWay(p *Packet, data []byte, encaps []Encap) {
	tag := uint64(1)
	for i := range p.Src {
		if p.Src[i] != p.Dst[i] {
			if p.Src[i] > p.Dst[i] {
				tag = 2
			}
			p.SetApart(tag)
			return
		}
	}
	if p.SrcPort > p.DstPort {
		tag = 2
	}
	p.SetApart(tag)
}

// IPPair makes a flow of all that two addresses exchange. Like every flow without a
// protocol it ends after Config.OtherIdle, a minute: set that for pairs that pause.
func IPPair(p *Packet, data []byte, encaps []Encap) { p.Rekey(p.Src, p.Dst, 0, 0, 0) }

// MACPair makes a flow of all IP packets that two Ethernet addresses exchange; they
// are the first six bytes of the flow's addresses. Packets that came over
// another link are one flow.
func MACPair(p *Packet, data []byte, encaps []Encap) {
	var src, dst Addr
	if p.Flags&HasEthernet != 0 {
		to, from := p.MACs.Offsets()
		copy(dst[:6], data[int(p.Link)+to:])
		copy(src[:6], data[int(p.Link)+from:])
	}
	p.Rekey(src, dst, 0, 0, 0)
}

// WithVLAN sets apart what key (nil: FiveTuple) does not, by VLAN identifiers.
func WithVLAN(key Key) Key {
	return func(p *Packet, data []byte, encaps []Encap) {
		tag := uint64(0)
		if p.Flags&HasVLAN != 0 {
			tag = 1<<32 | uint64(p.VLAN)
		}
		if p.Flags&HasInnerVLAN != 0 {
			tag |= 1<<33 | uint64(p.InnerVLAN)<<16
		}
		if key != nil {
			key(p, data, encaps)
		}
		if tag != 0 {
			p.SetApart(tag)
		}
	}
}

// WithTunnel sets apart what key (nil: FiveTuple) does not, by the
// encapsulation: its kinds, the ends of its tunnels and, where both directions
// share it, its number (VXLAN, GRE, Geneve).
func WithTunnel(key Key) Key {
	return func(p *Packet, data []byte, encaps []Encap) {
		tag := uint64(0)
		for i := p.Encap; i != 0 && int(i) <= len(encaps); i = encaps[i-1].Inner {
			e := &encaps[i-1]
			id := uint64(0)
			if e.HasID && (e.Kind == EncapVXLAN || e.Kind == EncapGRE || e.Kind == EncapGeneve) {
				id = e.ID + 1
			}
			tag = mix(tag^id, Hash(&e.Src, &e.Dst, 0, 0, uint8(e.Kind)))
		}
		if key != nil {
			key(p, data, encaps)
		}
		if tag != 0 {
			p.SetApart(tag)
		}
	}
}

// Rekey gives p another tuple, before any SetApart. proto 0 is none. Of another protocol than
// it had, p is an ICMP error no more: it is of its tuple's flow as any other packet.
func (p *Packet) Rekey(src, dst Addr, srcPort, dstPort uint16, proto uint8) {
	if proto != p.Proto {
		if p.Flags&ICMPError != 0 {
			p.Quote = 0
		}
		p.Flags &^= HasPorts | ICMPError
	}
	p.Src, p.Dst, p.SrcPort, p.DstPort, p.Proto = src, dst, srcPort, dstPort, proto
	p.Hash = Hash(&p.Src, &p.Dst, p.SrcPort, p.DstPort, p.Proto)
}

// SetApart makes p one of a flow of packets that were all set apart by the same
// tag, even if others have its tuple. Tags of several calls add up. An ICMP error
// does not find the flow that it quotes when that was set apart.
func (p *Packet) SetApart(tag uint64) {
	p.Quote = mix(p.Quote+0x9e3779b97f4a7c15, tag^0x8ebc6af09c88c6e3) | 1
}
