package main

import (
	"github.com/spf13/pflag"

	"github.com/caplake/caplake/schema"
)

// spec describes a command: help, manual and completion are made from it.
type spec struct {
	name     string
	summary  string // in the list of commands
	synopsis string // what follows "caplake NAME"
	about    string // paragraphs of the help
	examples string // a command on each line
	exits    string // its exit codes; "": those of all commands
	hidden   bool   // not in the list of commands

	groups func() []group  // flags; nil: none
	args   func() []string // what arguments can be; nil: none. A nil list: files
}

// group is a section of the help.
type group struct {
	title string
	flags *pflag.FlagSet
}

// specs lists the commands, in the order of the help.
func specs() []spec {
	files := func() []string { return nil }
	return []spec{{
		name:     "convert",
		summary:  "convert captures",
		synopsis: "[flags] PATH... -o OUT",
		about: `Converts captures to a dataset: a directory with a folder per table.

PATH is a capture (pcap or pcapng, also compressed, told by its content), a
directory (searched through), a pattern in quotes, or - for standard input. All
of them together are one conversion: a flow that spans several files is one
flow.

--host, --net, --port and --proto choose packets. Each may be given more than
once, or with commas: one of its values is enough, but every flag that is given
must fit. They look at the innermost packet, within VLANs and tunnels, after
fragments were put together. An ICMP error also fits by the packet it quotes.
`,
		examples: `caplake convert traffic.pcap -o out
caplake convert --format arrow --headers captures/ -o out
caplake convert --dry-run /var/captures
caplake convert --after 2024-05-06 --before 2024-05-07 --net 10.0.0.0/8 --port 53,443 captures/ -o out
tcpdump -i eth0 -w - | caplake convert - -o out
`,
		groups: func() []group { return new(options).groups() },
		args:   files,
	}, {
		name:     "inspect",
		summary:  "say what captures are and hold",
		synopsis: "[flags] PATH...",
		about: `Reads captures to their end and says of each what it is, what is in it, what a
conversion would make of its packets, and where it is damaged. PATH is as for
convert. Nothing is written.
`,
		examples: `caplake inspect traffic.pcap
caplake inspect --json captures/ | jq '.captures[] | select(.damage)'
`,
		exits: `0    done
1    failed
2    the command line is wrong
3    done, but a capture is damaged
130  interrupted
`,
		groups: func() []group { return new(inspectOptions).groups() },
		args:   files,
	}, {
		name:     "query",
		summary:  "ask a dataset or a capture in SQL",
		synopsis: "[flags] PATH [SQL]",
		about: `Answers SQL on the tables of a dataset, or of captures, which are converted to a
temporary dataset first. Without SQL, it prompts for it on a terminal, and else
reads standard input. Besides the tables (caplake schema), there are views in
the columns of other systems: zeek_conn, eve_flow, nfstream and so on.

The SQL is DuckDB's, which a program of its own embeds: caplake-query, looked for
beside caplake and then in PATH. Nothing is written to the dataset, and nothing
comes from the network.
`,
		examples: `caplake query out "SELECT host, count(*) FROM http GROUP BY ALL ORDER BY 2 DESC"
caplake query traffic.pcap "FROM dns WHERE rcode = 'NXDOMAIN'"
caplake query out
caplake query --json out "FROM zeek_conn" | jq .
tcpdump -i eth0 -c 1000 -w - | caplake query - "FROM tls"
`,
		exits: `0    done
1    failed
2    the command line is wrong
130  interrupted
`,
		groups: func() []group { return new(queryOptions).groups() },
		args:   files,
	}, {
		name:     "compare",
		summary:  "compare with Zeek or Suricata",
		synopsis: "[flags] DATASET LOG...",
		about: `Compares a dataset with the logs that Zeek or Suricata made of the same
traffic, and puts each difference into a class.

DATASET is a directory that convert wrote, in Parquet. LOG is a conn, http,
ssl, dns or quic log of Zeek (TSV or JSON) or an eve.json of Suricata (its
events flow, http, tls, quic, dns and mdns; how many of which others it has is
said), plain or compressed by gzip or zstd, told by its content. Flows are
joined by their Community ID, which is computed where the log has none, and by
time; the rows of the tables http, tls and dns with an event of the same
endpoints that is the most like them. What is compared is whatever columns the
log has. Nothing is written.

` + classesHelp(),
		examples: `caplake compare out conn.log http.log ssl.log dns.log
caplake compare --json out eve.json.gz | jq '.classes[] | {class, count}'
`,
		exits: `0    done: what differs is explained by the rules of both
1    failed
2    the command line is wrong
3    done: there are differences that stay open
130  interrupted
`,
		groups: func() []group { return new(compareOptions).groups() },
		args:   files,
	}, {
		name:     "schema",
		summary:  "print the tables and their columns",
		synopsis: "[flags] [TABLE]",
		about:    "Prints the tables of a dataset and their columns.\n",
		examples: "caplake schema dns\ncaplake schema --json\n",
		exits:    "0    done\n2    the command line is wrong\n",
		groups:   func() []group { return new(schemaOptions).groups() },
		args: func() (names []string) {
			for _, t := range schema.Tables() {
				names = append(names, t.Name)
			}
			return names
		},
	}, {
		name: "version", summary: "print the version",
	}, {
		name: "help", summary: "print this, or a command's help", synopsis: "[COMMAND]",
		args: func() (names []string) {
			for _, s := range specs() {
				names = append(names, s.name)
			}
			return names
		},
	}, {
		name: "completion", hidden: true,
		summary:  "print a script that completes command lines",
		synopsis: "SHELL",
		about: `Prints a script that completes caplake's command lines. SHELL is bash, zsh or
fish.
`,
		examples: `source <(caplake completion bash)
caplake completion zsh > "${fpath[1]}/_caplake"
caplake completion fish > ~/.config/fish/completions/caplake.fish
`,
		exits: "0    done\n2    the command line is wrong\n",
		args:  func() []string { return []string{"bash", "zsh", "fish"} },
	}, {
		name: "man", hidden: true,
		summary: "print the manual page",
		about:   "Prints the manual page, in the form that man reads.\n",
		examples: `caplake man > /usr/local/share/man/man1/caplake.1
caplake man | man -l -
`,
		exits: "0    done\n2    the command line is wrong\n",
	}}
}

func specOf(name string) (spec, bool) {
	for _, s := range specs() {
		if s.name == name {
			return s, true
		}
	}
	return spec{}, false
}

// flags returns all flags of a command in one set.
func flagsOf(name string, groups []group) *pflag.FlagSet {
	fs := pflag.NewFlagSet(name, pflag.ContinueOnError)
	fs.Usage = func() {}
	fs.SortFlags = false
	for _, g := range groups {
		fs.AddFlagSet(g.flags)
	}
	return fs
}

// What completion is told of a flag.
const (
	noteValues = "values" // its values
	notePath   = "path"   // its value is a "dir" or a "file"
	noteMany   = "many"   // it may be given more than once
)

func note(fs *pflag.FlagSet, name, key string, values ...string) {
	if err := fs.SetAnnotation(name, key, values); err != nil {
		panic(err) // no such flag
	}
}

func newGroup(groups *[]group, title string) *pflag.FlagSet {
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	fs.SortFlags = false
	*groups = append(*groups, group{title, fs})
	return fs
}
