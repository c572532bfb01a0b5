package schema

import (
	"bufio"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/caplake/caplake/flows"
)

func addrOf(t testing.TB, s string) (flows.Addr, bool) {
	ip, err := netip.ParseAddr(s)
	if err != nil {
		t.Fatal(err)
	}
	return flows.Addr(ip.As16()), ip.Is6()
}

func TestAppendAddr(t *testing.T) {
	check := func(a flows.Addr, v6 bool) {
		t.Helper()
		want := netip.AddrFrom16(a)
		if !v6 {
			want = want.Unmap()
		}
		if got := string(AppendAddr(nil, &a, v6)); got != want.String() {
			t.Errorf("AppendAddr(% x, %v) = %q, want %q", a, v6, got, want)
		}
	}
	for _, s := range []string{"0.0.0.0", "1.2.3.4", "10.99.100.255", "255.255.255.255", "::", "::1", "1::", "1:0:0:2:0:0:0:3",
		"1:0:0:2:0:0:3:4", "0:0:1::", "1:2:3:4:5:6:0:0", "1:2:3:4:5:6:7:0", "::ffff:1.2.3.4", "fe80::abcd:ef01:2:300", "0:1:2:3:4:5:6:7"} {
		check(addrOf(t, s))
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 50_000 {
		var a flows.Addr
		binary.LittleEndian.PutUint64(a[:8], r.Uint64()&r.Uint64()&r.Uint64())
		binary.LittleEndian.PutUint64(a[8:], r.Uint64()&r.Uint64())
		for i := range 8 { // runs of zero fields are what is hard
			if r.IntN(3) > 0 {
				a[2*i], a[2*i+1] = 0, 0
			}
		}
		check(a, true)
		v4 := flows.Addr{10: 0xff, 11: 0xff}
		binary.LittleEndian.PutUint32(v4[12:], r.Uint32())
		check(v4, false)
	}
}

func TestCommunityID(t *testing.T) {
	for _, c := range []struct {
		proto        uint8
		src, dst     string
		sport, dport uint16
		want         string
	}{
		{6, "128.232.110.120", "66.35.250.204", 34855, 80, "1:LQU9qZlK+B5F3KDmev6m5PMibrg="},
		{6, "66.35.250.204", "128.232.110.120", 80, 34855, "1:LQU9qZlK+B5F3KDmev6m5PMibrg="},
		{1, "192.168.0.89", "192.168.0.1", 8, 0, "1:X0snYXpgwiv9TZtqg64sgzUn6Dk="},
		{1, "10.0.0.1", "10.0.0.2", 11, 0, "1:YHxtAirCG//0OzkcVAukqKQN9xM="},
		{58, "fe80::200:86ff:fe05:80da", "ff02::2", 133, 134, "1:hO+sN4H+MG5MY/8hIrXPqc4ZQz0="},
		{132, "192.168.170.8", "192.168.170.56", 7, 7, "1:MP2EtRCAUIZvTw6MxJHLV7N7JDs="},
	} {
		if got := communityIDOf(t, c.proto, c.src, c.dst, c.sport, c.dport); got != c.want {
			t.Errorf("%+v: got %s", c, got)
		}
	}
}

// communityIDOf takes the ports as the specification's tuples have them: for
// ICMP, type and code or type and counterpart.
func communityIDOf(t testing.TB, proto uint8, src, dst string, sport, dport uint16) string {
	f := flows.Flow{Proto: proto, SrcPort: sport, DstPort: dport}
	var v6 bool
	f.Src, v6 = addrOf(t, src)
	f.Dst, _ = addrOf(t, dst)
	if v6 {
		f.Flags |= flows.IPv6
	}
	switch proto {
	case 6, 17, 132:
		f.Flags |= flows.HasPorts
	case 1, 58:
		f.ICMPType, f.ICMPCode = uint8(sport), uint8(dport)
	}
	return CommunityID(&f, new(Arena))
}

// TestCommunityIDPeer holds every tuple of the specification's own baseline.
func TestCommunityIDPeer(t *testing.T) {
	corpus := os.Getenv("CAPLAKE_CORPUS")
	if corpus == "" {
		t.Skip("CAPLAKE_CORPUS is not set: no corpus to compare with")
	}
	file, err := os.Open(filepath.Join(corpus, "peer", "community-id.tsv"))
	if err != nil {
		t.Skip(err)
	}
	defer file.Close()
	n := 0
	for s := bufio.NewScanner(file); s.Scan(); {
		c := strings.Split(s.Text(), "\t")
		if len(c) != 8 || c[1] != "deflt" {
			continue
		}
		proto, _ := strconv.Atoi(c[2])
		sport, _ := strconv.Atoi(c[5])
		dport, _ := strconv.Atoi(c[6])
		if got := communityIDOf(t, uint8(proto), c[3], c[4], uint16(sport), uint16(dport)); got != c[7] {
			t.Errorf("%s: got %s", s.Text(), got)
		}
		n++
	}
	if n == 0 {
		t.Error("the peer's file has no tuple")
	}
	t.Logf("%d tuples", n)
}

func TestStddev(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{
		{[]float64{5, 5, 5}, 0},
		{[]float64{1, 2}, math.Sqrt(0.5)},
		{[]float64{2, 4, 4, 4, 5, 5, 7, 9}, math.Sqrt(32.0 / 7)},
		{[]float64{1e9 + 1, 1e9 + 1}, 0},
	} {
		var sum, squares float64
		for _, v := range c.values {
			sum += v
			squares += v * v
		}
		if got := stddev(uint64(len(c.values)), sum, squares); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("stddev(%v) = %v, want %v", c.values, got, c.want)
		}
	}
}

