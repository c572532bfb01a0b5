package http

import (
	"bytes"
	"encoding/base64"
	"slices"

	"github.com/caplake/caplake/parsers"
)

// requestLine is the result of parseRequestLine; its slices are parts of the line.
type requestLine struct {
	method, target []byte
	version        Version
	malformed      Malformed
}

// parseRequestLine reads a request line (RFC 9112 section 3), and says
// whether it is one. cut says that the line's end was dropped for its length.
func parseRequestLine(line []byte, cut bool) (r requestLine, ok bool) {
	line = trimEOL(line)
	sp := bytes.IndexByte(line, ' ')
	if sp <= 0 || sp > 64 {
		return r, false
	}
	r.method = line[:sp]
	for _, c := range r.method {
		if !isToken(c) {
			return r, false
		}
	}
	rest := trimOWS(line[sp+1:])
	if len(rest) != len(line)-sp-1 {
		r.malformed |= BadRequestLine
	}
	j := bytes.LastIndexByte(rest, ' ')
	ver := rest[j+1:]
	if len(ver) < 5 || !eqFold(ver[:5], "http/") {
		r.target = rest
		if cut {
			return r, isMethod(r.method)
		}
		// HTTP/0.9: the method is GET by definition; other methods without a
		// version are met in attacks and tests.
		r.version = V09
		return r, j < 0 && len(rest) > 0 && (rest[0] == '/' || len(rest) > 7 && eqFold(rest[:7], "http://")) && isMethod(r.method)
	}
	if len(ver) == 8 && string(ver[:5]) == "HTTP/" && isDigit(ver[5]) && ver[6] == '.' && isDigit(ver[7]) {
		r.version = Version(ver[5]-'0')<<4 | Version(ver[7]-'0')
		if ver[5] > '1' {
			if string(r.method) == "PRI" {
				return r, false // HTTP/2's preface (RFC 9113 section 3.4)
			}
			r.malformed |= BadVersion
		}
	} else {
		r.malformed |= BadVersion
	}
	r.target = trimOWS(rest[:max(j, 0)])
	if len(r.target) != max(j, 0) || len(r.target) == 0 || bytes.IndexByte(r.target, ' ') >= 0 {
		r.malformed |= BadRequestLine
	}
	return r, true
}

// parseCutRequestLine reads the beginning of a request line. The target is left out unless it
// is whole: a space follows it, and what follows that begins a version.
func parseCutRequestLine(line []byte) (r requestLine, ok bool) {
	method, rest, _ := bytes.Cut(line, []byte(" "))
	target, version, ended := bytes.Cut(rest, []byte(" "))
	if len(target) == 0 || !isMethod(method) {
		return r, false
	}
	r.method = method
	if !ended {
		return r, target[0] == '/'
	}
	r.target = target
	if len(version) == 8 && string(version[:7]) == "HTTP/1." && isDigit(version[7]) {
		r.version = 0x10 | Version(version[7]-'0')
		return r, true
	}
	return r, len(version) < 8 && hasPrefix(version, "HTTP/1.") != parsers.No
}

// parseCutStatusLine reads the beginning of a status line as far as its status. How much of a
// reason is missing is not known.
func parseCutStatusLine(line []byte) (r statusLine, ok bool) {
	const status = len("HTTP/1.1 200")
	if startsStatus(line) != parsers.Yes || len(line) > status && line[status] != ' ' {
		return r, false
	}
	return parseStatusLine(line[:status])
}

// statusLine is the result of parseStatusLine.
type statusLine struct {
	version   Version
	status    int
	reason    []byte
	malformed Malformed
}

// parseStatusLine reads a line that begins with HTTP/ or ICY (RFC 9112 section 4).
func parseStatusLine(line []byte) (r statusLine, ok bool) {
	line = trimEOL(line)
	var rest []byte
	switch {
	case len(line) > 4 && string(line[:4]) == "ICY ":
		rest = line[4:]
	case len(line) > 5 && string(line[:5]) == "HTTP/":
		i := bytes.IndexAny(line, " \t\r")
		ver := line[5:]
		if i >= 0 {
			ver, rest = line[5:i], line[i+1:]
		}
		if len(ver) == 3 && isDigit(ver[0]) && ver[1] == '.' && isDigit(ver[2]) {
			r.version = Version(ver[0]-'0')<<4 | Version(ver[2]-'0')
		} else if i < 0 {
			return r, false
		}
		if r.version == 0 || r.version >= 0x20 {
			r.malformed |= BadVersion
		}
	default:
		return r, false
	}
	if rest = trimOWS(bytes.TrimLeft(rest, " \t\r")); len(rest) >= 3 && isDigit(rest[0]) && isDigit(rest[1]) && isDigit(rest[2]) && (len(rest) == 3 || !isDigit(rest[3])) {
		r.status = int(rest[0]-'0')*100 + int(rest[1]-'0')*10 + int(rest[2]-'0')
		r.reason = trimOWS(rest[3:])
	} else {
		r.malformed |= BadStatusLine
		r.reason = rest
	}
	if bytes.IndexByte(line, '\r') >= 0 {
		r.malformed |= BareCR
	}
	return r, true
}

