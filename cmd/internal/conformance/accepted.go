package conformance

import (
	_ "embed"
	"encoding/binary"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/ingest"
	"github.com/caplake/caplake/schema"
)

// acceptedText says of every class of accepted differences why it is one: a
// capture that shows it, the bytes, and the document that decides.
//
//go:embed accepted.md
var acceptedText string

// class is a rule by which a difference is no fault of ours.
type class struct {
	name     string   // its heading in accepted.md
	tables   []string // which tables of the peers it is for
	explains func(*Evidence) bool
}

// accept returns the name of the first class that explains a difference of the
// table, or nothing.
func accept(table string, e *Evidence) string {
	for _, c := range classes() {
		if slices.Contains(c.tables, table) && c.explains(e) {
			return c.name
		}
	}
	return ""
}

// classes returns every class of accepted differences.
func classes() []class {
	return []class{
		{"a stream begun anew", []string{"flows"}, begunAnew},
		{"a retransmission in a stream begun anew", []string{"tls"}, retransmittedAnew},
		{"UDP longer than its datagram", []string{"flows"}, longUDP},
		{"a checksum behind FabricPath", []string{"flows"}, behindFabricPath},
		{"a jumbogram", []string{"flows"}, jumbogram},
		{"a TCP header that cannot be", []string{"flows"}, impossibleTCP},
		{"fragments never put together", []string{"flows"}, unassembled},
		{"a carrier of what tshark does not list", []string{"flows"}, carrierAlone},
		{"tags of a provider", []string{"flows"}, providerTags},
		{"calls joined to one conversation", []string{"flows"}, joinedCalls},
		{"times that go back", []string{"flows"}, backInTime},
		{"a fraction of more than a second", []string{"flows"}, longFraction},
		{"a packet without a time", []string{"flows"}, withoutTime},
		{"lengths beyond 31 bits", []string{"flows"}, longLength},
		{"the host of a CONNECT", []string{"http"}, connectHost},
		{"spaces in a request line", []string{"http"}, spacedLine},
		{"a status that is no three digits", []string{"http"}, oddStatus},
		{"no version of HTTP", []string{"http"}, noVersion},
		{"a body taken for a request", []string{"http"}, bodyAsRequest},
		{"text that ends at NUL", []string{"http"}, endsAtNUL},
		{"field lines that break the grammar", []string{"http"}, brokenFields},
		{"a hole that is filled late", []string{"http"}, filledLate},
		{"a version that was not there", []string{"http"}, cutVersion},
		{"requests in one packet", []string{"http"}, onePacket},
		{"text that the capture cuts", []string{"http"}, cutText},
		{"a packet of OpenVPN sent again", []string{"tls"}, againInOpenVPN},
		{"both ends send a client hello", []string{"tls"}, bothClients},
		{"a request for a retry", []string{"ndpi ja3"}, retryRequest},
		{"JA4 of a hello without signature algorithms", []string{"suricata checks"}, noSignatures},
		{"a server name that is an address", []string{"ndpi ja3"}, addressName},
		{"a name by port", []string{"ndpi app_proto"}, namedByPort},
		{"DNS within HTTP", []string{"suricata checks"}, dnsInHTTP},
		{"one tuple on several VLANs", []string{"ndpi ja3", "suricata checks"}, severalVLANs},
		{"a transaction of DHCPv6", []string{"arkime flows"}, transactionDHCPv6},
		{"a server hello of an early draft", []string{"tls"}, earlyDraft},
		{"nothing of a message reads", []string{"dns"}, unreadable},
		{"wrong checksums", []string{"zeek conn"}, wrongChecksums},
		{"what Zeek stops looking at", []string{"zeek conn"}, stopsLooking},
		{"less bytes than their payload", []string{"zeek conn"}, lessThanPayload},
		{"a connection of no packet", []string{"zeek conn"}, noPacket},
		{"part of the packets", []string{"zeek conn"}, partOfPackets},
		{"a body of the claimed length", []string{"zeek http"}, claimedLength},
		{"the answer within a WebSocket", []string{"zeek http"}, answerInWebSocket},
		{"who began without a handshake", []string{"zeek conn", "arkime flows", "suricata checks"}, whoBegan},
	}
}

// acceptedSections returns the headings of accepted.md with their text.
func acceptedSections() map[string]string {
	m := map[string]string{}
	for _, s := range strings.Split(acceptedText, "\n## ")[1:] {
		name, text, _ := strings.Cut(s, "\n")
		m[name] = strings.TrimSpace(text)
	}
	return m
}

