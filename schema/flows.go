package schema

import (
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"math"

	"github.com/caplake/caplake/flows"
)

// Flow is a row of the flows table. TCP's columns are NULL for other
// protocols. Columns that count are never NULL where they apply: zero is what
// was seen.
type Flow struct {
	FlowID  int64  `parquet:"flow_id,uncompressed" id:"1" bloom:"yes" doc:"identifier derived from the flow's content: the same whatever the worker and shard counts or the cut of the packets into files; joins all tables"`
	TS      int64  `parquet:"ts,timestamp(nanosecond:local),delta" id:"2" doc:"earliest capture time of the flow's packets, UTC"`
	SrcIP   string `parquet:"src_ip,dict" id:"3" bloom:"yes" doc:"address of the initiator: the sender of the SYN, else the receiver of the SYN-ACK, else the sender of the earliest packet; canonical text (RFC 5952)"`
	SrcPort *int32 `parquet:"src_port,optional" id:"4" doc:"port of the initiator; NULL: the protocol has no ports"`
	DstIP   string `parquet:"dst_ip,dict" id:"5" bloom:"yes" doc:"address of the responder; canonical text (RFC 5952)"`
	DstPort *int32 `parquet:"dst_port,optional,dict" id:"6" doc:"port of the responder; NULL: the protocol has no ports"`

	CommunityID string   `parquet:"community_id,uncompressed" id:"7" bloom:"yes" doc:"Community ID version 1, seed 0"`
	IPVersion   int32    `parquet:"ip_version,dict" id:"8" doc:"4 or 6"`
	IPProto     int32    `parquet:"ip_proto,dict" id:"9" doc:"IP protocol number (IANA)"`
	Proto       string   `parquet:"proto,optional,dict" id:"10" doc:"IP protocol by its IANA keyword in lower case (tcp, udp, icmp, ipv6-icmp, sctp); NULL: the number has no keyword"`
	ICMPType    *int32   `parquet:"icmp_type,optional,dict" id:"11" doc:"ICMP or ICMPv6 type of the earliest packet"`
	ICMPCode    *int32   `parquet:"icmp_code,optional,dict" id:"12" doc:"ICMP or ICMPv6 code of the earliest packet"`
	VLANID      *int32   `parquet:"vlan_id,optional,dict" id:"13" doc:"outer (or only) VLAN identifier of the first packet"`
	InnerVLANID *int32   `parquet:"inner_vlan_id,optional,dict" id:"14" doc:"inner VLAN identifier of the first packet, where there are two tags"`
	SrcMAC      string   `parquet:"src_mac,optional,dict" id:"15" doc:"MAC address on the initiator's side of the first packet, as aa:bb:cc:dd:ee:ff"`
	DstMAC      string   `parquet:"dst_mac,optional,dict" id:"16" doc:"MAC address on the responder's side of the first packet"`
	Tunnel      []string `parquet:"tunnel,optional,list,dict" id:"17" doc:"encapsulations around the first packet, outermost first (ipip, gre, vxlan, gtpu, mpls, pppoe, teredo, geneve, erspan, l2tp, ah, ayiya, capwap, etherip, pbb, nsh, lisp, tzsp, gue, lwapp, isl, ipcomp); NULL: none"`
	TunnelID    *int64   `parquet:"tunnel_id,optional,dict" id:"18" doc:"identifier of the innermost encapsulation that has one: VXLAN or Geneve VNI, GTP TEID, GRE key, ERSPAN, L2TP or PPPoE session, MPLS label, AH SPI, PBB service, NSH path, LISP instance, ISL VLAN"`
	OuterSrcIP  string   `parquet:"outer_src_ip,optional,dict" id:"19" doc:"address of the outermost encapsulation over IP on the initiator's side"`
	OuterDstIP  string   `parquet:"outer_dst_ip,optional,dict" id:"20" doc:"address of the outermost encapsulation over IP on the responder's side"`
	Basis       string   `parquet:"direction_basis,dict" id:"21" doc:"what decided who the initiator is: syn, syn_ack, first_packet, or earliest_packet (which the capture has behind a packet of the other side: its order is not that of the times)"`

	EndTS         int64  `parquet:"end_ts,timestamp(nanosecond:local),delta" id:"22" doc:"latest capture time of the flow's packets, UTC"`
	Duration      int64  `parquet:"duration_ns,delta" id:"23" doc:"end_ts minus ts"`
	State         string `parquet:"state,optional,dict" id:"24" doc:"state of the connection at its end, in Zeek's terms: S0 S1 SF REJ S2 S3 RSTO RSTR RSTOS0 RSTRH SH SHR OTH"`
	History       string `parquet:"history,optional,dict" id:"25" doc:"what happened in order, in Zeek's letters, upper case for the initiator"`
	EndReason     string `parquet:"end_reason,optional,dict" id:"26" doc:"why the flow ended: fin, rst, idle_timeout, active_timeout, tuple_reuse, evicted (a bound of memory), end_of_input"`
	AppProto      string `parquet:"app_proto,optional,dict" id:"27" doc:"application protocol that the flow spoke first, lower case: of a table here, or named by its first bytes alone (ssh, smtp, dhcp, ntp, …)"`
	AppProtoBasis string `parquet:"app_proto_basis,optional,dict" id:"28" doc:"what app_proto was told by: payload (content that another protocol would not have by accident), or port (a well-known port, and payload that does not speak against it)"`
	SYNToSYNACK   *int64 `parquet:"syn_to_synack_ns,optional" id:"29" doc:"TCP handshake: time from the SYN to its SYN-ACK, which is the round trip between the capture point and the responder"`
	SYNACKToACK   *int64 `parquet:"synack_to_ack_ns,optional" id:"30" doc:"TCP handshake: time from the SYN-ACK to its ACK, which is the round trip between the capture point and the initiator"`

	ICMPErrors    int64  `parquet:"icmp_errors,delta" id:"31" doc:"ICMP errors that quoted a packet of the flow"`
	ICMPErrorType *int32 `parquet:"icmp_error_type,optional,dict" id:"32" doc:"type of the last of them"`
	ICMPErrorCode *int32 `parquet:"icmp_error_code,optional,dict" id:"33" doc:"code of the last of them"`

	FlowSrc
	FlowDst

	SPLTDirection []int32 `parquet:"splt_direction,optional,list,dict" id:"41" doc:"first packets of the flow in the capture, in the order of their times, pure acknowledgements included: 0 where the initiator sent, 1 where the responder did; option"`
	SPLTSize      []int64 `parquet:"splt_size_bytes,optional,list" id:"42" doc:"the same packets: IP bytes, IP header included; option"`
	SPLTPayload   []int64 `parquet:"splt_payload_bytes,optional,list" id:"43" doc:"the same packets: transport payload, by the headers' claim; option"`
	SPLTIAT       []int64 `parquet:"splt_iat_ns,optional,list" id:"44" doc:"the same packets: time since the packet before, of either side; 0 for the first; option"`

	HTTPRows int64 `parquet:"http_rows,delta" id:"34" doc:"rows of table http with this flow_id"`
	TLSRows  int64 `parquet:"tls_rows,delta" id:"35" doc:"rows of table tls with this flow_id"`
	DNSRows  int64 `parquet:"dns_rows,delta" id:"36" doc:"rows of table dns with this flow_id"`

	CaptureID     int32 `parquet:"capture_id,delta" id:"37" doc:"input of the first packet (table captures)"`
	FirstPacket   int64 `parquet:"first_packet,delta" id:"38" doc:"number of the first packet in its input, counted from 1"`
	LastCaptureID int32 `parquet:"last_capture_id,delta" id:"39" doc:"input of the last packet"`
	LastPacket    int64 `parquet:"last_packet,delta" id:"40" doc:"number of the last packet in its input, counted from 1"`
}