// sampleFlow returns a TCP flow in which every column has a value.
func sampleFlow() FlowSource {
	f := flows.Flow{
		Src: flows.Addr{10: 0xff, 11: 0xff, 12: 10, 13: 0, 14: 0, 15: 1}, Dst: flows.Addr{10: 0xff, 11: 0xff, 12: 192, 13: 168, 14: 1, 15: 200},
		SrcPort: 40000, DstPort: 443, Proto: flows.ProtoTCP, Basis: flows.BySYN,
		Flags: flows.HasPorts | flows.HasEthernet | flows.HasVLAN | flows.HasInnerVLAN, VLAN: 0, InnerVLAN: 4094,
		SrcMAC: [6]byte{2, 0, 0, 0, 0, 0xab}, DstMAC: [6]byte{0xde, 0xad, 0xbe, 0xef, 0, 1},
		State: flows.SF, End: flows.EndFIN,
		First: flows.Stamp{Time: 1_000_000_000_000_000_001, Pos: flows.NewPosition(1, 7)},
		Last:  flows.Stamp{Time: 1_000_000_000_500_000_001, Pos: flows.NewPosition(2, 9)},

		FirstTime:  1_000_000_000_000_000_001,
		LastTime:   1_000_000_000_500_000_001,
		ICMPErrors: 1, ICMPErrorType: 3, ICMPErrorCode: 0,
	}
	x := flows.TCP{SYNTime: 1_000_000_000_000_000_001, SYNACKTime: 1_000_000_000_010_000_001, HandshakeACKTime: 1_000_000_000_010_500_001,
		Handshake: flows.SeenSYN | flows.SeenSYNACK | flows.SeenHandshakeACK}
	f.NHistory = uint8(copy(f.HistoryBuf[:], "ShADadFf"))
	for i := range f.Sides {
		s := &f.Sides[i]
		*s = flows.SideStats{
			Packets: 3, Bytes: 300 + uint64(i), PayloadBytes: 100, WireBytes: 342, SizeMin: 52, SizeMax: 196, SizeSumSquares: 40000,
			FirstTime: f.First.Time + int64(i), LastTime: f.First.Time + int64(i) + 4001, IATMin: 1000, IATMax: 3001, IATSumSquares: 1000*1000 + 3001*3001,
			TTLMin: 63, TTLMax: 64, TOS: 0xb8, Fragments: 2, BadChecksums: 1,
		}
		x.Sides[i] = flows.TCPStats{
			FlagsSeen: 0x1ff, FlagCounts: [9]uint32{1, 2, 3, 4, 5, 6, 7, 8, 9}, Window: 64240, MSS: 1460, WindowScale: 0,
			Options: flows.OptMSS | flows.OptWindowScale | flows.OptSYNSeen | flows.OptTimestamps, ZeroWindows: 10,
			Retransmits: 11, RetransmitBytes: 12, OutOfOrder: 13, Gaps: 14, GapBytes: 15, OverlapMismatches: 16,
		}
	}
	return FlowSource{Flow: f, TCP: x, App: AppInfo{Proto: "tls", Basis: AppByPayload, TLS: 1},
		Shape:  &flows.Shape{Packets: []flows.ShapePacket{{Side: flows.Responder, Size: 40, IAT: 1}}, Payload: [2][]byte{{1}, {2}}, Entropy: [2]float64{1, 2}},
		Encaps: []flows.Encap{{Kind: flows.EncapVXLAN, HasID: true, ID: 5000, HasOuter: true, Src: flows.Addr{10: 0xff, 11: 0xff, 12: 1}, Dst: flows.Addr{10: 0xff, 11: 0xff, 12: 2}}}}
}

