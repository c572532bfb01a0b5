package run

import (
	"strconv"

	"github.com/caplake/caplake/ingest"
)

// Report says what a run did. It is what --json prints.
type Report struct {
	Inputs     int64         `json:"inputs"`
	Packets    int64         `json:"packets"`
	Bytes      int64         `json:"bytes"`       // of the captures as stored
	Duration   float64       `json:"duration_s"`  // wall time
	PeakMemory int64         `json:"peak_memory"` // bytes resident at most; 0 where the system does not say
	Tables     []TableReport `json:"tables"`
	Outcomes   []Count       `json:"outcomes"` // what became of the packets; the counts add up to Packets
	Flags      []Count       `json:"flags"`    // counted beside the outcomes
	Damaged    []Damage      `json:"damaged"`  // inputs that could not be read to their end
	Skipped    []string      `json:"skipped"`  // files of directories that are no captures
	Warnings   []string      `json:"warnings"`
	Out        string        `json:"out"`

	limits    acts
	datagrams uint64 // given up incomplete
}

// warn says which bounds acted during the run, and what raises them.
func (r *Report) warn() {
	add := func(n uint64, one, many, flag string) {
		switch n {
		case 0:
		case 1:
			r.Warnings = append(r.Warnings, "1 "+one+": raise "+flag)
		default:
			r.Warnings = append(r.Warnings, strconv.FormatUint(n, 10)+" "+many+": raise "+flag)
		}
	}
	add(r.limits.flows, "flow was ended early", "flows were ended early", "--max-flows")
	add(r.limits.holes, "hole in a TCP stream was given up early", "holes in TCP streams were given up early", "--max-held, --max-held-per-side or --max-held-segments")
	add(r.datagrams, "incomplete fragmented datagram was given up early", "incomplete fragmented datagrams were given up early", "--max-fragment-bytes or --max-fragmented")
	add(r.limits.parsers, "flow's messages were given up", "flows' messages were given up", "--max-parser-bytes")
	add(r.limits.pending, "request or query was given up waiting", "requests or queries were given up waiting", "--max-pending")
}

// TableReport is one table's files.
type TableReport struct {
	Name  string `json:"name"`
	File  string `json:"file"` // of several: their folder
	Files int    `json:"files"`
	Rows  int64  `json:"rows"`
	Bytes int64  `json:"bytes"`
}

// Count is one named number.
type Count struct {
	Name string `json:"name"`
	N    int64  `json:"n"`
}

// Damage says where and why an input could not be read any further. What
// came before it was kept.
type Damage struct {
	File   string `json:"file"`
	Packet int64  `json:"packet"` // the packet that could not be read, counted from 1
	Offset int64  `json:"offset"` // of its record, in bytes after decompression
	Error  string `json:"error"`
}

// add counts an input's ledger, and what was given up for it.
func (r *Report) add(c *ingest.Capture, a acts) {
	r.Inputs++
	r.Packets += int64(c.Packets)
	r.Bytes += c.Bytes
	count := func(list *[]Count, name string, n uint64) {
		for i := range *list {
			if (*list)[i].Name == name {
				(*list)[i].N += int64(n)
				return
			}
		}
		*list = append(*list, Count{name, int64(n)})
	}
	count(&r.Outcomes, "in_flow", c.InFlow)
	count(&r.Outcomes, "not_ip", c.NotIP)
	count(&r.Outcomes, "unsupported_link", c.UnsupportedLink)
	count(&r.Outcomes, "malformed_link", c.MalformedLink)
	count(&r.Outcomes, "malformed_network", c.MalformedNetwork)
	count(&r.Outcomes, "malformed_transport", c.MalformedTransport)
	count(&r.Outcomes, "cut_by_snaplen", c.CutBySnaplen)
	count(&r.Outcomes, "fragment_reassembled", c.FragmentReassembled)
	count(&r.Outcomes, "fragment_incomplete", c.FragmentIncomplete)
	count(&r.Outcomes, "filtered", c.Filtered)
	count(&r.Flags, "bad_checksum", c.BadChecksums)
	count(&r.Flags, "out_of_order", c.OutOfOrder)
	count(&r.Flags, "fragment_overlaps", c.FragmentOverlaps)
	count(&r.Flags, "limits_hit", c.LimitsHit+a.total())
	r.limits.add(a)
	r.datagrams += c.LimitsHit
	if c.Damaged() {
		r.Damaged = append(r.Damaged, Damage{c.Name, int64(c.ErrPacket), c.ErrOffset, c.Err})
	}
}