// FlowSrc is what the initiator of a flow sent. FlowSrc and FlowDst differ in their tags
// alone, so that one function fills both.
type FlowSrc struct {
	Packets           int64    `parquet:"src_packets,delta" id:"101" doc:"by the initiator: packets that this side sent"`
	Bytes             int64    `parquet:"src_bytes,delta" id:"102" doc:"by the initiator: bytes of them, by the IP headers' own length, IP header included"`
	PayloadBytes      int64    `parquet:"src_payload_bytes,delta" id:"103" doc:"by the initiator: transport payload of them, by the headers' claim, captured or not"`
	WireBytes         int64    `parquet:"src_wire_bytes,delta" id:"104" doc:"by the initiator: bytes of them on the wire, link header and any encapsulation included"`
	TTLMin            *int32   `parquet:"src_ttl_min,optional,dict" id:"105" doc:"by the initiator: smallest IPv4 TTL or IPv6 hop limit"`
	TTLMax            *int32   `parquet:"src_ttl_max,optional,dict" id:"106" doc:"by the initiator: largest IPv4 TTL or IPv6 hop limit"`
	DSCP              *int32   `parquet:"src_dscp,optional,dict" id:"107" doc:"by the initiator: differentiated services code point of the first packet (RFC 2474)"`
	Fragments         int64    `parquet:"src_fragments,delta" id:"108" doc:"by the initiator: IP fragments that the packets were put together from"`
	BadChecksums      int64    `parquet:"src_bad_checksums,delta" id:"109" doc:"by the initiator: packets with a wrong IPv4 header or transport checksum, the latter where all of the datagram was captured; one that was left to the network card is not wrong. Their payload is taken like any other"`
	SizeMin           *int64   `parquet:"src_size_min_bytes,optional" id:"110" doc:"by the initiator: IP bytes of the smallest packet"`
	SizeMean          *float64 `parquet:"src_size_mean_bytes,optional" id:"111" doc:"by the initiator: mean of the packets' IP bytes"`
	SizeStddev        *float64 `parquet:"src_size_stddev_bytes,optional" id:"112" doc:"by the initiator: sample standard deviation of the packets' IP bytes; NULL below two packets"`
	SizeMax           *int64   `parquet:"src_size_max_bytes,optional" id:"113" doc:"by the initiator: IP bytes of the largest packet"`
	IATMin            *int64   `parquet:"src_iat_min_ns,optional" id:"114" doc:"by the initiator: shortest time between a packet and the next of this side; negative where the capture is out of order"`
	IATMean           *int64   `parquet:"src_iat_mean_ns,optional" id:"115" doc:"by the initiator: mean time between packets of this side in the order of their times, to the nanosecond towards zero"`
	IATStddev         *int64   `parquet:"src_iat_stddev_ns,optional" id:"116" doc:"by the initiator: sample standard deviation of these times, to the nearest nanosecond; NULL below two of them"`
	IATMax            *int64   `parquet:"src_iat_max_ns,optional" id:"117" doc:"by the initiator: longest time between a packet and the next of this side"`
	TCPFlags          string   `parquet:"src_tcp_flags,optional,dict" id:"118" doc:"by the initiator: TCP flags seen on any packet: letters of FSRPAUECN (FIN SYN RST PSH ACK URG ECE CWR AE) in this order; NULL: none"`
	FINPackets        *int64   `parquet:"src_fin_packets,optional" id:"119" doc:"by the initiator: TCP packets with FIN"`
	SYNPackets        *int64   `parquet:"src_syn_packets,optional" id:"120" doc:"by the initiator: TCP packets with SYN"`
	RSTPackets        *int64   `parquet:"src_rst_packets,optional" id:"121" doc:"by the initiator: TCP packets with RST"`
	PSHPackets        *int64   `parquet:"src_psh_packets,optional" id:"122" doc:"by the initiator: TCP packets with PSH"`
	ACKPackets        *int64   `parquet:"src_ack_packets,optional" id:"123" doc:"by the initiator: TCP packets with ACK"`
	URGPackets        *int64   `parquet:"src_urg_packets,optional" id:"124" doc:"by the initiator: TCP packets with URG"`
	ECEPackets        *int64   `parquet:"src_ece_packets,optional" id:"125" doc:"by the initiator: TCP packets with ECE"`
	CWRPackets        *int64   `parquet:"src_cwr_packets,optional" id:"126" doc:"by the initiator: TCP packets with CWR"`
	AEPackets         *int64   `parquet:"src_ae_packets,optional" id:"127" doc:"by the initiator: TCP packets with AE (formerly NS)"`
	Retransmits       *int64   `parquet:"src_retransmitted_packets,optional" id:"128" doc:"by the initiator: TCP segments that carried only bytes already seen"`
	RetransmitBytes   *int64   `parquet:"src_retransmitted_bytes,optional" id:"129" doc:"by the initiator: bytes of them"`
	OutOfOrder        *int64   `parquet:"src_out_of_order_packets,optional" id:"130" doc:"by the initiator: TCP segments beyond the next expected byte, or that filled such a hole"`
	Gaps              *int64   `parquet:"src_gaps,optional" id:"131" doc:"by the initiator: runs of stream bytes that were never captured"`
	GapBytes          *int64   `parquet:"src_gap_bytes,optional" id:"132" doc:"by the initiator: bytes of them"`
	OverlapMismatches *int64   `parquet:"src_overlap_mismatches,optional" id:"133" doc:"by the initiator: TCP segments that overlap earlier bytes and differ from them"`
	ZeroWindows       *int64   `parquet:"src_zero_windows,optional" id:"134" doc:"by the initiator: TCP packets that announced a window of zero"`
	Window            *int32   `parquet:"src_window_bytes,optional" id:"135" doc:"by the initiator: first TCP window, as on the wire (unscaled)"`
	MSS               *int32   `parquet:"src_mss_bytes,optional,dict" id:"136" doc:"by the initiator: maximum segment size by the SYN's option"`
	WindowScale       *int32   `parquet:"src_window_scale,optional,dict" id:"137" doc:"by the initiator: shift count by the SYN's window scale option"`
	SACKPermitted     *bool    `parquet:"src_sack_permitted,optional" id:"138" doc:"by the initiator: whether the SYN permitted selective acknowledgement; NULL: no SYN seen"`
	Timestamps        *bool    `parquet:"src_tcp_timestamps,optional" id:"139" doc:"by the initiator: whether the SYN carried the timestamps option; NULL: no SYN seen"`
	OffloadChecksums  int64    `parquet:"src_offload_checksums,delta" id:"140" doc:"by the initiator: packets with a checksum that was left to the network card, as in a capture on the host that sent them: it is 0 or the pseudo-header's sum. They do not count as bad_checksums"`
	Duplicates        int64    `parquet:"src_duplicate_packets,delta" id:"141" doc:"by the initiator: packets that were captured more than once: the same identification (IPv4), or for TCP over IPv6 the same segment at once, with nothing that could have asked for it again. Not counted as retransmitted. The other columns count them too, unless the run left them out (dedup)"`
	DuplicateBytes    int64    `parquet:"src_duplicate_bytes,delta" id:"142" doc:"by the initiator: bytes of the duplicate packets, as src_bytes"`
	DuplicatePayload  int64    `parquet:"src_duplicate_payload_bytes,delta" id:"143" doc:"by the initiator: transport payload of the duplicate packets, as src_payload_bytes"`
	PayloadEntropy    *float64 `parquet:"src_payload_entropy,optional" id:"144" doc:"by the initiator: entropy of the payload in bits per byte, 0 to 8, to four decimals: of the first 65535 bytes captured; NULL: none, or not asked for; option"`
	RewrittenSums     int64    `parquet:"src_rewritten_checksums,delta" id:"146" doc:"by the initiator: of src_bad_checksums, packets whose checksums are right for other addresses: IPv4 header and transport are out by the same difference (RFC 1624), as where a capture was made anonymous without computing them again"`
	FirstPayload      []byte   `parquet:"src_first_payload,optional" id:"145" doc:"by the initiator: first bytes of payload: of the TCP stream in order, up to the first byte that was not captured; of the first datagram with payload otherwise; option"`
}

