package filter

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// ParseHost reads an address.
func ParseHost(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Addr{}, errors.New("want an IP address such as 192.0.2.1 or 2001:db8::1")
	}
	return a.Unmap(), nil
}

// ParseNet reads a network. Bits of its address beyond the prefix are a
// mistake that must not go unnoticed: 10.0.0.1/8 may have been meant as /32.
func ParseNet(s string) (netip.Prefix, error) {
	n, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, errors.New("want a network such as 192.0.2.0/24 or 2001:db8::/32")
	}
	if n != n.Masked() {
		return netip.Prefix{}, fmt.Errorf("it has bits set after the prefix: did you mean %s?", n.Masked())
	}
	if n.Addr().Is4In6() {
		if n.Bits() < 96 {
			return netip.Prefix{}, errors.New("want a network such as 192.0.2.0/24 or 2001:db8::/32")
		}
		n = netip.PrefixFrom(n.Addr().Unmap(), n.Bits()-96)
	}
	return n, nil
}

// ParsePorts reads a port or a range of ports.
func ParsePorts(s string) (Ports, error) {
	low, high, isRange := strings.Cut(s, "-")
	if !isRange {
		high = low
	}
	a, errA := strconv.ParseUint(low, 10, 16)
	b, errB := strconv.ParseUint(high, 10, 16)
	if errA != nil || errB != nil || a > b {
		return Ports{}, errors.New("want a port such as 443 or a range such as 8000-8999")
	}
	return Ports{uint16(a), uint16(b)}, nil
}

// protocols are the names that ParseProto knows, as IANA has them but for
// icmp6, which is tcpdump's.
var protocols = [...]struct {
	name   string
	number uint8
}{
	{"icmp", 1}, {"igmp", 2}, {"tcp", 6}, {"udp", 17}, {"gre", 47}, {"esp", 50}, {"ah", 51}, {"icmp6", 58}, {"ipv6-icmp", 58},
	{"ospf", 89}, {"pim", 103}, {"vrrp", 112}, {"l2tp", 115}, {"sctp", 132}, {"udplite", 136},
}

// ParseProto reads the name or number of an IP protocol.
func ParseProto(s string) (uint8, error) {
	for _, p := range protocols {
		if strings.EqualFold(p.name, s) {
			return p.number, nil
		}
	}
	if n, err := strconv.ParseUint(s, 10, 8); err == nil {
		return uint8(n), nil
	}
	return 0, errors.New("want an IP protocol such as tcp, udp, icmp, icmp6, sctp, gre or esp, or its number")
}

var errTime = errors.New("want a time such as 2024-05-06T07:08:09.123456789Z, or seconds since 1970 such as 1714979289.123456789")

// ParseTime reads a time to the nanosecond: RFC 3339; the same without a zone,
// which is UTC then, as in the tables; a date, which is its first moment in
// UTC; or seconds since 1970, with up to nine decimals. A whole number of 18 or
// 19 digits is nanoseconds since 1970.
func ParseTime(s string) (int64, error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05", "2006-01-02"} {
		t, err := time.Parse(layout, s)
		if err != nil {
			continue
		}
		if fraction(s) > 9 {
			return 0, errTime
		}
		if y := t.Year(); y < 1678 || y > 2261 {
			return 0, errors.New("the year must be 1678 to 2261")
		}
		return t.UnixNano(), nil
	}
	return parseEpoch(s)
}

func parseEpoch(s string) (int64, error) {
	whole, decimals, hasPoint := strings.Cut(s, ".")
	if whole == "" || strings.Trim(whole+decimals, "0123456789") != "" || hasPoint && decimals == "" {
		return 0, errTime
	}
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return 0, errTime
	}
	if !hasPoint && len(whole) >= 18 {
		return n, nil
	}
	// Eleven digits are the year 2286 and later: milliseconds, in all likelihood.
	if len(whole) > 10 || n > 9_223_372_035 || len(decimals) > 9 {
		return 0, errTime
	}
	ns, _ := strconv.ParseInt((decimals + "000000000")[:9], 10, 64)
	return n*1e9 + ns, nil
}

// fraction returns the number of decimals of a time's seconds.
func fraction(s string) int {
	_, after, _ := strings.Cut(s, ".")
	return len(after) - len(strings.TrimLeft(after, "0123456789"))
}
