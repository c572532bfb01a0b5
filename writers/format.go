package writers

import "github.com/caplake/caplake/schema"

const haveArrow = true

// newFormat returns what makes the sinks that put a table's row groups into its files, and what
// makes the encoders of them.
func newFormat[T any](dir *Dir, name string, columns []schema.Column) (func() sink, func() encoder[T], error) {
	switch dir.opts.Format {
	case Arrow:
		return arrowFormat[T](dir, name, columns)
	case NDJSON:
		return ndjsonFormat[T](columns)
	}
	return parquetFormat[T](dir, name, columns)
}
