package flows

import "net/netip"

// SrcAddrPort returns the initiator's address and port; port 0 where the
// protocol has none.
func (f *Flow) SrcAddrPort() netip.AddrPort { return f.addrPort(&f.Src, f.SrcPort) }

// DstAddrPort returns the responder's address and port; port 0 where the
// protocol has none.
func (f *Flow) DstAddrPort() netip.AddrPort { return f.addrPort(&f.Dst, f.DstPort) }

func (f *Flow) addrPort(a *Addr, port uint16) netip.AddrPort {
	addr := netip.AddrFrom16(*a)
	if f.Flags&IPv6 == 0 {
		addr = addr.Unmap()
	}
	if f.Flags&HasPorts == 0 {
		port = 0
	}
	return netip.AddrPortFrom(addr, port)
}

// String returns the two ends, as "10.0.0.1:1000 > 10.0.0.2:80".
func (f *Flow) String() string { return f.SrcAddrPort().String() + " > " + f.DstAddrPort().String() }
