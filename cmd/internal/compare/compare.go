// Package compare holds a dataset against the logs that another program made of
// the same traffic: Zeek's conn, http, ssl, dns and quic logs, or Suricata's eve.json.
//
// Flows are joined by their Community ID, which is computed from the tuple for
// both, and by time. Each difference is put into a class. Some classes are
// differences of definition, which both programs document and neither is wrong
// about; the others stay open. Nothing is repaired on the way, and a class
// never rests on a guess about the other program: what a class means is what
// was tested.
package compare

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caplake/caplake/flows"
)

// Config says what to compare.
type Config struct {
	Dataset string   // directory of a dataset in Parquet
	Logs    []string // files of the other program; plain, gzip or zstd

	// Held is how many flows may be in memory at a time, of both together;
	// default 2^20, which is some 400 MB. With more, the inputs are read several
	// times, each time for a part of the Community IDs.
	Held int
}

// Report is what a comparison found.
type Report struct {
	Logs    []Log `json:"logs"`
	Flows   int64 `json:"flows"`   // of the dataset
	Logged  int64 `json:"logged"`  // of the logs
	Skipped int64 `json:"skipped"` // lines of the logs that are not compared

	Left   []Left   `json:"left,omitempty"`   // what they are
	Events []Events `json:"events,omitempty"` // what is no flow and was compared

	Pairs     int64 `json:"pairs"` // flows of the dataset and of the logs, one to one
	Equal     int64 `json:"equal"` // pairs of which no class is
	Explained int64 `json:"explained"`
	Open      int64 `json:"open"` // pairs with a difference that is not explained

	Classes []Found `json:"classes"` // in the order of Classes, those that were met
}

// Log is a file of the other program.
type Log struct {
	Path string `json:"path"`
	Kind Kind   `json:"kind"`
}

// Found is a class that was met.
type Found struct {
	Class
	Count   int64   `json:"count"`
	Example Example `json:"example"` // the earliest
}

// Example is one difference of a class.
type Example struct {
	FlowIDs []int64  `json:"flow_ids,omitempty"`
	LogIDs  []string `json:"log_ids,omitempty"` // uid of Zeek, flow_id of Suricata
	Proto   int      `json:"ip_proto"`
	Src     string   `json:"src"`
	Dst     string   `json:"dst"`
	TS      int64    `json:"ts"`            // ns since 1970
	Row     string   `json:"row,omitempty"` // of an event: what the other fields would say
	What    string   `json:"what"`          // what is here, and what is there

	key [20]byte // breaks ties
}

// OpenDifferences returns how often a class was met that explains nothing.
func (r *Report) OpenDifferences() (n int64) {
	for i := range r.Classes {
		if !r.Classes[i].Explained {
			n += r.Classes[i].Count
		}
	}
	return n
}

// flow is one of either side. A number that a log does not have is negative.
type flow struct {
	key          [20]byte
	flowID       int64  // of the dataset
	id           string // of the log
	src, dst     netip.Addr
	sport, dport int32 // of ICMP, type and code
	proto        uint8
	vlan         int32 // -1: none, or not said
	start, end   int64

	packets, bytes, payload     [2]int64
	state, history, reason, app string

	wire, fragments, bad, again, gaps [2]int64 // of the dataset

	linkBytes bool // of a log: bytes count the link layer
	otherSeed bool // of a log: its Community ID is not that of seed 0
	mute      bool // of a log: it has no field for application protocols
	turned    bool // of a log: the sides were swapped to be those of the dataset
}

const defaultHeld = 1 << 20

// tolerance is how far two times may be apart and be the same: logs have
// microseconds, some from floating point.
const tolerance = 2000

// pause is from when on a log's cut between two flows is one of a timeout.
const pause = int64(time.Second)

