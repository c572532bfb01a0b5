package compare_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caplake/caplake/cmd/internal/compare"
	"github.com/caplake/caplake/cmd/internal/conformance"
)

type object = map[string]any

// eveOf writes the rows of a dataset as Suricata writes what they are of.
func eveOf(t *testing.T, dir string) (events []object) {
	t.Helper()
	for _, name := range []string{"http", "tls", "dns"} {
		tab, err := conformance.ReadTable(dir, name)
		if err != nil {
			t.Fatal(err)
		}
		for i := range tab.Len() {
			get := func(c string) string { return tab.Get(i, c) }
			e := object{
				"event_type": name, "src_ip": get("src_ip"), "src_port": tab.Int(i, "src_port"), "dest_ip": get("dst_ip"), "dest_port": tab.Int(i, "dst_port"), "proto": "TCP",
				"timestamp": time.Unix(0, tab.Int(i, "ts")).UTC().Format("2006-01-02T15:04:05.000000+0000"),
			}
			switch name {
			case "http":
				e["http"] = object{"hostname": get("host"), "url": get("target"), "http_method": get("method"), "status": tab.Int(i, "status"), "protocol": "HTTP/" + get("version")}
			case "tls":
				m := object{"sni": get("sni"), "version": strings.NewReplacer("TLSv1.0", "TLSv1", "TLSv", "TLS ").Replace(cmp.Or(get("version"), get("client_version"))), "ja3": object{"hash": get("ja3"), "string": "x"}, "ja4": get("ja4")}
				if get("serial") == "1001" {
					m["subject"], m["serial"] = "O=caplake test, CN=www.example.test", "10:01"
				}
				e["tls"] = m
			case "dns":
				q := []any{object{"rrname": get("qname"), "rrtype": get("qtype")}}
				e["proto"], e["dns"] = "UDP", object{"version": 3, "type": "request", "id": tab.Int(i, "id"), "queries": q}
				events = append(events, e)
				if get("response_ts") == "" {
					continue
				}
				r := object{}
				for k, v := range e {
					r[k] = v
				}
				r["src_ip"], r["src_port"], r["dest_ip"], r["dest_port"] = e["dest_ip"], e["dest_port"], e["src_ip"], e["src_port"]
				r["dns"] = object{"version": 3, "type": "response", "id": tab.Int(i, "id"), "rcode": get("rcode"), "queries": q}
				e = r
			}
			events = append(events, e)
		}
	}
	return events
}

// lines writes a log of JSON.
func lines(t *testing.T, events []object) string {
	t.Helper()
	var s strings.Builder
	for _, e := range events {
		b, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		s.Write(append(b, '\n'))
	}
	return s.String()
}

func eventText(r *compare.Report) string {
	var s []string
	for _, e := range r.Events {
		s = append(s, fmt.Sprint(e.Log, " ", e.Logged, " ", e.Pairs, " ", e.Equal, " ", e.Open, " ", e.Fields))
	}
	return strings.Join(s, ", ")
}

