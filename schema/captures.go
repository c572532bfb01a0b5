package schema

// Capture is a row of the captures table: the ledger of one input file. Every
// packet of the file is counted under exactly one outcome, so that the
// outcomes add up to the packets; the counts that stand beside the outcomes
// overlap with them.
//
// It is filled by whoever runs the conversion: this package knows no files.
type Capture struct {
	CaptureID int32  `parquet:"capture_id,delta" id:"1" doc:"number of the input, counted from 1 in the order in which the run read them: by first packet time, then by path"`
	Path      string `parquet:"path" id:"2" doc:"path relative to the input root, with forward slashes; of a file in an archive, the archive's path and the path in it; - is standard input" bloom:"yes"`
	Bytes     int64  `parquet:"bytes,delta" id:"3" doc:"size of the file as stored, that is compressed where it is compressed; of a file in an archive, its size when taken out"`
	SHA256    string `parquet:"sha256,optional,uncompressed" id:"4" doc:"SHA-256 of the file as stored, in lower-case hex" bloom:"yes"`

	Format              string   `parquet:"format,optional,dict" id:"5" doc:"capture file format: pcap, pcapng, snoop or erf"`
	Compression         string   `parquet:"compression,optional,dict" id:"6" doc:"compression around the format: gzip, zstd, lz4, xz or bzip2; NULL: none"`
	ByteOrder           string   `parquet:"byte_order,optional,dict" id:"7" doc:"byte order of the file's headers: little or big; mixed where the sections of a pcapng differ"`
	TimestampResolution string   `parquet:"timestamp_resolution,optional,dict" id:"8" doc:"length of a timestamp tick: 1us, 1ns, 2^-10s; different ones of several interfaces joined by commas, in order of appearance"`
	LinkTypes           []string `parquet:"link_types,optional,list,dict" id:"9" doc:"link types of the file's interfaces by the names that libpcap gives them (linktype_N where it gives none), distinct, in order of first use"`
	Snaplen             *int64   `parquet:"snaplen_bytes,optional,dict" id:"10" doc:"the most bytes of a packet that were captured, by the file's header; the largest where interfaces differ; NULL: no limit"`

	Packets           int64  `parquet:"packets,delta" id:"11" doc:"packets read from the file"`
	FirstTS           *int64 `parquet:"first_ts,timestamp(nanosecond:local),optional" id:"12" doc:"capture time of the first packet, UTC"`
	LastTS            *int64 `parquet:"last_ts,timestamp(nanosecond:local),optional" id:"13" doc:"capture time of the last packet, UTC"`
	OutOfOrderPackets int64  `parquet:"out_of_order_packets,delta" id:"14" doc:"packets with a time before the latest of those before them"`

	// Outcomes: their sum is Packets.
	FlowPackets          int64 `parquet:"flow_packets,delta" id:"15" doc:"outcome: packets that belong to a flow, fragments not among them; a frame of several datagrams (802.11 A-MSDU) is one of them"`
	NotIPPackets         int64 `parquet:"not_ip_packets,delta" id:"16" doc:"outcome: not IP: ARP, LLDP, spanning tree and the like"`
	UnsupportedPackets   int64 `parquet:"unsupported_link_packets,delta" id:"17" doc:"outcome: of a link type that is not decoded"`
	MalformedLink        int64 `parquet:"malformed_link_packets,delta" id:"18" doc:"outcome: malformed in the link layer or an encapsulation's header"`
	MalformedNetwork     int64 `parquet:"malformed_network_packets,delta" id:"19" doc:"outcome: malformed in the IP header or its extension headers"`
	MalformedTransport   int64 `parquet:"malformed_transport_packets,delta" id:"20" doc:"outcome: malformed in the transport header"`
	CutPackets           int64 `parquet:"cut_packets,delta" id:"21" doc:"outcome: cut by the capture's snaplen within the headers"`
	FragmentsReassembled int64 `parquet:"fragments_reassembled,delta" id:"22" doc:"outcome: IP fragments of a datagram that was put together (and that belongs to a flow)"`
	FragmentsIncomplete  int64 `parquet:"fragments_incomplete,delta" id:"23" doc:"outcome: IP fragments of a datagram that was never complete"`
	FilteredPackets      int64 `parquet:"filtered_packets,delta" id:"29" doc:"outcome: left out by a filter of the run on time, address, port or protocol"`

	// Beside the outcomes.
	BadChecksums int64  `parquet:"bad_checksums,delta" id:"24" doc:"beside the outcomes: packets whose IPv4 header or transport checksum is wrong, the latter where all of the datagram was captured; one that was left to the network card is not wrong. They are in their flows, payload and all"`
	LimitHits    int64  `parquet:"limit_hits,delta" id:"25" doc:"beside the outcomes: times that a bound of memory made something be given up for packets of this file; the sum of flows_evicted, holes_given_up, datagrams_given_up, parsers_given_up and pending_given_up"`
	Error        string `parquet:"error,optional" id:"26" doc:"why the file could not be read to its end; what came before is in the tables"`
	ErrorOffset  *int64 `parquet:"error_offset,optional" id:"27" doc:"byte offset of the error in the file, decompressed where it is compressed"`
	ErrorPacket  *int64 `parquet:"error_packet,optional" id:"28" doc:"number of the packet at which the error stands, counted from 1"`

	OffloadChecksums int64    `parquet:"offload_checksums,delta" id:"34" doc:"beside the outcomes: packets with a checksum that was left to the network card, as of packets that the capturing host itself sent; decided packet by packet: the checksum is 0 or the pseudo-header's sum"`
	OffloadIPs       []string `parquet:"offload_ips,optional,list,dict" id:"43" doc:"addresses that sent packets with a checksum left to the network card, in order of appearance, at most 8: those of the host that captured, or of machines on it; NULL: none"`
	Duplicates       int64    `parquet:"duplicate_packets,delta" id:"35" doc:"beside the outcomes: packets of flows that were captured more than once, in this input or one before it"`

	RewrittenChecksums int64 `parquet:"rewritten_checksums,delta" id:"42" doc:"beside the outcomes: of bad_checksums, packets whose checksums are right for other addresses: IPv4 header and transport are out by the same difference (RFC 1624), as where the file was made anonymous without computing them again"`

	// What the program that captured says, where it says it.
	ReceivedPackets  *int64 `parquet:"received_packets,optional" id:"30" doc:"packets that the interfaces received, by the interface statistics of a pcapng; NULL: not given"`
	DroppedPackets   *int64 `parquet:"dropped_packets,optional" id:"31" doc:"packets that are missing because the interface or the system dropped them: the interface statistics or, without them, the drop counts of the packets of a pcapng; the count of a snoop or erf file; NULL: not given"`
	LinkErrorPackets int64  `parquet:"link_error_packets,delta" id:"32" doc:"beside the outcomes: packets that the file marks as received with a link-layer error"`

	// Of LimitHits.
	FlowsEvicted     int64 `parquet:"flows_evicted,delta" id:"36" doc:"beside the outcomes: flows that were ended early because --max-flows were live, or hundreds whose addresses and ports were made to have one hash"`
	HolesGivenUp     int64 `parquet:"holes_given_up,delta" id:"37" doc:"beside the outcomes: holes in TCP streams that were given up early because a bound on what is held for reassembly was reached"`
	DatagramsGivenUp int64 `parquet:"datagrams_given_up,delta" id:"38" doc:"beside the outcomes: incomplete fragmented datagrams that were given up early because a bound on fragments was reached"`
	ParsersGivenUp   int64 `parquet:"parsers_given_up,delta" id:"39" doc:"beside the outcomes: flows whose parser was ended early because --max-parser-bytes were held"`
	PendingGivenUp   int64 `parquet:"pending_given_up,delta" id:"40" doc:"beside the outcomes: requests and queries that became a row without their response because --max-pending of their flow waited"`

	FragmentOverlaps int64  `parquet:"fragment_overlaps,delta" id:"41" doc:"beside the outcomes: fragments that overlap others of their datagram without being the same again, or contradict its end"`
	Warning          string `parquet:"warning,optional" id:"33" doc:"what is odd of a file that was read to its end, as bytes after the end of compressed data"`
}

// Outcomes returns the sum of the outcome columns, which is Packets unless
// there is a bug.
func (c *Capture) Outcomes() int64 {
	return c.FlowPackets + c.NotIPPackets + c.UnsupportedPackets +
		c.MalformedLink + c.MalformedNetwork + c.MalformedTransport + c.CutPackets +
		c.FragmentsReassembled + c.FragmentsIncomplete + c.FilteredPackets
}