// Run compares. It stops with the context's error when that is done.
func Run(ctx context.Context, c Config) (*Report, error) {
	d, err := openDataset(c.Dataset)
	if err != nil {
		return nil, err
	}
	logs := newLogReader(c.Logs)
	x := &comparison{}
	if err := x.survey(d, logs); err != nil {
		return nil, err
	}
	if c.Held <= 0 {
		c.Held = defaultHeld
	}
	parts := 1 + (x.report.Flows+x.report.Logged)/int64(c.Held)
	if x.report.Logged == 0 && len(x.events) > 0 {
		parts = 0 // of logs without flows
	}
	for part := range parts {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := x.pass(d, logs, uint32(part), uint32(parts)); err != nil {
			return nil, err
		}
	}
	if err := x.allEvents(ctx, d, logs, int64(c.Held)); err != nil {
		return nil, err
	}
	for i, p := range c.Logs {
		x.report.Logs = append(x.report.Logs, Log{p, logs.kinds[i]})
	}
	for _, class := range Classes() {
		if f := x.found[class.Name]; f != nil {
			f.Class = class
			x.report.Classes = append(x.report.Classes, *f)
		}
	}
	return &x.report, nil
}

// comparison is the state of a run.
type comparison struct {
	report Report
	found  map[string]*Found
	events map[eventKind]*Events

	// Of both sides, when they begin, and of the log, which protocols it has.
	ours, theirs span
	eventTimes   span // of the log's events that are no flows
	logged       [256]bool
}

type span struct{ first, last int64 }

func (s *span) add(f *flow, n int64) {
	if n == 0 || f.start < s.first {
		s.first = f.start
	}
	if n == 0 || f.end > s.last {
		s.last = f.end
	}
}

// survey counts, and finds what a class needs to know of the whole.
func (x *comparison) survey(d *dataset, logs *logReader) error {
	x.found = map[string]*Found{}
	x.events = map[eventKind]*Events{}
	logs.onEvent = x.countEvent
	err := logs.each(func(f *flow) {
		x.theirs.add(f, x.report.Logged)
		x.report.Logged++
		x.logged[f.proto] = true
	})
	if err != nil {
		return err
	}
	logs.onEvent = nil
	for _, what := range slices.Sorted(maps.Keys(logs.left)) {
		x.report.Left = append(x.report.Left, Left{what, logs.left[what]})
		x.report.Skipped += logs.left[what]
	}
	return d.each(func(f *flow) {
		x.ours.add(f, x.report.Flows)
		x.report.Flows++
	})
}

// group is what has one Community ID.
type group struct{ ours, theirs []*flow }

func (x *comparison) pass(d *dataset, logs *logReader, part, parts uint32) error {
	groups := map[[20]byte]*group{}
	take := func(f *flow) *group {
		k := f.key
		if (uint32(k[0])<<24|uint32(k[1])<<16|uint32(k[2])<<8|uint32(k[3]))%parts != part {
			return nil
		}
		g := groups[k]
		if g == nil {
			g = new(group)
			groups[k] = g
		}
		return g
	}
	if err := d.each(func(f *flow) {
		if g := take(f); g != nil {
			g.ours = append(g.ours, f)
		}
	}); err != nil {
		return err
	}
	if err := logs.each(func(f *flow) {
		if g := take(f); g != nil {
			g.theirs = append(g.theirs, f)
		}
	}); err != nil {
		return err
	}
	for _, g := range groups { // in any order: what is found is counts, and the earliest example
		x.group(g)
	}
	return nil
}

