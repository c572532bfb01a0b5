package body

import (
	"bytes"
	"encoding/binary"
)

// sniffLen is how many bytes a type is told by (WHATWG MIME Sniffing, section 5.2).
const sniffLen = 512

// pattern is a row of the tables of WHATWG MIME Sniffing, sections 6 and 7. The first that fits
// counts.
type pattern struct {
	text string // a ? stands for any byte
	kind kind
	is   string
}

type kind uint8

const (
	exact kind = iota
	tag        // behind white space, in any case, with a space or > after it
	space      // behind white space
	video      // an MP4 file by its brands
)

func patterns() []pattern {
	const html = "text/html"
	return []pattern{
		{"<!DOCTYPE HTML", tag, html}, {"<HTML", tag, html}, {"<HEAD", tag, html}, {"<SCRIPT", tag, html}, {"<IFRAME", tag, html},
		{"<H1", tag, html}, {"<DIV", tag, html}, {"<FONT", tag, html}, {"<TABLE", tag, html}, {"<A", tag, html}, {"<STYLE", tag, html},
		{"<TITLE", tag, html}, {"<B", tag, html}, {"<BODY", tag, html}, {"<BR", tag, html}, {"<P", tag, html}, {"<!--", tag, html},
		{"<?xml", space, "text/xml"},
		{"%PDF-", exact, "application/pdf"}, {"%!PS-Adobe-", exact, "application/postscript"},
		{"\xfe\xff??", exact, "text/plain"}, {"\xff\xfe??", exact, "text/plain"}, {"\xef\xbb\xbf?", exact, "text/plain"}, // byte order marks
		{"\x00\x00\x01\x00", exact, "image/x-icon"}, {"\x00\x00\x02\x00", exact, "image/x-icon"}, {"BM", exact, "image/bmp"},
		{"GIF87a", exact, "image/gif"}, {"GIF89a", exact, "image/gif"}, {"RIFF????WEBPVP", exact, "image/webp"},
		{"\x89PNG\r\n\x1a\n", exact, "image/png"}, {"\xff\xd8\xff", exact, "image/jpeg"},
		{"FORM????AIFF", exact, "audio/aiff"}, {"ID3", exact, "audio/mpeg"}, {"OggS\x00", exact, "application/ogg"},
		{"MThd\x00\x00\x00\x06", exact, "audio/midi"}, {"RIFF????AVI ", exact, "video/avi"}, {"RIFF????WAVE", exact, "audio/wave"},
		{"", video, "video/mp4"}, {"\x1a\x45\xdf\xa3", exact, "video/webm"},
		{"??????????????????????????????????LP", exact, "application/vnd.ms-fontobject"}, {"\x00\x01\x00\x00", exact, "font/ttf"},
		{"OTTO", exact, "font/otf"}, {"ttcf", exact, "font/collection"}, {"wOFF", exact, "font/woff"}, {"wOF2", exact, "font/woff2"},
		{"\x1f\x8b\x08", exact, "application/x-gzip"}, {"PK\x03\x04", exact, "application/zip"},
		{"Rar!\x1a\x07\x00", exact, "application/x-rar-compressed"}, {"Rar!\x1a\x07\x01\x00", exact, "application/x-rar-compressed"},
		{"\x00asm", exact, "application/wasm"},
	}
}

// Sniff returns the media type, without parameters, that data, the beginning of a resource, is of by
// its content alone, as net/http's DetectContentType does.
func Sniff(data []byte) string {
	data = data[:min(len(data), sniffLen)]
	text := bytes.TrimLeft(data, "\t\n\x0c\r ")
	for _, p := range patterns() {
		b := data
		if p.kind == tag || p.kind == space {
			b = text
		}
		if p.fits(b) {
			return p.is
		}
	}
	for _, c := range text { // section 7.2: binary data bytes
		if c <= 0x08 || c == 0x0b || 0x0e <= c && c <= 0x1a || 0x1c <= c && c <= 0x1f {
			return "application/octet-stream"
		}
	}
	return "text/plain"
}

func (p *pattern) fits(b []byte) bool {
	if p.kind == video {
		return isMP4(b)
	}
	n := len(p.text)
	if len(b) < n || p.kind == tag && (len(b) == n || b[n] != ' ' && b[n] != '>') {
		return false
	}
	for i := range n {
		c := b[i]
		if p.kind == tag && 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		if c != p.text[i] && (p.text[i] != '?' || p.kind != exact) {
			return false
		}
	}
	return true
}

// isMP4 follows section 6.2.1.
func isMP4(b []byte) bool {
	if len(b) < 12 {
		return false
	}
	size := binary.BigEndian.Uint32(b)
	if uint64(size) > uint64(len(b)) || size%4 != 0 || string(b[4:8]) != "ftyp" {
		return false
	}
	for i := 8; i < int(size); i += 4 {
		if i != 12 && string(b[i:i+3]) == "mp4" { // at 12 is the minor version
			return true
		}
	}
	return false
}
