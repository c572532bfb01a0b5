package schema

import (
	"net/netip"

	"github.com/caplake/caplake/flows"
)

const hexDigits = "0123456789abcdef"

// AppendAddr appends the canonical text of an address (RFC 5952): a, which
// is IPv6 where v6, and IPv4 in IPv4-mapped form otherwise.
// It is what net/netip prints, at a fraction of the cost.
func AppendAddr(b []byte, a *flows.Addr, v6 bool) []byte {
	if !v6 {
		b = appendUint8(b, a[12])
		b = append(b, '.')
		b = appendUint8(b, a[13])
		b = append(b, '.')
		b = appendUint8(b, a[14])
		b = append(b, '.')
		return appendUint8(b, a[15])
	}
	if a.Is4() { // an IPv4-mapped address on an IPv6 wire, which has a form of its own
		return netip.AddrFrom16(*a).AppendTo(b)
	}
	// The longest run of at least two zero fields becomes "::"; the first of equals.
	zeroFrom, zeroTo := -1, -1
	for i := 0; i < 8; i++ {
		j := i
		for j < 8 && a[2*j]|a[2*j+1] == 0 {
			j++
		}
		if j-i >= 2 && j-i > zeroTo-zeroFrom {
			zeroFrom, zeroTo = i, j
		}
		if j > i {
			i = j // field j is not zero
		}
	}
	for i := 0; i < 8; i++ {
		if i == zeroFrom {
			b = append(b, ':', ':')
			i = zeroTo
			if i >= 8 {
				break
			}
		} else if i > 0 {
			b = append(b, ':')
		}
		b = appendHex16(b, uint16(a[2*i])<<8|uint16(a[2*i+1]))
	}
	return b
}

func appendUint8(b []byte, v uint8) []byte {
	if v >= 100 {
		b = append(b, '0'+v/100)
	}
	if v >= 10 {
		b = append(b, '0'+v/10%10)
	}
	return append(b, '0'+v%10)
}

func appendHex16(b []byte, v uint16) []byte {
	if v >= 0x1000 {
		b = append(b, hexDigits[v>>12])
	}
	if v >= 0x100 {
		b = append(b, hexDigits[v>>8&0xf])
	}
	if v >= 0x10 {
		b = append(b, hexDigits[v>>4&0xf])
	}
	return append(b, hexDigits[v&0xf])
}

// addr returns the canonical text of an address, in a.
func (a *Arena) addr(ip *flows.Addr, v6 bool) string {
	var buf [48]byte // the longest is 39 bytes
	return a.String(AppendAddr(buf[:0], ip, v6))
}

// mac returns the text of a MAC address, in a.
func (a *Arena) mac(m *[6]byte) string {
	var b [17]byte
	for i, v := range m {
		if i > 0 {
			b[3*i-1] = ':'
		}
		b[3*i], b[3*i+1] = hexDigits[v>>4], hexDigits[v&0xf]
	}
	return a.String(b[:])
}

// protoNames are the IANA keywords of IP protocols, in lower case.
// https://www.iana.org/assignments/protocol-numbers
var protoNames = [256]string{
	0: "hopopt", 1: "icmp", 2: "igmp", 3: "ggp", 4: "ipv4", 5: "st", 6: "tcp", 7: "cbt",
	8: "egp", 9: "igp", 10: "bbn-rcc-mon", 11: "nvp-ii", 12: "pup", 13: "argus", 14: "emcon", 15: "xnet",
	16: "chaos", 17: "udp", 18: "mux", 19: "dcn-meas", 20: "hmp", 21: "prm", 22: "xns-idp", 23: "trunk-1",
	24: "trunk-2", 25: "leaf-1", 26: "leaf-2", 27: "rdp", 28: "irtp", 29: "iso-tp4", 30: "netblt", 31: "mfe-nsp",
	32: "merit-inp", 33: "dccp", 34: "3pc", 35: "idpr", 36: "xtp", 37: "ddp", 38: "idpr-cmtp", 39: "tp++",
	40: "il", 41: "ipv6", 42: "sdrp", 43: "ipv6-route", 44: "ipv6-frag", 45: "idrp", 46: "rsvp", 47: "gre",
	48: "dsr", 49: "bna", 50: "esp", 51: "ah", 52: "i-nlsp", 53: "swipe", 54: "narp", 55: "min-ipv4",
	56: "tlsp", 57: "skip", 58: "ipv6-icmp", 59: "ipv6-nonxt", 60: "ipv6-opts", 62: "cftp",
	64: "sat-expak", 65: "kryptolan", 66: "rvd", 67: "ippc", 69: "sat-mon", 70: "visa", 71: "ipcv",
	72: "cpnx", 73: "cphb", 74: "wsn", 75: "pvp", 76: "br-sat-mon", 77: "sun-nd", 78: "wb-mon", 79: "wb-expak",
	80: "iso-ip", 81: "vmtp", 82: "secure-vmtp", 83: "vines", 84: "iptm", 85: "nsfnet-igp", 86: "dgp", 87: "tcf",
	88: "eigrp", 89: "ospfigp", 90: "sprite-rpc", 91: "larp", 92: "mtp", 93: "ax.25", 94: "ipip", 95: "micp",
	96: "scc-sp", 97: "etherip", 98: "encap", 100: "gmtp", 101: "ifmp", 102: "pnni", 103: "pim",
	104: "aris", 105: "scps", 106: "qnx", 107: "a/n", 108: "ipcomp", 109: "snp", 110: "compaq-peer", 111: "ipx-in-ip",
	112: "vrrp", 113: "pgm", 115: "l2tp", 116: "ddx", 117: "iatp", 118: "stp", 119: "srp",
	120: "uti", 121: "smp", 122: "sm", 123: "ptp", 124: "isis over ipv4", 125: "fire", 126: "crtp", 127: "crudp",
	128: "sscopmce", 129: "iplt", 130: "sps", 131: "pipe", 132: "sctp", 133: "fc", 134: "rsvp-e2e-ignore", 135: "mobility header",
	136: "udplite", 137: "mpls-in-ip", 138: "manet", 139: "shim6", 140: "wesp", 141: "rohc", 142: "ethernet", 143: "aggfrag",
	144: "nsh", 145: "homa", 146: "bit-emu",
}