func TestFillFlow(t *testing.T) {
	src := sampleFlow()
	var got Flow
	FillFlow(&got, &src, new(Arena))

	// Every column of a flow that has everything has a value.
	columns, err := ColumnsOf(reflect.TypeFor[Flow]())
	if err != nil {
		t.Fatal(err)
	}
	for i := range columns {
		c := &columns[i]
		if !c.Nullable || strings.HasPrefix(c.Name, "icmp_t") || strings.HasPrefix(c.Name, "icmp_c") {
			continue // the sample is TCP
		}
		if reflect.NewAt(c.Type, fieldAt(&got, c.Offset)).Elem().IsZero() {
			t.Errorf("column %s is NULL", c.Name)
		}
	}
	for _, c := range []struct{ name, got, want string }{
		{"src_ip", got.SrcIP, "10.0.0.1"}, {"dst_ip", got.DstIP, "192.168.1.200"}, {"proto", got.Proto, "tcp"},
		{"src_mac", got.SrcMAC, "02:00:00:00:00:ab"}, {"dst_mac", got.DstMAC, "de:ad:be:ef:00:01"}, {"state", got.State, "SF"},
		{"history", got.History, "ShADadFf"}, {"end_reason", got.EndReason, "fin"}, {"app_proto", got.AppProto, "tls"}, {"basis", got.AppProtoBasis, "payload"},
		{"flags", got.FlowSrc.TCPFlags, "FSRPAUECN"}, {"tunnel", strings.Join(got.Tunnel, "/"), "vxlan"}, {"outer", got.OuterSrcIP, "1.0.0.0"},
		{"direction_basis", got.Basis, "syn"},
	} {
		if c.got != c.want {
			t.Errorf("%s = %q, want %q", c.name, c.got, c.want)
		}
	}
	for _, c := range []struct {
		name      string
		got, want int64
	}{
		{"duration", got.Duration, 500_000_000}, {"syn_to_synack", *got.SYNToSYNACK, 10_000_000}, {"synack_to_ack", *got.SYNACKToACK, 500_000},
		{"vlan 0 is a value", int64(*got.VLANID), 0}, {"inner_vlan", int64(*got.InnerVLANID), 4094}, {"tunnel_id", *got.TunnelID, 5000},
		{"window scale 0 is a value", int64(*got.FlowDst.WindowScale), 0}, {"dscp", int64(*got.FlowSrc.DSCP), 46},
		{"iat_mean", *got.FlowSrc.IATMean, 2000}, {"iat_stddev", *got.FlowSrc.IATStddev, 1415}, {"dst bytes", got.FlowDst.Bytes, 301},
		{"last_capture_id", int64(got.LastCaptureID), 2}, {"last_packet", got.LastPacket, 9}, {"first_packet", got.FirstPacket, 7},
	} {
		if c.got != c.want {
			t.Errorf("%s = %d, want %d", c.name, c.got, c.want)
		}
	}
	if *got.FlowSrc.SizeMean != 100 || math.Abs(*got.FlowSrc.SizeStddev-70.71067811865476) > 1e-9 {
		t.Errorf("size mean %v, stddev %v", *got.FlowSrc.SizeMean, *got.FlowSrc.SizeStddev)
	}
	if *got.FlowSrc.SACKPermitted || !*got.FlowSrc.Timestamps {
		t.Error("SYN options are wrong")
	}
	for i, p := range []*int64{got.FlowDst.FINPackets, got.FlowDst.SYNPackets, got.FlowDst.RSTPackets, got.FlowDst.PSHPackets, got.FlowDst.ACKPackets,
		got.FlowDst.URGPackets, got.FlowDst.ECEPackets, got.FlowDst.CWRPackets, got.FlowDst.AEPackets, got.FlowDst.ZeroWindows,
		got.FlowDst.Retransmits, got.FlowDst.RetransmitBytes, got.FlowDst.OutOfOrder, got.FlowDst.Gaps, got.FlowDst.GapBytes, got.FlowDst.OverlapMismatches} {
		if *p != int64(i+1) {
			t.Errorf("counter %d = %d", i+1, *p)
		}
	}
}

