package compare_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/caplake/caplake/cmd/internal/compare"
	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/schema"
)

func p32(v int32) *int32 { return &v }
func p64(v int64) *int64 { return &v }

const second = int64(1e9)

// aFlow is a flow of TCP, and the one below it in both logs is the same.
func aFlow() schema.Flow {
	f := schema.Flow{
		FlowID: 7, TS: 1700000000*second + 123456789, EndTS: 1700000002*second + 500000999, IPVersion: 4, IPProto: 6, Proto: "tcp",
		SrcIP: "10.0.0.1", SrcPort: p32(40000), DstIP: "10.0.0.2", DstPort: p32(443), VLANID: p32(5),
		State: "SF", History: "ShADadFf", EndReason: "fin", AppProto: "tls",
	}
	f.FlowSrc.Packets, f.FlowSrc.Bytes, f.FlowSrc.PayloadBytes, f.FlowSrc.WireBytes = 10, 1400, 1000, 1580
	f.FlowDst.Packets, f.FlowDst.Bytes, f.FlowDst.PayloadBytes, f.FlowDst.WireBytes = 8, 3400, 3080, 3544
	f.FlowSrc.RetransmitBytes, f.FlowSrc.GapBytes = p64(0), p64(0)
	f.FlowDst.RetransmitBytes, f.FlowDst.GapBytes = p64(0), p64(0)
	return f
}

const (
	zeekHead = "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tconn\n#open\t2023-11-14-22-13-20\n" +
		"#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tservice\tduration\torig_bytes\tresp_bytes\tconn_state\thistory\torig_pkts\torig_ip_bytes\tresp_pkts\tresp_ip_bytes\n" +
		"#types\ttime\tstring\taddr\tport\taddr\tport\tenum\tstring\tinterval\tcount\tcount\tstring\tstring\tcount\tcount\tcount\tcount\n"
	zeekLine = "1700000000.123457\tCabc\t10.0.0.1\t40000\t10.0.0.2\t443\ttcp\tssl\t2.376544\t1000\t3080\tSF\tShADadFf\t10\t1400\t8\t3400\n"
	zeekJSON = `{"ts":1700000000.123457,"uid":"Cabc","id.orig_h":"10.0.0.1","id.orig_p":40000,"id.resp_h":"10.0.0.2","id.resp_p":443,"proto":"tcp","service":"ssl","duration":2.376544,` +
		`"orig_bytes":1000,"resp_bytes":3080,"conn_state":"SF","history":"ShADadFf","orig_pkts":10,"orig_ip_bytes":1400,"resp_pkts":8,"resp_ip_bytes":3400,"vlan":5}` + "\n"
	eveLine = `{"timestamp":"2023-11-14T23:14:20.000000+0100","flow_id":99,"event_type":"flow","vlan":[5],"src_ip":"10.0.0.1","src_port":40000,"dest_ip":"10.0.0.2","dest_port":443,"proto":"TCP","app_proto":"tls",` +
		`"flow":{"pkts_toserver":10,"pkts_toclient":8,"bytes_toserver":1580,"bytes_toclient":3544,"start":"2023-11-14T23:13:20.123456+0100","end":"2023-11-14T23:13:22.500000+0100","age":2,"state":"closed","reason":"timeout"}}` + "\n"
)

