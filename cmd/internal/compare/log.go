package compare

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/caplake/caplake/cmd/internal/conformance"
	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/schema"
)

// Kind is the program whose log a file is.
type Kind string

const (
	Zeek     Kind = "zeek conn.log" // and "zeek http.log" and others
	Suricata Kind = "suricata eve.json"
)

// maxLine is the longest line of a log that is read; a longer one is an error.
const maxLine = 16 << 20

// logReader reads the flows of logs. It is used for one pass after another.
type logReader struct {
	paths []string
	arena *schema.Arena
	words map[string]string // text that recurs

	kinds []Kind           // of the paths, once read
	left  map[string]int64 // lines that are not compared by what they are, of the last pass

	// onEvent takes what is no flow but has a table; nil: it is not wanted. The
	// text of row is as conformance.MatchLog has it.
	onEvent func(e eventKind, row map[string]string)
}

// eventKind is what an event is: in eve.json its event_type, of Zeek the log's name.
type eventKind struct{ program, event string }

func newLogReader(paths []string) *logReader {
	return &logReader{paths: paths, arena: new(schema.Arena), words: map[string]string{}, kinds: make([]Kind, len(paths))}
}

// each calls f with every flow of the logs.
func (r *logReader) each(f func(*flow)) error {
	r.left = map[string]int64{}
	for i, p := range r.paths {
		if err := r.file(i, p, f); err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
	}
	return nil
}

func (r *logReader) file(i int, path string, f func(*flow)) error {
	file, err := os.Open(path)
	if err != nil {
		var p *os.PathError
		if errors.As(err, &p) {
			return p.Err // the caller names the path
		}
		return err
	}
	defer file.Close()
	in, err := decompressed(file)
	if err != nil {
		return err
	}
	s := bufio.NewScanner(in)
	s.Buffer(make([]byte, 64<<10), maxLine)
	var fields zeekFields
	for n := 1; s.Scan(); n++ {
		line := s.Bytes()
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		fl, kind, err := r.line(line, &fields)
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		if kind != "" {
			r.kinds[i] = kind
		}
		if fl == nil {
			continue
		}
		f(fl)
	}
	if err := s.Err(); errors.Is(err, bufio.ErrTooLong) {
		return fmt.Errorf("a line is longer than %d bytes", maxLine)
	} else if err != nil {
		return err
	}
	if r.kinds[i] == "" {
		return errors.New("neither a log of Zeek (TSV or JSON) that is compared nor an eve.json of Suricata")
	}
	return nil
}

// decompressed undoes gzip and zstd, as rotated logs have them.
func decompressed(file io.Reader) (io.Reader, error) {
	in := bufio.NewReaderSize(file, 64<<10)
	head, _ := in.Peek(4)
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		return gzip.NewReader(in)
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	}
	return in, nil
}

// line reads one line. It returns nil for a line without a flow.
func (r *logReader) line(line []byte, fields *zeekFields) (*flow, Kind, error) {
	if line[0] != '{' {
		return r.zeekTSV(line, fields)
	}
	if bytes.Contains(line, []byte(`"event_type"`)) {
		var e event
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, "", err
		}
		if e.EventType != "flow" {
			return nil, Suricata, r.jsonEvent(eventKind{"suricata", e.EventType}, line)
		}
		fl, err := r.suricata(&e)
		if fl == nil && err == nil {
			r.left["flow of another protocol"]++
		}
		return fl, Suricata, err
	}
	var z zeekJSON
	if err := json.Unmarshal(line, &z); err != nil {
		return nil, "", err
	}
	if log := z.log(); log != "conn" {
		kind := zeekLog(log)
		if conformance.LogTable("zeek", log) == "" {
			kind = ""
		}
		return nil, kind, r.jsonEvent(eventKind{"zeek", log}, line)
	}
	fl, err := r.zeek(&z)
	if fl == nil && err == nil {
		r.left["conn of an unknown transport"]++
	}
	return fl, Zeek, err
}