// main returns a main column of a record by name.
func (e *Evidence) main(r *Record, name string) string {
	if i := slices.Index(e.Kind.Main, name); i >= 0 && r != nil {
		return r.Main[i]
	}
	return ""
}

func (e *Evidence) number(r *Record, name string) int64 {
	n, _ := strconv.ParseInt(e.main(r, name), 10, 64)
	return n
}

// ours returns a column of our row, whether or not it is compared.
func (e *Evidence) ours(table, column string) string {
	if e.Ours == nil || e.View == nil {
		return ""
	}
	t, _ := e.View.Table(table)
	if e.Ours.Row >= t.Len() {
		return ""
	}
	return t.Get(e.Ours.Row, column)
}

// at is ours of another row of ours.
func (e *Evidence) at(table string, r *Record, column string) string {
	other := *e
	other.Ours = r
	return other.ours(table, column)
}

// ledger returns the sum of a column of the table captures.
func (e *Evidence) ledger(column string) int64 {
	if e.View == nil {
		return 0
	}
	t, _ := e.View.Table("captures")
	var n int64
	for i := range t.Len() {
		n += t.Int(i, column)
	}
	return n
}

// begunAnew: the same packets and bytes in the same flow, cut into another
// number of rows.
func begunAnew(e *Evidence) bool {
	if len(e.Group.Truth) == len(e.Group.Ours) || len(e.Group.Truth) == 0 || len(e.Group.Ours) == 0 {
		return false
	}
	pairs := [][2][]string{{{"fwd_packets"}, {"rev_packets"}}, {{"fwd_bytes"}, {"rev_bytes"}}, {{"fwd_payload"}, {"rev_payload"}}}
	for _, p := range pairs {
		for _, columns := range p {
			var sum [2]int64
			for i, rs := range [][]*Record{e.Group.Truth, e.Group.Ours} {
				for _, r := range rs {
					for _, c := range columns {
						if e.main(r, c) == Unknown {
							return false
						}
						sum[i] += e.number(r, c)
					}
				}
			}
			if sum[0] != sum[1] {
				return false
			}
		}
	}
	return true
}

// retransmittedAnew: the hello is another row's, of another stream of the same
// endpoints: the client sent it again.
func retransmittedAnew(e *Evidence) bool {
	if e.Ours != nil {
		return false
	}
	for _, r := range e.Group.Truth {
		if r != e.Truth && r.Raw["stream"] != e.Truth.Raw["stream"] && slices.Equal(r.Main, e.Truth.Main) {
			return true
		}
	}
	return false
}

// longUDP: the payload by the UDP header's length cannot be in the IP packets,
// or not in their frames.
func longUDP(e *Evidence) bool {
	side, ok := strings.CutSuffix(e.Column, "_payload")
	if !ok || e.Truth == nil || e.Ours == nil || !strings.HasPrefix(e.Truth.Group, "udp ") {
		return false
	}
	header := int64(28)
	if strings.Contains(e.Truth.Group, "[") {
		header = 48
	}
	truth, packets, ip := e.number(e.Truth, e.Column), e.number(e.Truth, side+"_packets"), e.number(e.Truth, side+"_bytes")
	wire := ip
	if i := slices.Index(e.Kind.More, side+"_wire_bytes"); i >= 0 {
		n, err := strconv.ParseInt(e.Truth.More[i], 10, 64)
		switch {
		case err == nil && n > ip:
			wire = n - 14*packets // the least of a frame around a packet that is longer than it
		case err == nil && n > 0:
			wire = n
		}
	}
	return e.number(e.Ours, e.Column) < truth && (truth+header*packets > min(ip, wire) || longInFrames(e))
}

// longInFrames goes through the capture: with the UDP headers' lengths the flow's
// datagrams have the truth's payload, and ours with what their frames hold.
func longInFrames(e *Evidence) bool {
	if e.View == nil || e.View.capture == "" {
		return false
	}
	end := func(a *flows.Addr, v6 bool, port uint16) endpoint {
		return endpoint{string(schema.AppendAddr(nil, a, v6)), strconv.Itoa(int(port))}
	}
	src := endpoint{e.ours("flows", "src_ip"), e.ours("flows", "src_port")}
	dst := endpoint{e.ours("flows", "dst_ip"), e.ours("flows", "dst_port")}
	var claimed, held [2]int64
	for c, err := range ingest.Packets(e.View.capture) {
		if err != nil {
			return false
		}
		p := c.Packet
		from, to := end(&p.Src, p.Flags&flows.IPv6 != 0, p.SrcPort), end(&p.Dst, p.Flags&flows.IPv6 != 0, p.DstPort)
		side := 0
		switch {
		case p.Proto != flows.ProtoUDP || !(from == src && to == dst || from == dst && to == src):
			continue
		case p.Encap != 0 || p.Flags&flows.InOverflow != 0: // the frame is not where the datagram is
			return false
		case from != src:
			side = 1
		}
		length := int64(binary.BigEndian.Uint16(c.Data[p.Transport+4:])) - 8
		room := min(int64(p.Link)+int64(p.WireLen), int64(p.Network)+int64(p.IPLen)) - int64(p.Transport) - 8
		claimed[side] += length
		held[side] += min(length, room)
	}
	truth, ours := e.number(e.Truth, e.Column), e.number(e.Ours, e.Column)
	return slices.ContainsFunc([]int{0, 1}, func(side int) bool { return claimed[side] == truth && held[side] == ours })
}