// group takes apart what has one Community ID: flows that were at the same
// time, of either side, belong together.
func (x *comparison) group(g *group) {
	order := func(a, b *flow) int {
		return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.end, b.end), cmp.Compare(a.flowID, b.flowID), cmp.Compare(a.id, b.id))
	}
	slices.SortFunc(g.ours, order)
	slices.SortFunc(g.theirs, order)
	i, j := 0, 0
	for i < len(g.ours) || j < len(g.theirs) {
		from, until := [2]int{i, j}, int64(0)
		for first := true; ; first = false {
			mine := i < len(g.ours) && (j >= len(g.theirs) || g.ours[i].start <= g.theirs[j].start)
			next := (*flow)(nil)
			if mine {
				next = g.ours[i]
			} else if j < len(g.theirs) {
				next = g.theirs[j]
			}
			if next == nil || !first && next.start > until+tolerance {
				break
			}
			if first || next.end > until {
				until = next.end
			}
			if mine {
				i++
			} else {
				j++
			}
		}
		x.together(g, g.ours[from[0]:i], g.theirs[from[1]:j])
	}
}

// together compares flows of one Community ID that were at the same time.
func (x *comparison) together(g *group, ours, theirs []*flow) {
	switch {
	case len(theirs) == 0:
		for _, o := range ours {
			x.missing(o, nil, len(g.theirs) > 0)
		}
	case len(ours) == 0:
		for _, t := range theirs {
			x.missing(nil, t, len(g.ours) > 0)
		}
	case sameStarts(ours, theirs):
		for i := range ours {
			x.pair(ours[i], theirs[i])
		}
	default:
		x.cut(ours, theirs)
	}
}

// sameStarts reports whether flows are the same in number and time, one by one.
// A single pair is the same flow however the times differ.
func sameStarts(ours, theirs []*flow) bool {
	if len(ours) != len(theirs) {
		return false
	}
	for i := range ours {
		if len(ours) > 1 && !near(ours[i].start, theirs[i].start) {
			return false
		}
	}
	return true
}

func near(a, b int64) bool { return a-b <= tolerance && b-a <= tolerance }

// missing counts a flow that one side alone has.
func (x *comparison) missing(o, t *flow, other bool) {
	class, what := "", ""
	switch {
	case o != nil:
		what = "packets " + sides(o.packets) + ", nothing in the log"
		switch {
		case !x.logged[o.proto]:
			class = "protocol_not_logged"
		case x.report.Logged == 0 || o.end < x.theirs.first-tolerance || o.start > x.theirs.last+tolerance:
			class = "outside_log"
		case o.bad[0]+o.bad[1] > 0 && o.bad[0]+o.bad[1] == o.packets[0]+o.packets[1]:
			class = "checksum"
		case other:
			class = "other_time"
		default:
			class = "missing_there"
		}
	default:
		what = "packets " + sides(t.packets) + ", nothing in the dataset"
		switch {
		case x.report.Flows == 0 || t.end < x.ours.first-tolerance || t.start > x.ours.last+tolerance:
			class = "outside_dataset"
		case other:
			class = "other_time"
		default:
			class = "missing_here"
		}
	}
	x.note(class, o, t, what)
}

// pair compares two flows that are the same one.
func (x *comparison) pair(o, t *flow) {
	x.report.Pairs++
	t = x.turn(o, t)
	open, differs := x.counts(o, t, nil)
	if t.turned {
		differs = true
	}
	say := func(class, format string, args ...any) {
		differs = true
		open = open || !explains(class)
		x.note(class, o, t, fmt.Sprintf(format, args...))
	}
	if t.otherSeed {
		say("community_id", "the log has another Community ID for the tuple")
	}
	// Where other packets were counted, times and states follow from that.
	same := o.packets == t.packets || t.packets[0] < 0
	if same {
		if !near(o.start, t.start) {
			say("time", "ts %d, there %d", o.start, t.start)
		}
		switch {
		case near(o.end, t.end):
		case o.proto == flows.ProtoTCP && t.end < o.end:
			say("duration_definition", "duration_ns %d, there %d", o.end-o.start, t.end-t.start)
		default:
			say("time", "end_ts %d, there %d", o.end, t.end)
		}
		if !t.turned {
			if t.state != "" && t.state != o.state {
				say("state", "state %s, there %s", o.state, t.state)
			}
			if t.history != "" && t.history != o.history {
				class := "history"
				if o.bad[0]+o.bad[1] > 0 && t.history == strings.NewReplacer("C", "", "c", "").Replace(o.history) {
					class = "checksum" // the log was made without verifying them
				}
				say(class, "history %s, there %s", o.history, t.history)
			}
		}
	}
	if t.vlan >= 0 && t.vlan != o.vlan {
		say("vlan", "vlan_id %d, there %d", o.vlan, t.vlan)
	}
	switch names := appNames(t.app); {
	case t.mute:
	case len(names) == 0 && o.app != "":
		say("service_only_here", "app_proto %s", o.app)
	case len(names) > 0 && o.app == "":
		say("service_only_there", "there %s", t.app)
	case len(names) > 0 && !slices.Contains(names, o.app):
		say("service", "app_proto %s, there %s", o.app, t.app)
	}
	switch {
	case open:
		x.report.Open++
	case differs:
		x.report.Explained++
	default:
		x.report.Equal++
	}
}

