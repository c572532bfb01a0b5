package ingest

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/caplake/caplake/flows"
)

// corpusPackets calls each with every packet of every capture of the corpus that
// gopacket's readers can read.
func corpusPackets(t *testing.T, each func(name string, n int, link uint32, data []byte, info gopacket.CaptureInfo)) {
	root := os.Getenv("CAPLAKE_CORPUS")
	if root == "" {
		t.Skip("CAPLAKE_CORPUS names no folder of captures")
	}
	root = filepath.Join(root, "captures")
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(root, path)
		if bytes.HasPrefix(b, []byte{0x1f, 0x8b}) {
			z, err := gzip.NewReader(bytes.NewReader(b))
			if err != nil {
				return nil
			}
			b, _ = io.ReadAll(io.LimitReader(z, 64<<20))
		}
		type reader interface {
			ReadPacketData() ([]byte, gopacket.CaptureInfo, error)
		}
		var r reader
		var link func(gopacket.CaptureInfo) uint32
		if p, err := pcapgo.NewReader(bytes.NewReader(b)); err == nil {
			r, link = p, func(gopacket.CaptureInfo) uint32 { return uint32(p.LinkType()) }
		} else if p, err := pcapgo.NewNgReader(bufio.NewReader(bytes.NewReader(b)), pcapgo.NgReaderOptions{WantMixedLinkType: true}); err == nil {
			r, link = p, func(ci gopacket.CaptureInfo) uint32 {
				i, _ := p.Interface(ci.InterfaceIndex)
				return uint32(i.LinkType)
			}
		} else {
			return nil
		}
		for n := 1; ; n++ {
			data, info, err := r.ReadPacketData()
			if err != nil {
				return nil
			}
			each(name, n, link(info), data, info)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// oraclePacket is what gopacket says of the innermost TCP or UDP of a packet.
type oraclePacket struct {
	src, dst         netip.Addr
	srcPort, dstPort uint16
	proto            uint8
	payload          []byte
}

func (o oraclePacket) String() string {
	return fmt.Sprintf("%s.%d > %s.%d proto %d payload %d", o.src, o.srcPort, o.dst, o.dstPort, o.proto, len(o.payload))
}

// oracle decodes with gopacket. It reports false where gopacket has no opinion:
// what it cannot decode whole, fragments, and what is neither TCP nor UDP.
func oracle(link uint32, data []byte) (o oraclePacket, ok bool) {
	defer func() {
		if recover() != nil { // gopacket's own decoders can
			ok = false
		}
	}()
	var first gopacket.Decoder = layers.LinkType(link)
	switch link {
	case linkRaw, linkRaw12, linkRaw14:
		first = layers.LayerTypeIPv4
		if len(data) > 0 && data[0]>>4 == 6 {
			first = layers.LayerTypeIPv6
		}
	}
	p := gopacket.NewPacket(data, first, gopacket.DecodeOptions{NoCopy: true})
	if p.ErrorLayer() != nil || p.Metadata().Truncated {
		return o, false
	}
	for _, l := range p.Layers() {
		switch l := l.(type) {
		case *layers.IPv4:
			o.src, _ = netip.AddrFromSlice(l.SrcIP)
			o.dst, _ = netip.AddrFromSlice(l.DstIP)
			ok = false
		case *layers.IPv6:
			o.src, _ = netip.AddrFromSlice(l.SrcIP)
			o.dst, _ = netip.AddrFromSlice(l.DstIP)
			ok = false
		case *layers.TCP:
			o.srcPort, o.dstPort, o.proto, o.payload, ok = uint16(l.SrcPort), uint16(l.DstPort), 6, l.Payload, true
		case *layers.UDP:
			o.srcPort, o.dstPort, o.proto, o.payload, ok = uint16(l.SrcPort), uint16(l.DstPort), 17, l.Payload, true
		case *layers.ICMPv4, *layers.ICMPv6, *layers.SCTP, *gopacket.Fragment:
			return o, false
		}
	}
	o.src, o.dst = o.src.Unmap(), o.dst.Unmap()
	return o, ok
}

// TestDecodeOracle compares with gopacket every TCP and UDP packet that
// gopacket decodes. The differences that may be:
//
//   - gopacket has decoders for link types that are not ours;
//   - it does not look into Teredo, AYIYA, CAPWAP, LWAPP and GUE;
//   - it takes an IP header of any version for the one that was announced.
func TestDecodeOracle(t *testing.T) {
	same, all := 0, 0
	explained := map[string]int{}
	corpusPackets(t, func(name string, n int, link uint32, data []byte, info gopacket.CaptureInfo) {
		all++
		var p flows.Packet
		var encaps []flows.Encap
		r := Record{CapLen: uint32(len(data)), OrigLen: uint32(info.Length)}
		p.WireLen = r.OrigLen
		d := Decoder{Checksums: true}
		outcome := d.Decode(link, data, r, &p, &encaps)
		if outcome == OutcomeFlow || outcome == OutcomeFragment {
			checkPacket(t, &p, encaps, data, r)
		}
		want, ok := oracle(link, data)
		switch {
		case !ok:
			return
		case outcome == OutcomeUnsupportedLink:
			explained["link type"]++
			return
		case outcome == OutcomeMalformedNetwork && data[p.Network]>>4 != 4 && data[p.Network]>>4 != 6:
			explained["IP version"]++
			return
		case outcome != OutcomeFlow:
			t.Errorf("%s packet %d: %s, want %s", name, n, outcome, want)
			return
		}
		got := oraclePacket{netip.AddrFrom16(p.Src).Unmap(), netip.AddrFrom16(p.Dst).Unmap(), p.SrcPort, p.DstPort, p.Proto, data[p.Payload:][:p.PayloadCaptured]}
		if got.String() == want.String() && bytes.Equal(got.payload, want.payload) {
			same++
			return
		}
		for _, e := range encaps {
			switch e.Kind {
			case flows.EncapTeredo, flows.EncapAYIYA, flows.EncapCAPWAP, flows.EncapLWAPP, flows.EncapGUE:
				explained[e.Kind.String()]++
				return
			}
		}
		t.Errorf("%s packet %d: got %s, want %s", name, n, text(&p, encaps), want)
	})
	t.Logf("%d packets, %d equal, explained differences: %v", all, same, explained)
	if same < all/2 || explained["IP version"] > 10 {
		t.Error("too few were compared")
	}
}

// Every link type of the corpus has a registered name, and its packets are
// decoded or counted under it. Of two the content decides.
func TestCorpusLinkTypes(t *testing.T) {
	outcomes := map[uint16]map[string]int{}
	corpusPackets(t, func(name string, n int, link uint32, data []byte, info gopacket.CaptureInfo) {
		var p flows.Packet
		var encaps []flows.Encap
		o := new(Decoder).Decode(link, data, Record{CapLen: uint32(len(data)), OrigLen: uint32(info.Length)}, &p, &encaps)
		if (o == OutcomeUnsupportedLink) == Decodes(uint16(link)) && link != linkUser2 && link != linkJuniperES {
			t.Errorf("%s packet %d: %s", name, n, o)
		}
		m := outcomes[uint16(link)]
		if m == nil {
			m = map[string]int{}
			outcomes[uint16(link)] = m
		}
		m[o.String()]++
	})
	for _, link := range slices.Sorted(maps.Keys(outcomes)) {
		if name := LinkTypeName(link); strings.HasPrefix(name, "linktype_") {
			t.Errorf("link type %d has no name", link)
		}
		t.Logf("%3d %-24s %v", link, LinkTypeName(link), outcomes[link])
	}
	if len(outcomes) < 40 {
		t.Errorf("%d link types", len(outcomes))
	}
}
