package flows

import (
	"encoding/binary"
	"math/bits"
)

// Hash returns the hash of a tuple that decides its shard. It is the same in
// both directions, pinned (test vectors hold it in place: a changed value
// would move flows between shards), and independent of the process.
//
// It is multiply-and-fold over the two ends, and over their sum and product. It
// is not keyed, so whoever can choose tuples can choose shards, whose bounds
// then act; the flow table has a secret of its own (see table).
func Hash(src, dst *Addr, srcPort, dstPort uint16, proto uint8) uint64 {
	s0, s1 := binary.LittleEndian.Uint64(src[:8]), binary.LittleEndian.Uint64(src[8:])
	d0, d1 := binary.LittleEndian.Uint64(dst[:8]), binary.LittleEndian.Uint64(dst[8:])
	// Sum and product commute, so the ends need no sorting; mixing each end
	// first keeps (a,b) from colliding with tuples of the same sums.
	a := mix(s0^0x9e3779b97f4a7c15, s1^uint64(srcPort)<<48^0xd6e8feb86659fd93)
	b := mix(d0^0x9e3779b97f4a7c15, d1^uint64(dstPort)<<48^0xd6e8feb86659fd93)
	return mix(a+b, (a^b)^(uint64(proto)<<56|0x2545f4914f6cdd1d))
}

// mix folds two words into one. The operands join the product, or one that is
// zero would hide the other.
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a^0xa0761d6478bd642f, b^0xe7037ed1a0b428db)
	return hi ^ lo ^ a ^ bits.RotateLeft64(b, 32)
}