// cut compares flows that the two sides cut differently: as a whole.
func (x *comparison) cut(ours, theirs []*flow) {
	o, t := total(ours), total(theirs)
	t = x.turn(o, t)
	x.counts(o, t, [][]*flow{ours, theirs})
	finer, here := theirs, false
	if len(ours) > len(theirs) {
		finer, here = ours, true
	}
	if len(ours) == len(theirs) { // as many, but not the same
		x.noteAll("split", ours, theirs, fmt.Sprintf("%d flows here and there, which begin at other times", len(ours)))
		return
	}
	for i := range len(finer) - 1 {
		last, next := finer[i], finer[i+1]
		class := "split"
		switch {
		case here && (last.reason == "idle_timeout" || last.reason == "active_timeout"):
			class = "timeout"
		case !here && (last.reason == "timeout" || next.start-last.end >= pause):
			class = "timeout"
		}
		x.noteAll(class, ours, theirs, fmt.Sprintf("%d flows here, %d there; %s", len(ours), len(theirs), whyCut(here, last, next)))
	}
}

func whyCut(here bool, last, next *flow) string {
	after := time.Duration(next.start - last.end).String()
	if here {
		return "the one here ended by " + last.reason + ", the next began " + after + " later"
	}
	if last.reason != "" {
		return "the one there ended by " + last.reason + ", the next began " + after + " later"
	}
	return "the next there began " + after + " after the last"
}

// total adds up flows.
func total(list []*flow) *flow {
	t := *list[0]
	for _, f := range list[1:] {
		for s := range 2 {
			for _, v := range []struct{ to, from *int64 }{
				{&t.packets[s], &f.packets[s]}, {&t.bytes[s], &f.bytes[s]}, {&t.payload[s], &f.payload[s]}, {&t.wire[s], &f.wire[s]},
				{&t.fragments[s], &f.fragments[s]}, {&t.bad[s], &f.bad[s]}, {&t.again[s], &f.again[s]}, {&t.gaps[s], &f.gaps[s]},
			} {
				if *v.from < 0 || *v.to < 0 {
					*v.to = -1
				} else {
					*v.to += *v.from
				}
			}
		}
		t.history += f.history
		t.end = max(t.end, f.end)
	}
	return &t
}

// turn returns t with the sides that o has.
func (x *comparison) turn(o, t *flow) *flow {
	straight := o.src == t.src && (o.sport == t.sport || isICMP(o.proto))
	if straight || o.src != t.dst {
		return t
	}
	x.note("direction", o, t, fmt.Sprintf("initiator %s, there %s", end(o.src, o.sport), end(t.src, t.sport)))
	u := *t
	u.turned = true
	for _, v := range []*[2]int64{&u.packets, &u.bytes, &u.payload} {
		v[0], v[1] = v[1], v[0]
	}
	return &u
}

func isICMP(proto uint8) bool { return proto == flows.ProtoICMP || proto == flows.ProtoICMPv6 }