// log names the log that a row in JSON is of, by the fields that each has.
func (z *zeekJSON) log() string {
	switch {
	case z.Path != "":
		return z.Path
	case z.OrigH == "":
		return "another log"
	case z.State != "" || z.OrigPkts != "":
		return "conn"
	case z.TransDepth != nil:
		return "http"
	case z.TransID != nil:
		return "dns"
	case z.InitialDCID != nil:
		return "quic"
	case z.Established != nil:
		return "ssl"
	case z.Proto != "":
		return "conn"
	}
	return "another log"
}

// zeekLog is the kind of a log of Zeek.
func zeekLog(name string) Kind { return Kind("zeek " + name + ".log") }

// jsonEvent gives an event to who wants it, or counts it among what is left.
func (r *logReader) jsonEvent(kind eventKind, line []byte) error {
	if conformance.LogTable(kind.program, kind.event) == "" {
		r.left[kind.event]++
		return nil
	}
	if r.onEvent == nil {
		return nil
	}
	var m map[string]any
	if err := json.Unmarshal(line, &m); err != nil {
		return err
	}
	row := map[string]string{}
	flatten(row, "", m)
	var at int64
	var err error
	if kind.program == "suricata" {
		at, err = eveTime(row["timestamp"])
	} else if ts, _ := m["ts"].(string); ts != "" {
		at, err = zeekTime(`"` + ts + `"`)
	} else {
		at, err = zeekTime(row["ts"])
	}
	if err != nil {
		return err
	}
	row["ts"] = fmt.Sprintf("%d.%09d", at/1e9, at%1e9)
	r.onEvent(kind, row)
	return nil
}

// flatten puts what is in v into row under its dotted path: a list of objects by
// index, of others its elements and, with commas, the whole.
func flatten(row map[string]string, path string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			if path != "" {
				k = path + "." + k
			}
			flatten(row, k, e)
		}
	case []any:
		texts := make([]string, len(v))
		for i, e := range v {
			texts[i] = strings.ReplaceAll(conformance.JSONText(e), ",", `\x2c`) // as Zeek's own format has it
			flatten(row, fmt.Sprintf("%s[%d]", path, i), e)
		}
		row[path] = strings.Join(texts, ",")
	case nil:
	default:
		row[path] = conformance.JSONText(v)
	}
}

// word returns b's text, the same for the same.
func (r *logReader) word(s string) string {
	if w, ok := r.words[s]; ok {
		return w
	}
	s = strings.Clone(s)
	if len(r.words) < 1<<16 { // as of text that does not recur
		r.words[s] = s
	}
	return s
}

// key fills in what a flow is joined by.
func (r *logReader) key(f *flow, logged string) {
	x := flows.Flow{Src: f.src.As16(), Dst: f.dst.As16(), Proto: f.proto}
	if f.src.Is6() {
		x.Flags |= flows.IPv6
	}
	switch {
	case f.proto == flows.ProtoICMP || f.proto == flows.ProtoICMPv6:
		x.ICMPType, x.ICMPCode = uint8(f.sport), uint8(f.dport)
	case f.proto == flows.ProtoTCP || f.proto == flows.ProtoUDP || f.proto == flows.ProtoSCTP:
		x.Flags |= flows.HasPorts
		x.SrcPort, x.DstPort = uint16(f.sport), uint16(f.dport)
	}
	id := schema.CommunityID(&x, r.arena)
	f.key, _ = keyOf(id)
	f.otherSeed = logged != "" && logged != id
}

// keyOf returns the hash in a Community ID.
func keyOf(id string) (key [20]byte, ok bool) {
	var b [21]byte
	n, err := base64.StdEncoding.Decode(b[:], []byte(strings.TrimPrefix(id, "1:")))
	copy(key[:], b[:])
	return key, err == nil && n == len(key)
}

