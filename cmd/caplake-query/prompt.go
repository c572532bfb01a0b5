package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"
)

// prompt reads statements from a terminal and answers them.
type prompt struct {
	session *session
	out     *output
	history *history
	words   []string // to complete
}

func newPrompt(s *session, out *output) *prompt {
	return &prompt{session: s, out: out, history: newHistory(historyFile())}
}

const help = `SQL ends with a semicolon, on this line or a later one. Besides:
  .tables          tables and views, and what a row of each is
  .schema [TABLE]  columns with their types and meanings
  .help            this
  .quit            leave, as Ctrl-D does
Ctrl-C cancels a query. Tab completes names. Nothing is written to the dataset.
`

func (p *prompt) run() error {
	fmt.Fprintln(p.out.w, `caplake query: DuckDB SQL; .help for help, .tables for tables`)
	p.words = p.names()
	var text strings.Builder
	for {
		mark := "caplake> "
		if text.Len() > 0 {
			mark = "     ... "
		}
		line, err := p.line(mark)
		switch {
		case errors.Is(err, errCancelled):
			text.Reset()
			continue
		case errors.Is(err, io.EOF):
			fmt.Fprintln(p.out.w)
			return nil
		case err != nil:
			return err
		}
		if text.Len() == 0 {
			command := strings.TrimSpace(line)
			if command == "" {
				continue
			}
			if strings.HasPrefix(command, ".") {
				if p.dot(strings.Fields(command)) {
					return nil
				}
				continue
			}
		}
		text.WriteString(line + "\n")
		if !complete(text.String()) {
			continue
		}
		p.answer(text.String())
		text.Reset()
	}
}

// answer answers statements until an interrupt, and reports what fails: the
// prompt goes on.
func (p *prompt) answer(text string) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	began := time.Now()
	err := p.out.answer(ctx, text)
	switch {
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "cancelled")
	case err != nil:
		fmt.Fprintln(os.Stderr, strings.TrimRight(err.Error(), "\n"))
	default:
		fmt.Fprintf(p.out.w, "%.3f s\n", time.Since(began).Seconds())
	}
}

// dot runs a command that begins with a dot; it reports whether that was the last.
func (p *prompt) dot(words []string) (leave bool) {
	switch words[0] {
	case ".quit", ".exit", ".q":
		return true
	case ".help":
		fmt.Fprint(p.out.w, help)
	case ".tables":
		p.answer(tablesSQL)
	case ".schema":
		if len(words) == 1 {
			p.answer(tablesSQL)
			break
		}
		for _, table := range words[1:] {
			p.schema(strings.Trim(table, `";`))
		}
	default:
		fmt.Fprintf(os.Stderr, "%s: no such command; .help lists them\n", words[0])
	}
	return false
}

const tablesSQL = `SELECT name, comment AS "one row per" FROM (
	SELECT view_name AS name, comment, view_oid AS n FROM duckdb_views() WHERE NOT internal
	UNION ALL SELECT table_name, comment, table_oid FROM duckdb_tables() WHERE NOT internal) ORDER BY n`

// schema prints the columns of a table, with all of their documentation.
func (p *prompt) schema(table string) {
	rows, err := p.session.texts(context.Background(), "SELECT column_name, data_type, comment FROM duckdb_columns() WHERE table_name = "+literal(table)+" ORDER BY column_index")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	if len(rows) == 0 {
		fmt.Fprintf(os.Stderr, "%s: no such table; .tables lists them\n", table)
		return
	}
	width := p.out.width()
	if width < 40 {
		width = 80
	}
	for _, r := range rows {
		fmt.Fprintf(p.out.w, "%s  %s\n%s", clean(r[0]), clean(r[1]), wrap(clean(r[2]), width, "    "))
	}
}

// wrap breaks a text into lines of a width, each begun by indent.
func wrap(text string, width int, indent string) string {
	var b strings.Builder
	used := 0
	for w := range strings.FieldsSeq(text) {
		n := columns(w)
		switch {
		case used == 0:
			b.WriteString(indent)
			used = len(indent)
		case used+1+n > width:
			b.WriteString("\n" + indent)
			used = len(indent)
		default:
			b.WriteString(" ")
			used++
		}
		b.WriteString(w)
		used += n
	}
	if used > 0 {
		b.WriteString("\n")
	}
	return b.String()
}

var errCancelled = errors.New("cancelled")

