package conformance

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// DNS: the truth has messages, our rows are transactions, which come apart into
// the query, its retransmissions and the response.
var dnsKind = Kind{
	Name: "dns",
	Main: []string{"id", "qname", "qtype", "rcode"},
	More: []string{
		"service", "opcode", "qclass", "aa", "tc", "rd", "ra", "z", "ad", "cd", "question_count", "answer_count", "authority_count", "additional_count",
		"edns_udp_bytes", "edns_do", "edns_version", "records",
	},
	Same: sameDNSColumn,
}

var dnsColumns = []string{"transport", "id", "qname", "qtype", "rcode", "query_ts", "response_ts", "query_retransmits"}

// dnsFlags are the bits of the second word of a header (RFC 1035 section
// 4.1.1, RFC 4035 section 3) by our columns. A row has one of each for its two
// messages: of which, where both were seen, the column's documentation says.
var dnsFlags = []struct {
	column string
	bit    uint64
	of     string // message that the column is of where both were seen
}{
	{"aa", 0x0400, "response alone"}, {"tc", 0x0200, "response"}, {"rd", 0x0100, "query"}, {"ra", 0x0080, "response alone"}, {"z", 0x0040, "response"},
	{"ad", 0x0020, "response"}, {"cd", 0x0010, "query"},
}

// unquoted leaves out the datagrams that ICMP errors quote, where the truth does not
// mark them, as that of tshark 4.0 does not: of one message more rows than the end that
// sent it sent packets, by the truth's own flows.
func unquoted(truth, flows []map[string]string) []map[string]string {
	type end struct{ src, sport, dst, dport string }
	sent := map[end]int{}
	for _, r := range flows {
		if r["proto"] == "udp" {
			a, _ := strconv.Atoi(r["a2b_pkts"])
			b, _ := strconv.Atoi(r["b2a_pkts"])
			sent[end{r["a_ip"], r["a_port"], r["b_ip"], r["b_port"]}] += a
			sent[end{r["b_ip"], r["b_port"], r["a_ip"], r["a_port"]}] += b
		}
	}
	of := func(r map[string]string) end { return end{r["src"], r["sport"], r["dst"], r["dport"]} }
	rows := map[end]int{}
	for _, r := range truth {
		if r["transport"] == "udp" && r["in_icmp"] != "1" {
			rows[of(r)]++
		}
	}
	type message struct {
		end
		id, response, qname, qtype string
	}
	seen := map[message]bool{}
	var kept []map[string]string
	for _, r := range truth {
		e := of(r)
		m := message{e, r["id"], r["response"], r["qname"], r["qtype"]}
		if n := sent[e]; r["transport"] == "udp" && r["in_icmp"] != "1" && seen[m] && n > 0 && rows[e] > n {
			rows[e]--
			continue
		}
		seen[m] = true
		kept = append(kept, r)
	}
	return kept
}

func dnsRecords(truth []map[string]string, t *Table) ([]recordSet, error) {
	set := recordSet{kind: &dnsKind}
	for _, r := range truth {
		if r["in_icmp"] == "1" {
			continue // quoted, not sent
		}
		kind, rcode := "query", Unknown
		if r["response"] == "1" {
			kind, rcode = "response", r["rcode"]
		}
		qname, _, _ := strings.Cut(r["qname"], ";") // one of our rows has the first question
		qtype, _, _ := strings.Cut(r["qtype"], ";")
		rec := Record{
			Group: kind + " " + r["transport"] + " " + truthPair(r),
			Weak:  r["id"],
			Main:  []string{r["id"], truthDNSName(qname), qtype, rcode},
			More:  truthDNSMore(r),
			Time:  nanoseconds(r["time"]),
			Label: truthLabel(r, kind),
			Raw:   r,
		}
		if r["malformed"] == "1" && r["qname"] == "" { // the other program gave up on it
			rec.Main[1], rec.Main[2] = Unknown, Unknown
		}
		if kind == "response" && (r["qdcount"] == "0" || r["qdcount"] == "" && r["qname"] == "") { // our row has the query's question
			rec.Main[1], rec.Main[2] = Unknown, Unknown
		}
		set.truth = append(set.truth, rec)
	}
	sets := func() []recordSet { return []recordSet{set} }
	if t.Len() == 0 {
		return sets(), nil
	}
	if m := t.Missing(dnsColumns...); m != nil {
		return sets(), fmt.Errorf("dns lacks columns %v", m)
	}
	for i := range t.Len() {
		for _, kind := range []string{"query", "response"} {
			if t.Get(i, kind+"_ts") == "" {
				continue
			}
			rec := Record{
				Group: kind + " " + t.Get(i, "transport") + " " + ourPair(t, i),
				Weak:  t.Get(i, "id"),
				Main:  []string{t.Get(i, "id"), ourDNSName(t.Get(i, "qname")), dnsTypeNumber(t.Get(i, "qtype")), ""},
				More:  ourDNSMore(t, i, kind),
				Time:  t.Int(i, kind+"_ts"),
				Label: ourLabel(t, i, kind),
				Row:   i,
			}
			if t.Get(i, "transport") == "tcp" {
				rec.Time = 0 // that of the first packet, the truth's of the last
			}
			if kind == "response" {
				rec.Main[3] = dnsRcodeNumber(t.Get(i, "rcode"))
				set.ours = append(set.ours, rec)
				continue
			}
			for range 1 + t.Int(i, "query_retransmits") {
				set.ours = append(set.ours, rec)
			}
		}
	}
	return sets(), nil
}