// zeekFields is the head of a log in TSV: which field stands where.
type zeekFields struct {
	at           map[string]int
	log          string // its name: conn, http
	separator    string
	unset, empty string
}

func (r *logReader) zeekTSV(line []byte, h *zeekFields) (*flow, Kind, error) {
	text := string(line)
	if h.separator == "" {
		h.separator, h.unset, h.empty = "\t", "-", "(empty)"
	}
	if text[0] == '#' {
		name, value, _ := strings.Cut(text[1:], h.separator)
		switch {
		case strings.HasPrefix(name, "separator "):
			if s, err := strconv.Unquote(`"` + strings.TrimPrefix(name, "separator ") + `"`); err == nil && s != "" {
				h.separator = s
			}
		case name == "unset_field":
			h.unset = value
		case name == "empty_field":
			h.empty = value
		case name == "path" && value != "":
			if h.log = value; strings.HasPrefix(value, "conn") {
				h.log = "conn"
			} else if conformance.LogTable("zeek", value) == "" {
				return nil, "", fmt.Errorf("a %s.log of Zeek; compared are conn, http, ssl, dns and quic", value)
			}
		case name == "fields":
			h.at = map[string]int{}
			for i, f := range strings.Split(value, h.separator) {
				h.at[f] = i
			}
			needed := []string{"ts", "id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p", "proto"}
			if h.log != "" && h.log != "conn" {
				needed = needed[:5]
			}
			for _, f := range needed {
				if _, ok := h.at[f]; !ok {
					return nil, "", fmt.Errorf("the log has no field %s", f)
				}
			}
			if h.log == "" {
				h.log = "conn"
			}
			return nil, zeekLog(h.log), nil
		}
		return nil, "", nil
	}
	if h.at == nil {
		return nil, "", errors.New("neither JSON nor a log of Zeek with its head (#fields)")
	}
	values := strings.Split(text, h.separator)
	get := func(name string) string {
		i, ok := h.at[name]
		if !ok || i >= len(values) || values[i] == h.unset || values[i] == h.empty {
			return ""
		}
		return values[i]
	}
	if h.log != "conn" {
		if r.onEvent != nil {
			row := map[string]string{}
			for name := range h.at {
				row[name] = get(name)
			}
			r.onEvent(eventKind{"zeek", h.log}, row)
		}
		return nil, zeekLog(h.log), nil
	}
	number := func(name string) json.Number { return json.Number(get(name)) }
	fl, err := r.zeek(&zeekJSON{
		TS: json.RawMessage(get("ts")), UID: get("uid"), OrigH: get("id.orig_h"), OrigP: number("id.orig_p"), RespH: get("id.resp_h"), RespP: number("id.resp_p"),
		Proto: get("proto"), IPProto: number("ip_proto"), Service: get("service"), Duration: number("duration"),
		OrigBytes: number("orig_bytes"), RespBytes: number("resp_bytes"), State: get("conn_state"), History: get("history"),
		OrigPkts: number("orig_pkts"), OrigIPBytes: number("orig_ip_bytes"), RespPkts: number("resp_pkts"), RespIPBytes: number("resp_ip_bytes"),
		CommunityID: get("community_id"), VLAN: number("vlan"),
	})
	if fl != nil {
		_, ok := h.at["service"]
		fl.mute = !ok
	}
	return fl, Zeek, err
}

