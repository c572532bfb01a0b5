package conformance

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/caplake/caplake/flows"
)

// ja4 is the peer whose fingerprints are in peer/ja4.tsv: those of the
// reference programs. Of their JA4S, JA4H, JA4X and JA4T we have no columns.
type ja4 struct {
	rows map[string][]map[string]string // by capture
}

func (*ja4) tables() []string { return []string{"ja4"} }

// openJA4 reads the file below dir, the folder of the peers.
func openJA4(dir string) (*ja4, error) {
	rows, err := byCapture(filepath.Join(dir, "ja4.tsv"))
	return &ja4{rows}, err
}

var ja4Kind = Kind{Name: "hello", Main: []string{"ja4", "ja4_r"}, More: []string{"sni"}}

func (p *ja4) views(c *Capture) []view {
	rows := p.rows[c.ID()]
	if rows == nil {
		return nil
	}
	return []view{{Options{NoTimeouts: true}, func(d *Dataset) ([]recordSet, error) {
		set := recordSet{table: "ja4", kind: &ja4Kind, partial: true}
		t, err := d.Table("tls")
		if err != nil {
			return nil, err
		}
		text := func(s string) string {
			if s == "" {
				return Unknown
			}
			return s
		}
		seen := map[string]bool{} // of the two reference programs one
		for _, r := range rows {
			group := pairOf(r["src"], r["sport"], r["dst"], r["dport"])
			if key := group + " " + r["stream"] + " " + r["ja4"]; r["ja4"] == "" || seen[key] {
				continue
			} else {
				seen[key] = true
			}
			set.truth = append(set.truth, Record{Group: group, Label: "stream " + r["stream"], Raw: r, Main: []string{r["ja4"], text(r["ja4_r"])}, More: []string{text(r["sni"])}})
		}
		for i := range t.Len() {
			set.ours = append(set.ours, Record{
				Group: pairOf(t.Get(i, "src_ip"), t.Get(i, "src_port"), t.Get(i, "dst_ip"), t.Get(i, "dst_port")), Label: ourLabel(t, i, "handshake"), Row: i, Time: t.Int(i, "ts"),
				Main: []string{t.Get(i, "ja4"), t.Get(i, "ja4_r")}, More: []string{t.Get(i, "sni")},
			})
		}
		return []recordSet{set}, nil
	}}}
}

// communityID is the peer whose tuples are in peer/community-id.tsv: those of
// the specification, which were made from the captures beside it.
type communityID struct {
	rows []map[string]string
}

// communitySource is the source of those captures.
const communitySource = "corelight+community-id-spec"

func (*communityID) tables() []string { return []string{"community_id"} }

// openCommunityID reads the file below dir, the folder of the peers.
func openCommunityID(dir string) (*communityID, error) {
	rows, err := optionalTSV(filepath.Join(dir, "community-id.tsv"))
	return &communityID{slices.DeleteFunc(rows, func(r map[string]string) bool { return r["variant"] != "deflt" })}, err
}

// views looks for every flow of the captures among the tuples. A tuple that a
// capture does not have says nothing of it.
func (p *communityID) views(c *Capture) []view {
	if c.Source != communitySource || p.rows == nil {
		return nil
	}
	return []view{{Options{NoTimeouts: true}, func(d *Dataset) ([]recordSet, error) {
		t, err := d.Table("flows")
		if err != nil {
			return nil, err
		}
		set := recordSet{table: "community_id", kind: &communityKind}
		listed := map[string]string{}
		for _, r := range p.rows {
			listed[strings.Join([]string{r["proto"], r["saddr"], r["sport"], r["daddr"], r["dport"]}, " ")] = r["community_id"]
		}
		for i := range t.Len() {
			sport, dport := t.Get(i, "src_port"), t.Get(i, "dst_port")
			if t.Get(i, "icmp_type") != "" { // listed by the ports that stand for type and code
				s, d, _ := flows.ICMPPorts(t.Get(i, "ip_version") == "6", uint8(t.Int(i, "icmp_type")), uint8(t.Int(i, "icmp_code")))
				sport, dport = strconv.Itoa(int(s)), strconv.Itoa(int(d))
			}
			group := strings.Join([]string{t.Get(i, "ip_proto"), t.Get(i, "src_ip"), sport, t.Get(i, "dst_ip"), dport}, " ")
			r := Record{Group: group, Label: ourLabel(t, i, "flow"), Row: i, Main: []string{t.Get(i, "community_id")}}
			set.ours = append(set.ours, r)
			if want, ok := listed[group]; ok {
				set.truth = append(set.truth, Record{Group: group, Label: group, Main: []string{want}})
			}
		}
		return []recordSet{set}, nil
	}}}
}