// behindFabricPath goes through the capture: what we have more is the flow's packets in FabricPath
// that reach into the last four bytes of their frames.
func behindFabricPath(e *Evidence) bool {
	if e.Truth == nil || e.Ours == nil || e.View == nil || e.View.capture == "" || !strings.HasPrefix(e.Truth.Group, "udp ") {
		return false
	}
	more := e.number(e.Ours, "fwd_packets") + e.number(e.Ours, "rev_packets") - e.number(e.Truth, "fwd_packets") - e.number(e.Truth, "rev_packets")
	if more <= 0 {
		return false
	}
	ends := pairOf(e.ours("flows", "src_ip"), e.ours("flows", "src_port"), e.ours("flows", "dst_ip"), e.ours("flows", "dst_port"))
	for c, err := range ingest.Packets(e.View.capture) {
		if err != nil {
			return false
		}
		p := c.Packet
		v6 := p.Flags&flows.IPv6 != 0
		frame := int(p.Link) - 16 // of FabricPath's header the last four bytes are its type and its tag
		if p.Proto == flows.ProtoUDP && frame >= 0 && binary.BigEndian.Uint16(c.Data[frame+12:]) == 0x8903 &&
			frame+int(p.WireLen)-int(p.Network)-int(p.IPLen) < 4 &&
			ends == pairOf(string(schema.AppendAddr(nil, &p.Src, v6)), strconv.Itoa(int(p.SrcPort)), string(schema.AppendAddr(nil, &p.Dst, v6)), strconv.Itoa(int(p.DstPort))) {
			more--
		}
	}
	return more == 0
}

// dnsInHTTP: the capture has an HTTP message of DNS, which our table, of UDP and TCP, is not about.
func dnsInHTTP(e *Evidence) bool {
	if e.Truth == nil || e.View == nil || e.Truth.Raw["event_type"] != "dns" {
		return false
	}
	t, _ := e.View.Table("http")
	for i := range t.Len() {
		if t.Get(i, "request_content_type") == "application/dns-message" || t.Get(i, "response_content_type") == "application/dns-message" {
			return true
		}
	}
	return false
}

// jumbogram: tshark takes the length field, which is 0, for the payload's length.
func jumbogram(e *Evidence) bool {
	side, ok := strings.CutSuffix(e.Column, "_bytes")
	if !ok || e.Truth == nil || e.Ours == nil || !strings.Contains(e.Truth.Group, "[") {
		return false
	}
	packets, payload := e.number(e.Truth, side+"_packets"), e.number(e.Truth, side+"_payload")
	headers := e.number(e.Ours, side+"_bytes") - payload
	return payload > 65535*packets && payload == e.number(e.Ours, side+"_payload") && packets == e.number(e.Ours, side+"_packets") &&
		e.number(e.Truth, side+"_bytes") == 40*packets && headers >= (40+8+8)*packets && headers <= (40+8+60)*packets
}

// impossibleTCP: what we have less is packets that the ledger has as malformed.
func impossibleTCP(e *Evidence) bool {
	if e.Truth == nil || !strings.HasPrefix(e.Truth.Group, "tcp ") {
		return false
	}
	less := int64(0)
	for _, c := range []string{"fwd_packets", "rev_packets"} {
		for _, r := range e.Group.Truth {
			less += e.number(r, c)
		}
		for _, r := range e.Group.Ours {
			less -= e.number(r, c)
		}
	}
	return less > 0 && less <= e.ledger("malformed_transport_packets")
}

// unassembled: a datagram that the ledger has as incomplete.
func unassembled(e *Evidence) bool {
	if e.Ours != nil || len(e.Group.Ours) > 0 {
		return false
	}
	packets := int64(0)
	for _, r := range e.Group.Truth {
		packets += e.number(r, "fwd_packets") + e.number(r, "rev_packets")
	}
	return packets > 0 && packets <= e.ledger("fragments_incomplete")
}

