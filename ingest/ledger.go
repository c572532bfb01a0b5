package ingest

import (
	"errors"
	"fmt"

	"github.com/caplake/caplake/flows"
)

// Outcome says what became of a packet. Every packet of a capture has exactly
// one.
type Outcome uint8

const (
	OutcomeFlow                Outcome = iota // it belongs to a flow
	OutcomeNotIP                              // its network layer is not IP: ARP, LLDP, spanning tree, …
	OutcomeUnsupportedLink                    // its link type is not decoded
	OutcomeMalformedLink                      // its link-layer header, or a tunnel's, contradicts itself
	OutcomeMalformedNetwork                   // its IP header or an extension header contradicts itself
	OutcomeMalformedTransport                 // its transport header contradicts itself
	OutcomeCut                                // the capture holds too little of it: cut by the snap length within its headers
	OutcomeFragmentReassembled                // a fragment of a datagram that was completed
	OutcomeFragmentIncomplete                 // a fragment of a datagram that was not
	OutcomeFiltered                           // left out by Config.KeepRecord or Config.KeepPacket
	NumOutcomes

	// OutcomeFragment is not final: the defragmenter settles it as one of the
	// two above, when the datagram is complete or given up.
	OutcomeFragment Outcome = 0xff
)

var outcomeNames = [NumOutcomes]string{
	"flow", "not_ip", "unsupported_link", "malformed_link", "malformed_network", "malformed_transport",
	"cut", "fragment_reassembled", "fragment_incomplete", "filtered",
}

func (o Outcome) String() string {
	if o < NumOutcomes {
		return outcomeNames[o]
	}
	if o == OutcomeFragment {
		return "fragment"
	}
	return ""
}

// Capture is the ledger's entry for one input: what it is, what became of each
// of its packets, and why reading it ended early, if it did.
type Capture struct {
	Name        string // see Input.Name
	Bytes       int64  // size as stored; from standard input, the bytes read
	SHA256      string // of the bytes as stored, in hexadecimal; empty with Config.NoHash, or where they could not all be read
	Format      string // "pcap", "pcapng", "snoop", "erf"; empty for what is no capture
	Compression string // "", "gzip", "zstd", "lz4", "xz", "bzip2"
	ByteOrder   string // "little", "big"; "mixed" for sections that differ

	// TimestampResolution is the length of a tick: "1us", "1ns", "2^-10s"; of several
	// interfaces, the different ones in order of appearance, joined by commas.
	TimestampResolution string

	LinkTypes []string // names of the link types of its interfaces, in order of appearance
	Snaplen   uint32   // the largest of its interfaces; 0: none given

	Packets    uint64
	FirstTime  int64 // earliest packet time; with no timed packet 0
	LastTime   int64 // latest packet time
	HasTime    bool  // some packet has a time
	OutOfOrder uint64

	// One of these for each packet.
	InFlow              uint64
	NotIP               uint64
	UnsupportedLink     uint64
	MalformedLink       uint64
	MalformedNetwork    uint64
	MalformedTransport  uint64
	CutBySnaplen        uint64
	FragmentReassembled uint64
	FragmentIncomplete  uint64
	Filtered            uint64

	// Beside the outcomes.
	BadChecksums     uint64       // packets with a wrong IPv4 or transport checksum; 0 unless Config.Checksums
	Rewritten        uint64       // of BadChecksums: those that are right for other addresses, changed after the capture
	Offloaded        uint64       // packets with a checksum that was left to the network card, likewise
	Offloaders       []flows.Addr // the first different addresses that sent these, at most 8: those of the host that captured
	LimitsHit        uint64       // times that a bound of Config made something be given up
	FragmentOverlaps uint64       // fragments that overlap others of their datagram without being the same again, or contradict its end
	LinkErrors       uint64       // packets whose record says that they were received with an error

	// What the program that captured says of its interfaces: the packets that they
	// received, and those of them that are not in the file because they were dropped for want of
	// resources. Known only where the format has it and it was written.
	Received    uint64
	HasReceived bool
	Dropped     uint64
	HasDropped  bool

	// Warning says what is odd of a file that was read to its end, empty if
	// nothing is.
	Warning string

	// Err says why reading ended before the input did, empty if it did not.
	Err       string
	ErrKind   DamageKind
	ErrOffset int64  // of the record that could not be read, in the bytes after decompression
	ErrPacket uint64 // the packet that would have come, counted from 1
}