// field takes one logical field line, folds and line end included.
func (s *stream) field(line []byte, p *Parser) {
	sl, request := s.cur, s.role == client
	m, k := &sl.x.Response.Message, inResponse
	if request {
		m, k = &sl.x.Request.Message, inRequest
	}
	line = trimEOL(line)
	if bytes.IndexByte(line, '\n') >= 0 {
		sl.x.Malformed |= ObsFold
		p.scratch = unfold(p.scratch[:0], line)
		line = p.scratch
	}
	if bytes.IndexByte(line, '\r') >= 0 {
		sl.x.Malformed |= BareCR
	}
	c := bytes.IndexByte(line, ':')
	if c <= 0 {
		sl.x.Malformed |= BadHeaderLine
		return
	}
	name, value := line[:c], trimOWS(line[c+1:])
	if l := name[len(name)-1]; l == ' ' || l == '\t' || name[0] == ' ' || name[0] == '\t' {
		sl.x.Malformed |= SpaceBeforeColon
		if name = trimOWS(name); len(name) == 0 {
			return
		}
	}
	stored := false
	if p.cfg.Headers {
		list := &sl.respHeaders
		if request {
			list = &sl.reqHeaders
		}
		if len(*list) < maxHeaders && len(name)+len(value) <= sl.room[k] {
			h := Header{Name: sl.put(k, name), Value: sl.put(k, value)}
			*list = append(*list, h)
			value, stored = h.Value, true
		} else {
			sl.x.Malformed |= HeaderTooLarge
		}
	}
	var f *[]byte
	switch len(name) {
	case 4:
		if request && eqFold(name, "host") {
			if sl.sawHost {
				sl.x.Malformed |= RepeatedHost
			}
			sl.sawHost = true
			f = &sl.x.Request.Host
		}
	case 6:
		switch {
		case request && eqFold(name, "origin"):
			f = &sl.x.Request.Origin
		case request && eqFold(name, "expect"):
			sl.expect = eqFold(value, "100-continue")
		case !request && eqFold(name, "server"):
			f = &sl.x.Response.Server
		}
	case 7:
		switch {
		case request && eqFold(name, "referer"):
			f = &sl.x.Request.Referer
		case eqFold(name, "upgrade"):
			f = &m.Upgrade
		}
	case 8:
		if !request && eqFold(name, "location") {
			f = &sl.x.Response.Location
		}
	case 10:
		if request && eqFold(name, "user-agent") {
			f = &sl.x.Request.UserAgent
		}
	case 12:
		if eqFold(name, "content-type") {
			f = &m.ContentType
		}
	case 13:
		if request && eqFold(name, "authorization") {
			sl.basic(value, true)
		}
	case 14:
		if eqFold(name, "content-length") {
			s.contentLength(m, value)
		}
	case 15:
		if request && eqFold(name, "x-forwarded-for") {
			f = &sl.x.Request.ForwardedFor
			if len(*f) > 0 {
				*f = sl.join(k, *f, value)
				return
			}
		}
	case 16:
		if eqFold(name, "content-encoding") {
			f = &m.ContentEncoding
		}
	case 17:
		if eqFold(name, "transfer-encoding") {
			s.coding(value)
			f = &m.TransferEncoding
			if len(*f) > 0 {
				*f = sl.join(k, *f, value)
				return
			}
		}
	case 19:
		if request && eqFold(name, "proxy-authorization") {
			sl.basic(value, false)
		}
	}
	if f != nil && len(*f) == 0 { // of a repeated field the first one counts
		if !stored {
			value = sl.put(k, value)
		}
		*f = value
	}
}

// Indices of slot.room.
const (
	inRequest = iota
	inResponse
)

// put copies b into the slot's memory, as far as the head's bound allows.
func (sl *slot) put(k int, b []byte) []byte {
	if len(b) > sl.room[k] {
		b = b[:sl.room[k]]
		sl.x.Malformed |= HeaderTooLarge
	}
	if len(b) == 0 {
		return nil
	}
	sl.room[k] -= len(b)
	n := len(sl.buf)
	sl.buf = append(sl.buf, b...)
	return sl.buf[n:len(sl.buf):len(sl.buf)]
}