// carrierAlone: what our flows between the same endpoints are carried by, whole
// or in part.
func carrierAlone(e *Evidence) bool {
	if e.Truth == nil || e.Ours != nil && e.number(e.Ours, "fwd_packets")+e.number(e.Ours, "rev_packets") >= e.number(e.Truth, "fwd_packets")+e.number(e.Truth, "rev_packets") {
		return false
	}
	if e.Truth.Raw["proto"] != "udp" || !tunnelPorts[e.Truth.Raw["a_port"]] && !tunnelPorts[e.Truth.Raw["b_port"]] || e.View == nil {
		return false
	}
	t, _ := e.View.Table("flows")
	pair := pairOf(e.Truth.Raw["a_ip"], "", e.Truth.Raw["b_ip"], "")
	var inside int64
	for i := range t.Len() {
		if o := t.Get(i, "outer_src_ip"); o != "" && pairOf(o, "", t.Get(i, "outer_dst_ip"), "") == pair {
			inside += t.Int(i, "src_packets") + t.Int(i, "dst_packets")
		}
	}
	less := e.number(e.Truth, "fwd_packets") + e.number(e.Truth, "rev_packets")
	if e.Ours != nil {
		less -= e.number(e.Ours, "fwd_packets") + e.number(e.Ours, "rev_packets")
	}
	return less <= inside
}

// providerTags: the truth's tags are ours without the outer one, and perhaps more within them.
func providerTags(e *Evidence) bool {
	if e.Column != "vlan" || e.Truth == nil || e.Ours == nil {
		return false
	}
	_, inner, ok := strings.Cut(e.OursText, " ")
	return ok && strings.HasPrefix(e.TruthText+" ", inner+" ")
}

// joinedCalls: the truth's row is the sum of several of our flows to one port.
func joinedCalls(e *Evidence) bool {
	if e.Truth == nil || e.Ours == nil || e.Truth.Raw["proto"] != "udp" || e.View == nil {
		return false
	}
	if e.number(e.Truth, "fwd_packets") == e.number(e.Ours, "fwd_packets") && e.number(e.Truth, "rev_packets") == e.number(e.Ours, "rev_packets") {
		return false
	}
	t, _ := e.View.Table("flows")
	var packets, bytes int64
	r := e.Truth.Raw
	for i := range t.Len() {
		src, dst := endpoint{t.Get(i, "src_ip"), t.Get(i, "src_port")}, endpoint{t.Get(i, "dst_ip"), t.Get(i, "dst_port")}
		a, b := endpoint{canonicalIP(r["a_ip"]), r["a_port"]}, endpoint{canonicalIP(r["b_ip"]), r["b_port"]}
		if t.Get(i, "proto") == "udp" && pairOf(src.ip, "", dst.ip, "") == pairOf(a.ip, "", b.ip, "") && (src == a || src == b || dst == a || dst == b) {
			packets += t.Int(i, "src_packets") + t.Int(i, "dst_packets")
			bytes += t.Int(i, "src_bytes") + t.Int(i, "dst_bytes")
		}
	}
	return packets == e.number(e.Truth, "fwd_packets")+e.number(e.Truth, "rev_packets") &&
		bytes == e.number(e.Truth, "fwd_bytes")+e.number(e.Truth, "rev_bytes")
}

// backInTime: we go by the times, tshark by the order of the packets: its first
// and last are of some packet of our flow.
func backInTime(e *Evidence) bool {
	if e.Column != "first" && e.Column != "last" || e.ledger("out_of_order_packets") == 0 {
		return false // in the capture's order and in that of the times the first and the last are the same
	}
	t, _ := strconv.ParseInt(e.TruthText, 10, 64)
	first, _ := strconv.ParseInt(e.ours("flows", "ts"), 10, 64)
	last, _ := strconv.ParseInt(e.ours("flows", "end_ts"), 10, 64)
	if t < first || t > last {
		return false // which no packet of the flow has
	}
	// A side's packets come earlier than those before them, or the other side's do.
	iat := func(side string) bool { return strings.HasPrefix(e.ours("flows", side+"_iat_min_ns"), "-") }
	return iat("src") || iat("dst") || e.ours("flows", "src_packets") != "0" && e.ours("flows", "dst_packets") != "0"
}

