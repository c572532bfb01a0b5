package writers

import "github.com/caplake/caplake/schema"

const haveArrow = true

// newFormat returns what makes the sinks that put a table's row groups into its files, and what
// makes the encoders of them.
func newFormat[T any](dir *Dir, name string, columns []schema.Column) (func() sink, func() encoder[T], error) {
	if dir.opts.Format == Arrow {
		return arrowFormat[T](dir, name, columns)
	}
	return parquetFormat[T](dir, name, columns)
}