// zeekJSON is a row of conn.log, as Zeek writes it in JSON.
type zeekJSON struct {
	TS          json.RawMessage `json:"ts"`
	UID         string          `json:"uid"`
	OrigH       string          `json:"id.orig_h"`
	OrigP       json.Number     `json:"id.orig_p"`
	RespH       string          `json:"id.resp_h"`
	RespP       json.Number     `json:"id.resp_p"`
	Proto       string          `json:"proto"`
	IPProto     json.Number     `json:"ip_proto"`
	Service     string          `json:"service"`
	Duration    json.Number     `json:"duration"`
	OrigBytes   json.Number     `json:"orig_bytes"`
	RespBytes   json.Number     `json:"resp_bytes"`
	State       string          `json:"conn_state"`
	History     string          `json:"history"`
	OrigPkts    json.Number     `json:"orig_pkts"`
	OrigIPBytes json.Number     `json:"orig_ip_bytes"`
	RespPkts    json.Number     `json:"resp_pkts"`
	RespIPBytes json.Number     `json:"resp_ip_bytes"`
	CommunityID string          `json:"community_id"`
	VLAN        json.Number     `json:"vlan"`

	// Of any log, and what others than conn.log have in every row.
	Path        string          `json:"_path"`
	TransDepth  json.RawMessage `json:"trans_depth"`
	TransID     json.RawMessage `json:"trans_id"`
	Established json.RawMessage `json:"established"`
	InitialDCID json.RawMessage `json:"client_initial_dcid"`
}

func (r *logReader) zeek(z *zeekJSON) (f *flow, err error) {
	f = &flow{id: strings.Clone(z.UID), state: r.word(z.State), history: strings.Clone(z.History), vlan: -1}
	if f.src, err = netip.ParseAddr(z.OrigH); err != nil {
		return nil, err
	}
	if f.dst, err = netip.ParseAddr(z.RespH); err != nil {
		return nil, err
	}
	f.src, f.dst = f.src.WithZone(""), f.dst.WithZone("")
	switch z.Proto {
	case "tcp":
		f.proto = flows.ProtoTCP
	case "udp":
		f.proto = flows.ProtoUDP
	case "icmp":
		f.proto = flows.ProtoICMP
		if f.src.Is6() {
			f.proto = flows.ProtoICMPv6
		}
	default: // unknown_transport
		n := integer(z.IPProto)
		if n < 0 || n > 255 {
			return nil, nil // it does not say which
		}
		f.proto = uint8(n)
	}
	f.sport, f.dport = int32(integer(z.OrigP)), int32(integer(z.RespP))
	if f.start, err = zeekTime(string(z.TS)); err != nil {
		return nil, err
	}
	f.end = f.start
	if z.Duration != "" {
		d, err := seconds(string(z.Duration))
		if err != nil {
			return nil, err
		}
		f.end += d
	}
	f.packets = [2]int64{integer(z.OrigPkts), integer(z.RespPkts)}
	f.bytes = [2]int64{integer(z.OrigIPBytes), integer(z.RespIPBytes)}
	f.payload = [2]int64{integer(z.OrigBytes), integer(z.RespBytes)}
	if v := integer(z.VLAN); v >= 0 {
		f.vlan = int32(v)
	}
	f.app = r.word(z.Service)
	r.key(f, z.CommunityID)
	return f, nil
}

// integer returns a number, -1 where there is none.
func integer(n json.Number) int64 {
	v, err := strconv.ParseInt(string(n), 10, 64)
	if err != nil {
		return -1
	}
	return v
}

// zeekTime reads seconds since 1970, or RFC 3339 in quotes.
func zeekTime(s string) (int64, error) {
	if t, ok := strings.CutPrefix(s, `"`); ok {
		at, err := time.Parse(time.RFC3339Nano, strings.TrimSuffix(t, `"`))
		return at.UnixNano(), err
	}
	return seconds(s)
}