// longFraction: a time of our row is the truth's and as much more as its 32 bits
// of nanoseconds cannot hold; where they are negative, so is the truth.
func longFraction(e *Evidence) bool {
	if e.Column != "first" && e.Column != "last" {
		return false
	}
	t, err := strconv.ParseInt(e.TruthText, 10, 64)
	if err != nil {
		return false
	}
	for _, column := range []string{"ts", "end_ts"} {
		o, _ := strconv.ParseInt(e.ours("flows", column), 10, 64)
		switch d := o - max(t, -t); {
		case d <= 0 || d > 1000<<32: // of 32 bits of microseconds
		case t >= 0 && d%(1<<32) == 0, t < 0 && d%(1<<32) >= 1<<31:
			return true
		}
	}
	return false
}

// withoutTime: the truth has 0, which is the time of no packet of our row, or of
// none behind a later one.
func withoutTime(e *Evidence) bool {
	if e.Column != "first" && e.Column != "last" || e.TruthText != "0" || e.OursText == "0" {
		return false
	}
	back := strings.HasPrefix(e.ours("flows", "src_iat_min_ns"), "-") || strings.HasPrefix(e.ours("flows", "dst_iat_min_ns"), "-")
	return e.ours("flows", "ts") != "0" || e.Column == "last" && !back
}

// longLength: the truth has the most that 31 bits hold.
func longLength(e *Evidence) bool {
	o, _ := strconv.ParseInt(e.OursText, 10, 64)
	return strings.HasSuffix(e.Column, "_wire_bytes") && e.TruthText == "2147483647" && o > 1<<31-1
}

func connectHost(e *Evidence) bool {
	return e.Column == "host" && e.TruthText == "" && e.main(e.Ours, "method") == "CONNECT" && strings.HasPrefix(e.main(e.Ours, "target"), e.OursText)
}

func spacedLine(e *Evidence) bool {
	if e.Column != "target" && e.Column != "version" || !strings.Contains(e.ours("http", "malformed"), "bad_request_line") {
		return false
	}
	line := strings.Join(strings.Fields(e.Truth.Raw["uri"]+" "+e.Truth.Raw["version"]), " ")
	target := e.main(e.Ours, "target")
	return target != "" && (line == target || strings.HasPrefix(line, target+" "))
}

func oddStatus(e *Evidence) bool {
	return e.Truth != nil && e.Kind == &httpResponseKind && (e.Ours == nil || e.Column == "status") && len(e.main(e.Truth, "status")) != 3
}

func noVersion(e *Evidence) bool {
	if e.Truth == nil || e.Kind != &httpResponseKind || e.Ours != nil && e.Column != "response_version" {
		return false
	}
	v := httpVersion(e.Truth.Raw["version"])
	return len(v) != 3 || v[1] != '.' || v[0] < '0' || v[0] > '9' || v[2] < '0' || v[2] > '9'
}

// bodyAsRequest: who sends it is the server of our exchanges on the same connection.
func bodyAsRequest(e *Evidence) bool {
	if e.Ours != nil || e.Kind != &httpRequestKind || e.View == nil {
		return false
	}
	t, _ := e.View.Table("http")
	for i := range t.Len() {
		server := "dst"
		if t.Get(i, "client_side") == "dst" {
			server = "src"
		}
		if ourPair(t, i) == truthPair(e.Truth.Raw) && t.Get(i, server+"_port") == e.Truth.Raw["sport"] &&
			canonicalIP(t.Get(i, server+"_ip")) == canonicalIP(e.Truth.Raw["src"]) && t.Get(i, "response_ts") != "" {
			return true
		}
	}
	return false
}

func endsAtNUL(e *Evidence) bool {
	if e.Truth == nil || e.Ours == nil {
		return false
	}
	if head, _, ok := strings.Cut(e.OursText, `\x00`); ok && head == e.TruthText {
		return true
	}
	head, _, ok := strings.Cut(e.main(e.Ours, "target"), `\x00`) // of which the version's beginning is what follows
	return e.Column == "version" && ok && head == e.main(e.Truth, "target")
}

// brokenFields: our row says which rule the head breaks.
func brokenFields(e *Evidence) bool {
	switch e.Column {
	case "content_encoding", "reason", "request_content_type", "response_content_type", "request_content_length", "response_content_length", "transfer_encoding",
		"user_agent", "referer":
	default:
		return false
	}
	broken := e.ours("http", "malformed")
	for _, rule := range []string{"bare_cr", "space_before_colon", "obs_fold", "bad_header_line", "repeated_content_length", "bad_content_length",
		"conflicting_content_length", "bad_transfer_encoding"} {
		if strings.Contains(broken, rule) {
			return true
		}
	}
	return false
}