// truthDNSMore returns the secondary columns of a message of the truth.
func truthDNSMore(r map[string]string) []string {
	class, _, _ := strings.Cut(r["qclass"], ";")
	more := []string{r["proto"], r["opcode"], unless(class, Unknown)}
	flags, err := strconv.ParseUint(r["flags"], 0, 16)
	for _, f := range dnsFlags {
		switch {
		case err != nil || f.of == "response alone" && r["response"] != "1":
			more = append(more, Unknown)
		default:
			more = append(more, strconv.FormatBool(flags&f.bit != 0))
		}
	}
	for _, c := range []string{"qdcount", "ancount", "nscount", "arcount"} {
		more = append(more, unless(r[c], Unknown))
	}
	if r["edns"] == "" {
		return append(more, "", "", "", truthDNSRecords(r["answers"]))
	}
	edns := map[string]string{}
	for _, f := range strings.Split(r["edns"], ",") {
		k, v, _ := strings.Cut(f, "=")
		edns[k] = v
	}
	size, _ := strconv.ParseUint(edns["udp"], 0, 16)
	return append(more, strconv.FormatUint(size, 10), strconv.FormatBool(edns["do"] == "1"), edns["ver"], truthDNSRecords(r["answers"]))
}

// ourDNSMore returns the secondary columns of one of a row's messages, Unknown
// where the row has only the other's.
func ourDNSMore(t *Table, i int, kind string) []string {
	both := t.Get(i, "query_ts") != "" && t.Get(i, "response_ts") != ""
	of := func(column, which string) string {
		if !t.Has(column) || both && !strings.HasPrefix(which, kind) {
			return Unknown
		}
		return t.Get(i, column)
	}
	more := []string{of("service", kind), opcodeNumber(of("opcode", "query")), classNumber(of("qclass", kind))}
	for _, f := range dnsFlags {
		more = append(more, of(f.column, f.of))
	}
	sections := "response"
	switch t.Get(i, "opcode") {
	case "UPDATE", "NOTIFY":
		sections = "query"
	}
	for _, c := range []string{"question_count", "answer_count", "authority_count", "additional_count"} {
		more = append(more, of(c, sections))
	}
	edns := "edns_"
	if kind == "response" {
		edns = "edns_response_"
	}
	for _, c := range []string{"udp_bytes", "do", "version"} {
		more = append(more, of(edns+c, kind))
	}
	if both && kind != sections || !t.Has("answers.name") {
		return append(more, Unknown)
	}
	return append(more, ourDNSRecords(t, i))
}

// The fields of a record and the records of a list, in one text.
const fieldEnd, recordEnd = "\x1f", "\x1e"

// truthRecord is how the truth writes a record of any section: name, type,
// TTL and data, of which it has addresses, names and texts.
var truthRecord = regexp.MustCompile(`(?s)^(.*?) (\d+) (\d+) (.*)$`)