// FlowDst is what the responder of a flow sent. FlowSrc and FlowDst differ in their tags
// alone, so that one function fills both.
type FlowDst struct {
	Packets           int64    `parquet:"dst_packets,delta" id:"201" doc:"by the responder: packets that this side sent"`
	Bytes             int64    `parquet:"dst_bytes,delta" id:"202" doc:"by the responder: bytes of them, by the IP headers' own length, IP header included"`
	PayloadBytes      int64    `parquet:"dst_payload_bytes,delta" id:"203" doc:"by the responder: transport payload of them, by the headers' claim, captured or not"`
	WireBytes         int64    `parquet:"dst_wire_bytes,delta" id:"204" doc:"by the responder: bytes of them on the wire, link header and any encapsulation included"`
	TTLMin            *int32   `parquet:"dst_ttl_min,optional,dict" id:"205" doc:"by the responder: smallest IPv4 TTL or IPv6 hop limit"`
	TTLMax            *int32   `parquet:"dst_ttl_max,optional,dict" id:"206" doc:"by the responder: largest IPv4 TTL or IPv6 hop limit"`
	DSCP              *int32   `parquet:"dst_dscp,optional,dict" id:"207" doc:"by the responder: differentiated services code point of the first packet (RFC 2474)"`
	Fragments         int64    `parquet:"dst_fragments,delta" id:"208" doc:"by the responder: IP fragments that the packets were put together from"`
	BadChecksums      int64    `parquet:"dst_bad_checksums,delta" id:"209" doc:"by the responder: packets with a wrong IPv4 header or transport checksum, the latter where all of the datagram was captured; one that was left to the network card is not wrong. Their payload is taken like any other"`
	SizeMin           *int64   `parquet:"dst_size_min_bytes,optional" id:"210" doc:"by the responder: IP bytes of the smallest packet"`
	SizeMean          *float64 `parquet:"dst_size_mean_bytes,optional" id:"211" doc:"by the responder: mean of the packets' IP bytes"`
	SizeStddev        *float64 `parquet:"dst_size_stddev_bytes,optional" id:"212" doc:"by the responder: sample standard deviation of the packets' IP bytes; NULL below two packets"`
	SizeMax           *int64   `parquet:"dst_size_max_bytes,optional" id:"213" doc:"by the responder: IP bytes of the largest packet"`
	IATMin            *int64   `parquet:"dst_iat_min_ns,optional" id:"214" doc:"by the responder: shortest time between a packet and the next of this side; negative where the capture is out of order"`
	IATMean           *int64   `parquet:"dst_iat_mean_ns,optional" id:"215" doc:"by the responder: mean time between packets of this side in the order of their times, to the nanosecond towards zero"`
	IATStddev         *int64   `parquet:"dst_iat_stddev_ns,optional" id:"216" doc:"by the responder: sample standard deviation of these times, to the nearest nanosecond; NULL below two of them"`
	IATMax            *int64   `parquet:"dst_iat_max_ns,optional" id:"217" doc:"by the responder: longest time between a packet and the next of this side"`
	TCPFlags          string   `parquet:"dst_tcp_flags,optional,dict" id:"218" doc:"by the responder: TCP flags seen on any packet: letters of FSRPAUECN (FIN SYN RST PSH ACK URG ECE CWR AE) in this order; NULL: none"`
	FINPackets        *int64   `parquet:"dst_fin_packets,optional" id:"219" doc:"by the responder: TCP packets with FIN"`
	SYNPackets        *int64   `parquet:"dst_syn_packets,optional" id:"220" doc:"by the responder: TCP packets with SYN"`
	RSTPackets        *int64   `parquet:"dst_rst_packets,optional" id:"221" doc:"by the responder: TCP packets with RST"`
	PSHPackets        *int64   `parquet:"dst_psh_packets,optional" id:"222" doc:"by the responder: TCP packets with PSH"`
	ACKPackets        *int64   `parquet:"dst_ack_packets,optional" id:"223" doc:"by the responder: TCP packets with ACK"`
	URGPackets        *int64   `parquet:"dst_urg_packets,optional" id:"224" doc:"by the responder: TCP packets with URG"`
	ECEPackets        *int64   `parquet:"dst_ece_packets,optional" id:"225" doc:"by the responder: TCP packets with ECE"`
	CWRPackets        *int64   `parquet:"dst_cwr_packets,optional" id:"226" doc:"by the responder: TCP packets with CWR"`
	AEPackets         *int64   `parquet:"dst_ae_packets,optional" id:"227" doc:"by the responder: TCP packets with AE (formerly NS)"`
	Retransmits       *int64   `parquet:"dst_retransmitted_packets,optional" id:"228" doc:"by the responder: TCP segments that carried only bytes already seen"`
	RetransmitBytes   *int64   `parquet:"dst_retransmitted_bytes,optional" id:"229" doc:"by the responder: bytes of them"`
	OutOfOrder        *int64   `parquet:"dst_out_of_order_packets,optional" id:"230" doc:"by the responder: TCP segments beyond the next expected byte, or that filled such a hole"`
	Gaps              *int64   `parquet:"dst_gaps,optional" id:"231" doc:"by the responder: runs of stream bytes that were never captured"`
	GapBytes          *int64   `parquet:"dst_gap_bytes,optional" id:"232" doc:"by the responder: bytes of them"`
	OverlapMismatches *int64   `parquet:"dst_overlap_mismatches,optional" id:"233" doc:"by the responder: TCP segments that overlap earlier bytes and differ from them"`
	ZeroWindows       *int64   `parquet:"dst_zero_windows,optional" id:"234" doc:"by the responder: TCP packets that announced a window of zero"`
	Window            *int32   `parquet:"dst_window_bytes,optional" id:"235" doc:"by the responder: first TCP window, as on the wire (unscaled)"`
	MSS               *int32   `parquet:"dst_mss_bytes,optional,dict" id:"236" doc:"by the responder: maximum segment size by the SYN's option"`
	WindowScale       *int32   `parquet:"dst_window_scale,optional,dict" id:"237" doc:"by the responder: shift count by the SYN's window scale option"`
	SACKPermitted     *bool    `parquet:"dst_sack_permitted,optional" id:"238" doc:"by the responder: whether the SYN permitted selective acknowledgement; NULL: no SYN seen"`
	Timestamps        *bool    `parquet:"dst_tcp_timestamps,optional" id:"239" doc:"by the responder: whether the SYN carried the timestamps option; NULL: no SYN seen"`
	OffloadChecksums  int64    `parquet:"dst_offload_checksums,delta" id:"240" doc:"by the responder: packets with a checksum that was left to the network card, as in a capture on the host that sent them: it is 0 or the pseudo-header's sum. They do not count as bad_checksums"`
	Duplicates        int64    `parquet:"dst_duplicate_packets,delta" id:"241" doc:"by the responder: packets that were captured more than once: the same identification (IPv4), or for TCP over IPv6 the same segment at once, with nothing that could have asked for it again. Not counted as retransmitted. The other columns count them too, unless the run left them out (dedup)"`
	DuplicateBytes    int64    `parquet:"dst_duplicate_bytes,delta" id:"242" doc:"by the responder: bytes of the duplicate packets, as dst_bytes"`
	DuplicatePayload  int64    `parquet:"dst_duplicate_payload_bytes,delta" id:"243" doc:"by the responder: transport payload of the duplicate packets, as dst_payload_bytes"`
	PayloadEntropy    *float64 `parquet:"dst_payload_entropy,optional" id:"244" doc:"by the responder: entropy of the payload in bits per byte, 0 to 8, to four decimals: of the first 65535 bytes captured; NULL: none, or not asked for; option"`
	RewrittenSums     int64    `parquet:"dst_rewritten_checksums,delta" id:"246" doc:"by the responder: of dst_bad_checksums, packets whose checksums are right for other addresses: IPv4 header and transport are out by the same difference (RFC 1624), as where a capture was made anonymous without computing them again"`
	FirstPayload      []byte   `parquet:"dst_first_payload,optional" id:"245" doc:"by the responder: first bytes of payload: of the TCP stream in order, up to the first byte that was not captured; of the first datagram with payload otherwise; option"`
}