// filledLate: the last byte came before others of the message, in a flow that has such packets.
func filledLate(e *Evidence) bool {
	if e.Column != "request_end_ts" && e.Column != "response_end_ts" || !later(e) {
		return false
	}
	t, _ := e.View.Table("flows")
	for i := range t.Len() {
		if t.Get(i, "flow_id") == e.ours("http", "flow_id") {
			return t.Int(i, "src_out_of_order_packets")+t.Int(i, "dst_out_of_order_packets") > 0
		}
	}
	return false
}

// later: the truth's time is, and we have one.
func later(e *Evidence) bool {
	t, _ := strconv.ParseInt(e.TruthText, 10, 64)
	o, err := strconv.ParseInt(e.OursText, 10, 64)
	return err == nil && t > o
}

// cutVersion: the first line is cut by the capture's length, or has no version.
func cutVersion(e *Evidence) bool {
	switch e.Column {
	case "version":
		return e.OursText == "" && e.ours("http", "after_gap") == "true" && !strings.Contains(e.TruthText, ".") || e.OursText == "0.9" && e.TruthText == ""
	case "response_version":
		return e.OursText == "" && strings.Contains(e.ours("http", "malformed"), "bad_version")
	}
	return false
}

// cutText: what of the text was captured is not all of it, and our row says that bytes are missing.
func cutText(e *Evidence) bool {
	return e.Truth != nil && e.Ours != nil && e.Column != "method" && e.Column != "status" && e.OursText == "" && e.TruthText != "" && e.ours("http", "after_gap") == "true"
}

// againInOpenVPN: tshark says itself that the message is malformed, in the control channel of
// a session of which we have the handshake.
func againInOpenVPN(e *Evidence) bool {
	if e.Ours != nil || e.View == nil || e.Truth.Raw["malformed"] != "1" || e.Truth.Raw["transport"] != "udp" {
		return false
	}
	t, _ := e.View.Table("tls")
	for i := range t.Len() {
		if t.Get(i, "transport") == "udp" && ourPair(t, i) == truthPair(e.Truth.Raw) {
			return true
		}
	}
	return false
}

// bothClients: the client hello is from whom our handshake of the same tuple has
// as the server.
func bothClients(e *Evidence) bool {
	if e.Ours != nil || e.Kind != &clientHelloKind || e.View == nil {
		return false
	}
	t, _ := e.View.Table("tls")
	for i := range t.Len() {
		server := "dst"
		if t.Get(i, "client_side") == "dst" {
			server = "src"
		}
		if t.Get(i, "transport") == "dtls" && t.Get(i, "client_hellos") != "0" && ourPair(t, i) == truthPair(e.Truth.Raw) &&
			t.Get(i, server+"_port") == e.Truth.Raw["sport"] && canonicalIP(t.Get(i, server+"_ip")) == canonicalIP(e.Truth.Raw["src"]) {
			return true
		}
	}
	return false
}

func retryRequest(e *Evidence) bool {
	return e.Column == "ja3s" && e.ours("tls", "hello_retry") == "true"
}

// noSignatures: but for the last part of JA4, the check finds what it asks for.
func noSignatures(e *Evidence) bool {
	return e.Kind == &suricataKind && e.Ours != nil && e.Ours.Raw["unsigned"] == e.TruthText
}

func addressName(e *Evidence) bool {
	const sni = len("t13") // where JA4 says d or i
	t, o := e.TruthText, e.OursText
	return e.Column == "ja4" && len(t) > sni && len(t) == len(o) && t[:sni] == o[:sni] && t[sni+1:] == o[sni+1:] && t[sni] == 'i' && o[sni] == 'd' &&
		net.ParseIP(e.ours("tls", "sni")) != nil
}

// severalVLANs: another row of nDPI's has the same tuple and says the same; or
// Suricata's number is ours with a flow more for each whose two ends it knows as
// initiators on different VLANs.
func severalVLANs(e *Evidence) bool {
	if e.Kind == &suricataKind {
		return e.Ours != nil && e.Ours.Raw["split"] == e.TruthText
	}
	if e.Ours != nil || len(e.Group.Ours) == 0 {
		return false
	}
	for _, r := range e.Group.Truth {
		if r != e.Truth && r.Raw["vlan"] != e.Truth.Raw["vlan"] && slices.Equal(r.Main, e.Truth.Main) {
			return true
		}
	}
	return false
}

