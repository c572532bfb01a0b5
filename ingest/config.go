package ingest

import (
	"errors"
	"fmt"
	"time"

	"github.com/caplake/caplake/flows"
)

// Config bounds what reading may take. Its zero value stands for the defaults
// given at each field.
type Config struct {
	// BlockBytes is the size of a block: what is read at a time, and so the
	// most that a batch holds unless one record alone is larger. Default
	// 256 KiB.
	BlockBytes int

	// MaxBlocks is the number of blocks that exist; reading waits for one to
	// come back. A block grown for a large record counts for as many as it is
	// long. Default 16; at least 2.
	MaxBlocks int

	// EpochPackets: a batch also ends, and has EndOfEpoch set, when the number
	// of packets read from all inputs so far is a multiple of this. Default
	// 16384.
	EpochPackets int

	// MaxRecordBytes bounds one packet record of a pcap file and one block of
	// a pcapng file, headers included. A larger one is taken for damage.
	// Default 16 MiB.
	MaxRecordBytes int

	// ReadAhead is how many inputs are opened, and where compressed begin to be
	// decompressed, before it is their turn. ReadAheadBytes bounds what that may take of memory
	// beyond one MiB and a decompressor's own state for each. -1: none. Default 3
	// and 32 MiB.
	ReadAhead      int
	ReadAheadBytes int

	// FragmentTimeout is how long, in nanoseconds of packet time, the
	// fragments of a datagram are kept from the first one on. Default 30 s.
	FragmentTimeout int64

	// MaxFragmentBytes and MaxFragmentDatagrams bound the fragments kept at a
	// time: their bytes, and the number of incomplete datagrams. What is
	// oldest goes first, and is counted. Default 16 MiB and 4096.
	MaxFragmentBytes     int
	MaxFragmentDatagrams int

	// Checksums has the checksums of IPv4, TCP, UDP and ICMP verified, where
	// the capture has all the bytes. They are only reported: many captures
	// are taken before the network card fills them in.
	Checksums bool

	// NoDecap leaves datagrams in tunnels over IP to the flow of their
	// carrier. What is below IP is looked through all the same.
	NoDecap bool

	// NoHash leaves out the content hash of the inputs.
	NoHash bool

	// KeepRecord and KeepPacket, where set, say which packets are wanted; the
	// others are counted as OutcomeFiltered and are in no batch's Packets.
	// KeepRecord is asked before a packet is decoded. KeepPacket is asked of
	// packets that belong to a flow, put together from fragments where they
	// were; data is what the packet's offsets count in. Both are called by
	// many goroutines and must depend on their arguments alone.
	KeepRecord func(r *Record) bool
	KeepPacket func(p *flows.Packet, data []byte) bool
}

// Defaults of Config.
const (
	defaultBlockBytes           = 256 << 10
	defaultMaxBlocks            = 16
	defaultEpochPackets         = 16384
	defaultMaxRecordBytes       = 16 << 20
	defaultReadAhead            = 3
	defaultReadAheadBytes       = 32 << 20
	defaultFragmentTimeout      = 30 * int64(time.Second)
	defaultMaxFragmentBytes     = 16 << 20
	defaultMaxFragmentDatagrams = 4096
)

// WithDefaults returns c with each field that is zero set to its default.
func (c Config) WithDefaults() Config {
	set := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	set(&c.BlockBytes, defaultBlockBytes)
	set(&c.MaxBlocks, defaultMaxBlocks)
	set(&c.EpochPackets, defaultEpochPackets)
	set(&c.MaxRecordBytes, defaultMaxRecordBytes)
	set(&c.ReadAhead, defaultReadAhead)
	set(&c.ReadAheadBytes, defaultReadAheadBytes)
	if c.FragmentTimeout == 0 {
		c.FragmentTimeout = defaultFragmentTimeout
	}
	set(&c.MaxFragmentBytes, defaultMaxFragmentBytes)
	set(&c.MaxFragmentDatagrams, defaultMaxFragmentDatagrams)
	return c
}

// Validate reports every field whose value cannot be used, as one error.
func (c Config) Validate() error {
	c = c.WithDefaults()
	var errs []error
	between := func(name string, v, low, high int64) {
		if v < low || v > high {
			errs = append(errs, fmt.Errorf("%s is %d: it must be between %d and %d", name, v, low, high))
		}
	}
	between("BlockBytes", int64(c.BlockBytes), 64, 1<<30)
	between("MaxBlocks", int64(c.MaxBlocks), 2, 1<<20)
	between("EpochPackets", int64(c.EpochPackets), 1, 1<<40)
	between("MaxRecordBytes", int64(c.MaxRecordBytes), 64, 1<<30)
	between("ReadAhead", int64(c.ReadAhead), -1, 1<<10)
	between("ReadAheadBytes", int64(c.ReadAheadBytes), -1, 1<<40)
	between("FragmentTimeout", c.FragmentTimeout, 1, int64(24*time.Hour))
	between("MaxFragmentBytes", int64(c.MaxFragmentBytes), 64<<10, 1<<40)
	between("MaxFragmentDatagrams", int64(c.MaxFragmentDatagrams), 1, 1<<30)
	return errors.Join(errs...)
}