// TestFillFlowNull: what a capture does not say is NULL, not zero.
func TestFillFlowNull(t *testing.T) {
	src := FlowSource{Flow: flows.Flow{Proto: flows.ProtoUDP, Flags: flows.IPv6 | flows.HasPorts, State: flows.S0}}
	src.Flow.Sides[0].Packets = 1
	src.Flow.Sides[0].Bytes = 40
	got := Flow{History: "stale"}
	FillFlow(&got, &src, new(Arena))
	columns, _ := ColumnsOf(reflect.TypeFor[Flow]())
	notNull := map[string]bool{"src_port": true, "dst_port": true, "proto": true, "state": true, "src_ttl_min": true, "src_ttl_max": true, "src_dscp": true,
		"src_size_min_bytes": true, "src_size_mean_bytes": true, "src_size_max_bytes": true}
	for i := range columns {
		c := &columns[i]
		if c.Nullable && !reflect.NewAt(c.Type, fieldAt(&got, c.Offset)).Elem().IsZero() != notNull[c.Name] {
			t.Errorf("column %s: NULL is %v", c.Name, notNull[c.Name])
		}
	}
	if got.IPVersion != 6 || got.SrcIP != "::" {
		t.Errorf("version %d, address %s", got.IPVersion, got.SrcIP)
	}
}

// TestTunnelDirection: outer addresses are turned as the flow is.
func TestTunnelDirection(t *testing.T) {
	src := sampleFlow()
	src.Flow.FirstSide = flows.Responder
	var got Flow
	FillFlow(&got, &src, new(Arena))
	if got.OuterSrcIP != "2.0.0.0" || got.OuterDstIP != "1.0.0.0" {
		t.Errorf("outer %s to %s", got.OuterSrcIP, got.OuterDstIP)
	}
}

func BenchmarkFillFlow(b *testing.B) {
	src := sampleFlow()
	src.Encaps = nil
	rows := make([]Flow, 512)
	b.ReportAllocs()
	for b.Loop() {
		var a Arena
		for i := range rows {
			FillFlow(&rows[i], &src, &a)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(rows)), "ns/row")
}