// namedByPort: nDPI names the protocol that one of the flow's ports is known for, and
// has none of what it reads of the payload of such flows.
func namedByPort(e *Evidence) bool {
	if e.Column != "app_proto" || e.Truth == nil || e.Ours == nil {
		return false
	}
	r := e.Truth.Raw
	for _, c := range []string{"hostname_sni", "url", "status", "user_agent", "content_type", "tls_version", "alpn", "ja3", "ja3s", "ja4", "cipher"} {
		if r[c] != "" {
			return false
		}
	}
	known := map[string][]string{"http": {"80", "8080", "3128"}, "tls": {"443"}, "dns": {"53", "5353"}, "gtp": {"2123", "2152", "3386"}}
	for _, name := range strings.Split(e.TruthText, "|") {
		if slices.Contains(known[name], r["a_port"]) || slices.Contains(known[name], r["b_port"]) {
			return true
		}
	}
	return false
}

// onePacket: a later request of the packet that holds ours has the truth's target.
func onePacket(e *Evidence) bool {
	if e.Column != "target_answered" || e.View == nil {
		return false
	}
	t, _ := e.View.Table("http")
	for i := range t.Len() {
		if t.Get(i, "target") == e.TruthText && t.Get(i, "flow_id") == e.ours("http", "flow_id") &&
			t.Get(i, "first_packet") == e.ours("http", "first_packet") {
			return true
		}
	}
	return false
}

func transactionDHCPv6(e *Evidence) bool {
	return e.Truth != nil && e.Truth.Raw["community_id"] == "" && slices.Contains(strings.Split(e.Truth.Raw["protocols"], ";"), "dhcpv6")
}

func earlyDraft(e *Evidence) bool {
	if e.Kind != &serverHelloKind || e.Truth == nil || e.Ours == nil || e.main(e.Ours, "version") != "772" && !strings.HasPrefix(e.ours("tls", "version"), "TLSv1.3") {
		return false
	}
	n, _ := strconv.Atoi(e.Truth.Raw["session_id_len"])
	return n > 32 // more than a session id may be: there was none
}

func unreadable(e *Evidence) bool {
	if e.Truth == nil || e.Ours != nil {
		return false
	}
	r := e.Truth.Raw
	return r["malformed"] == "1" && (strings.HasPrefix(r["qname"], "<") && r["qname"] != "<Root>" || r["qname"] == "" && r["qtype"] == "")
}

// wrongChecksums: Zeek leaves the packets out, and says so in history. Not more
// are missing than our rows have with a checksum that is wrong, or that was left to the
// network card.
func wrongChecksums(e *Evidence) bool {
	said, less, wrong := false, int64(0), int64(0)
	for _, r := range e.Group.Truth {
		said = said || strings.ContainsAny(e.main(r, "history"), "Cc")
		less -= e.number(r, "orig_pkts") + e.number(r, "resp_pkts")
	}
	for _, r := range e.Group.Ours {
		less += e.number(r, "orig_pkts") + e.number(r, "resp_pkts")
		for _, c := range []string{"src_bad_checksums", "dst_bad_checksums", "src_offload_checksums", "dst_offload_checksums"} {
			n, _ := strconv.ParseInt(e.at("flows", r, c), 10, 64)
			wrong += n
		}
	}
	return said && less > 0 && less <= wrong
}

// counts are the columns of a connection's packets and bytes.
var counts = []string{"orig_pkts", "orig_ip_bytes", "resp_pkts", "resp_ip_bytes"}

// notMore says whether the truth has at most what we have in each count.
func (e *Evidence) notMore() bool {
	for _, c := range counts {
		if e.main(e.Truth, c) == Unknown || e.number(e.Truth, c) > e.number(e.Ours, c) {
			return false
		}
	}
	return true
}

// stopsLooking: Zeek's script skips the rest of what it takes for a GridFTP transfer.
func stopsLooking(e *Evidence) bool {
	return e.Truth != nil && e.Ours != nil && slices.Contains(strings.Split(e.Truth.Raw["service"], ","), "gridftp-data") &&
		strings.HasPrefix(e.main(e.Ours, "history"), e.main(e.Truth, "history")) && e.notMore()
}

// lessThanPayload: by the sequence numbers more payload was sent than the IP
// packets have bytes. Headers are at least 40 bytes in all.
func lessThanPayload(e *Evidence) bool {
	side, ok := strings.CutSuffix(e.Column, "_ip_bytes")
	if !ok || e.Truth == nil || e.Ours == nil || !strings.HasPrefix(e.Truth.Group, "tcp ") || e.Truth.Raw["missed_bytes"] != "0" {
		return false
	}
	payload, err := strconv.ParseInt(e.Truth.Raw[side+"_bytes"], 10, 64)
	least := payload + 40*e.number(e.Truth, side+"_pkts")
	return err == nil && e.main(e.Truth, side+"_pkts") == e.main(e.Ours, side+"_pkts") && e.number(e.Truth, e.Column) < least && e.number(e.Ours, e.Column) >= least
}

