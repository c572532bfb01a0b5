package compare

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/parquet-go/parquet-go"
)

// row has the columns of the table flows that a comparison needs.
type row struct {
	FlowID        int64  `parquet:"flow_id"`
	TS            int64  `parquet:"ts,timestamp(nanosecond:local)"`
	EndTS         int64  `parquet:"end_ts,timestamp(nanosecond:local)"`
	CommunityID   string `parquet:"community_id"`
	IPProto       int32  `parquet:"ip_proto"`
	SrcIP         string `parquet:"src_ip"`
	SrcPort       *int32 `parquet:"src_port,optional"`
	DstIP         string `parquet:"dst_ip"`
	DstPort       *int32 `parquet:"dst_port,optional"`
	ICMPType      *int32 `parquet:"icmp_type,optional"`
	ICMPCode      *int32 `parquet:"icmp_code,optional"`
	VLANID        *int32 `parquet:"vlan_id,optional"`
	State         string `parquet:"state,optional"`
	History       string `parquet:"history,optional"`
	EndReason     string `parquet:"end_reason,optional"`
	AppProto      string `parquet:"app_proto,optional"`
	SrcPackets    int64  `parquet:"src_packets"`
	DstPackets    int64  `parquet:"dst_packets"`
	SrcBytes      int64  `parquet:"src_bytes"`
	DstBytes      int64  `parquet:"dst_bytes"`
	SrcPayload    int64  `parquet:"src_payload_bytes"`
	DstPayload    int64  `parquet:"dst_payload_bytes"`
	SrcWire       int64  `parquet:"src_wire_bytes"`
	DstWire       int64  `parquet:"dst_wire_bytes"`
	SrcFragments  int64  `parquet:"src_fragments"`
	DstFragments  int64  `parquet:"dst_fragments"`
	SrcBad        int64  `parquet:"src_bad_checksums"`
	DstBad        int64  `parquet:"dst_bad_checksums"`
	SrcRetransmit *int64 `parquet:"src_retransmitted_bytes,optional"`
	DstRetransmit *int64 `parquet:"dst_retransmitted_bytes,optional"`
	SrcGap        *int64 `parquet:"src_gap_bytes,optional"`
	DstGap        *int64 `parquet:"dst_gap_bytes,optional"`
}

// dataset reads the flows of a dataset.
type dataset struct {
	files []string // of the table flows
	rows  int64
	words map[string]string

	others map[string]otherTable // by name
}

// otherTable is a table of which events are rows.
type otherTable struct {
	files []string
	rows  int64
}

func openDataset(dir string) (*dataset, error) {
	b, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s: no dataset: it has no manifest.json", dir)
	} else if err != nil {
		return nil, err
	}
	var m struct {
		FileFormat string `json:"file_format"`
		Tables     []struct {
			Name  string
			Rows  int64
			Files []struct{ Name string }
		}
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, fmt.Errorf("%s: manifest.json: %w", dir, err)
	}
	if m.FileFormat != "parquet" {
		return nil, fmt.Errorf("%s: the files are in the format %q; only those of Parquet are read", dir, m.FileFormat)
	}
	d := &dataset{words: map[string]string{}, others: map[string]otherTable{}}
	for _, t := range m.Tables {
		other := otherTable{rows: t.Rows}
		for _, f := range t.Files {
			if !filepath.IsLocal(filepath.FromSlash(f.Name)) {
				return nil, fmt.Errorf("%s: manifest.json names the file %q", dir, f.Name)
			}
			other.files = append(other.files, filepath.Join(dir, filepath.FromSlash(f.Name)))
		}
		if t.Name == "flows" {
			d.files, d.rows = other.files, other.rows
			continue
		}
		d.others[t.Name] = other
	}
	return d, nil
}

// each calls f with every flow of the dataset.
func (d *dataset) each(f func(*flow)) error {
	for _, p := range d.files {
		if err := d.file(p, f); err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
	}
	return nil
}

func (d *dataset) file(path string, f func(*flow)) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	r := parquet.NewGenericReader[row](file)
	defer r.Close()
	rows := make([]row, 1024)
	for {
		n, err := r.Read(rows)
		for i := range rows[:n] {
			fl, err := d.flow(&rows[i])
			if err != nil {
				return err
			}
			f(fl)
		}
		clear(rows[:n])
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (d *dataset) flow(r *row) (*flow, error) {
	f := &flow{
		flowID: r.FlowID, start: r.TS, end: r.EndTS, proto: uint8(r.IPProto), vlan: -1,
		state: d.word(r.State), history: r.History, reason: d.word(r.EndReason), app: d.word(r.AppProto),
		packets: [2]int64{r.SrcPackets, r.DstPackets}, bytes: [2]int64{r.SrcBytes, r.DstBytes}, payload: [2]int64{r.SrcPayload, r.DstPayload},
		wire: [2]int64{r.SrcWire, r.DstWire}, fragments: [2]int64{r.SrcFragments, r.DstFragments}, bad: [2]int64{r.SrcBad, r.DstBad},
		again: [2]int64{value(r.SrcRetransmit), value(r.DstRetransmit)}, gaps: [2]int64{value(r.SrcGap), value(r.DstGap)},
	}
	var ok bool
	if f.key, ok = keyOf(r.CommunityID); !ok {
		return nil, fmt.Errorf("community_id %q", r.CommunityID)
	}
	var err error
	if f.src, err = netip.ParseAddr(r.SrcIP); err != nil {
		return nil, err
	}
	if f.dst, err = netip.ParseAddr(r.DstIP); err != nil {
		return nil, err
	}
	f.sport, f.dport = value(r.SrcPort), value(r.DstPort)
	if r.ICMPType != nil {
		f.sport, f.dport = *r.ICMPType, value(r.ICMPCode)
	}
	if r.VLANID != nil {
		f.vlan = *r.VLANID
	}
	return f, nil
}

func (d *dataset) word(s string) string {
	if w, ok := d.words[s]; ok {
		return w
	}
	if len(d.words) < 1<<16 {
		d.words[s] = s
	}
	return s
}

func value[T int32 | int64](p *T) T {
	if p == nil {
		return 0
	}
	return *p
}