// controlByte is how a text of the truth has a byte that is not printable.
var controlByte = regexp.MustCompile(`\\x[0-9a-f]{2}`)

// truthDNSRecords brings the truth's records, divided by semicolons (which data
// may hold as well), to one text.
func truthDNSRecords(s string) string {
	var rs []string
	for _, r := range strings.Split(s, ";") {
		f := truthRecord.FindStringSubmatch(r)
		switch {
		case f != nil:
			data := f[4]
			switch f[2] {
			case "2", "5", "6", "12", "15", "33":
				data = truthDNSName(data)
			default:
				data = recordText(controlByte.ReplaceAllString(data, "\x00"))
			}
			rs = append(rs, strings.Join([]string{truthDNSName(f[1]), f[2], f[3], data}, fieldEnd))
		case len(rs) > 0:
			rs[len(rs)-1] += ";" + r
		}
	}
	return strings.Join(rs, recordEnd)
}

// ourDNSRecords does it with the records of a row's three sections.
func ourDNSRecords(t *Table, i int) string {
	var rs []string
	for _, section := range []string{"answers", "authorities", "additionals"} {
		types, ttls := list(t.Get(i, section+".type")), list(t.Get(i, section+".ttl"))
		names, datas := strings.Split(t.Get(i, section+".name"), "\x1f"), strings.Split(t.Get(i, section+".data"), "\x1f")
		for k := range types {
			number, data := dnsTypeNumber(types[k]), strings.TrimPrefix(datas[k], Null)
			switch number {
			case "1", "28":
			case "2", "5", "12":
				data = ourDNSName(data)
			case "6": // its primary server
				data, _, _ = strings.Cut(data, " ")
				data = ourDNSName(data)
			case "15", "33": // its host
				data = ourDNSName(data[strings.LastIndexByte(data, ' ')+1:])
			case "16":
				data = recordText(strings.Join(presentationStrings(data), "|"))
			default:
				data = ""
			}
			rs = append(rs, strings.Join([]string{ourDNSName(names[k]), number, ttls[k], data}, fieldEnd))
		}
	}
	return strings.Join(rs, recordEnd)
}

func sameDNSColumn(column, t, o string, truth, _ *Record) bool {
	if column != "records" {
		return false
	}
	ts, os := strings.Split(t, recordEnd), strings.Split(o, recordEnd)
	if len(ts) != len(os) {
		return false
	}
	for i := range ts {
		tf, of := strings.Split(ts[i], fieldEnd), strings.Split(os[i], fieldEnd)
		if len(tf) != 4 || len(of) != 4 {
			return false
		}
		for c := range tf {
			switch {
			case tf[c] == of[c] || tf[c] == Unknown || tf[c] == asciiText(of[c]):
			case c == 0 && tf[c] == "" && tf[1] == "33": // its file has no name of an SRV record
			case c == 3 && tf[c] == "" && tf[1] == "16" && strings.ContainsFunc(of[c], notASCII): // nor those texts
			default:
				return false
			}
		}
	}
	return true
}

func notASCII(r rune) bool { return r > '~' }

// recordText puts U+FFFD for what is no text, which the truth does not tell apart.
func recordText(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return utf8.RuneError
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// asciiText puts U+FFFD for each byte that is not ASCII.
func asciiText(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r < utf8.RuneSelf {
			b.WriteRune(r)
			continue
		}
		n := utf8.RuneLen(r)
		if r == utf8.RuneError { // a byte already
			n = 1
		}
		b.WriteString(strings.Repeat("\uFFFD", n))
	}
	return b.String()
}

// opcodeNumber returns the number of an operation by its name.
func opcodeNumber(s string) string { return numberOf(s, "OPCODE", dnsOpcodes) }

// canonicalName gives one text to a name's bytes: lower case, no final dot, the
// root empty, and each byte that is not UTF-8 as U+FFFD, which is all that is
// left of it in the truth.
func canonicalName(b []byte) string {
	var s strings.Builder
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		s.WriteRune(r)
		b = b[n:]
	}
	return strings.ToLower(strings.TrimSuffix(s.String(), "."))
}

