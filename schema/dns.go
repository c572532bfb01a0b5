package schema

import (
	"github.com/caplake/caplake/parsers/dns"
)

// DNS is a row of the dns table.
type DNS struct {
	FlowID  int64  `parquet:"flow_id,uncompressed" id:"1" bloom:"yes" doc:"flow that carried the messages (table flows)"`
	TS      int64  `parquet:"ts,timestamp(nanosecond:local),delta" id:"2" doc:"query_ts, or response_ts where the query was not seen; UTC"`
	SrcIP   string `parquet:"src_ip,dict" id:"3" bloom:"yes" doc:"address of the flow's initiator, which sent the query unless querier says dst"`
	SrcPort int32  `parquet:"src_port,delta" id:"4" doc:"port of the flow's initiator"`
	DstIP   string `parquet:"dst_ip,dict" id:"5" bloom:"yes" doc:"address of the flow's responder"`
	DstPort int32  `parquet:"dst_port,dict" id:"6" doc:"port of the flow's responder"`

	Transport string `parquet:"transport,dict" id:"7" doc:"udp or tcp"`
	Service   string `parquet:"service,dict" id:"8" doc:"dns, mdns or llmnr, by the port"`
	Outcome   string `parquet:"outcome,dict" id:"9" doc:"answered: query and response were seen; no_response: a query alone; no_query: a response alone. Each mDNS message is a row of its own, and so are a second response to one query and the messages of a zone transfer after the first"`
	Querier   string `parquet:"querier,dict" id:"10" doc:"which end sent the query: src or dst"`
	Malformed string `parquet:"malformed,optional,dict" id:"11" doc:"first rule that the query breaks, or else the response; the row has what was decoded before the damage. header: shorter than 12 bytes; truncated: ends inside a name, question or record; counts: fewer records than claimed; label_type: reserved label type; name_too_long: over 255 bytes; pointer_forward, pointer_header, pointer_loop: compression pointer that does not point backwards, that points into the header, or one of over 127; rdata: record data that does not fit its type; edns: OPT record misplaced, repeated or unreadable; text_limit: records missing because their text exceeds 4 KiB plus 16 times the message; trailing: bytes after the last record; tcp_length: length prefix under 12; gap: bytes inside it were never captured"`
	AfterGap  *bool  `parquet:"after_gap,optional" id:"58" doc:"over TCP: bytes of a message of the row, or of the stream just before, were not captured, or of the stream in which a response would have come; NULL over UDP"`

	QueryTS          *int64 `parquet:"query_ts,timestamp(nanosecond:local),optional" id:"12" doc:"time of the first packet of the query, UTC"`
	ResponseTS       *int64 `parquet:"response_ts,timestamp(nanosecond:local),optional" id:"13" doc:"time of the first packet of the response, UTC"`
	RTT              *int64 `parquet:"rtt_ns,optional" id:"14" doc:"from the last packet of the query, as first sent, to the first of the response"`
	QueryBytes       *int64 `parquet:"query_bytes,optional" id:"15" doc:"bytes of the query, without a TCP length prefix"`
	ResponseBytes    *int64 `parquet:"response_bytes,optional" id:"16" doc:"bytes of the response, without a TCP length prefix"`
	QueryRetransmits *int64 `parquet:"query_retransmits,optional" id:"17" doc:"how often the same query was sent again before its response, or before it was given up"`

	ID       *int32 `parquet:"id,optional,uncompressed" id:"18" doc:"identifier of the message"`
	Opcode   string `parquet:"opcode,optional,dict" id:"19" doc:"operation: QUERY, IQUERY, STATUS, NOTIFY, UPDATE, DSO, or OPCODE and its number; of the query, or else the response"`
	QName    string `parquet:"qname,optional" id:"20" bloom:"yes" doc:"name of the first question, lower case, in presentation format (RFC 1035 section 5.1) without final dot; the root is a single dot; blanks and bytes that are not printable ASCII are \\DDD"`
	QNameRaw string `parquet:"qname_raw,optional" id:"21" doc:"the name as on the wire, where that differs from qname: its case kept, blanks and UTF-8 as they are"`
	QType    string `parquet:"qtype,optional,dict" id:"22" doc:"type of the first question by its IANA name, or TYPE and its number"`
	QClass   string `parquet:"qclass,optional,dict" id:"23" doc:"class of the first question by its name, or CLASS and its number"`
	QU       *bool  `parquet:"unicast_response,optional" id:"24" doc:"mDNS: the question asks for a unicast response (RFC 6762 section 5.4)"`
	Rcode    string `parquet:"rcode,optional,dict" id:"25" doc:"response code extended by EDNS, by its name (NOERROR, NXDOMAIN, BADVERS), or RCODE and its number; NULL without response"`

	AA *bool `parquet:"aa,optional" id:"26" doc:"authoritative answer; NULL without response"`
	TC *bool `parquet:"tc,optional" id:"27" doc:"truncated; of the response, or else the query"`
	RD *bool `parquet:"rd,optional" id:"28" doc:"recursion desired; of the query, or else the response"`
	RA *bool `parquet:"ra,optional" id:"29" doc:"recursion available; NULL without response"`
	AD *bool `parquet:"ad,optional" id:"30" doc:"authentic data; of the response, or else the query"`
	CD *bool `parquet:"cd,optional" id:"31" doc:"checking disabled; of the query, or else the response"`
	Z  *bool `parquet:"z,optional" id:"32" doc:"the reserved header bit; of the response, or else the query"`

	Questions       *int32      `parquet:"question_count,optional,dict" id:"33" doc:"questions that the header claims; this and the next six columns are of the response, or of the query where there is none or the opcode is UPDATE or NOTIFY"`
	AnswerCount     *int32      `parquet:"answer_count,optional,dict" id:"34" doc:"records in the answer section (UPDATE: prerequisite) that the header claims"`
	AuthorityCount  *int32      `parquet:"authority_count,optional,dict" id:"35" doc:"records in the authority section (UPDATE: update) that the header claims"`
	AdditionalCount *int32      `parquet:"additional_count,optional,dict" id:"36" doc:"records in the additional section that the header claims, OPT included"`
	Answers         []DNSRecord `parquet:"answers,optional,list" id:"37" doc:"records of the answer section"`
	Authorities     []DNSRecord `parquet:"authorities,optional,list" id:"38" doc:"records of the authority section"`
	Additionals     []DNSRecord `parquet:"additionals,optional,list" id:"39" doc:"records of the additional section but OPT, which the edns columns tell"`

	EDNSVersion *int32  `parquet:"edns_version,optional,dict" id:"40" doc:"query: EDNS version; NULL: no OPT record"`
	EDNSUDPSize *int32  `parquet:"edns_udp_bytes,optional,dict" id:"41" doc:"query: largest datagram that its sender takes"`
	EDNSDO      *bool   `parquet:"edns_do,optional" id:"42" doc:"query: DNSSEC records wanted"`
	EDNSOptions []int32 `parquet:"edns_options,optional,list" id:"43" doc:"query: option codes in order"`
	EDNSCookie  string  `parquet:"edns_cookie,optional" id:"44" doc:"query: cookie, client's 8 bytes and the server's where known, lower-case hexadecimal"`
	EDNSSubnet  string  `parquet:"edns_client_subnet,optional,dict" id:"45" doc:"client subnet as address/prefix; of the query, or else the response"`

	EDNSResponseVersion *int32     `parquet:"edns_response_version,optional,dict" id:"46" doc:"response: EDNS version; NULL: no OPT record"`
	EDNSResponseUDPSize *int32     `parquet:"edns_response_udp_bytes,optional,dict" id:"47" doc:"response: largest datagram that its sender takes"`
	EDNSResponseDO      *bool      `parquet:"edns_response_do,optional" id:"48" doc:"response: DNSSEC records wanted, as the query said"`
	EDNSResponseOptions []int32    `parquet:"edns_response_options,optional,list" id:"49" doc:"response: option codes in order"`
	EDNSResponseCookie  string     `parquet:"edns_response_cookie,optional" id:"50" doc:"response: cookie, lower-case hexadecimal"`
	EDNSScope           *int32     `parquet:"edns_client_subnet_scope,optional,dict" id:"51" doc:"response: prefix length for which it is valid"`
	EDNSNSID            string     `parquet:"edns_nsid,optional" id:"52" doc:"response: name server identifier as text, what is not text as \\DDD"`
	EDNSErrors          []DNSError `parquet:"edns_errors,optional,list" id:"53" doc:"response: extended DNS errors (RFC 8914)"`

	CaptureID     int32 `parquet:"capture_id,delta" id:"54" doc:"input of the first packet (table captures)"`
	FirstPacket   int64 `parquet:"first_packet,delta" id:"55" doc:"number of the first packet of the messages in its input, counted from 1"`
	LastCaptureID int32 `parquet:"last_capture_id,delta" id:"56" doc:"input of the last packet"`
	LastPacket    int64 `parquet:"last_packet,delta" id:"57" doc:"number of the last packet of the messages in its input, counted from 1"`
}

