package ssh_test

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/ingest"
	"github.com/caplake/caplake/parsers"
	"github.com/caplake/caplake/parsers/ssh"
)

// TestCorpus compares what is read of a corpus's captures with what tshark
// 4.0.17 reads, in testdata/tshark.tsv: for each capture, in sorted order, the
// identifications, fingerprints and host key types.
func TestCorpus(t *testing.T) {
	corpus := os.Getenv("CAPLAKE_CORPUS")
	if corpus == "" {
		t.Skip("CAPLAKE_CORPUS is not set")
	}
	file, err := os.Open("testdata/tshark.tsv")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	want := map[string][]string{}
	for s := bufio.NewScanner(file); s.Scan(); {
		name, fact, _ := strings.Cut(s.Text(), "\t")
		want[name] = append(want[name], fact)
	}
	if len(want) == 0 {
		t.Fatal("nothing to compare with")
	}
	for name, facts := range want {
		var got []string
		for ev, err := range parsers.Messages(ingest.Packets(filepath.Join(corpus, "captures", name)), parsers.Config{}, ssh.Protocol()) {
			if err != nil {
				t.Log(name, err)
				break
			}
			m := ev.Message
			for i, p := range []*ssh.Peer{&m.Client, &m.Server} {
				if p.Identification != nil {
					got = append(got, "id "+string(p.Identification))
				}
				if p.KEX {
					label := i
					if m.ClientSide != flows.Initiator {
						label = 1 - i // tshark tells the roles by the ports
					}
					got = append(got, fmt.Sprintf("%s %s", []string{"hassh", "hasshserver"}[label], p.AppendHASSH(nil, label == 0)))
				}
			}
			if m.HostKey != nil {
				got = append(got, "key "+string(m.HostKeyType()))
			}
		}
		slices.Sort(got)
		slices.Sort(facts)
		if !slices.Equal(got, facts) {
			t.Errorf("%s:\n%s\nwant\n%s", name, strings.Join(got, "\n"), strings.Join(facts, "\n"))
		}
	}
}
