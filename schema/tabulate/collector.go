package tabulate

import (
	"slices"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/parsers"
	"github.com/caplake/caplake/parsers/tls"
	"github.com/caplake/caplake/schema"
)

// Config says what the rows hold and which tables there are.
type Config struct {
	Headers      bool // HTTP header lists
	Fingerprints bool // the strings behind ja3, ja3s and ja4
	DER          bool // the bytes of certificates
	BodyHash     bool // SHA-256 of HTTP bodies
	BodyType     bool // type of HTTP bodies by their content

	// MaxPending bounds the requests or queries of one flow that wait for their
	// response; 0: what http.Config, http2.Config and dns.Config say.
	MaxPending int

	// Certificates, if not nil, is given every handshake that may have certificates, with what
	// its rows repeat, instead of keeping their earliest sightings in memory.
	// All is lent, but for the strings of the session.
	Certificates func(m *tls.Handshake, session *schema.Session, cache *schema.CertCache)

	// GaveUp is parsers.Hooks.GaveUp.
	GaveUp func(f *flows.Flow, at flows.Stamp, messages int)

	// Of Batches and All alone:
	Flows     flows.Config
	Key       flows.Key // what makes packets a flow; nil: the five-tuple
	BatchRows int       // 0: 65,536

	// Own is tables besides those of the shipped protocols, whose protocols
	// are asked after them.
	Own []schema.OwnTable
}

func (c *Config) own() []schema.OwnTable { return append(schema.Own(), c.Own...) }

// Collector is the flows.Consumer that makes rows: it has a
// parsers.Dispatcher of all protocols, and turns their messages and the flows
// into rows. Batches has one; it is here by itself for programs that keep
// their own trackers, of which several may share it, by one goroutine at a time.
//
// It keeps its state of a flow in Flow.User and Flow.Encap.
type Collector struct {
	*parsers.Dispatcher

	// At is the key of the rows that come about now, and Out takes them. The
	// caller sets At before each packet, and may exchange Out for another
	// NewOutput of the same configuration whenever no call is under way.
	At  flows.Position
	Out *Output
	// Encaps is what the encapsulations of the packets at hand index: see
	// flows.Captured. The caller sets it.
	Encaps []flows.Encap

	cfg       Config
	own       []schema.OwnTable
	arena     schema.Arena
	names     schema.Arena // of session.row alone, which lives longer than rows and would keep their memory
	certs     *schema.CertCache
	sightings map[string]schema.Certificate // by fingerprint, the earliest
	certRows  []schema.Certificate
	certArena schema.Arena // of sightings, which live longer than other rows

	sessions []session // by parsers.Dispatcher.Slot

	shape *flows.Shape // of the flow that ends now

	encaps     [][]flows.Encap // by Flow.Encap-1
	freeEncaps []uint32
}

// What Flow.User holds.
const (
	_        = iota // the Dispatcher's
	userHTTP        // rows: HTTP in the low half, TLS in the high
	userDNS         // rows of DNS in the low half; what its first bytes say in the high, see identify
)

// session is what the rows of a flow need to know.
type session struct {
	named bool
	row   schema.Session
	// rowsBefore is the number of HTTP exchanges that the flow gave before its
	// present parser: an upgrade goes on counting.
	rowsBefore int
}

// NewCollector returns a Collector with an empty Output.
func NewCollector(cfg Config) *Collector {
	c := &Collector{
		Out:       NewOutput(cfg),
		cfg:       cfg,
		certs:     new(schema.CertCache),
		sightings: make(map[string]schema.Certificate),
	}
	c.own = cfg.own()
	hooks := parsers.Hooks{FlowStarted: c.started, FlowEnded: c.ended, Shape: c.keepShape, Unrecognized: look, GaveUp: cfg.GaveUp}
	if c.cfg.Certificates == nil {
		c.cfg.Certificates = c.noteCertificates
	}
	c.Dispatcher = parsers.NewDispatcher(hooks, c.protocols()...)
	return c
}

// session returns what the rows of f repeat. It stays as long as f's slot.
func (c *Collector) session(f *flows.Flow) *session {
	slot := int(c.Slot(f))
	for slot >= len(c.sessions) {
		c.sessions = append(c.sessions, session{})
	}
	s := &c.sessions[slot]
	if !s.named || s.row.Turned != f.Turned() || s.row.FlowID != f.ID() { // slots are used again
		if !s.named || s.row.FlowID != f.ID() {
			*s = session{named: true}
		}
		s.row = schema.SessionOf(f, &c.names)
	}
	return s
}

// row returns what the row that f gives now repeats. All rows of a flow and its own say the same.
func (c *Collector) row(f *flows.Flow) *schema.Session {
	f.Settle()
	return &c.session(f).row
}

func (c *Collector) started(f *flows.Flow, p *flows.Packet) {
	if p.Encap == 0 {
		return
	}
	var ref uint32
	if n := len(c.freeEncaps); n > 0 {
		ref = c.freeEncaps[n-1]
		c.freeEncaps = c.freeEncaps[:n-1]
	} else {
		c.encaps = append(c.encaps, nil)
		ref = uint32(len(c.encaps))
	}
	list := make([]flows.Encap, 0, 2) // it goes into the flow's row
	for i := p.Encap; i != 0; {
		e := c.Encaps[i-1]
		i = e.Inner
		e.Inner = 0
		list = append(list, e)
	}
	c.encaps[ref-1] = list
	f.Encap = ref
}

func (c *Collector) keepShape(_ *flows.Flow, s *flows.Shape) { c.shape = s.Clone() }

func (c *Collector) ended(f *flows.Flow, tcp *flows.TCP) {
	l := &c.Out.Flows
	if len(l.Rows) == cap(l.Rows) { // append would copy these large rows over and over
		l.Rows = slices.Grow(l.Rows, max(256, len(l.Rows)))
	}
	l.Rows = append(l.Rows, schema.FlowSource{})
	src := &l.Rows[len(l.Rows)-1]
	src.Flow = *f
	if tcp != nil {
		src.TCP = *tcp
	}
	if name, byPort := c.Protocol(f); name != "" && !identified(f) {
		src.App.Proto, src.App.Basis = name, schema.AppByPayload
		if byPort {
			src.App.Basis = schema.AppByPort
		}
	} else {
		src.App.Proto, src.App.Basis = appOf(f)
	}
	src.App.HTTP = uint32(f.User[userHTTP])
	src.App.TLS = uint32(f.User[userHTTP] >> 32)
	src.App.DNS = uint32(f.User[userDNS])
	src.Shape, c.shape = c.shape, nil
	src.Flow.Turn(&src.TCP, src.Shape)
	if f.Encap != 0 {
		src.Encaps = c.encaps[f.Encap-1]
		c.encaps[f.Encap-1] = nil
		c.freeEncaps = append(c.freeEncaps, f.Encap)
	}
	l.key(c.At)
}

// noteCertificates keeps the earliest sighting of each certificate.
func (c *Collector) noteCertificates(m *tls.Handshake, row *schema.Session, cache *schema.CertCache) {
	if len(m.ServerChain)+len(m.ClientChain) == 0 {
		return
	}
	c.certRows = schema.AppendCertificates(c.certRows[:0], m, row, &c.certArena, cache, schema.CertificateOptions{DER: c.cfg.DER})
	for _, r := range c.certRows {
		keepEarliest(c.sightings, r)
	}
}