// dataset writes flows as a dataset.
func dataset(t *testing.T, rows ...schema.Flow) string {
	t.Helper()
	dir := t.TempDir()
	for i := range rows {
		r := &rows[i]
		f := flows.Flow{Src: netip.MustParseAddr(r.SrcIP).As16(), Dst: netip.MustParseAddr(r.DstIP).As16(), Proto: uint8(r.IPProto)}
		if r.IPVersion == 6 {
			f.Flags |= flows.IPv6
		}
		if r.SrcPort != nil {
			f.Flags |= flows.HasPorts
			f.SrcPort, f.DstPort = uint16(*r.SrcPort), uint16(*r.DstPort)
		}
		if r.ICMPType != nil {
			f.ICMPType, f.ICMPCode = uint8(*r.ICMPType), uint8(*r.ICMPCode)
		}
		r.CommunityID = schema.CommunityID(&f, new(schema.Arena))
	}
	if err := os.Mkdir(filepath.Join(dir, "flows"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := parquet.WriteFile(filepath.Join(dir, "flows", "part-00000.parquet"), rows); err != nil {
		t.Fatal(err)
	}
	manifest := fmt.Sprintf(`{"format":"caplake dataset","file_format":"parquet","tables":[{"name":"flows","rows":%d,"files":[{"name":"flows/part-00000.parquet"}]},{"name":"dns"}]}`, len(rows))
	write(t, filepath.Join(dir, "manifest.json"), []byte(manifest))
	return dir
}

func write(t *testing.T, path string, b []byte) string {
	t.Helper()
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func against(t *testing.T, c compare.Config, log string) *compare.Report {
	t.Helper()
	c.Logs = []string{write(t, filepath.Join(t.TempDir(), "log"), []byte(log))}
	r, err := compare.Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func classes(r *compare.Report) string {
	var s []string
	for _, f := range r.Classes {
		s = append(s, fmt.Sprint(f.Name, " ", f.Count))
	}
	return strings.Join(s, ", ")
}

// TestClasses takes the two sides of one flow apart, one difference at a time.
func TestClasses(t *testing.T) {
	set := func(change func(f *schema.Flow)) []schema.Flow {
		f := aFlow()
		change(&f)
		return []schema.Flow{f}
	}
	same := []schema.Flow{aFlow()}
	in := func(line string, oldnew ...string) string {
		for i := 0; i < len(oldnew); i += 2 {
			if !strings.Contains(line, oldnew[i]) {
				t.Fatalf("no %q in %q", oldnew[i], line)
			}
		}
		return strings.NewReplacer(oldnew...).Replace(line)
	}
	tsv := func(oldnew ...string) string { return zeekHead + in(zeekLine, oldnew...) }
	at := func(f schema.Flow, from, to int64) schema.Flow {
		f.TS, f.EndTS = f.TS+from*second, f.TS+to*second
		return f
	}
	later := func(seconds int, oldnew ...string) string { // a line of a later flow of the same tuple
		return in(zeekLine, append([]string{"1700000000", fmt.Sprint(1700000000 + seconds)}, oldnew...)...)
	}
	udp := func(f *schema.Flow) { f.IPProto, f.Proto, f.State, f.History = 17, "udp", "SF", "Dd" }
	for _, c := range []struct {
		name string
		ours []schema.Flow
		log  string
		want string
	}{
		{"Zeek's TSV", same, tsv(), ""},
		{"its JSON", same, zeekJSON, ""},
		{"its JSON with ISO times", same, in(zeekJSON, `1700000000.123457`, `"2023-11-14T22:13:20.123456Z"`), ""},
		{"Suricata", same, eveLine, ""},
		{"other events of Suricata", same, `{"event_type":"stats","stats":{}}` + "\n\n" + eveLine, ""},
		{"a log without most columns", same, "#fields\tts\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tduration\n1700000000.123457\t10.0.0.1\t40000\t10.0.0.2\t443\ttcp\t2.376544\n", ""},
		{"its own Community ID", same, in(zeekJSON, `"uid"`, `"community_id":"1:AAAAAAAAAAAAAAAAAAAAAAAAAAA=","uid"`), "community_id 1"},
		{"packets", same, tsv("\t8\t3400", "\t7\t3300"), "packets 1"},
		{"bytes", same, tsv("\t3400", "\t3300"), "bytes 1"},
		{"bytes with the link layer", same, tsv("\t3400", "\t3544"), "link_layer 1"},
		{"bytes of Suricata without it", same, in(eveLine, "3544", "3400"), "link_layer 1"},
		{"payload", same, tsv("\t3080", "\t3000"), "payload 1"},
		{"payload sent again", set(func(f *schema.Flow) { f.FlowDst.RetransmitBytes = p64(80) }), tsv("\t3080", "\t3000"), "payload_by_sequence 1"},
		{"payload not captured", set(func(f *schema.Flow) { f.FlowDst.GapBytes = p64(500) }), tsv("\t3080", "\t3580"), "payload_by_sequence 1"},
		{"wrong checksums", set(func(f *schema.Flow) { f.FlowDst.BadChecksums = 1 }), tsv("\t8\t3400", "\t7\t3300"), "checksum 1"},
		{"wrong checksums by the history", same, tsv("\t8\t3400", "\t0\t0", "ShADadFf", "ScADF"), "checksum 1"},
		{"checksums not verified", set(func(f *schema.Flow) { f.FlowSrc.BadChecksums, f.History = 3, "CSchADadFf" }), tsv(), "checksum 1"},
		{"fragments", set(func(f *schema.Flow) { udp(f); f.FlowDst.Fragments = 3 }), tsv("tcp", "udp", "ShADadFf", "Dd", "\t8\t3400", "\t10\t3440"), "fragments 1"},
		{"ends earlier", same, tsv("2.376544", "2.1"), "duration_definition 1"},
		{"ends later", same, tsv("2.376544", "2.9"), "time 1"},
		{"begins later", same, tsv("1700000000", "1700000001", "2.376544", "1.376544"), "time 1"},
		{"no duration", set(func(f *schema.Flow) { f.EndTS = f.TS }), tsv("2.376544", "-"), ""},
		{"state", same, tsv("SF", "S1"), "state 1"},
		{"history", same, tsv("ShADadFf", "ShADadtFf"), "history 1"},
		{"vlan", same, in(zeekJSON, `"vlan":5`, `"vlan":6`), "vlan 1"},
		{"service", same, tsv("ssl", "http"), "service 1"},
		{"one of several services", same, tsv("ssl", "http,ssl"), ""},
		{"service here", same, tsv("ssl", "-"), "service_only_here 1"},
		{"service there", set(func(f *schema.Flow) { f.AppProto = "" }), tsv(), "service_only_there 1"},
		{"direction", same, tsv("10.0.0.1\t40000\t10.0.0.2\t443", "10.0.0.2\t443\t10.0.0.1\t40000", "1000\t3080", "3080\t1000", "10\t1400\t8\t3400", "8\t3400\t10\t1400", "ShADadFf", "^dADaf"), "direction 1"},
		{"direction alone is that, packets are not", same, tsv("10.0.0.1\t40000\t10.0.0.2\t443", "10.0.0.2\t443\t10.0.0.1\t40000"), "packets 2, direction 1"},
		{"not there", append(set(func(f *schema.Flow) { f.SrcPort = p32(1) }), same...), tsv(), "missing_there 1"},
		{"not here", same, tsv() + in(zeekLine, "40000", "40001"), "missing_here 1"},
		{"all packets of wrong checksums", append(set(func(f *schema.Flow) { f.SrcPort, f.FlowSrc.BadChecksums, f.FlowDst.BadChecksums = p32(1), 10, 8 }), same...), tsv(), "checksum 1"},
		{"a protocol that is not logged", append(set(func(f *schema.Flow) { f.IPProto, f.SrcPort, f.DstPort = 2, nil, nil }), same...), tsv(), "protocol_not_logged 1"},
		{"before the log", append([]schema.Flow{at(aFlow(), -9, -8)}, same...), tsv(), "outside_log 1"},
		{"before the dataset", same, zeekHead + later(-9) + zeekLine, "outside_dataset 1"},
		{"at another time", append(same, at(aFlow(), 5, 6), at(set(func(f *schema.Flow) { f.SrcPort = p32(1) })[0], 8, 9)),
			zeekHead + zeekLine + later(8, "40000", "1", "2.376544", "1"), "other_time 1"},
		{"a timeout here", []schema.Flow{func() schema.Flow { f := at(aFlow(), 0, 1); f.EndReason = "idle_timeout"; return f }(), at(aFlow(), 100, 101)},
			tsv("2.376544", "101", "\t8\t3400", "\t16\t6800", "\t10\t1400", "\t20\t2800", "\t1000\t3080", "\t2000\t6160"), "timeout 1"},
		{"a reused tuple here", []schema.Flow{at(aFlow(), 0, 1), at(aFlow(), 100, 101)},
			tsv("2.376544", "101", "\t8\t3400", "\t16\t6800", "\t10\t1400", "\t20\t2800", "\t1000\t3080", "\t2000\t6160"), "split 1"},
		{"and the packets are not as many", []schema.Flow{at(aFlow(), 0, 1), at(aFlow(), 100, 101)},
			tsv("2.376544", "101", "\t8\t3400", "\t15\t6800", "\t10\t1400", "\t20\t2800", "\t1000\t3080", "\t2000\t6160"), "packets 1, split 1"},
		{"a timeout there", set(func(f *schema.Flow) {
			f.EndTS = f.TS + 60*second
			f.FlowSrc.Packets, f.FlowDst.Packets, f.FlowSrc.Bytes, f.FlowDst.Bytes, f.FlowSrc.PayloadBytes, f.FlowDst.PayloadBytes = 20, 16, 2800, 6800, 2000, 6160
		}), zeekHead + zeekLine + later(40), "timeout 1"},
		{"several of one tuple", []schema.Flow{aFlow(), at(aFlow(), 50, 51)}, zeekHead + zeekLine + later(50, "2.376544", "1"), ""},
		{"ICMP", set(func(f *schema.Flow) {
			f.IPProto, f.SrcPort, f.DstPort, f.ICMPType, f.ICMPCode, f.State, f.History, f.AppProto = 1, nil, nil, p32(8), p32(0), "OTH", "", ""
		}), tsv("tcp", "icmp", "40000", "8", "443", "0", "ssl", "-", "SF", "OTH", "ShADadFf", "-"), ""},
		{"ICMP of Suricata", set(func(f *schema.Flow) {
			f.IPProto, f.SrcPort, f.DstPort, f.ICMPType, f.ICMPCode = 1, nil, nil, p32(8), p32(0)
		}), in(eveLine, `"src_port":40000`, `"icmp_type":8`, `"dest_port":443`, `"icmp_code":0`, `"TCP"`, `"ICMP"`), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := dataset(t, c.ours...)
			r := against(t, compare.Config{Dataset: d}, c.log)
			if got := classes(r); got != c.want {
				for _, f := range r.Classes {
					t.Logf("%s: %+v", f.Name, f.Example)
				}
				t.Errorf("%q, want %q", got, c.want)
			}
			if r.Pairs != r.Equal+r.Explained+r.Open {
				t.Errorf("%d pairs: %d equal, %d explained, %d open", r.Pairs, r.Equal, r.Explained, r.Open)
			}
			// However little is held at a time, the same is found.
			if again := against(t, compare.Config{Dataset: d, Held: 1}, c.log); classes(again) != c.want || again.Pairs != r.Pairs {
				t.Errorf("in parts: %q, want %q", classes(again), c.want)
			}
		})
	}
}

// TestExample looks at what is said of a difference.
func TestExample(t *testing.T) {
	other := aFlow()
	other.TS, other.EndTS, other.FlowID, other.SrcPort = other.TS+second, other.EndTS+second, 8, p32(40001)
	r := against(t, compare.Config{Dataset: dataset(t, other, aFlow())}, zeekHead+
		strings.NewReplacer("Cabc", "Cdef", "1700000000", "1700000001", "40000", "40001", "\t8\t3400", "\t6\t3400").Replace(zeekLine)+
		strings.Replace(zeekLine, "\t8\t3400", "\t7\t3300", 1))
	if len(r.Classes) != 1 || r.Classes[0].Count != 2 || r.OpenDifferences() != 2 || r.Open != 2 {
		t.Fatalf("%+v", r)
	}
	e := r.Classes[0].Example
	got := fmt.Sprint(e.FlowIDs, e.LogIDs, e.Proto, e.Src, e.Dst, e.TS, e.What)
	if want := "[7] [Cabc]610.0.0.1:4000010.0.0.2:4431700000000123456789dst_packets 8, there 7"; strings.ReplaceAll(got, " ", "") != strings.ReplaceAll(want, " ", "") {
		t.Error(got)
	}
}

func TestCompressed(t *testing.T) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write([]byte(zeekHead + zeekLine))
	z.Close()
	if r := against(t, compare.Config{Dataset: dataset(t, aFlow())}, b.String()); r.Equal != 1 {
		t.Errorf("%+v", r)
	}
}

func TestErrors(t *testing.T) {
	good := dataset(t, aFlow())
	log := func(s string) string { return write(t, filepath.Join(t.TempDir(), "x.log"), []byte(s)) }
	arrow := t.TempDir()
	write(t, filepath.Join(arrow, "manifest.json"), []byte(`{"file_format":"arrow"}`))
	for _, c := range []struct{ dataset, log, want string }{
		{good, "nosuch", "nosuch: no such file or directory"},
		{t.TempDir(), log(zeekLine), "no dataset: it has no manifest.json"},
		{arrow, log(zeekLine), "only those of Parquet are read"},
		{good, log(""), "neither a log of Zeek (TSV or JSON) that is compared nor an eve.json of Suricata"},
		{good, log("hello\n"), "line 1: neither JSON nor a log of Zeek with its head (#fields)"},
		{good, log(zeekHead + strings.Replace(zeekLine, "1700000000.1", "x", 1)), `line 9: time "x23457"`},
		{good, log(zeekHead + strings.Replace(zeekLine, "10.0.0.2", "10.0.2", 1)), `line 9: ParseAddr("10.0.2")`},
		{good, log("#path\tssh\n"), "line 1: a ssh.log of Zeek; compared are conn, http, ssl, dns and quic"},
		{good, log("#fields\tts\n"), "line 1: the log has no field id.orig_h"},
		{good, log("{\"event_type\":\"flow\"\n"), "line 1: unexpected end of JSON input"},
		{good, log(strings.Repeat("x", 17<<20)), "a line is longer than"},
	} {
		_, err := compare.Run(t.Context(), compare.Config{Dataset: c.dataset, Logs: []string{c.log}})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
}

// FuzzLog reads any bytes as a log.
func FuzzLog(f *testing.F) {
	f.Add([]byte(zeekHead + zeekLine))
	f.Add([]byte(zeekJSON))
	f.Add([]byte(eveLine))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := compare.Run(t.Context(), compare.Config{Dataset: dataset(t, aFlow()), Logs: []string{write(t, filepath.Join(t.TempDir(), "log"), b)}})
		if (r == nil) != (err != nil) {
			t.Errorf("%v, %v", r, err)
		}
	})
}
