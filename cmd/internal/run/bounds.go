package run

// acts counts what bounds of memory made the run give up, for the ledger of
// the input whose packet it was done for.
type acts struct {
	flows   uint64 // ended early, since --max-flows were live
	holes   uint64 // in TCP streams, since a bound on held bytes was reached
	parsers uint64 // ended early, since --max-parser-bytes were held
	pending uint64 // requests and queries, since --max-pending of their flow waited
}

func (a *acts) add(b acts) {
	a.flows += b.flows
	a.holes += b.holes
	a.parsers += b.parsers
	a.pending += b.pending
}

func (a acts) total() uint64 { return a.flows + a.holes + a.parsers + a.pending }

// ledger is acts by input.
type ledger map[uint32]acts

func (l ledger) add(input uint32, a acts) {
	if a != (acts{}) {
		b := l[input]
		b.add(a)
		l[input] = b
	}
}
