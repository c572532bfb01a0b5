//go:build !caplake_arrow

package writers

import (
	"errors"

	"github.com/caplake/caplake/schema"
)

const haveArrow = false

// newFormat returns what puts a table's row groups into its file, and what
// makes the encoders of them.
func newFormat[T any](dir *Dir, name string, columns []schema.Column) (sink, func() encoder[T], error) {
	if dir.opts.Format == Arrow {
		return nil, nil, errors.New("built without Arrow (tag caplake_arrow)")
	}
	return parquetFormat[T](dir, name, columns)
}