// FlowSource is what a row of the flows table is made from. It is compact, and
// free of pointers but for constant text and the rare encapsulations, so that
// the rows of a row group wait in this form.
type FlowSource struct {
	Flow   flows.Flow
	TCP    flows.TCP // where Flow is TCP
	App    AppInfo
	Encaps []flows.Encap // of the first packet, outermost first
	Shape  *flows.Shape  // nil: not asked for
}

// RowTime returns the row's ts.
func (s *FlowSource) RowTime() int64 { return s.Flow.FirstTime }

// AppInfo is what the parsers found in a flow.
type AppInfo struct {
	Proto          string // constant text, lower case; empty: unknown
	Basis          AppBasis
	HTTP, TLS, DNS uint32 // rows that the flow gave to these tables
}

// AppBasis says what an application protocol was told by.
type AppBasis uint8

const (
	AppUnknown AppBasis = iota
	AppByPayload
	AppByPort
)

func (b AppBasis) String() string {
	return [...]string{"", "payload", "port"}[b]
}

// FillFlow sets dst to the row of src. Text and numbers that the row refers to
// are in a. It runs on the workers that encode, a batch of rows at a time.
func FillFlow(dst *Flow, src *FlowSource, a *Arena) {
	f := &src.Flow
	v6 := f.Flags&flows.IPv6 != 0
	icmp := f.Proto == flows.ProtoICMP || f.Proto == flows.ProtoICMPv6

	*dst = Flow{} // and not a literal with values, which is built elsewhere and copied here
	dst.FlowID = f.ID()
	dst.TS = f.FirstTime
	dst.SrcIP = a.addr(&f.Src, v6)
	dst.DstIP = a.addr(&f.Dst, v6)
	dst.CommunityID = CommunityID(f, a)
	dst.IPVersion = 4
	dst.IPProto = int32(f.Proto)
	dst.Proto = protoNames[f.Proto]
	dst.Basis = f.Basis.String()
	dst.EndTS = f.LastTime
	dst.Duration = f.LastTime - f.FirstTime
	dst.State = f.State.String()
	dst.History = a.String(f.History())
	dst.EndReason = f.End.String()
	dst.AppProto = src.App.Proto
	dst.AppProtoBasis = src.App.Basis.String()
	dst.ICMPErrors = int64(f.ICMPErrors)
	dst.HTTPRows = int64(src.App.HTTP)
	dst.TLSRows = int64(src.App.TLS)
	dst.DNSRows = int64(src.App.DNS)
	dst.CaptureID = int32(f.First.Pos.Input())
	dst.FirstPacket = int64(f.First.Pos.Packet())
	dst.LastCaptureID = int32(f.Last.Pos.Input())
	dst.LastPacket = int64(f.Last.Pos.Packet())
	if v6 {
		dst.IPVersion = 6
	}
	if f.Flags&flows.HasPorts != 0 {
		dst.SrcPort = a.Int32(int32(f.SrcPort))
		dst.DstPort = a.Int32(int32(f.DstPort))
	}
	if icmp {
		dst.ICMPType = a.Int32(int32(f.ICMPType))
		dst.ICMPCode = a.Int32(int32(f.ICMPCode))
	}
	if f.Flags&flows.HasVLAN != 0 {
		dst.VLANID = a.Int32(int32(f.VLAN))
	}
	if f.Flags&flows.HasInnerVLAN != 0 {
		dst.InnerVLANID = a.Int32(int32(f.InnerVLAN))
	}
	if f.Flags&flows.HasEthernet != 0 {
		dst.SrcMAC = a.mac(&f.SrcMAC)
		dst.DstMAC = a.mac(&f.DstMAC)
	}
	if len(src.Encaps) > 0 {
		fillTunnel(dst, src, a)
	}
	if f.ICMPErrors > 0 {
		dst.ICMPErrorType = a.Int32(int32(f.ICMPErrorType))
		dst.ICMPErrorCode = a.Int32(int32(f.ICMPErrorCode))
	}
	fillSide(&dst.FlowSrc, &f.Sides[flows.Initiator], a)
	fillSide((*FlowSrc)(&dst.FlowDst), &f.Sides[flows.Responder], a)
	if src.Shape != nil {
		fillShape(dst, src.Shape, a)
	}
	if f.Proto != flows.ProtoTCP {
		return
	}
	x := &src.TCP
	seen := func(h flows.HandshakePackets) bool { return x.Handshake&h == h }
	if seen(flows.SeenSYN|flows.SeenSYNACK) && x.SYNACKTime >= x.SYNTime { // or else their times are not of one clock
		dst.SYNToSYNACK = a.Int64(x.SYNACKTime - x.SYNTime)
	}
	if seen(flows.SeenSYNACK|flows.SeenHandshakeACK) && x.HandshakeACKTime >= x.SYNACKTime {
		dst.SYNACKToACK = a.Int64(x.HandshakeACKTime - x.SYNACKTime)
	}
	fillTCP(&dst.FlowSrc, &x.Sides[flows.Initiator], f.Sides[flows.Initiator].Packets > 0, a)
	fillTCP((*FlowSrc)(&dst.FlowDst), &x.Sides[flows.Responder], f.Sides[flows.Responder].Packets > 0, a)
}

