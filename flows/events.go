package flows

import "iter"

// EventKind names a kind of Event, and is one bit of a set of them.
type EventKind uint16

const (
	EventStarted     EventKind = 1 << iota // a flow began, with Packet
	EventEstablished                       // a TCP flow's handshake was seen
	EventState                             // Flow.State has changed
	EventPacket                            // Packet was counted to Flow
	EventData                              // the next bytes of a TCP side, in order
	EventGap                               // N bytes of a TCP side that will not come
	EventFin                               // a TCP side has ended its bytes
	EventRst                               // a TCP side has reset the flow
	EventDatagram                          // Bytes is what a UDP packet carries
	EventEnded                             // Flow is complete; Flow.End says why
	EventTick                              // packet time has gone on by Every or more: only At.Time says anything, and none comes at the end

	// EventLifecycle is the kinds that a zero EventConfig selects.
	EventLifecycle = EventStarted | EventEstablished | EventState | EventEnded
	// EventStream is all that there is to say of a TCP flow's streams.
	EventStream = EventData | EventGap | EventFin | EventRst
)

func (k EventKind) String() string {
	for i, name := range [...]string{"started", "established", "state", "packet", "data", "gap", "fin", "rst", "datagram", "ended", "tick"} {
		if k == 1<<i {
			return name
		}
	}
	return ""
}

// Event is a fact of a flow's life. All that it refers to is lent until the
// next one; a copy of *Flow, which holds no pointers, is valid for good.
type Event struct {
	Kind EventKind
	Side Side  // that sent the packet, the bytes, the end
	At   Stamp // the packet that brought it about; EventEnded: the flow's last
	Flow *Flow // with its statistics up to now
	TCP  *TCP  // what is known of a TCP flow besides; otherwise nil

	Packet *Packet // EventStarted, EventPacket
	Bytes  []byte  // EventData, EventDatagram: the bytes; EventStarted, EventPacket: what Packet's offsets count in
	N      int64   // EventGap: bytes
}

// EventConfig says how to follow flows and what to tell of them. The zero
// value is the lives of bidirectional five-tuple flows.
type EventConfig struct {
	Config
	Kinds EventKind // 0: EventLifecycle
	Key   Key       // what makes packets a flow; nil: FiveTuple
	Every int64     // period of EventTicks, nanoseconds of packet time; each comes with the first packet after a period's end; 0: a second
}

// Events follows the flows of src and returns what happens to them, in the
// order of the packets. The end of src ends all flows that live, and then an error of src, if
// it had one, is given last. Breaking out of the loop frees everything.
func Events(src Source, cfg EventConfig) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		e := &teller{yield: yield, kinds: cfg.Kinds}
		if e.kinds == 0 {
			e.kinds = EventLifecycle
		}
		e.driver = NewDriver(cfg.Config, e)
		every := cfg.Every
		if every <= 0 {
			every = second
		}
		var (
			next   int64
			begun  bool
			keyed  Packet
			failed error
		)
		for c, err := range src {
			if err != nil {
				failed = err
				break
			}
			p := c.Packet
			if cfg.Key != nil {
				keyed = *p
				p = &keyed
				cfg.Key(p, c.Data, c.Encaps)
			}
			e.data = c.Data
			e.driver.Add(p, c.Data)
			if e.kinds&EventTick != 0 {
				now := e.driver.Now()
				if !begun {
					begun, next = true, satAdd(now, every)
				}
				if now >= next {
					next += every * ((now-next)/every + 1)
					e.tell(Event{Kind: EventTick, At: Stamp{Time: now, Pos: p.Pos}})
				}
			}
			if e.stopped {
				return
			}
		}
		e.driver.Finish()
		if failed != nil && !e.stopped {
			yield(Event{}, failed)
		}
	}
}

// teller is the Consumer that makes Events.
type teller struct {
	driver  *Driver
	yield   func(Event, error) bool
	kinds   EventKind
	stopped bool
	data    []byte // of the packet at hand
}

func (e *teller) tell(ev Event) {
	if e.kinds&ev.Kind == 0 || e.stopped {
		return
	}
	if ev.Flow != nil && ev.TCP == nil {
		ev.TCP = e.driver.tracker.TCP(ev.Flow)
	}
	e.stopped = !e.yield(ev, nil)
}

func (e *teller) Started(f *Flow, p *Packet) {
	if e.kinds&(EventStream|EventDatagram) == 0 {
		f.Ignore()
	}
	e.tell(Event{Kind: EventStarted, Flow: f, At: f.First, Packet: p, Bytes: e.data})
}

// Packet implements PacketConsumer.
func (e *teller) Packet(f *Flow, side Side, p *Packet, data []byte) {
	at := Stamp{p.Time, p.Pos}
	if e.kinds&(EventState|EventEstablished) != 0 {
		was := f.State
		if f.Proto == ProtoTCP {
			f.State = e.driver.tracker.TCP(f).connState(f)
		} else {
			f.State = f.connState()
		}
		if f.State != was {
			e.tell(Event{Kind: EventState, Flow: f, Side: side, At: at})
			if f.State == S1 {
				e.tell(Event{Kind: EventEstablished, Flow: f, Side: side, At: at})
			}
		}
	}
	e.tell(Event{Kind: EventPacket, Flow: f, Side: side, At: at, Packet: p, Bytes: data})
}

func (e *teller) Data(f *Flow, side Side, at Stamp, data []byte) {
	e.tell(Event{Kind: EventData, Flow: f, Side: side, At: at, Bytes: data})
}

func (e *teller) Gap(f *Flow, side Side, at Stamp, n int64) {
	e.tell(Event{Kind: EventGap, Flow: f, Side: side, At: at, N: n})
}

func (e *teller) Fin(f *Flow, side Side, at Stamp) {
	e.tell(Event{Kind: EventFin, Flow: f, Side: side, At: at})
}

func (e *teller) Rst(f *Flow, side Side, at Stamp) {
	e.tell(Event{Kind: EventRst, Flow: f, Side: side, At: at})
}

func (e *teller) Datagram(f *Flow, side Side, at Stamp, data []byte) {
	e.tell(Event{Kind: EventDatagram, Flow: f, Side: side, At: at, Bytes: data})
}

func (e *teller) Ended(f *Flow, tcp *TCP) {
	e.tell(Event{Kind: EventEnded, Flow: f, TCP: tcp, At: f.Last})
}
