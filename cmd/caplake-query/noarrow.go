//go:build !duckdb_arrow

package main

import (
	"context"
	"errors"
)

// loadArrow fails: this program was built without Arrow.
func (s *session) loadArrow(context.Context, string) error {
	return errors.New("this dataset has Arrow files, and caplake-query was built without -tags duckdb_arrow")
}