func fillTunnel(dst *Flow, src *FlowSource, a *Arena) {
	dst.Tunnel = a.Strings(len(src.Encaps))
	var outer *flows.Encap
	for i := range src.Encaps {
		e := &src.Encaps[i]
		dst.Tunnel[i] = e.Kind.String()
		if e.HasID {
			dst.TunnelID = a.Int64(int64(e.ID))
		}
		if e.HasOuter && outer == nil {
			outer = e
		}
	}
	if outer == nil {
		return
	}
	dst.OuterSrcIP = a.addr(&outer.Src, outer.Outer6)
	dst.OuterDstIP = a.addr(&outer.Dst, outer.Outer6)
	// The encapsulation is the first packet's, which the responder may have sent.
	if src.Flow.FirstSide == flows.Responder {
		dst.OuterSrcIP, dst.OuterDstIP = dst.OuterDstIP, dst.OuterSrcIP
	}
}

func fillSide(dst *FlowSrc, s *flows.SideStats, a *Arena) {
	dst.Packets = int64(s.Packets)
	dst.Bytes = int64(s.Bytes)
	dst.PayloadBytes = int64(s.PayloadBytes)
	dst.WireBytes = int64(s.WireBytes)
	dst.Fragments = int64(s.Fragments)
	dst.BadChecksums = int64(s.BadChecksums)
	dst.OffloadChecksums = int64(s.Offloaded)
	dst.RewrittenSums = int64(s.Rewritten)
	dst.Duplicates = int64(s.Duplicates)
	dst.DuplicateBytes = int64(s.DuplicateBytes)
	dst.DuplicatePayload = int64(s.DuplicatePayloadBytes)
	if s.Packets > 0 {
		dst.TTLMin = a.Int32(int32(s.TTLMin))
		dst.TTLMax = a.Int32(int32(s.TTLMax))
		dst.DSCP = a.Int32(int32(s.TOS >> 2))
		dst.SizeMin = a.Int64(int64(s.SizeMin))
		dst.SizeMax = a.Int64(int64(s.SizeMax))
		dst.SizeMean = a.Float64(float64(s.Bytes) / float64(s.Packets))
	}
	if s.Packets > 1 {
		dst.SizeStddev = a.Float64(stddev(s.Packets, float64(s.Bytes), s.SizeSumSquares))
		n := s.Packets - 1
		dst.IATMin = a.Int64(s.IATMin)
		dst.IATMax = a.Int64(s.IATMax)
		sum := s.LastTime - s.FirstTime
		dst.IATMean = a.Int64(sum / int64(n))
		if n > 1 {
			dst.IATStddev = a.Int64(int64(math.Round(stddev(n, float64(sum), s.IATSumSquares))))
		}
	}
}