// counts compares packets and bytes. cut are the flows that o and t are the
// sums of, nil where they are flows themselves.
func (x *comparison) counts(o, t *flow, cut [][]*flow) (open, differs bool) {
	say := func(class, what string, side int, a, b int64) {
		differs = true
		open = open || !explains(class)
		text := fmt.Sprintf("%s_%s %d, there %d", [...]string{"src", "dst"}[side], what, a, b)
		if cut != nil {
			x.noteAll(class, cut[0], cut[1], text+", all flows together")
			return
		}
		x.note(class, o, t, text)
	}
	for s := range 2 {
		if a, b := o.packets[s], t.packets[s]; b >= 0 && a != b {
			class := "packets"
			switch {
			case b < a && (a-b == o.bad[s] || strings.Contains(t.history, t.letter(s, 'c'))):
				class = "checksum"
			case b > a && o.fragments[s] > 0 && b-a < o.fragments[s]:
				class = "fragments"
			}
			say(class, "packets", s, a, b)
			continue // bytes follow from packets
		}
		if b := t.bytes[s]; b >= 0 {
			name, a, other := "bytes", o.bytes[s], o.wire[s]
			if t.linkBytes {
				name, a, other = "wire_bytes", other, a
			}
			switch {
			case a == b:
			case b >= min(a, other) && b <= max(a, other):
				say("link_layer", name, s, a, b)
			case o.fragments[s] > 0:
				say("fragments", name, s, a, b)
			default:
				say("bytes", name, s, a, b)
			}
		}
		if a, b := o.payload[s], t.payload[s]; b >= 0 && a != b {
			class := "payload"
			if o.proto == flows.ProtoTCP && (b == a-o.again[s] || b == a-o.again[s]+o.gaps[s] || b == a+o.gaps[s]) {
				class = "payload_by_sequence"
			}
			say(class, "payload_bytes", s, a, b)
		}
	}
	return open, differs
}

// letter returns a letter of a log's history, as the side o of the dataset's flow sent it.
func (f *flow) letter(s int, lower byte) string {
	if (s == 0) != f.turned {
		lower -= 'a' - 'A'
	}
	return string(lower)
}

func (x *comparison) note(class string, o, t *flow, what string) {
	var ours, theirs []*flow
	if o != nil {
		ours = []*flow{o}
	}
	if t != nil {
		theirs = []*flow{t}
	}
	x.noteAll(class, ours, theirs, what)
}

// most is how many identifiers an example names.
const most = 4

func (x *comparison) noteAll(class string, ours, theirs []*flow, what string) {
	f := x.found[class]
	if f == nil {
		f = new(Found)
		x.found[class] = f
	}
	f.Count++
	from := append(slices.Clone(ours), theirs...)[0]
	e := Example{TS: from.start, key: from.key, What: what}
	if f.Count > 1 && cmp.Or(cmp.Compare(e.TS, f.Example.TS), slices.Compare(e.key[:], f.Example.key[:]), cmp.Compare(e.What, f.Example.What)) >= 0 {
		return
	}
	e.Proto, e.Src, e.Dst = int(from.proto), end(from.src, from.sport), end(from.dst, from.dport)
	if isICMP(from.proto) {
		e.Src, e.Dst = from.src.String(), from.dst.String()
	}
	for _, o := range ours[:min(len(ours), most)] {
		e.FlowIDs = append(e.FlowIDs, o.flowID)
	}
	for _, t := range theirs[:min(len(theirs), most)] {
		e.LogIDs = append(e.LogIDs, t.id)
	}
	f.Example = e
}

func end(a netip.Addr, port int32) string {
	if a.Is6() {
		return "[" + a.String() + "]:" + strconv.Itoa(int(port))
	}
	return a.String() + ":" + strconv.Itoa(int(port))
}

func sides(n [2]int64) string { return fmt.Sprintf("%d and %d", n[0], n[1]) }
