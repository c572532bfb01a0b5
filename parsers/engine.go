package parsers

import (
	"iter"

	"github.com/caplake/caplake/flows"
)

// Config says how an Engine follows flows. Its zero value stands for the
// defaults.
type Config struct {
	Hooks
	Flows flows.Config
	Key   flows.Key // what makes packets a flow; nil: the five-tuple
}

// Engine follows flows and runs any number of protocols' parsers over them, in
// one pass over one flow table. It is for one goroutine and starts none.
//
// Run is all that a program with a flows.Source needs; Sessions and Messages
// are the same as loops. A program with a packet loop of its own calls Add for
// each packet and Finish after the last.
type Engine struct {
	d      *Dispatcher
	driver *flows.Driver
	key    flows.Key
	keyed  flows.Packet
}

// NewEngine returns an Engine for the registered protocols.
func NewEngine(cfg Config, list ...Registration) *Engine {
	d := NewDispatcher(cfg.Hooks, list...)
	return &Engine{d: d, driver: flows.NewDriver(cfg.Flows, d), key: cfg.Key}
}

// Run gives all of src to a new Engine and finishes it. An error is that of
// src; what came before it has been told, to the end of every flow.
func Run(src flows.Source, cfg Config, list ...Registration) error {
	return NewEngine(cfg, list...).Run(src)
}

// Run gives all of src to e and finishes. It returns the error of src, if that gave one,
// and no later than after the packet during which Stop was called.
func (e *Engine) Run(src flows.Source) (err error) {
	for c, failed := range src {
		if failed != nil {
			err = failed
			break
		}
		e.Add(c)
		if e.d.stopped {
			return nil
		}
	}
	e.Finish()
	return err
}

// Add takes the next packet. c is lent for the call.
func (e *Engine) Add(c flows.Captured) {
	p := c.Packet
	if e.key != nil {
		e.keyed = *p
		p = &e.keyed
		e.key(p, c.Data, c.Encaps)
	}
	e.driver.Add(p, c.Data)
}

// Finish ends all flows and sessions: there are no more packets.
func (e *Engine) Finish() { e.driver.Finish() }

// Stop ends all calls of handlers and hooks, at once and for good.
func (e *Engine) Stop() { e.d.Stop() }

// Tracker returns the tracker, which knows the flows that live and what they
// have come to so far.
func (e *Engine) Tracker() *flows.Tracker { return e.driver.Tracker() }

// Protocol returns the name of the protocol that f spoke first, "" if that is
// not known, and whether f has one of the protocol's own ports.
func (e *Engine) Protocol(f *flows.Flow) (name string, byPort bool) { return e.d.Protocol(f) }

// Sessions returns the events of the protocols' sessions in src, in the order
// of the packets. The end of src ends all sessions, and then an error of src,
// if it had one, is given last. Breaking out of the loop frees everything.
//
// Protocols of different message types go together by Any.
func Sessions[M any](src flows.Source, cfg Config, protocols ...Protocol[M]) iter.Seq2[Event[M], error] {
	return func(yield func(Event[M], error) bool) {
		var e *Engine
		tell := func(ev Event[M]) {
			if !yield(ev, nil) {
				e.Stop()
			}
		}
		list := make([]Registration, len(protocols))
		for i, p := range protocols {
			list[i] = On(p, tell)
		}
		e = NewEngine(cfg, list...)
		if err := e.Run(src); err != nil && !e.d.stopped {
			yield(Event[M]{}, err)
		}
	}
}

// Messages is Sessions without their beginnings and ends.
func Messages[M any](src flows.Source, cfg Config, protocols ...Protocol[M]) iter.Seq2[Event[M], error] {
	return func(yield func(Event[M], error) bool) {
		for ev, err := range Sessions(src, cfg, protocols...) {
			if (err != nil || ev.Kind == Message) && !yield(ev, err) {
				return
			}
		}
	}
}
