package conformance

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// DNS: the truth has messages, our rows are transactions, which come apart into
// the query, its retransmissions and the response.
var dnsKind = Kind{Name: "dns", Main: []string{"id", "qname", "qtype", "rcode"}}

var dnsColumns = []string{"transport", "id", "qname", "qtype", "rcode", "query_ts", "response_ts", "query_retransmits"}

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
			Time:  nanoseconds(r["time"]),
			Label: truthLabel(r, kind),
			Raw:   r,
		}
		if r["malformed"] == "1" && r["qname"] == "" { // the other program gave up on it
			rec.Main[1], rec.Main[2] = Unknown, Unknown
		}
		if kind == "response" && r["qdcount"] == "0" { // our row has the query's question
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
				Time:  t.Int(i, kind+"_ts"),
				Label: ourLabel(t, i, kind),
				Row:   i,
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
59 CDS 60 CDNSKEY 61 OPENPGPKEY 62 CSYNC 63 ZONEMD 64 SVCB 65 HTTPS 99 SPF 100 UINFO 101 UID 102 GID 103 UNSPEC
104 NID 105 L32 106 L64 107 LP 108 EUI48 109 EUI64 249 TKEY 250 TSIG 251 IXFR 252 AXFR 253 MAILB 254 MAILA 255 *
255 ANY 256 URI 257 CAA 258 AVC 259 DOA 260 AMTRELAY 32768 TA 32769 DLV`

const dnsRcodes = `0 NOERROR 1 FORMERR 2 SERVFAIL 3 NXDOMAIN 4 NOTIMP 5 REFUSED 6 YXDOMAIN 7 YXRRSET 8 NXRRSET 9 NOTAUTH
10 NOTZONE 11 DSOTYPENI 16 BADVERS 17 BADKEY 18 BADTIME 19 BADMODE 20 BADNAME 21 BADALG 22 BADTRUNC 23 BADCOOKIE`