// noPacket: Zeek has a connection in which nothing happened, though only a packet
// makes one.
func noPacket(e *Evidence) bool {
	return e.Truth != nil && e.Ours != nil && e.main(e.Truth, "history") == "" && e.main(e.Truth, "orig_pkts") == "0" && e.main(e.Truth, "resp_pkts") == "0" &&
		e.main(e.Truth, "conn_state") == "OTH" && strings.HasPrefix(e.Truth.Group, "tcp ")
}

// partOfPackets: another log of Zeek's has what we have.
func partOfPackets(e *Evidence) bool {
	if e.Truth == nil || e.Ours == nil || !e.notMore() {
		return false
	}
	text := func(r *Record) string { return countsText(func(c string) string { return e.main(r, c) }) }
	return text(e.Truth) != text(e.Ours) && slices.Contains(strings.Split(e.Truth.Raw[elsewhere], " "), text(e.Ours))
}

// claimedLength: our body is as long as its head says; or what the truth has more
// here it has less in such a body of the same connection.
func claimedLength(e *Evidence) bool {
	side, ok := strings.CutSuffix(e.Column, "_body_len")
	if !ok || e.Ours == nil {
		return false
	}
	claimed := func(r *Record) bool {
		n := e.at("http", r, side+"_content_length")
		return n != "" && n == e.main(r, e.Column)
	}
	if claimed(e.Ours) {
		return true
	}
	before, sum := false, int64(0)
	for _, r := range e.Group.Ours {
		before = before || claimed(r)
		sum += e.number(r, e.Column)
	}
	for _, r := range e.Group.Truth {
		sum -= e.number(r, e.Column)
	}
	return before && sum == 0
}

// answerInWebSocket: Zeek has the status of an exchange that the WebSocket carries at the one
// that went over to it, and none at its own.
func answerInWebSocket(e *Evidence) bool {
	if e.Ours == nil || e.Truth == nil || e.Column != "status_code" {
		return false
	}
	upgraded := func(r *Record) bool {
		return e.at("http", r, "outcome") == "upgraded" && e.main(r, "status_code") == "101" && strings.Contains(strings.ToLower(e.at("http", r, "upgrade")), "websocket")
	}
	has := func(rs []*Record, status string, except *Record) bool {
		return slices.ContainsFunc(rs, func(r *Record) bool { return r != except && e.main(r, "status_code") == status })
	}
	if upgraded(e.Ours) {
		return e.TruthText != "" && has(e.Group.Ours, e.TruthText, e.Ours)
	}
	return e.TruthText == "" && slices.ContainsFunc(e.Group.Ours, upgraded) && has(e.Group.Truth, e.OursText, e.Truth)
}

// whoBegan: neither has seen a SYN, and the peer takes the other end for who began.
// Zeek does it amid a connection (its ^ is not at the beginning), when a packet's content
// says which end serves: what came before stays counted for the other. Where it is
// at the beginning, the row is compared turned back. Of Arkime the same numbers are
// asked for, exchanged; of Suricata's checks, what they find when such flows are turned.
func whoBegan(e *Evidence) bool {
	switch {
	case e.Kind == &suricataKind:
		return e.Ours != nil && e.Ours.Raw["turned"] == e.TruthText
	case e.Truth == nil || e.Ours == nil || !nobodySaw(e.ours("flows", "direction_basis")):
		return false
	case e.Kind == &arkimeFlowKind:
		side := func(r *Record, s string) string { return e.main(r, s+"_packets") + " " + e.main(r, s+"_wire_bytes") }
		return side(e.Truth, "fwd") != side(e.Truth, "rev") && side(e.Truth, "fwd") == side(e.Ours, "rev") && side(e.Truth, "rev") == side(e.Ours, "fwd")
	}
	t, o := e.main(e.Truth, "originator"), e.main(e.Ours, "originator")
	sum := func(r *Record, what string) int64 { return e.number(r, "orig_"+what) + e.number(r, "resp_"+what) }
	return t != Unknown && t != o && strings.Contains(e.main(e.Truth, "history"), "^") &&
		sum(e.Truth, "pkts") == sum(e.Ours, "pkts") && sum(e.Truth, "ip_bytes") == sum(e.Ours, "ip_bytes")
}

// nobodySaw reports whether a direction's basis is no handshake.
func nobodySaw(basis string) bool { return basis == "first_packet" || basis == "earliest_packet" }
