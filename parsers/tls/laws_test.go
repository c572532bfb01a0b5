package tls

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/parsers"
	"github.com/caplake/caplake/parsers/parsertest"
)

func TestLaws(t *testing.T) {
	all := sessions(t)
	laws := parsertest.Session[Handshake]{
		New: func() parsers.SessionParser[Handshake] { return new(Parser) },
		Text: func(m *Handshake) string {
			return fmt.Sprint(describe(m), m.First, m.Last, m.Done, m.ServerChainAt, m.ClientChainAt)
		},
		MaxHeld: 512 << 10,
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		script := parsertest.Script{Name: name, Messages: 1}
		for _, c := range all[name] {
			script.Calls = append(script.Calls, parsertest.Feed(c.side, c.data))
		}
		laws.Scripts = append(laws.Scripts, script)
		if name == "1.2" {
			for side := range flows.Side(2) {
				ended := parsertest.Script{Name: "ended by " + side.String(), Messages: 1}
				ended.Calls = append(append(ended.Calls, script.Calls[:3]...), parsertest.Gap(side, 5), parsertest.Fin(side), parsertest.Rst(side.Other()))
				laws.Scripts = append(laws.Scripts, ended)
			}
		}
	}
	// A long chain, in records of 16 KiB.
	long := bytes.Repeat([]byte("\x00\x20\x00"+strings.Repeat("c", 8192)), 5)
	message := append([]byte{11, 0, byte((len(long) + 3) >> 8), byte(len(long) + 3), 0, byte(len(long) >> 8), byte(len(long))}, long...)
	var records []byte
	for part := range slices.Chunk(message, 1<<14) {
		records = append(append(records, 22, 3, 3, byte(len(part)>>8), byte(len(part))), part...)
	}
	laws.Scripts = append(laws.Scripts, parsertest.Script{Name: "a long chain", Messages: 1, Calls: []parsertest.Call{
		parsertest.Feed(flows.Initiator, hello), parsertest.Feed(flows.Responder, records),
	}})
	// A ClientHello, and then a record of what nobody reads.
	laws.Quiet = []parsertest.Call{
		parsertest.Feed(flows.Initiator, hello),
		parsertest.Feed(flows.Responder, unhex("16 0303 4000 0c0fffff")),
	}
	laws.Again = parsertest.Feed(flows.Responder, "\x16\x03\x03\x00\x04abcd")
	laws.Test(t)
}