// fillShape sets the columns that are there by option.
func fillShape(dst *Flow, s *flows.Shape, a *Arena) {
	if n := len(s.Packets); n > 0 {
		dst.SPLTDirection = Slice(&a.i32, n)
		numbers := a.int64s(3 * n)
		dst.SPLTSize, dst.SPLTPayload, dst.SPLTIAT = numbers[:n:n], numbers[n:2*n:2*n], numbers[2*n:]
		for i := range s.Packets {
			p := &s.Packets[i]
			dst.SPLTDirection[i] = int32(p.Side)
			dst.SPLTSize[i], dst.SPLTPayload[i], dst.SPLTIAT[i] = int64(p.Size), int64(p.Payload), p.IAT
		}
	}
	for i, side := range [...]*FlowSrc{&dst.FlowSrc, (*FlowSrc)(&dst.FlowDst)} {
		if s.Entropy[i] >= 0 {
			side.PayloadEntropy = a.Float64(s.Entropy[i])
		}
		side.FirstPayload = s.Payload[i]
	}
}

// fillTCP sets what only TCP has. sent says that the side sent packets.
func fillTCP(dst *FlowSrc, t *flows.TCPStats, sent bool, a *Arena) {
	dst.TCPFlags = flagLetters(t.FlagsSeen, a)
	c := a.int64s(16)
	for i := range t.FlagCounts {
		c[i] = int64(t.FlagCounts[i])
	}
	dst.FINPackets, dst.SYNPackets, dst.RSTPackets = &c[0], &c[1], &c[2]
	dst.PSHPackets, dst.ACKPackets, dst.URGPackets = &c[3], &c[4], &c[5]
	dst.ECEPackets, dst.CWRPackets, dst.AEPackets = &c[6], &c[7], &c[8]
	c[9], c[10] = int64(t.Retransmits), int64(t.RetransmitBytes)
	dst.Retransmits, dst.RetransmitBytes = &c[9], &c[10]
	c[11], c[12], c[13] = int64(t.OutOfOrder), int64(t.Gaps), int64(t.GapBytes)
	dst.OutOfOrder, dst.Gaps, dst.GapBytes = &c[11], &c[12], &c[13]
	c[14], c[15] = int64(t.OverlapMismatches), int64(t.ZeroWindows)
	dst.OverlapMismatches, dst.ZeroWindows = &c[14], &c[15]
	if sent {
		dst.Window = a.Int32(int32(t.Window))
	}
	if t.Options&flows.OptMSS != 0 {
		dst.MSS = a.Int32(int32(t.MSS))
	}
	if t.Options&flows.OptWindowScale != 0 {
		dst.WindowScale = a.Int32(int32(t.WindowScale))
	}
	if t.Options&flows.OptSYNSeen != 0 {
		dst.SACKPermitted = a.Bool(t.Options&flows.OptSACKPermitted != 0)
		dst.Timestamps = a.Bool(t.Options&flows.OptTimestamps != 0)
	}
}

