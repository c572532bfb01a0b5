package main

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/caplake/caplake/cmd/internal/filter"
)

// timeout is a flag: a positive duration, or "never", which is negative.
type timeout time.Duration

func (t *timeout) String() string {
	if *t < 0 {
		return "never"
	}
	s := time.Duration(*t).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	return s
}

func (t *timeout) Set(s string) error {
	if s == "never" {
		*t = -1
		return nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return errors.New(`want a duration such as 90s or 5m, or "never"`)
	}
	*t = timeout(d)
	return nil
}

func (*timeout) Type() string { return "DURATION" }

// size is a flag: a positive number of bytes, with a unit where wanted.
type size int64

// units of sizes. Decimal ones are taken and not printed.
var units = [...]struct {
	name string
	n    int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"G", 1 << 30}, {"M", 1 << 20}, {"K", 1 << 10}, {"B", 1}}

func (v *size) String() string {
	for _, u := range units[:3] {
		if int64(*v)%u.n == 0 && *v != 0 {
			return fmt.Sprintf("%d%s", int64(*v)/u.n, u.name)
		}
	}
	return strconv.FormatInt(int64(*v), 10)
}

func (v *size) Set(s string) error {
	number, factor := s, int64(1)
	for _, u := range units {
		if len(s) > len(u.name) && strings.EqualFold(s[len(s)-len(u.name):], u.name) {
			number, factor = s[:len(s)-len(u.name)], u.n
			break
		}
	}
	n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
	if err != nil || n <= 0 || n > math.MaxInt64/factor {
		return errors.New("want a positive number of bytes such as 64MiB")
	}
	*v = size(n * factor)
	return nil
}

func (*size) Type() string { return "SIZE" }

// count is a flag: a positive number.
type count int

func (v *count) String() string { return strconv.Itoa(int(*v)) }

func (v *count) Set(s string) error {
	n, err := strconv.Atoi(s)
	if err != nil || n <= 0 {
		return errors.New("want a positive number")
	}
	*v = count(n)
	return nil
}

func (*count) Type() string { return "N" }

// natural is a flag: a number, 0 included.
type natural int

func (v *natural) String() string { return strconv.Itoa(int(*v)) }

func (v *natural) Set(s string) error {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return errors.New("want 0 or a positive number")
	}
	*v = natural(n)
	return nil
}

func (*natural) Type() string { return "N" }

// orNone returns the number as configurations have it, whose zero is the default.
func (v natural) orNone() int {
	if v == 0 {
		return -1
	}
	return int(v)
}

// humanBytes returns n with three significant digits and a decimal unit, as
// storage and networks count.
func humanBytes(n int64) string {
	if n < 1000 {
		return strconv.FormatInt(n, 10) + " B"
	}
	f := float64(n)
	for _, unit := range []string{"kB", "MB", "GB", "TB", "PB", "EB"} {
		f /= 1000
		if f < 999.5 || unit == "EB" {
			decimals := 2
			switch {
			case f >= 99.95:
				decimals = 0
			case f >= 9.995:
				decimals = 1
			}
			return strconv.FormatFloat(f, 'f', decimals, 64) + " " + unit
		}
	}
	return ""
}

// humanCount returns n in groups of three digits.
func humanCount(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// humanDuration returns d as a person says it: milliseconds below a second,
// tenths below a minute, whole seconds above.
func humanDuration(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// humanSpan returns the time between two times, exactly, with days where there are many.
func humanSpan(first, last int64) string {
	d := last - first
	if d < 0 { // too long for a Duration; damage makes such times
		return fmt.Sprintf("%.0f days", (float64(last)-float64(first))/86400e9)
	}
	if days := d / 86400e9; days >= 2 {
		return fmt.Sprintf("%s days %s", humanCount(days), time.Duration(d%86400e9))
	}
	return time.Duration(d).String()
}

// many is a flag that may be given more than once, or have several values
// separated by commas.
type many[T any] struct {
	values *[]T
	parse  func(string) (T, error)
	typ    string
}

func (*many[T]) String() string { return "" } // no default

func (v *many[T]) Set(s string) error {
	var list []T
	for part := range strings.SplitSeq(s, ",") {
		x, err := v.parse(strings.TrimSpace(part))
		if err != nil {
			return err
		}
		list = append(list, x)
	}
	*v.values = append(*v.values, list...)
	return nil
}

func (v *many[T]) Type() string { return v.typ }

// moment is a flag: a time in nanoseconds since 1970, nil if it is not given.
type moment struct{ at **int64 }

func (moment) String() string { return "" } // no default

func (v moment) Set(s string) error {
	t, err := filter.ParseTime(s)
	if err == nil {
		*v.at = &t
	}
	return err
}

func (moment) Type() string { return "TIME" }

// humanTime returns a time in UTC, to the nanosecond; --after takes it as it is.
func humanTime(ns int64) string {
	return time.Unix(0, ns).UTC().Format("2006-01-02T15:04:05.000000000Z")
}

// humanBits returns a number of bits with a decimal unit.
func humanBits(n float64) string {
	for _, unit := range []string{"bit", "kbit", "Mbit", "Gbit", "Tbit"} {
		if n < 999.5 || unit == "Tbit" {
			return humanRate(n) + " " + unit
		}
		n /= 1000
	}
	return ""
}

// humanRate returns n with three significant digits, all of those before the point.
func humanRate(n float64) string {
	switch {
	case n >= 99.95:
		return humanCount(int64(n + 0.5))
	case n >= 9.995:
		return strconv.FormatFloat(n, 'f', 1, 64)
	}
	return strconv.FormatFloat(n, 'f', 2, 64)
}
