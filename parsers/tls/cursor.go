package tls

// cursor reads a message's bytes from front to back. It cannot overrun: a
// read that asks for more than there is returns ok false and takes nothing.
type cursor []byte

func (c *cursor) u8() (uint8, bool) {
	if len(*c) < 1 {
		return 0, false
	}
	v := (*c)[0]
	*c = (*c)[1:]
	return v, true
}

func (c *cursor) u16() (uint16, bool) {
	if len(*c) < 2 {
		return 0, false
	}
	v := uint16((*c)[0])<<8 | uint16((*c)[1])
	*c = (*c)[2:]
	return v, true
}

func (c *cursor) u24() (int, bool) {
	if len(*c) < 3 {
		return 0, false
	}
	v := int((*c)[0])<<16 | int((*c)[1])<<8 | int((*c)[2])
	*c = (*c)[3:]
	return v, true
}

func (c *cursor) take(n int) ([]byte, bool) {
	if n < 0 || len(*c) < n {
		return nil, false
	}
	v := (*c)[:n:n]
	*c = (*c)[n:]
	return v, true
}

// vec8, vec16 and vec24 take a vector that its length precedes, in as many
// bits (RFC 8446 section 3.4).
func (c *cursor) vec8() (cursor, bool) {
	if len(*c) < 1 || len(*c)-1 < int((*c)[0]) {
		return nil, false
	}
	n, _ := c.u8()
	v, _ := c.take(int(n))
	return v, true
}

func (c *cursor) vec16() (cursor, bool) {
	if len(*c) < 2 || len(*c)-2 < int((*c)[0])<<8|int((*c)[1]) {
		return nil, false
	}
	n, _ := c.u16()
	v, _ := c.take(int(n))
	return v, true
}

func (c *cursor) vec24() (cursor, bool) {
	if len(*c) < 3 || len(*c)-3 < int((*c)[0])<<16|int((*c)[1])<<8|int((*c)[2]) {
		return nil, false
	}
	n, _ := c.u24()
	v, _ := c.take(n)
	return v, true
}

// appendU16s appends the code points of a vector of 16-bit ones; a last odd
// byte is left out.
func appendU16s(dst []uint16, v []byte) []uint16 {
	for ; len(v) >= 2; v = v[2:] {
		dst = append(dst, uint16(v[0])<<8|uint16(v[1]))
	}
	return dst
}