// stddev returns the sample standard deviation of n > 1 values by their sum
// and sum of squares. The conversions keep compilers from fusing a
// multiplication with a subtraction, which would round differently on some
// machines.
func stddev(n uint64, sum, squares float64) float64 {
	v := squares - float64(sum*float64(sum/float64(n)))
	if !(v > 0) { // rounding may leave a little less than nothing
		return 0
	}
	return math.Sqrt(v / float64(n-1))
}

const flagText = "FSRPAUECN"

func flagLetters(seen uint16, a *Arena) string {
	switch seen { // what nearly every side has
	case flows.SYN:
		return "S"
	case flows.RST | flows.ACK:
		return "RA"
	case flows.SYN | flows.ACK:
		return "SA"
	case flows.SYN | flows.PSH | flows.ACK:
		return "SPA"
	case flows.FIN | flows.SYN | flows.PSH | flows.ACK:
		return "FSPA"
	}
	var b [len(flagText)]byte
	n := 0
	for i := range len(flagText) {
		if seen&(1<<i) != 0 {
			b[n] = flagText[i]
			n++
		}
	}
	return a.String(b[:n])
}

// CommunityID returns the flow's Community ID, version 1 with seed 0:
// "1:" and the base64 of the SHA-1 of seed, addresses and ports in sorted
// order, as https://github.com/corelight/community-id-spec has it.
func CommunityID(f *flows.Flow, a *Arena) string {
	src, dst := f.Src[:], f.Dst[:]
	if f.Flags&flows.IPv6 == 0 {
		src, dst = src[12:], dst[12:]
	}
	sport, dport := f.SrcPort, f.DstPort
	ports, oneWay := f.Flags&flows.HasPorts != 0, false
	if f.Proto == flows.ProtoICMP || f.Proto == flows.ProtoICMPv6 {
		sport, dport, oneWay = flows.ICMPPorts(f.Proto == flows.ProtoICMPv6, f.ICMPType, f.ICMPCode)
		ports = true
	}
	if !oneWay {
		if c := compareBytes(src, dst); c > 0 || c == 0 && ports && sport > dport {
			src, dst, sport, dport = dst, src, dport, sport
		}
	}
	var in [40]byte // seed 2, addresses 2×4 or 2×16, protocol 1, padding 1, ports 2×2
	n := 2
	n += copy(in[n:], src)
	n += copy(in[n:], dst)
	in[n] = f.Proto
	n += 2
	if ports {
		binary.BigEndian.PutUint16(in[n:], sport)
		binary.BigEndian.PutUint16(in[n+2:], dport)
		n += 4
	}
	sum := sha1.Sum(in[:n])
	var out [2 + 28]byte
	out[0], out[1] = '1', ':'
	base64.StdEncoding.Encode(out[2:], sum[:])
	return a.String(out[:])
}

func compareBytes(a, b []byte) int {
	for i := range a {
		if a[i] != b[i] {
			if a[i] < b[i] {
				return -1
			}
			return 1
		}
	}
	return 0
}
