package conformance

import "slices"

// tshark is the peer whose answers are the truth: a row of each table for each
// stream or message of each capture.
type tshark struct {
	disputed map[string][]string // captures to tables in which others contradict it
}

func (tshark) tables() []string { return []string{"flows", "http", "tls", "dns"} }

// views has one conversion: without timeouts, which tshark does not know.
func (p tshark) views(c *Capture) []view {
	return []view{{Options{NoTimeouts: true}, func(d *Dataset) ([]recordSet, error) {
		var all []recordSet
		var firstErr error
		for _, table := range p.tables() {
			sets, err := p.records(c, table, d)
			if err != nil && firstErr == nil {
				firstErr = err
			}
			for i := range sets {
				sets[i].table = table
				sets[i].partial = c.Refused // what we have beyond its end says nothing
				if slices.Contains(p.disputed[c.ID()], table) {
					sets[i].name, sets[i].apart = table+" (disputed)", true
				}
			}
			all = append(all, sets...)
		}
		return all, firstErr
	}}}
}

func (tshark) records(c *Capture, table string, d *Dataset) ([]recordSet, error) {
	truth, err := c.Truth(table)
	if err != nil {
		return nil, err
	}
	t, terr := d.Table(table)
	var sets []recordSet
	switch table {
	case "flows":
		set := recordSet{kind: &flowKind}
		var carriers map[string]bool
		set.truth, carriers = truthFlows(truth)
		set.ours, err = ourFlows(t, carriers)
		sets = append(sets, set)
	case "http":
		sets, err = httpRecords(truth, t)
	case "tls":
		sets, err = tlsRecords(truth, t)
	case "dns":
		var flows []map[string]string
		if flows, err = c.Truth("flows"); err == nil {
			sets, err = dnsRecords(unquoted(truth, flows), t)
		}
	}
	if terr != nil {
		err = terr
	}
	return sets, err
}
