package conformance

import (
	"slices"
	"strings"
)

// LogTable returns the table that has the rows of a log's events: of program
// "zeek", by the name of the log (http, ssl, dns, quic), of "suricata" by the
// event_type. It is empty where the events are not compared.
func LogTable(program, event string) string {
	switch program {
	case "zeek":
		for _, k := range zeekKinds {
			if k.kind == event && event != "conn" && event != "x509" { // which are not of one flow's messages
				return k.table
			}
		}
	case "suricata":
		for _, f := range eveFields {
			if f.event == event {
				return f.table
			}
		}
	}
	return ""
}

// LogColumns returns the columns of a table that MatchLog may look at.
func LogColumns(table string) []string {
	return strings.Fields(map[string]string{
		"http": `flow_id ts src_ip src_port dst_ip dst_port client_side outcome trans_depth stream_id method target host version response_version status reason informational
			user_agent referer origin username response_content_type location content_encoding request_body_bytes response_body_bytes first_packet last_packet`,
		"tls": `flow_id ts src_ip src_port dst_ip dst_port client_side transport established resumed version client_version cipher sni alpn alpn_offered selected_group client_alert
			server_alert ja3 ja3s ja4 ja3_string ja3s_string cert_fingerprints client_cert_fingerprints subject issuer serial not_before not_after san_dns sni_matches_cert
			quic_version dcid scid server_scid first_packet last_packet`,
		"dns": `flow_id ts src_ip src_port dst_ip dst_port transport service querier query_ts response_ts rtt_ns query_retransmits id opcode qname qtype qclass rcode aa tc rd ra ad
			cd z answers.name answers.type answers.ttl answers.data authorities.name authorities.type authorities.ttl authorities.data first_packet last_packet`,
		"certificates": "fingerprint_sha256 fingerprint_sha1",
	}[table])
}

// MatchLog pairs events of a log with the rows of d. An event is its fields by
// name, as dotted paths, with the text of JSONText; "ts" is its time in decimal seconds.
func MatchLog(program, event string, events []map[string]string, d *Dataset, accept func(*Evidence) string) (Tally, []Difference, error) {
	table := LogTable(program, event)
	t, err := d.Table(table)
	if table == "" || err != nil {
		return Tally{}, nil, err
	}
	set := eveRecords(event, events, d, t)
	if program == "zeek" {
		l := &zeekLog{kind: event}
		for _, e := range events {
			l.rows = append(l.rows, e)
		}
		for _, k := range zeekKinds {
			if k.kind == event {
				set = k.records(l, t)
			}
		}
	}
	id := slices.IndexFunc(set.kind.Main, func(name string) bool { return name == "trans_id" || strings.HasSuffix(name, ".id") })
	for _, rs := range [][]Record{set.truth, set.ours} {
		for i := range rs {
			r := &rs[i]
			if ts := r.Raw["ts"]; ts != "" {
				r.Time = nanoseconds(ts)
			}
			r.Time -= r.Time % 1000 // logs have microseconds
			if id >= 0 {
				r.Group += " " + r.Main[id] // many queries may have one pair of endpoints
			}
		}
	}
	tally, diffs := Match(set.kind, set.truth, set.ours, func(e *Evidence) string {
		e.View = d
		return accept(e)
	})
	return tally, diffs, nil
}

// eveRecords lays events of eve.json beside our rows.
func eveRecords(event string, events []map[string]string, d *Dataset, t *Table) recordSet {
	var set recordSet
	for _, f := range eveFields {
		if f.event != event {
			continue
		}
		kind := &Kind{Name: event, Main: strings.Fields(f.key), More: strings.Fields(f.more), Same: func(_, t, o string, _, _ *Record) bool {
			return o == Unknown || canonicalText(t) == canonicalText(o)
		}}
		set.kind = kind
		for _, row := range events {
			text := func(fields []string) []string {
				vs := make([]string, len(fields))
				for i, field := range fields {
					v, there := row[field]
					if !there { // since version 3 of the events of dns
						v, there = row[strings.Replace(field, ".rr", ".queries[0].rr", 1)]
					}
					ok := false
					if vs[i], ok = eveWant(event, field, v); !there || !ok {
						vs[i] = Unknown
					}
				}
				return vs
			}
			set.truth = append(set.truth, Record{
				Group: pairOf(row["src_ip"], row["src_port"], row["dest_ip"], row["dest_port"]), Raw: row, Main: text(kind.Main), More: text(kind.More),
				Label: event + " " + endpoint{row["src_ip"], row["src_port"]}.String() + " > " + endpoint{row["dest_ip"], row["dest_port"]}.String(),
			})
		}
		for _, e := range eveEvents(d, t, event) {
			text := func(fields []string) []string {
				vs := make([]string, len(fields))
				for i, field := range fields {
					vs[i], _ = e.value(field)
				}
				return vs
			}
			ts, times := "ts", int64(1)
			if e.part != "" {
				ts = e.part + "_ts"
			}
			if e.part == "query" {
				times += t.Int(e.row, "query_retransmits")
			}
			r := Record{Group: ourPair(t, e.row), Row: e.row, Time: t.Int(e.row, ts), Main: text(kind.Main), More: text(kind.More), Label: ourLabel(t, e.row, event)}
			for range times {
				set.ours = append(set.ours, r)
			}
		}
	}
	return set
}
