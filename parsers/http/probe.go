package http

import (
	"bytes"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/parsers"
)

// maxProbe is the length of a first line beyond which Probe stops to wait for
// its end.
const maxProbe = 8 << 10

// methods are those of IANA's registry and others in wide use. They matter
// only where a line must be recognized as a request without its version, or
// amid other bytes: elsewhere any token is a method.
var methods = [...]string{
	"GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "CONNECT", "TRACE", "PATCH",
	"PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "SEARCH", "REPORT",
	"ACL", "BASELINE-CONTROL", "BIND", "CHECKIN", "CHECKOUT", "LABEL", "LINK", "MERGE",
	"MKACTIVITY", "MKCALENDAR", "MKREDIRECTREF", "MKWORKSPACE", "ORDERPATCH", "QUERY",
	"REBIND", "UNBIND", "UNCHECKOUT", "UNLINK", "UPDATE", "UPDATEREDIRECTREF", "VERSION-CONTROL",
	"SUBSCRIBE", "UNSUBSCRIBE", "NOTIFY", "POLL", "BCOPY", "BDELETE", "BMOVE", "BPROPFIND", "BPROPPATCH",
	"X-MS-ENUMATTS", "RPC_IN_DATA", "RPC_OUT_DATA", "RPC_CONNECT", "CCM_POST", "SSTP_DUPLEX_POST",
	"PURGE", "BAN", "DEBUG", "SOURCE", "M-SEARCH", "BITS_POST", "M-POST",
}

// Probe says whether data, the first bytes of a side, begin an HTTP/1.x or
// HTTP/0.9 message. RTSP, SIP and the HTTP/2 preface are not. Either side may
// send either kind: which side opened a flow is not always known.
func Probe(data []byte, side flows.Side) parsers.Verdict {
	for n := 0; n < 16 && len(data) > 0 && (data[0] == '\r' || data[0] == '\n'); n++ {
		data = data[1:]
	}
	if v := probeStatus(data); v != parsers.No {
		return v
	}
	return probeRequest(data)
}

func probeStatus(b []byte) parsers.Verdict {
	if len(b) == 0 {
		return parsers.Maybe
	}
	if v := hasPrefix(b, "ICY "); v != parsers.No { // SHOUTcast's status line
		if v == parsers.Maybe || len(b) < 5 {
			return parsers.Maybe
		}
		if isDigit(b[4]) {
			return parsers.Yes
		}
		return parsers.No
	}
	v := hasPrefix(b, "HTTP/1.")
	if v == parsers.No {
		v = hasPrefix(b, "HTTP/0.")
	}
	return v
}

func probeRequest(b []byte) parsers.Verdict {
	n := 0
	for n < len(b) && isToken(b[n]) {
		n++
	}
	if n == len(b) {
		if n <= 32 {
			return parsers.Maybe
		}
		return parsers.No
	}
	if n == 0 || n > 32 || b[n] != ' ' {
		return parsers.No
	}
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		if _, ok := parseRequestLine(b[:i+1], false); ok && (isMethod(b[:n]) || strictRequest(b[n+1:i+1])) {
			return parsers.Yes
		}
		return parsers.No
	}
	if isMethod(b[:n]) && n+1 < len(b) && (b[n+1] == '/' || string(b[:n]) == "CONNECT") {
		return parsers.Yes
	}
	if len(b) > maxProbe {
		return parsers.No
	}
	return parsers.Maybe
}

// strictRequest says whether a line, after its method, is a target without spaces
// and an HTTP/1.x version: what a method that nobody registered must be followed by, because any
// sentence begins with a token.
func strictRequest(b []byte) bool {
	target, version, ok := bytes.Cut(trimEOL(b), []byte(" "))
	return ok && len(target) > 0 && len(version) == 8 && string(version[:7]) == "HTTP/1." && isDigit(version[7])
}

