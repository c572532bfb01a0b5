package tabulate

import (
	"iter"
	"slices"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/schema"
)

// Batch is rows of every table that came about in a stretch of packets. It
// belongs to whoever got it, strings and all. The rows are those that the
// program writes, but for the table captures, which is the ledger of files.
type Batch struct {
	Flows        []schema.Flow
	HTTP         []schema.HTTP
	TLS          []schema.TLS
	Certificates []schema.Certificate // distinct; all in the last batch, at their earliest sighting
	DNS          []schema.DNS

	own []ownBatch
}

type ownBatch struct {
	table schema.Table
	rows  schema.RowList
}

// Rows returns the rows of a protocol's own table: of the shipped ones and of
// Config.Own, by its name. It is nil if there is no such table of rows R.
func Rows[R any](b *Batch, table string) []R {
	for i := range b.own {
		if b.own[i].table.Name == table {
			if r, ok := b.own[i].rows.(*schema.Rows[R]); ok {
				return r.Rows
			}
		}
	}
	return nil
}

// Tables returns every table of b with its rows: a []R, where R is the struct that the table's
// columns are of. Package writers makes Arrow record batches of them.
func (b *Batch) Tables() iter.Seq2[schema.Table, any] {
	return func(yield func(schema.Table, any) bool) {
		for _, t := range schema.Tables() {
			var rows any
			switch t.Name {
			case "flows":
				rows = b.Flows
			case "http":
				rows = b.HTTP
			case "tls":
				rows = b.TLS
			case "certificates":
				rows = b.Certificates
			case "dns":
				rows = b.DNS
			default:
				continue
			}
			if !yield(t, rows) {
				return
			}
		}
		for i := range b.own {
			if o := &b.own[i]; !yield(o.table, o.rows.Slice()) {
				return
			}
		}
	}
}

// Batches turns the packets of src into rows, of which each Batch has about
// Config.BatchRows. The end of src ends all flows, and then an error of src, if
// it had one, is given last. Breaking out of the loop frees everything.
func Batches(src flows.Source, cfg Config) iter.Seq2[*Batch, error] {
	if cfg.BatchRows <= 0 {
		cfg.BatchRows = 65536
	}
	return func(yield func(*Batch, error) bool) {
		c := NewCollector(cfg)
		d := flows.NewDriver(cfg.Flows, c)
		var keyed flows.Packet
		var failed error
		for p, err := range src {
			if err != nil {
				failed = err
				break
			}
			c.At, c.Encaps = p.Pos, p.Encaps
			packet := p.Packet
			if cfg.Key != nil {
				keyed = *packet
				packet = &keyed
				cfg.Key(packet, p.Data, p.Encaps)
			}
			d.Add(packet, p.Data)
			if c.Out.len() >= cfg.BatchRows && !yield(c.batch(), nil) {
				return
			}
		}
		d.Finish()
		last := c.batch()
		last.Certificates = Certificates(c)
		if !yield(last, nil) {
			return
		}
		if failed != nil {
			yield(nil, failed)
		}
	}
}

// All is Batches in one Batch. After an error it has what came before it.
func All(src flows.Source, cfg Config) (all *Batch, err error) {
	cfg.BatchRows = int(^uint(0) >> 1)
	for b, failed := range Batches(src, cfg) {
		if failed != nil {
			err = failed
		} else {
			all = b
		}
	}
	return all, err
}

// batch takes the rows that wait.
func (c *Collector) batch() *Batch {
	o := c.Out
	b := &Batch{HTTP: slices.Clone(o.HTTP.Rows), TLS: slices.Clone(o.TLS.Rows), DNS: slices.Clone(o.DNS.Rows)}
	b.Flows = make([]schema.Flow, len(o.Flows.Rows))
	for i := range b.Flows {
		schema.FillFlow(&b.Flows[i], &o.Flows.Rows[i], &c.arena)
	}
	for i, t := range c.own {
		b.own = append(b.own, ownBatch{t.Table(), o.Own[i].RowList})
		o.Own[i].RowList = t.NewRows()
	}
	o.Reset()
	return b
}

func (o *Output) len() int {
	n := len(o.Flows.Rows) + len(o.HTTP.Rows) + len(o.TLS.Rows) + len(o.DNS.Rows)
	for i := range o.Own {
		n += o.Own[i].Len()
	}
	return n
}