// line reads a line with editing and history.
func (p *prompt) line(mark string) (string, error) {
	state, err := term.MakeRaw(int(os.Stdin.Fd()))
	if err != nil {
		return "", err
	}
	restore := func() { term.Restore(int(os.Stdin.Fd()), state) }
	defer restore()
	ends := make(chan os.Signal, 1)
	signal.Notify(ends, syscall.SIGTERM, syscall.SIGHUP)
	done := make(chan struct{})
	defer close(done)
	defer signal.Stop(ends)
	go func() {
		select {
		case <-ends: // not with the terminal as it is
			restore()
			p.session.close()
			os.Exit(exitFailed)
		case <-done:
		}
	}()
	in := &keys{r: os.Stdin}
	t := term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{in, os.Stdout}, mark)
	t.History = p.history
	t.AutoCompleteCallback = p.complete
	if w, h, err := term.GetSize(int(os.Stdout.Fd())); err == nil {
		t.SetSize(w, h)
	}
	line, err := t.ReadLine()
	if errors.Is(err, io.EOF) && in.interrupted {
		fmt.Fprint(os.Stdout, "^C\r\n")
		return "", errCancelled
	}
	return line, err
}

// keys tells an interrupt from the end of input, which term.Terminal does not.
// It gives one byte at a time, so that none is read beyond the line.
type keys struct {
	r           io.Reader
	interrupted bool
}

func (k *keys) Read(b []byte) (int, error) {
	n, err := k.r.Read(b[:min(len(b), 1)])
	k.interrupted = n == 1 && b[0] == 3
	return n, err
}

// names returns what Tab completes: tables, columns, and SQL's own words.
func (p *prompt) names() []string {
	words := []string{"SELECT", "FROM", "WHERE", "GROUP BY ALL", "ORDER BY", "LIMIT", "JOIN", "USING", "count(*)", "DESCRIBE", "SUMMARIZE", "EXPLAIN ANALYZE", ".tables", ".schema", ".help", ".quit"}
	rows, err := p.session.texts(context.Background(), "SELECT DISTINCT unnest([table_name, column_name]) FROM duckdb_columns() WHERE NOT internal")
	if err != nil {
		return words
	}
	for _, r := range rows {
		words = append(words, r[0])
	}
	slices.Sort(words)
	return words
}

// complete completes the word before the cursor as far as it is certain.
func (p *prompt) complete(line string, pos int, key rune) (string, int, bool) {
	if key != '\t' {
		return "", 0, false
	}
	start := pos
	for start > 0 && (word(line[start-1]) || line[start-1] == '.' && strings.TrimSpace(line[:start-1]) == "") {
		start--
	}
	if start == pos {
		return line, pos, true
	}
	common, found := "", false
	for _, w := range p.words {
		if len(w) < pos-start || !strings.EqualFold(w[:pos-start], line[start:pos]) {
			continue
		}
		if !found {
			common, found = w, true
			continue
		}
		n := 0
		for n < len(common) && n < len(w) && common[n] == w[n] {
			n++
		}
		common = common[:n]
	}
	if len(common) < pos-start {
		return line, pos, true
	}
	return line[:start] + common + line[pos:], start + len(common), true
}

// history is the lines typed, in a file from one session to the next.
type history struct {
	file  string // "": none
	lines []string
}

const mostHistory = 1000

// historyFile returns where the history is kept; "": nowhere.
func historyFile() string {
	state := os.Getenv("XDG_STATE_HOME")
	if state == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return ""
		}
		state = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(state, "caplake", "history")
}

func newHistory(file string) *history {
	h := &history{file: file}
	f, err := os.Open(file)
	if err != nil {
		return h
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		h.lines = append(h.lines, s.Text())
	}
	if n := len(h.lines) - mostHistory; n > 0 {
		h.lines = h.lines[n:]
		// Written anew, so that it does not grow for good. That it cannot be is no fault to stop for.
		os.WriteFile(file, []byte(strings.Join(h.lines, "\n")+"\n"), 0o600)
	}
	return h
}

// Add adds a line, unless it is empty or the last one again.
func (h *history) Add(line string) {
	if strings.TrimSpace(line) == "" || len(h.lines) > 0 && h.lines[len(h.lines)-1] == line {
		return
	}
	h.lines = append(h.lines, line)
	if h.file == "" {
		return
	}
	if os.MkdirAll(filepath.Dir(h.file), 0o700) != nil {
		return
	}
	f, err := os.OpenFile(h.file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	defer f.Close()
	fmt.Fprintln(f, line)
}

// Len returns how many lines there are.
func (h *history) Len() int { return len(h.lines) }

// At returns a line, the last being 0.
func (h *history) At(i int) string { return h.lines[len(h.lines)-1-i] }