// DamageKind classes the reasons for which an input is not read to its end.
type DamageKind string

const (
	DamageNone        DamageKind = ""
	DamageNotCapture  DamageKind = "not_a_capture" // it does not begin like a capture
	DamageTruncated   DamageKind = "truncated"     // it ends within a record
	DamageMalformed   DamageKind = "malformed"     // a record's header contradicts itself or a bound
	DamageCompression DamageKind = "compression"   // the compressed data is damaged or ends early
	DamageRead        DamageKind = "read"          // the operating system could not read it
	DamageUnsupported DamageKind = "unsupported"   // a version of the format that is not known
)

// counts is a Capture's tally of outcomes and flags in the making.
type counts struct {
	outcomes     [NumOutcomes]uint64
	badChecksums uint64
	rewritten    uint64
	offloaded    uint64
	offloaders   [8]flows.Addr // the first so many are set:
	nOffloaders  int
	limitsHit    uint64
	overlaps     uint64
}

func (c *counts) add(n *counts) {
	for o, v := range n.outcomes {
		c.outcomes[o] += v
	}
	c.badChecksums += n.badChecksums
	c.rewritten += n.rewritten
	c.offloaded += n.offloaded
	for i := range n.nOffloaders {
		c.noteOffloader(&n.offloaders[i])
	}
	c.limitsHit += n.limitsHit
	c.overlaps += n.overlaps
}

// noteOffloader notes that a sends packets with checksums that are left to the card.
func (c *counts) noteOffloader(a *flows.Addr) {
	for i := range c.nOffloaders {
		if c.offloaders[i] == *a {
			return
		}
	}
	if c.nOffloaders < len(c.offloaders) {
		c.offloaders[c.nOffloaders] = *a
		c.nOffloaders++
	}
}

// add adds n to c's counters.
func (c *Capture) add(n *counts) {
	for o, v := range n.outcomes {
		*c.outcome(Outcome(o)) += v
	}
	c.BadChecksums += n.badChecksums
	c.Rewritten += n.rewritten
	c.Offloaded += n.offloaded
	c.Offloaders = append(c.Offloaders, n.offloaders[:n.nOffloaders]...)
	c.LimitsHit += n.limitsHit
	c.FragmentOverlaps += n.overlaps
}

// outcome returns the counter of o, which must be final.
func (c *Capture) outcome(o Outcome) *uint64 {
	switch o {
	case OutcomeFlow:
		return &c.InFlow
	case OutcomeNotIP:
		return &c.NotIP
	case OutcomeUnsupportedLink:
		return &c.UnsupportedLink
	case OutcomeMalformedLink:
		return &c.MalformedLink
	case OutcomeMalformedNetwork:
		return &c.MalformedNetwork
	case OutcomeMalformedTransport:
		return &c.MalformedTransport
	case OutcomeCut:
		return &c.CutBySnaplen
	case OutcomeFragmentReassembled:
		return &c.FragmentReassembled
	case OutcomeFragmentIncomplete:
		return &c.FragmentIncomplete
	case OutcomeFiltered:
		return &c.Filtered
	}
	panic(fmt.Sprintf("ingest: outcome %d is not final", o))
}

// Balanced returns an error unless the outcomes add up to the packets. A
// difference is a fault of this program, never of the capture.
func (c *Capture) Balanced() error {
	var sum uint64
	for o := range NumOutcomes {
		sum += *c.outcome(o)
	}
	if sum != c.Packets {
		return fmt.Errorf("%s: %w: %d packets, outcomes of %d", c.Name, errUnbalanced, c.Packets, sum)
	}
	return nil
}

var errUnbalanced = errors.New("the ledger does not add up")

// Damaged reports whether the input could not be read to its end.
func (c *Capture) Damaged() bool { return c.ErrKind != DamageNone }
