package ingest

import (
	"sync/atomic"

	"github.com/caplake/caplake/flows"
)

// Record is one packet as its capture records it: where its bytes are and
// what the record's header says of it. It holds no pointers.
type Record struct {
	Time    int64  // nanoseconds since the Unix epoch
	Offset  uint32 // of the packet's first byte in Batch.Data
	CapLen  uint32 // bytes captured; Offset+CapLen ≤ len(Batch.Data)
	OrigLen uint32 // bytes on the wire, as recorded; may be wrong, may be less than CapLen
	Link    uint16 // LINKTYPE_ number of the packet's interface
	Flags   RecordFlags
}

// RecordFlags are facts of one record.
type RecordFlags uint16

const (
	// NoTime: the record has no time (a pcapng simple packet block). Time is
	// that of the packet before it in the input, 0 at the beginning.
	NoTime RecordFlags = 1 << iota
	// LinkError: the interface marked the packet as received with an error: a
	// wrong frame check sequence, too long, too short and the like.
	LinkError

	// Filtered: Config.KeepRecord did not want it. Set before a batch is handed over.
	Filtered
)

// Batch is one block of one input with what was found in it. It is lent to a
// handler: all of it is valid, and may be read by every handler at the same
// time, until the handler returns, and belongs to the next block after that. Handlers do
// not write to it.
//
//	record k is packet number First+k of the input
//	0 ≤ len(Packets) ≤ flows.MaxParts × len(Records)
type Batch struct {
	Packets []flows.Packet // decoded packets that belong to a flow, in capture order
	Encaps  []flows.Encap  // what Packet.Encap and Encap.Inner index, from 1

	Data     []byte // the block: what the packets' offsets count in, unless they have flows.InOverflow
	Overflow []byte // datagrams put together from fragments

	Records []Record // every packet of the block, in capture order
	Input   uint32   // the input's number, counted from 1
	First   uint64   // number of the first record within its input, counted from 1

	EndOfEpoch bool  // after this batch the number of packets read is a multiple of Config.EpochPackets
	EndOfInput bool  // this is the input's last batch
	MaxTime    int64 // latest packet time in the run up to the end of this batch; NoPacketTime before there is one

	fragments []int32 // indices in Packets of those that are fragments, until they are put in order
	counts    counts  // what decoding found

	raw  []byte  // the part of the block that this batch was the first to read, for the hash
	hash *digest // of the input that raw is a part of; nil if there is nothing to hash
	end  *tally  // EndOfInput: what the reader knows of the input

	hashComplete bool // EndOfInput: all of the input has been hashed with raw

	block []byte        // all of the buffer; Data and raw are parts of it
	extra []*Batch      // blocks taken out of circulation to pay for a grown one
	ready chan struct{} // decoded; capacity 1
	refs  atomic.Int32
}

// Bytes returns the bytes that p's offsets count in; p is one of b.Packets.
func (b *Batch) Bytes(p *flows.Packet) []byte {
	if p.Flags&flows.InOverflow != 0 {
		return b.Overflow
	}
	return b.Data
}

// packet returns one more of b's packets, whose content is open.
func (b *Batch) packet() *flows.Packet {
	n := len(b.Packets)
	if n == cap(b.Packets) {
		b.Packets = append(b.Packets, flows.Packet{})
	}
	b.Packets = b.Packets[:n+1]
	return &b.Packets[n]
}

// What the stages of a run ask of decoding, in the order in which it is called:
//
//	Decode(link, data, rec, p, encaps) Outcome
//
// by any worker, a pure function of its arguments (a Decoder holds scratch
// memory at most). data is Batch.Data; the packet is
// data[rec.Offset:rec.Offset+rec.CapLen]. On entry p is zero but for Time,
// Pos, WireLen and Link (= rec.Offset). encaps is the batch's list, to be appended to;
// what Decode appends for a packet whose outcome is neither OutcomeFlow nor
// OutcomeFragment may stay. p is kept for OutcomeFlow and OutcomeFragment, otherwise it
// is overwritten.
//
//	Add(b, i, settle) bool
//
// by one goroutine, in the order of capture, for each packet b.Packets[i]
// whose outcome was OutcomeFragment. True: the datagram is complete, and
// b.Packets[i] has been replaced by it (its bytes appended to b.Overflow, any
// encapsulation to b.Encaps). False: the packet is dropped from the batch.
// settle(pos, outcome) is called exactly once for each fragment ever added,
// with its own position and OutcomeFragmentReassembled or
// OutcomeFragmentIncomplete, as soon as its fate is known.
//
//	Flush(settle)
//
// at the end of the run settles what is left.
type defragmenter interface {
	Add(b *Batch, i int, settle func(flows.Position, Outcome)) bool
	// Next makes p the next of several datagrams in the one that Add completed; false: there is none.
	Next(b *Batch, p *flows.Packet) bool
	Flush(settle func(flows.Position, Outcome))
	// LimitsHit returns how often a bound of Config made fragments be given
	// up since the last call.
	LimitsHit() uint64
	// Overlaps returns how many fragments since the last call overlapped others
	// of their datagram without being the same again, or contradicted its end.
	Overlaps() uint64
}
