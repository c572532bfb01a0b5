package main

import (
	"math/rand/v2"
	"net/netip"
)

const (
	fin = 0x01
	syn = 0x02
	rst = 0x04
	psh = 0x08
	ack = 0x10
)

const mss = 1400

// conn is one TCP connection as it passes the capture point, which the client
// is close to. Its clock is that of the capture point.
type conn struct {
	w     *wire
	r     *rand.Rand
	t     int64
	ends  [2]netip.AddrPort // client, server
	near  int64             // there and back between capture point and client
	far   int64             // the same for the server
	next  [2]uint32         // what each side sends next
	cwnd  [2]int            // segments that a side sends before it waits
	loss  float64           // share of segments that the network loses
	noise []byte            // what stands for bytes that mean nothing
}

// dial opens a connection at t.
func (w *wire) dial(t int64, r *rand.Rand, src, dst netip.AddrPort, activity string) *conn {
	c := &conn{
		w: w, r: r, t: t, ends: [2]netip.AddrPort{src, dst},
		near: 200*micro + r.Int64N(400*micro),
		far:  rtt(r, dst.Addr()),
		next: [2]uint32{r.Uint32(), r.Uint32()},
		cwnd: [2]int{10, 10},
		loss: 0.001,
	}
	w.label(src, dst, "tcp", activity)
	offer := []byte{2, 4, mss >> 8, mss & 0xff, 4, 2, 1, 1, 1, 3, 3, 7} // MSS, SACK, window scale
	c.put(c.t, 0, syn, offer, nil)
	c.next[0]++
	c.t += c.far
	c.put(c.t, 1, syn|ack, offer, nil)
	c.next[1]++
	c.t += c.near
	c.put(c.t, 0, ack, nil, nil)
	return c
}

// rtt is a round trip from the capture point: short inside, one's own for each
// network outside.
func rtt(r *rand.Rand, a netip.Addr) int64 {
	if inside(a) {
		return 150*micro + r.Int64N(200*micro)
	}
	q := a.As4()
	base := 4*milli + int64(q[2]%90)*milli
	return base + r.Int64N(base/4)
}

func (c *conn) put(t int64, side int, flags uint8, options, payload []byte) {
	s := segment{seq: c.next[side], flags: flags, window: 502, options: options, payload: payload}
	if flags&ack != 0 {
		s.ack = c.next[1-side]
	}
	if flags&syn != 0 {
		s.window = 64240
	}
	c.w.tcp(t, c.ends[side], c.ends[1-side], s)
}

// knock asks for a connection that does not come about: refused, or not
// answered at all, which is asked again twice.
func (w *wire) knock(t int64, r *rand.Rand, src, dst netip.AddrPort, refused bool, activity string) {
	c := &conn{w: w, r: r, t: t, ends: [2]netip.AddrPort{src, dst}, next: [2]uint32{r.Uint32(), 0}}
	w.label(src, dst, "tcp", activity)
	for i := range 3 {
		c.put(c.t, 0, syn, []byte{2, 4, mss >> 8, mss & 0xff}, nil)
		if refused {
			c.next[0]++
			c.put(c.t+rtt(r, dst.Addr()), 1, rst|ack, nil, nil)
			return
		}
		c.wait(second << i)
	}
}

// wait lets time pass.
func (c *conn) wait(ns int64) { c.t += ns }

// think lets a random time pass: exponential, of this mean.
func (c *conn) think(mean int64) { c.t += int64(c.r.ExpFloat64() * float64(mean)) }

// send has a side say payload, segment by segment, acknowledged by the other;
// the side waits for a round trip whenever its congestion window is full. The
// network loses a segment now and then: behind the capture point, and it is
// seen twice, or before, and it is seen late.
func (c *conn) send(side int, payload []byte) {
	delay := c.near // from the capture point to the other side and back
	if side == 0 {
		delay = c.far
	}
	flight := 0
	var late int64 // when the last segment of the flight is there
	for len(payload) > 0 {
		n := min(len(payload), mss)
		flags := uint8(ack)
		if n == len(payload) {
			flags |= psh
		}
		at := c.t
		switch d := c.r.Float64(); {
		case d < c.loss: // seen twice
			c.put(at, side, flags, nil, payload[:n])
			at += delay + c.near + c.far + 200*milli
		case d < 2*c.loss: // seen late
			at += c.near + c.far + 20*milli
		}
		c.put(at, side, flags, nil, payload[:n])
		late = max(late, at)
		c.next[side] += uint32(n)
		payload = payload[n:]
		c.t += 12*micro + c.r.Int64N(10*micro)
		if flight++; flight%2 == 0 || len(payload) == 0 {
			c.put(max(c.t, late)+delay, 1-side, ack, nil, nil)
		}
		if flight == c.cwnd[side] && len(payload) > 0 {
			c.t += c.near + c.far
			c.cwnd[side] = min(2*c.cwnd[side], 64)
			flight = 0
		}
	}
	c.t = max(c.t, late) + delay // the answer comes after that
}

// close ends the connection, begun by side.
func (c *conn) close(side int) {
	for _, s := range []int{side, 1 - side} {
		c.put(c.t, s, fin|ack, nil, nil)
		c.next[s]++
		if s == 0 {
			c.t += c.far
		} else {
			c.t += c.near
		}
	}
	c.put(c.t, side, ack, nil, nil)
}

// reset ends it the other way.
func (c *conn) reset(side int) {
	c.put(c.t, side, rst|ack, nil, nil)
}

// noiseOf returns n bytes that mean nothing, good until it is called again.
func (c *conn) noiseOf(n int) []byte {
	for len(c.noise) < n {
		v := c.r.Uint64()
		for range 8 {
			c.noise = append(c.noise, byte(v))
			v >>= 8
		}
	}
	return c.noise[:n]
}