// seconds reads a decimal number of seconds, exactly, as nanoseconds.
func seconds(s string) (int64, error) {
	if strings.ContainsAny(s, "eE") {
		v, err := strconv.ParseFloat(s, 64)
		return int64(v * 1e9), err
	}
	whole, fraction, _ := strings.Cut(s, ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || n > 9e9 || n < -9e9 {
		return 0, fmt.Errorf("time %q", s)
	}
	ns, err := strconv.ParseInt((fraction + "000000000")[:9], 10, 64)
	if err != nil || ns < 0 {
		return 0, fmt.Errorf("time %q", s)
	}
	if strings.HasPrefix(whole, "-") {
		ns = -ns
	}
	return n*1e9 + ns, nil
}

// event is a line of eve.json, so far as it tells of a flow.
type event struct {
	EventType   string          `json:"event_type"`
	FlowID      json.Number     `json:"flow_id"`
	SrcIP       string          `json:"src_ip"`
	SrcPort     json.Number     `json:"src_port"`
	DestIP      string          `json:"dest_ip"`
	DestPort    json.Number     `json:"dest_port"`
	Proto       string          `json:"proto"`
	ICMPType    json.Number     `json:"icmp_type"`
	ICMPCode    json.Number     `json:"icmp_code"`
	AppProto    string          `json:"app_proto"`
	CommunityID string          `json:"community_id"`
	VLAN        json.RawMessage `json:"vlan"`
	Flow        struct {
		PktsToServer  json.Number `json:"pkts_toserver"`
		PktsToClient  json.Number `json:"pkts_toclient"`
		BytesToServer json.Number `json:"bytes_toserver"`
		BytesToClient json.Number `json:"bytes_toclient"`
		Start         string      `json:"start"`
		End           string      `json:"end"`
		Reason        string      `json:"reason"`
	} `json:"flow"`
}

func (r *logReader) suricata(e *event) (f *flow, err error) {
	f = &flow{id: string(e.FlowID), linkBytes: true, reason: r.word(e.Flow.Reason), vlan: -1}
	if f.src, err = netip.ParseAddr(e.SrcIP); err != nil {
		return nil, err
	}
	if f.dst, err = netip.ParseAddr(e.DestIP); err != nil {
		return nil, err
	}
	proto, ok := protocolNumber(e.Proto)
	if !ok {
		return nil, nil
	}
	f.proto = proto
	f.sport, f.dport = int32(integer(e.SrcPort)), int32(integer(e.DestPort))
	if proto == flows.ProtoICMP || proto == flows.ProtoICMPv6 {
		f.sport, f.dport = int32(integer(e.ICMPType)), int32(integer(e.ICMPCode))
	}
	if f.start, err = eveTime(e.Flow.Start); err != nil {
		return nil, err
	}
	f.end = f.start
	if e.Flow.End != "" {
		if f.end, err = eveTime(e.Flow.End); err != nil {
			return nil, err
		}
	}
	f.packets = [2]int64{integer(e.Flow.PktsToServer), integer(e.Flow.PktsToClient)}
	f.bytes = [2]int64{integer(e.Flow.BytesToServer), integer(e.Flow.BytesToClient)}
	f.payload = [2]int64{-1, -1}
	var vlans []int32
	if json.Unmarshal(e.VLAN, &vlans) == nil && len(vlans) > 0 {
		f.vlan = vlans[0]
	}
	if e.AppProto != "failed" {
		f.app = r.word(e.AppProto)
	}
	r.key(f, e.CommunityID)
	return f, nil
}

// eveTime reads a time as Suricata writes it: 2016-07-13T22:42:07.573103+0200.
func eveTime(s string) (int64, error) {
	for _, layout := range []string{"2006-01-02T15:04:05.999999999Z0700", time.RFC3339Nano} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UnixNano(), nil
		}
	}
	return 0, fmt.Errorf("time %q", s)
}

// protocolNumber returns the IP protocol that Suricata gives by its name or,
// without one, by its number in three digits.
func protocolNumber(name string) (uint8, bool) {
	switch strings.ToUpper(name) {
	case "TCP":
		return flows.ProtoTCP, true
	case "UDP":
		return flows.ProtoUDP, true
	case "ICMP":
		return flows.ProtoICMP, true
	case "IPV6-ICMP":
		return flows.ProtoICMPv6, true
	case "SCTP":
		return flows.ProtoSCTP, true
	case "IGMP":
		return 2, true
	case "GRE":
		return 47, true
	case "ESP":
		return 50, true
	}
	n, err := strconv.ParseUint(name, 10, 8)
	return uint8(n), err == nil
}