// DNSRecord is an element of the record lists of a dns row.
type DNSRecord struct {
	Name  string `parquet:"name,dict" id:"1" doc:"owner in presentation format, in the case of the wire, without final dot"`
	Type  string `parquet:"type,dict" id:"2" doc:"type by its IANA name, or TYPE and its number"`
	Class string `parquet:"class,dict" id:"3" doc:"class by its name, or CLASS and its number"`
	TTL   int64  `parquet:"ttl,delta" id:"4" doc:"time to live, seconds"`
	Data  string `parquet:"data,optional" id:"5" doc:"record data in presentation format, names without final dot; \\# LENGTH HEX (RFC 3597) where the type has no format or the data does not fit it; NULL: no data (UPDATE), or the message is cut inside it"`
}

// DNSError is an element of edns_errors.
type DNSError struct {
	Code int32  `parquet:"code,dict" id:"1" doc:"info code"`
	Name string `parquet:"name,optional,dict" id:"2" doc:"its IANA name"`
	Text string `parquet:"text,optional" id:"3" doc:"extra text"`
}

// AppendDNS appends the row of m, a transaction in a flow s. What the row
// refers to is copied to a.
func AppendDNS(dst []DNS, m *dns.Transaction, s *Session, a *Arena) []DNS {
	query, response := m.Outcome != dns.NoQuery, m.Outcome != dns.NoResponse
	dst = append(dst, DNS{
		FlowID: s.FlowID,
		SrcIP:  s.SrcIP, SrcPort: int32(s.SrcPort), DstIP: s.DstIP, DstPort: int32(s.DstPort),
		Transport: "udp",
		Service:   m.Service.String(),
		Outcome:   m.Outcome.String(),
		Querier:   s.Side(m.Querier),
		Malformed: m.Malformed.String(),
	})
	r := &dst[len(dst)-1]
	if s.TCP {
		r.Transport = "tcp"
		r.AfterGap = a.Bool(m.AfterGap)
	}

	first, last := m.Query.Pos, m.LastQuery.Pos
	if query {
		r.TS = m.Query.Time
		r.QueryTS = a.Int64(m.Query.Time)
		r.QueryBytes = a.Int64(int64(m.QueryBytes))
		r.QueryRetransmits = a.Int64(int64(m.QueryRetransmits))
	}
	if response {
		r.ResponseTS = a.Int64(m.Response.Time)
		r.ResponseBytes = a.Int64(int64(m.ResponseBytes))
		if query {
			r.RTT = a.Int64(m.Response.Time - m.QueryEnd.Time)
		} else {
			r.TS, first = m.Response.Time, m.Response.Pos
		}
		first, last = min(first, m.Response.Pos), max(last, m.ResponseEnd.Pos)
	}
	r.CaptureID, r.FirstPacket = int32(first.Input()), int64(first.Packet())
	r.LastCaptureID, r.LastPacket = int32(last.Input()), int64(last.Packet())

	if !m.HasHeader {
		return dst
	}
	r.ID = a.Int32(int32(m.ID))
	var buf [16]byte
	if r.Opcode = dns.OpcodeName(m.Opcode); r.Opcode == "" {
		r.Opcode = a.String(dns.AppendOpcode(buf[:0], m.Opcode))
	}
	r.QName, r.QNameRaw = a.String(m.QName), a.String(m.QNameRaw)
	if m.HasQuestion {
		r.QType, r.QClass = a.dnsType(m.QType), a.dnsClass(m.QClass)
		if m.Service == dns.MDNS {
			r.QU = a.Bool(m.UnicastResponse)
		}
	}
	ofResponse, ofQuery := m.ResponseFlags, m.QueryFlags
	if response {
		if r.Rcode = dns.RcodeName(m.Rcode); r.Rcode == "" {
			r.Rcode = a.String(dns.AppendRcode(buf[:0], m.Rcode))
		}
		r.AA = a.Bool(ofResponse&dns.FlagAA != 0)
		r.RA = a.Bool(ofResponse&dns.FlagRA != 0)
	} else {
		ofResponse = ofQuery
	}
	if !query {
		ofQuery = ofResponse
	}
	r.TC = a.Bool(ofResponse&dns.FlagTC != 0)
	r.RD = a.Bool(ofQuery&dns.FlagRD != 0)
	r.AD = a.Bool(ofResponse&dns.FlagAD != 0)
	r.CD = a.Bool(ofQuery&dns.FlagCD != 0)
	r.Z = a.Bool(ofResponse&dns.FlagZ != 0)

	r.Questions = a.Int32(int32(m.Counts[0]))
	r.AnswerCount = a.Int32(int32(m.Counts[1]))
	r.AuthorityCount = a.Int32(int32(m.Counts[2]))
	r.AdditionalCount = a.Int32(int32(m.Counts[3]))
	r.Answers = a.dnsList(m.Answers)
	r.Authorities = a.dnsList(m.Authorities)
	r.Additionals = a.dnsList(m.Additionals)

	if e := m.QueryEDNS; e != nil {
		r.EDNSVersion = a.Int32(int32(e.Version))
		r.EDNSUDPSize = a.Int32(int32(e.UDPSize))
		r.EDNSDO = a.Bool(e.DO)
		r.EDNSOptions = a.dnsCodes(e.Options)
		r.EDNSCookie = a.String(e.Cookie)
		r.EDNSSubnet = a.String(e.ClientSubnet)
	}
	if e := m.ResponseEDNS; e != nil {
		r.EDNSResponseVersion = a.Int32(int32(e.Version))
		r.EDNSResponseUDPSize = a.Int32(int32(e.UDPSize))
		r.EDNSResponseDO = a.Bool(e.DO)
		r.EDNSResponseOptions = a.dnsCodes(e.Options)
		r.EDNSResponseCookie = a.String(e.Cookie)
		if e.ClientSubnet != nil {
			r.EDNSScope = a.Int32(int32(e.Scope))
			if r.EDNSSubnet == "" {
				r.EDNSSubnet = a.String(e.ClientSubnet)
			}
		}
		r.EDNSNSID = a.String(e.NSID)
		if len(e.Errors) > 0 {
			r.EDNSErrors = Slice(&a.dnsErrors, len(e.Errors))
			for i, v := range e.Errors {
				r.EDNSErrors[i] = DNSError{Code: int32(v.Code), Name: dns.ExtendedErrorName(v.Code), Text: a.String(v.Text)}
			}
		}
	}
	return dst
}

