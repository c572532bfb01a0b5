package main

import (
	"iter"
	"strings"
)

// statements returns the statements of a text, without the semicolons that
// end them, and with the comments before them.
func statements(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for text != "" {
			end, _ := scan(text)
			one := text[:end]
			text = strings.TrimPrefix(text[end:], ";")
			if blank(one) {
				continue
			}
			if !yield(strings.TrimSpace(one)) {
				return
			}
		}
	}
}

// complete reports whether a text ends where a statement does.
func complete(text string) bool {
	for {
		end, open := scan(text)
		if end == len(text) {
			return !open && blank(text)
		}
		text = text[end+1:]
	}
}

// blank reports whether a text is comments and white space alone.
func blank(text string) bool {
	for text != "" {
		if n := len(text) - len(strings.TrimLeft(text, " \t\r\n\f\v")); n > 0 {
			text = text[n:]
			continue
		}
		n := comment(text)
		if n == 0 {
			return false
		}
		text = text[n:]
	}
	return true
}

// comment returns the length of the comment that text begins with.
func comment(text string) int {
	switch {
	case strings.HasPrefix(text, "--"):
		if i := strings.IndexByte(text, '\n'); i >= 0 {
			return i + 1
		}
		return len(text)
	case strings.HasPrefix(text, "/*"):
		depth := 0
		for i := 0; i < len(text); i++ {
			switch {
			case strings.HasPrefix(text[i:], "/*"):
				depth++
				i++
			case strings.HasPrefix(text[i:], "*/"):
				depth--
				i++
			}
			if depth == 0 {
				return i + 1
			}
		}
		return len(text)
	}
	return 0
}

// scan returns where the first statement of a text ends: at its semicolon, or
// the end of the text. open says that the text ends inside quotes.
func scan(text string) (end int, open bool) {
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == ';':
			return i, false
		case c == '\'' || c == '"':
			escapes := c == '\'' && i > 0 && (text[i-1] == 'e' || text[i-1] == 'E') && (i == 1 || !word(text[i-2]))
			i++
			for i < len(text) && text[i] != c { // a doubled quote is the end of one text and the begin of the next
				if escapes && text[i] == '\\' {
					i++
				}
				i++
			}
			if i >= len(text) {
				return len(text), true
			}
			i++
		case c == '$' && (i == 0 || !word(text[i-1])):
			tag := dollar(text[i:])
			if tag == "" {
				i++
				continue
			}
			n := strings.Index(text[i+len(tag):], tag)
			if n < 0 {
				return len(text), true
			}
			i += n + 2*len(tag)
		default:
			i += max(1, comment(text[i:]))
		}
	}
	return len(text), false
}

// dollar returns the $TAG$ that text begins with, which opens a text up to the
// same again; "": it does not.
func dollar(text string) string {
	for i := 1; i < len(text); i++ {
		if text[i] == '$' {
			return text[:i+1]
		}
		if !word(text[i]) || i == 1 && text[i] >= '0' && text[i] <= '9' {
			break
		}
	}
	return ""
}

func word(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// explained returns the statement behind EXPLAIN, with or without ANALYZE and
// options in parentheses.
func explained(text string) (string, bool) {
	rest := uncommented(text)
	rest, ok := keyword(rest, "EXPLAIN")
	if !ok {
		return "", false
	}
	if after, ok := keyword(uncommented(rest), "ANALYZE"); ok {
		rest = after
	}
	if rest = uncommented(rest); strings.HasPrefix(rest, "(") {
		// Options, or a query in parentheses, which can only be a query.
		if end := strings.IndexByte(rest, ')'); end >= 0 {
			if after := uncommented(rest[end+1:]); after != "" {
				rest = after
			}
		}
	}
	return rest, true
}

// uncommented returns text from its first word on.
func uncommented(text string) string {
	for {
		text = strings.TrimSpace(text)
		n := comment(text)
		if n == 0 {
			return text
		}
		text = text[n:]
	}
}

// keyword returns what follows a word that text begins with.
func keyword(text, name string) (string, bool) {
	if len(text) < len(name) || !strings.EqualFold(text[:len(name)], name) || len(text) > len(name) && word(text[len(name)]) {
		return text, false
	}
	return text[len(name):], true
}
