package mutate

import (
	"fmt"
	"path"
	"slices"
)

// Named returns the relations whose names match a pattern of path.Match.
func Named(pattern string) ([]Relation, error) {
	var list []Relation
	for _, r := range Relations() {
		ok, err := path.Match(pattern, r.Name)
		if err != nil {
			return nil, fmt.Errorf("pattern %q: %w", pattern, err)
		}
		if ok {
			list = append(list, r)
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("no relation matches %q", pattern)
	}
	return list, nil
}

// Relations returns all relations.
func Relations() []Relation {
	list := containers()
	for _, w := range wraps() {
		list = append(list, w.relation())
	}
	list = append(list,
		fragments("fragments", "", func([]Packet) {}),
		fragments("fragments-reversed", ", the last first", slices.Reverse[[]Packet]),
		segments(), reorder(), duplicates(false), duplicates(true), addresses(), later(),
		cut(96, "cut-96"), cut(200, "cut-200"), interleave(), split())
	return append(list, damaged()...)
}

// messages are the tables of what flows carried.
func messages() []string { return []string{"http", "tls", "dns", "ssh"} }

func messagesAnd(more ...string) []string { return append(messages(), more...) }