func (a *Arena) dnsList(records []dns.Record) []DNSRecord {
	if len(records) == 0 {
		return nil
	}
	list := Slice(&a.dnsRecords, len(records))
	for i := range records {
		v := &records[i]
		list[i] = DNSRecord{Type: a.dnsType(v.Type), Class: a.dnsClass(v.Class), TTL: int64(v.TTL), Data: a.String(v.Data)}
		// Records of one owner come together, and the parser lends one copy of its name.
		if i > 0 && len(v.Name) > 0 && len(records[i-1].Name) == len(v.Name) && &records[i-1].Name[0] == &v.Name[0] {
			list[i].Name = list[i-1].Name
		} else {
			list[i].Name = a.String(v.Name)
		}
	}
	return list
}

func (a *Arena) dnsCodes(codes []uint16) []int32 {
	if len(codes) == 0 {
		return nil
	}
	list := Slice(&a.i32, len(codes))
	for i, c := range codes {
		list[i] = int32(c)
	}
	return list
}

func (a *Arena) dnsType(t uint16) string {
	if s := dns.TypeName(t); s != "" {
		return s
	}
	var buf [16]byte
	return a.String(dns.AppendType(buf[:0], t))
}

func (a *Arena) dnsClass(c uint16) string {
	if s := dns.ClassName(c); s != "" {
		return s
	}
	var buf [16]byte
	return a.String(dns.AppendClass(buf[:0], c))
}
