package writers

import "github.com/caplake/caplake/schema"

// newFormat returns what puts a table's row groups into its file, and makes
// the encoders of them.
func newFormat[T any](dir *Dir, name string, columns []schema.Column) (sink, func() encoder[T], error) {
	return parquetFormat[T](dir, name, columns)
}
