package dns

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/parsers"
)

// TestCorpus decodes every DNS datagram of the corpus by itself and compares
// with what the corpus's truth says of the packet.
func TestCorpus(t *testing.T) {
	root := os.Getenv("CAPLAKE_CORPUS")
	if root == "" {
		t.Skip("CAPLAKE_CORPUS is not set: it names the folder of captures with their truth")
	}
	paths, err := filepath.Glob(filepath.Join(root, "truth", "*", "*.dns.tsv"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no truth in %s: %v", root, err)
	}
	total := map[string]int{}
	examples := map[string]string{}
	for _, path := range paths {
		truth := readTruth(t, path)
		capture := strings.TrimSuffix(filepath.Base(path), ".dns.tsv")
		source := filepath.Base(filepath.Dir(path))
		if len(truth) == 0 && testing.Short() {
			continue
		}
		compareCapture(t, filepath.Join(root, "captures", source, capture), truth, func(class, detail string) {
			total[class]++
			if examples[class] == "" {
				examples[class] = source + "/" + capture + " " + detail
			}
		})
	}
	for _, class := range sortedKeys(total) {
		t.Logf("%6d %-28s %s", total[class], class, examples[class])
	}
	rows := total["rows"]
	if rows == 0 {
		t.Fatal("no row of the truth was compared")
	}
	if equal := float64(total["equal"]) / float64(rows); equal < 0.995 {
		t.Errorf("%.2f %% of %d messages are equal", 100*equal, rows)
	}
	if n := total["probe: elsewhere, not in truth"]; n > 0 {
		t.Errorf("%d datagrams that are not DNS pass for it: %s", n, examples["probe: elsewhere, not in truth"])
	}
}

type truthRow map[string]string

// readTruth returns the rows of datagrams by packet number, readTruthOf those of a transport.
func readTruth(t *testing.T, path string) map[int][]truthRow { return readTruthOf(t, path, "udp") }

func readTruthOf(t *testing.T, path, transport string) map[int][]truthRow {
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows := map[int][]truthRow{}
	var header []string
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		fields := strings.Split(lines.Text(), "\t")
		if header == nil {
			header = fields
			continue
		}
		row := truthRow{}
		for i, v := range fields {
			row[header[i]] = v
		}
		if row["transport"] != transport || row["in_icmp"] == "1" {
			continue
		}
		n, _ := strconv.Atoi(row["frame"])
		rows[n] = append(rows[n], row)
	}
	return rows
}

type packetReader interface {
	ReadPacketData() ([]byte, gopacket.CaptureInfo, error)
	LinkType() layers.LinkType
}

func compareCapture(t *testing.T, path string, truth map[int][]truthRow, count func(class, detail string)) {
	eachPacket(path, func(frame int, packet gopacket.Packet) {
		rows := truth[frame]
		found := false
		for _, layer := range packet.Layers() {
			udp, ok := layer.(*layers.UDP)
			if !ok || len(udp.Payload) == 0 {
				continue
			}
			src, dst := uint16(udp.SrcPort), uint16(udp.DstPort)
			port53ish := isDNSPort(src) || isDNSPort(dst)
			verdict := Probe(udp.Payload, false, port53ish)
			where := fmt.Sprintf("packet %d %d>%d", frame, src, dst)
			for _, row := range rows {
				if row["sport"] != strconv.Itoa(int(src)) || row["dport"] != strconv.Itoa(int(dst)) {
					continue
				}
				found = true
				count("rows", where)
				if verdict != parsers.Yes {
					count("probe: refused, in truth "+row["malformed"]+fmt.Sprint(port53ish), where)
				}
				difference := compareMessage(row, udp.Payload)
				if difference == "" {
					count("equal", where)
				} else {
					class, _, _ := strings.Cut(difference, ":")
					if row["malformed"] == "1" {
						class += " (malformed)"
					}
					count("differs: "+class, where+" "+difference)
				}
			}
			if len(rows) == 0 && verdict == parsers.Yes {
				if port53ish {
					count("probe: on the port, not in truth", where)
				} else {
					count("probe: elsewhere, not in truth", where)
				}
			}
		}
		if len(rows) > 0 && !found {
			count("not reached", fmt.Sprintf("packet %d", frame))
		}
	})
}

// eachPacket calls f for every packet of a capture that pcapgo reads, with its number.
func eachPacket(path string, visit func(frame int, packet gopacket.Packet)) {
	f, err := os.Open(path)
	if err != nil {
		return
	}
	defer f.Close()
	in := bufio.NewReader(f)
	if magic, _ := in.Peek(2); string(magic) == "\x1f\x8b" {
		z, err := gzip.NewReader(in)
		if err != nil {
			return
		}
		in = bufio.NewReader(z)
	}
	var r packetReader
	if magic, _ := in.Peek(4); string(magic) == "\x0a\x0d\x0d\x0a" {
		ng, err := pcapgo.NewNgReader(in, pcapgo.NgReaderOptions{WantMixedLinkType: true})
		if err != nil {
			return
		}
		r = ng
	} else {
		pc, err := pcapgo.NewReader(in)
		if err != nil {
			return
		}
		r = pc
	}
	for frame := 1; ; frame++ {
		data, ci, err := r.ReadPacketData()
		if err == io.EOF || err != nil {
			break
		}
		link := r.LinkType()
		if len(ci.AncillaryData) > 0 {
			if l, ok := ci.AncillaryData[0].(layers.LinkType); ok {
				link = l
			}
		}
		packet := gopacket.NewPacket(data, link, gopacket.DecodeOptions{NoCopy: true})
		visit(frame, packet)
	}
}