// startsStatus says whether b begins a status line so exactly that a body
// would hardly do the same: HTTP/1.x, a space, three digits.
func startsStatus(b []byte) parsers.Verdict {
	if v := hasPrefix(b, "HTTP/1."); v != parsers.Yes {
		return v
	}
	for i := 7; i < 12; i++ {
		if i == len(b) {
			return parsers.Maybe
		}
		if (i == 8) != (b[i] == ' ') || i != 8 && !isDigit(b[i]) {
			return parsers.No
		}
	}
	return parsers.Yes
}

// startsRequest says whether b begins with a known method and a space.
func startsRequest(b []byte) parsers.Verdict {
	r := parsers.No
	for _, m := range methods {
		if len(b) <= len(m) {
			if string(b) == m[:len(b)] {
				r = parsers.Maybe
			}
		} else if b[len(m)] == ' ' && string(b[:len(m)]) == m {
			return parsers.Yes
		}
	}
	return r
}

// findStatus returns where in a line, which may begin with the end of a body,
// a status line begins; -1: nowhere.
func findStatus(line []byte) int {
	for o := 0; ; {
		i := bytes.Index(line[o:], []byte("HTTP/1."))
		if i < 0 {
			return -1
		}
		o += i
		if startsStatus(line[o:]) == parsers.Yes && len(line) > o+12 && (line[o+12] == ' ' || line[o+12] == '\r' || line[o+12] == '\n') {
			return o
		}
		o += 7
	}
}

// findRequest is findStatus for a request line.
func findRequest(line []byte) int {
	t := trimEOL(line)
	if len(t) < 9 || !isDigit(t[len(t)-1]) || string(t[len(t)-9:len(t)-1]) != " HTTP/1." {
		// Of another version the whole line must be one.
		method, rest, _ := bytes.Cut(t, []byte(" /"))
		if bytes.HasPrefix(rest[bytes.LastIndexByte(rest, ' ')+1:], []byte("HTTP/")) && isMethod(method) {
			return 0
		}
		return -1
	}
	t = t[:len(t)-9]
	sp := bytes.LastIndexByte(t, ' ')
	if sp <= 0 || sp == len(t)-1 {
		return -1
	}
	t = t[:sp]
	n := 0 // the upper-case run before the target
	for n < len(t) && n < 32 && (isUpper(t[len(t)-1-n]) || t[len(t)-1-n] == '-' || t[len(t)-1-n] == '_') {
		n++
	}
	if n == len(t) && n > 0 {
		return 0
	}
	best := 0 // the longest known method that ends it: the body's end may be upper-case too
	for _, m := range methods {
		if len(m) <= n && len(m) > best && string(t[len(t)-len(m):]) == m {
			best = len(m)
		}
	}
	if best == 0 {
		return -1
	}
	return len(t) - best
}

func hasPrefix(b []byte, s string) parsers.Verdict {
	switch {
	case len(b) >= len(s) && string(b[:len(s)]) == s:
		return parsers.Yes
	case len(b) < len(s) && string(b) == s[:len(b)]:
		return parsers.Maybe
	}
	return parsers.No
}

func isMethod(b []byte) bool {
	for _, m := range methods {
		if string(b) == m {
			return true
		}
	}
	return false
}

func isDigit(c byte) bool { return c-'0' <= 9 }
func isUpper(c byte) bool { return c-'A' < 26 }

// isToken says whether c is a tchar (RFC 9110 section 5.6.2).
func isToken(c byte) bool {
	const lo = 1<<'!' | 1<<'#' | 1<<'$' | 1<<'%' | 1<<'&' | 1<<'\'' | 1<<'*' | 1<<'+' | 1<<'-' | 1<<'.' | (1<<10-1)<<'0'
	const hi = (1<<26-1)<<('A'-64) | (1<<26-1)<<('a'-64) | 1<<('^'-64) | 1<<('_'-64) | 1<<('`'-64) | 1<<('|'-64) | 1<<('~'-64)
	switch {
	case c < 64:
		return uint64(lo)>>c&1 != 0
	case c < 128:
		return uint64(hi)>>(c-64)&1 != 0
	}
	return false
}