// truthDNSName reads a name with C's escapes. What is in angle brackets is
// no name but says why there is none.
func truthDNSName(s string) string {
	if s == "<Root>" {
		return ""
	}
	if strings.HasPrefix(s, "<") {
		return Unknown
	}
	var b []byte
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b = append(b, s[i])
			continue
		}
		i++
		if j := strings.IndexByte("abtnvfr", s[i]); j >= 0 {
			b = append(b, 7+byte(j))
		} else if n, err := strconv.ParseUint(s[i:min(i+3, len(s))], 8, 8); err == nil && i+3 <= len(s) {
			b = append(b, byte(n))
			i += 2
		} else {
			b = append(b, s[i])
		}
	}
	return canonicalName(b)
}

// ourDNSName reads a name in presentation format (RFC 1035 section 5.1).
func ourDNSName(s string) string {
	var b []byte
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b = append(b, s[i])
			continue
		}
		i++
		if n, err := strconv.ParseUint(s[i:min(i+3, len(s))], 10, 8); err == nil && i+3 <= len(s) {
			b = append(b, byte(n))
			i += 2
		} else {
			b = append(b, s[i])
		}
	}
	return canonicalName(b)
}

// dnsTypeNumber returns the number of a type by its name, by a list of its own:
// a fault in the project's list would be on both sides otherwise.
func dnsTypeNumber(s string) string { return numberOf(s, "TYPE", dnsTypes) }

// dnsRcodeNumber returns the number of a response code as the header has
// it: the lower four bits, without what EDNS adds.
func dnsRcodeNumber(s string) string {
	n, err := strconv.Atoi(numberOf(s, "RCODE", dnsRcodes))
	if err != nil {
		return s
	}
	return strconv.Itoa(n & 15)
}

// numberOf finds name in a list of "number name" pairs.
func numberOf(name, prefix, list string) string {
	if n, ok := strings.CutPrefix(name, prefix); ok && n != "" {
		return n
	}
	fields := strings.Fields(list)
	for i := 0; i+1 < len(fields); i += 2 {
		if fields[i+1] == name {
			return fields[i]
		}
	}
	return name
}

const dnsTypes = `1 A 2 NS 3 MD 4 MF 5 CNAME 6 SOA 7 MB 8 MG 9 MR 10 NULL 11 WKS 12 PTR 13 HINFO 14 MINFO 15 MX 16 TXT
17 RP 18 AFSDB 19 X25 20 ISDN 21 RT 22 NSAP 23 NSAP-PTR 24 SIG 25 KEY 26 PX 27 GPOS 28 AAAA 29 LOC 30 NXT 31 EID
32 NIMLOC 33 SRV 34 ATMA 35 NAPTR 36 KX 37 CERT 38 A6 39 DNAME 40 SINK 41 OPT 42 APL 43 DS 44 SSHFP 45 IPSECKEY
46 RRSIG 47 NSEC 48 DNSKEY 49 DHCID 50 NSEC3 51 NSEC3PARAM 52 TLSA 53 SMIMEA 55 HIP 56 NINFO 57 RKEY 58 TALINK
59 CDS 60 CDNSKEY 61 OPENPGPKEY 62 CSYNC 63 ZONEMD 64 SVCB 65 HTTPS 66 DSYNC 99 SPF 100 UINFO 101 UID 102 GID 103 UNSPEC
104 NID 105 L32 106 L64 107 LP 108 EUI48 109 EUI64 128 NXNAME 249 TKEY 250 TSIG 251 IXFR 252 AXFR 253 MAILB 254 MAILA 255 *
255 ANY 256 URI 257 CAA 258 AVC 259 DOA 260 AMTRELAY 261 RESINFO 262 WALLET 263 CLA 264 IPN 32768 TA 32769 DLV`

const dnsOpcodes = `0 QUERY 1 IQUERY 2 STATUS 4 NOTIFY 5 UPDATE 6 DSO`

const dnsRcodes = `0 NOERROR 1 FORMERR 2 SERVFAIL 3 NXDOMAIN 4 NOTIMP 5 REFUSED 6 YXDOMAIN 7 YXRRSET 8 NXRRSET 9 NOTAUTH
10 NOTZONE 11 DSOTYPENI 16 BADVERS 17 BADKEY 18 BADTIME 19 BADMODE 20 BADNAME 21 BADALG 22 BADTRUNC 23 BADCOOKIE`