// TestEvents compares events of HTTP, TLS and DNS with the rows of real
// captures, one difference at a time.
func TestEvents(t *testing.T) {
	const captures = "../../../testdata/captures/"
	d := ""
	{
		all := t.TempDir()
		for _, c := range []string{"http-keepalive.pcap", "tls12.pcap", "dns-udp.pcap"} {
			b, err := os.ReadFile(captures + c)
			if err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(all, c), b)
		}
		d = convert(t, all)
	}
	good := eveOf(t, d)
	first := func(name string) int {
		return slices.IndexFunc(good, func(e object) bool { return e["event_type"] == name })
	}
	n := map[string]int{}
	for _, e := range good {
		n[e["event_type"].(string)]++
	}
	text := func(change string, missing, open int) string { // of the three kinds, one changed
		var s []string
		for _, k := range []string{"dns", "http", "tls"} {
			logged, pairs, o, fields := n[k], n[k], 0, "map[]"
			if kind, field, ok := strings.Cut(change, " "); ok && kind == k {
				logged, pairs, o, fields = logged-missing, pairs-missing, open, "map["+field+"]"
			}
			s = append(s, fmt.Sprint("suricata ", k, " ", logged, " ", pairs, " ", pairs-o, " ", o, " ", fields))
		}
		return strings.Join(s, ", ")
	}
	for _, c := range []struct {
		name    string
		change  func(es []object) []object
		classes string
		events  string
		left    int64
	}{
		{"the same", func(es []object) []object { return es }, "", text("", 0, 0), 0},
		{"another status", func(es []object) []object { es[first("http")]["http"].(object)["status"] = 599; return es }, "event_differs 1", text("http http.status:1", 0, 1), 0},
		{"another name", func(es []object) []object { es[first("tls")]["tls"].(object)["sni"] = "b"; return es }, "event_differs 1", text("tls tls.sni:1", 0, 1), 0},
		{"another subject", func(es []object) []object { es[first("tls")]["tls"].(object)["subject"] = "CN=b"; return es }, "event_differs 1", text("tls tls.subject:1", 0, 1), 0},
		{"another rcode", func(es []object) []object { es[first("dns")+1]["dns"].(object)["rcode"] = "REFUSED"; return es }, "event_differs 1", text("dns dns.rcode:1", 0, 1), 0},
		{"one less", func(es []object) []object { return slices.Delete(es, first("http")+1, first("http")+2) }, "event_missing_there 1", text("http ", 1, 0), 0},
		{"one more", func(es []object) []object {
			e := object{}
			for k, v := range es[first("dns")] {
				e[k] = v
			}
			e["src_port"] = 9
			return append(es, e)
		}, "event_missing_here 1", strings.Replace(text("", 0, 0), fmt.Sprintf("dns %d", n["dns"]), fmt.Sprintf("dns %d", n["dns"]+1), 1), 0},
		{"before the capture", func(es []object) []object {
			return append(es, object{"event_type": "http", "timestamp": "2001-01-01T00:00:00.0+0000", "src_ip": "::1", "src_port": 1, "dest_ip": "::2", "dest_port": 2, "http": object{}})
		}, "outside_dataset 1", strings.Replace(text("", 0, 0), fmt.Sprintf("http %d", n["http"]), fmt.Sprintf("http %d", n["http"]+1), 1), 0},
		{"what is not compared", func(es []object) []object {
			return append(es, object{"event_type": "stats"}, object{"event_type": "fileinfo"}, object{"event_type": "stats"})
		}, "", text("", 0, 0), 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			log := lines(t, c.change(eveOf(t, d)))
			r := against(t, compare.Config{Dataset: d}, log)
			if classes(r) != c.classes || eventText(r) != c.events || r.Skipped != c.left {
				t.Errorf("%s\n%s; %d left\nwant %s\n%s", classes(r), eventText(r), r.Skipped, c.classes, c.events)
			}
			// However many passes it takes.
			if c.name != "another status" {
				return
			}
			if small := against(t, compare.Config{Dataset: d, Held: 300}, log); !reflect.DeepEqual(small.Events, r.Events) || !reflect.DeepEqual(small.Classes, r.Classes) {
				t.Errorf("in parts: %+v %+v, want %+v %+v", small.Events, small.Classes, r.Events, r.Classes)
			}
		})
	}
}

// TestZeekEvents reads logs of Zeek in both of its formats.
func TestZeekEvents(t *testing.T) {
	d := convert(t, "../../../testdata/captures/http-keepalive.pcap")
	tab, err := conformance.ReadTable(d, "http")
	if err != nil {
		t.Fatal(err)
	}
	tsv := "#separator \\x09\n#unset_field\t-\n#path\thttp\n#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\ttrans_depth\tmethod\thost\turi\tstatus_code\n"
	var asJSON []object
	for i := range tab.Len() {
		ts := float64(tab.Int(i, "ts")/1000) / 1e6
		status := tab.Get(i, "status")
		if i == 0 {
			status = "599"
		}
		tsv += fmt.Sprintf("%.6f\tC\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", ts, tab.Get(i, "src_ip"), tab.Get(i, "src_port"), tab.Get(i, "dst_ip"), tab.Get(i, "dst_port"),
			tab.Get(i, "trans_depth"), tab.Get(i, "method"), tab.Get(i, "host"), tab.Get(i, "target"), status)
		asJSON = append(asJSON, object{"ts": ts, "uid": "C", "id.orig_h": tab.Get(i, "src_ip"), "id.orig_p": tab.Int(i, "src_port"), "id.resp_h": tab.Get(i, "dst_ip"),
			"id.resp_p": tab.Int(i, "dst_port"), "trans_depth": tab.Int(i, "trans_depth"), "method": tab.Get(i, "method"), "host": tab.Get(i, "host"), "uri": tab.Get(i, "target"),
			"status_code": json.Number(status)})
	}
	n := tab.Len()
	for _, log := range []string{tsv, lines(t, asJSON)} {
		r := against(t, compare.Config{Dataset: d}, log)
		want := fmt.Sprint("zeek http ", n, " ", n, " ", n-1, " 1 map[status_code:1]")
		if classes(r) != "event_differs 1" || eventText(r) != want || r.Logs[0].Kind != "zeek http.log" {
			t.Errorf("%s; %s, want %s; %v", classes(r), eventText(r), want, r.Logs)
		}
	}
}
