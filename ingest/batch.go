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
	Overflow []byte // datagrams put together from fragments, and inflated ones

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