func isDNSPort(p uint16) bool { return p == 53 || p == 5353 || p == 5355 }

// compareMessage returns what differs first, or nothing.
func compareMessage(row truthRow, data []byte) string {
	sport, _ := strconv.Atoi(row["sport"])
	dport, _ := strconv.Atoi(row["dport"])
	p := UDP{Service: ServiceOf(uint16(sport), uint16(dport))}
	side := flows.Initiator
	if row["response"] == "1" {
		side = flows.Responder
	}
	out := p.Datagram(nil, side, flows.Stamp{Time: 1, Pos: 1}, data)
	if len(out) == 0 {
		out = p.End(nil)
	}
	if len(out) != 1 {
		return fmt.Sprintf("count: %d transactions", len(out))
	}
	m := &out[0]
	flags := m.QueryFlags | m.ResponseFlags
	type pair struct{ name, got, want string }
	pairs := []pair{
		{"service", m.Service.String(), row["proto"]},
		{"id", fmt.Sprint(m.ID), row["id"]},
		{"opcode", fmt.Sprint(m.Opcode), row["opcode"]},
		{"flags", fmt.Sprintf("0x%04x", flags), row["flags"]},
		{"qdcount", fmt.Sprint(m.Counts[0]), row["qdcount"]},
		{"ancount", fmt.Sprint(m.Counts[1]), row["ancount"]},
		{"nscount", fmt.Sprint(m.Counts[2]), row["nscount"]},
		{"arcount", fmt.Sprint(m.Counts[3]), row["arcount"]},
	}
	if m.Outcome == NoQuery {
		pairs = append(pairs, pair{"rcode", fmt.Sprint(m.Rcode & 15), row["rcode"]})
	}
	if m.HasQuestion {
		name := m.QNameRaw
		if name == nil {
			name = m.QName
		}
		qname, _, _ := strings.Cut(row["qname"], ";")
		qtype, _, _ := strings.Cut(row["qtype"], ";")
		qclass, _, _ := strings.Cut(row["qclass"], ";")
		if qname == "<Root>" {
			qname = "."
		}
		pairs = append(pairs, pair{"qname", string(name), strings.ReplaceAll(qname, `\\`, `\`)},
			pair{"qtype", fmt.Sprint(m.QType), qtype}, pair{"qclass", fmt.Sprint(m.QClass), qclass})
	} else if row["qname"] != "" {
		pairs = append(pairs, pair{"question", "", row["qname"]})
	}
	edns := ""
	for _, e := range []*EDNS{m.QueryEDNS, m.ResponseEDNS} {
		if e != nil {
			do := 0
			if e.DO {
				do = 1
			}
			edns = fmt.Sprintf("udp=%d,do=%d,ver=%d", e.UDPSize, do, e.Version)
			if m.Service == MDNS { // the truth has it so
				edns = fmt.Sprintf("udp=0x%04x,do=%d,ver=%d", e.UDPSize, do, e.Version)
			}
		}
	}
	pairs = append(pairs, pair{"edns", edns, row["edns"]})
	wellFormed := m.Malformed == WellFormed || m.Malformed == Trailing
	pairs = append(pairs, pair{"malformed", strconv.FormatBool(!wellFormed), strconv.FormatBool(row["malformed"] == "1")})
	for _, p := range pairs {
		if m.Opcode == opcodeUpdate && p.want == "" {
			continue // the truth leaves out what UPDATE calls by other names
		}
		if p.got != p.want {
			return fmt.Sprintf("%s: got %s, truth %s (%s)", p.name, p.got, p.want, m.Malformed)
		}
	}
	return compareAnswers(row["answers"], m)
}

// compareAnswers holds the records of all sections to the truth's list of
// NAME TYPE TTL DATA, whose data is there for some types only, and of
// these only a part.
func compareAnswers(truth string, m *Transaction) string {
	var want []string
	if truth != "" {
		want = strings.Split(truth, ";")
	}
	var got []Record
	got = append(append(append(got, m.Answers...), m.Authorities...), m.Additionals...)
	if len(got) != len(want) {
		return fmt.Sprintf("records: %d, truth %d: %s", len(got), len(want), truth)
	}
	for i, r := range got {
		name := string(appendWire(nil, r.Name))
		if name == "." {
			name = "<Root>"
		}
		if r.Type == typeSRV && strings.HasPrefix(want[i], " ") {
			name = "" // the truth has no owner of SRV
		}
		head := fmt.Sprintf("%s %d %d ", name, r.Type, r.TTL)
		w := strings.ReplaceAll(want[i], `\\`, `\`)
		if !strings.HasPrefix(w, head) {
			return fmt.Sprintf("record: got %s, truth %s", head, w)
		}
		data := string(r.Data)
		fields := strings.Fields(data)
		switch r.Type {
		case typeMX:
			data = fields[1]
		case typeSRV:
			data = fields[3]
		case typeSOA:
			data = fields[0]
		case typeA, typeAAAA, typeNS, typeCNAME, typePTR:
		default:
			continue
		}
		if data = string(appendWire(nil, []byte(data))); data == "." {
			data = "<Root>"
		}
		if rest := w[len(head):]; data != rest && rest != "" {
			return fmt.Sprintf("data of type %d: got %s, truth %s", r.Type, data, rest)
		}
	}
	return ""
}

func sortedKeys(m map[string]int) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

// TestCorpusStreams pairs the streams of the corpus, put together in the
// simplest way: segments in order, repeated bytes once, a hole is a gap. Each
// message of the truth must be in a transaction.
func TestCorpusStreams(t *testing.T) {
	root := os.Getenv("CAPLAKE_CORPUS")
	if root == "" {
		t.Skip("CAPLAKE_CORPUS is not set: it names the folder of captures with their truth")
	}
	paths, _ := filepath.Glob(filepath.Join(root, "truth", "*", "*.dns.tsv"))
	rows, equal := 0, 0
	for _, path := range paths {
		want := map[string]int{}
		for _, r := range readTruthOf(t, path, "tcp") {
			for _, row := range r {
				want[strings.Join([]string{row["id"], row["response"], row["opcode"], strings.ToLower(row["qname"]), row["qtype"], row["rcode"]}, " ")]++
				rows++
			}
		}
		if len(want) == 0 {
			continue
		}
		capture := filepath.Join(root, "captures", filepath.Base(filepath.Dir(path)), strings.TrimSuffix(filepath.Base(path), ".dns.tsv"))
		missing := 0
		for _, n := range want {
			missing += n
		}
		for key, n := range streamMessages(capture) {
			missing -= min(n, want[key])
		}
		if missing > 0 {
			t.Logf("%d messages are missing of %s", missing, capture)
		}
		for _, n := range want {
			equal += n
		}
		equal -= missing
	}
	t.Logf("%d of %d messages are equal", equal, rows)
	if rows == 0 || equal != rows {
		t.Errorf("%d of %d messages are equal", equal, rows)
	}
}

// streamMessages returns how often each message is in the streams to and from
// DNS's ports of a capture.
func streamMessages(path string) map[string]int {
	type conversation struct {
		parser TCP
		next   [2]uint32
		begun  [2]bool
	}
	conversations := map[string]*conversation{}
	var order []*conversation
	found := map[string]int{}
	add := func(ms []Transaction) {
		for i := range ms {
			m := &ms[i]
			qname, qtype := string(m.QName), ""
			if m.HasQuestion {
				qtype = fmt.Sprint(m.QType)
			}
			if qname == "." {
				qname = "<root>"
			}
			if m.Outcome != NoQuery {
				found[fmt.Sprintf("%d 0 %d %s %s ", m.ID, m.Opcode, qname, qtype)] += 1 + int(m.QueryRetransmits)
			}
			if m.Outcome != NoResponse {
				found[fmt.Sprintf("%d 1 %d %s %s %d", m.ID, m.Opcode, qname, qtype, m.Rcode&15)]++
			}
		}
	}
	eachPacket(path, func(_ int, packet gopacket.Packet) {
		tcp, ok := packet.Layer(layers.LayerTypeTCP).(*layers.TCP)
		network := packet.NetworkLayer()
		if !ok || network == nil || !isDNSPort(uint16(tcp.SrcPort)) && !isDNSPort(uint16(tcp.DstPort)) {
			return
		}
		side := flows.Initiator
		key := network.NetworkFlow().String() + tcp.TransportFlow().String()
		if isDNSPort(uint16(tcp.SrcPort)) {
			side = flows.Responder
			key = network.NetworkFlow().Reverse().String() + tcp.TransportFlow().Reverse().String()
		}
		c := conversations[key]
		if c == nil {
			c = &conversation{parser: TCP{Service: ServiceOf(uint16(tcp.SrcPort), uint16(tcp.DstPort))}}
			conversations[key] = c
			order = append(order, c)
		}
		seq, data := tcp.Seq, tcp.Payload
		if tcp.SYN {
			c.next[side], c.begun[side] = seq+1, true
			return
		}
		if len(data) == 0 {
			return
		}
		if !c.begun[side] {
			c.next[side], c.begun[side] = seq, true
		}
		ahead := int32(seq - c.next[side])
		if ahead > 0 {
			add(c.parser.Gap(nil, side, flows.Stamp{}, int64(ahead)))
		} else if int(-ahead) >= len(data) {
			return
		} else {
			data = data[-ahead:]
		}
		c.next[side] = tcp.Seq + uint32(len(tcp.Payload))
		add(c.parser.Feed(nil, side, flows.Stamp{}, data))
	})
	for _, c := range order {
		add(c.parser.End(nil))
	}
	return found
}