// join returns a copy of "old, b".
func (sl *slot) join(k int, old, b []byte) []byte {
	if len(old)+2+len(b) > sl.room[k] {
		sl.x.Malformed |= HeaderTooLarge
		return old
	}
	sl.room[k] -= len(old) + 2 + len(b)
	n := len(sl.buf)
	sl.buf = append(sl.buf, old...)
	sl.buf = append(sl.buf, ", "...)
	sl.buf = append(sl.buf, b...)
	return sl.buf[n:len(sl.buf):len(sl.buf)]
}

// basic takes the user of Basic credentials (RFC 7617). The origin server's
// count more than the proxy's.
func (sl *slot) basic(v []byte, origin bool) {
	if len(v) < 7 || !eqFold(v[:5], "basic") || v[5] != ' ' || len(sl.x.Request.Username) > 0 && !origin {
		return
	}
	v = trimOWS(v[6:])
	for len(v) > 0 && v[len(v)-1] == '=' {
		v = v[:len(v)-1]
	}
	n := base64.RawStdEncoding.DecodedLen(len(v))
	if n > sl.room[inRequest] {
		sl.x.Malformed |= HeaderTooLarge
		return
	}
	o := len(sl.buf)
	sl.buf = slices.Grow(sl.buf, n)
	d := sl.buf[o : o+n]
	k, err := base64.RawStdEncoding.Decode(d, v)
	i := bytes.IndexByte(d[:k], ':')
	if err != nil || i < 0 {
		clear(d)
		return
	}
	clear(d[i:]) // the password is nobody's business, not even in memory
	sl.buf = sl.buf[:o+i]
	sl.room[inRequest] -= i
	sl.x.Request.Username = sl.buf[o : o+i : o+i]
}

// contentLength takes a Content-Length value: a number, or the same number
// several times (RFC 9110 section 8.6).
func (s *stream) contentLength(m *Message, v []byte) {
	for {
		part, more := v, false
		if i := bytes.IndexByte(v, ','); i >= 0 {
			part, v, more = v[:i], v[i+1:], true
		}
		n, ok := parseDecimal(trimOWS(part))
		switch {
		case !ok:
			s.cur.x.Malformed |= BadContentLength
			s.badLength = true
		case m.ContentLength < 0:
			m.ContentLength = n
		case m.ContentLength != n:
			s.cur.x.Malformed |= ConflictingContentLength
		default:
			s.cur.x.Malformed |= RepeatedContentLength
		}
		if !more {
			return
		}
	}
}

// coding takes a Transfer-Encoding value; only its last coding frames.
func (s *stream) coding(v []byte) {
	several := s.transfer != plain
	if i := bytes.LastIndexByte(v, ','); i >= 0 {
		v, several = v[i+1:], true
	}
	if i := bytes.IndexByte(v, ';'); i >= 0 {
		v = v[:i]
	}
	switch v = trimOWS(v); {
	case eqFold(v, "chunked"):
		s.transfer = chunked
	case len(v) == 0 || eqFold(v, "identity") && !several:
		// RFC 2616's name for no coding at all: nothing, unless behind another
	default:
		s.transfer = otherCoding
	}
}

type transfer uint8

const (
	plain transfer = iota
	chunked
	otherCoding
)

// authority returns the authority of an absolute-form target without user
// information, or nil (RFC 3986 section 3.2).
func authority(target []byte) []byte {
	i := bytes.Index(target, []byte("://"))
	if i <= 0 || bytes.IndexByte(target[:i], '/') >= 0 {
		return nil
	}
	a := target[i+3:]
	if j := bytes.IndexAny(a, "/?#"); j >= 0 {
		a = a[:j]
	}
	return a[bytes.LastIndexByte(a, '@')+1:]
}

func unfold(dst, line []byte) []byte {
	for first := true; ; first = false {
		i := bytes.IndexByte(line, '\n')
		part := line
		if i >= 0 {
			part = line[:i]
		}
		part = bytes.TrimRight(part, " \t\r")
		if !first {
			part = bytes.TrimLeft(part, " \t")
			dst = append(dst, ' ')
		}
		dst = append(dst, part...)
		if i < 0 {
			return dst
		}
		line = line[i+1:]
	}
}

func parseDecimal(b []byte) (n int64, ok bool) {
	if len(b) == 0 || len(b) > 64 {
		return 0, false
	}
	for _, c := range b {
		if !isDigit(c) || n > (1<<63-10)/10 {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// eqFold compares b with a lower-case ASCII string.
func eqFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i := 0; i < len(lower); i++ {
		c := b[i]
		if isUpper(c) {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

func trimOWS(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t' || b[len(b)-1] == '\r') {
		b = b[:len(b)-1]
	}
	return b
}

func trimEOL(b []byte) []byte {
	if len(b) > 0 && b[len(b)-1] == '\n' {
		b = b[:len(b)-1]
	}
	if len(b) > 0 && b[len(b)-1] == '\r' {
		b = b[:len(b)-1]
	}
	return b
}
