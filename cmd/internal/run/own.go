package run

import (
	"github.com/caplake/caplake/schema/tabulate"
	"github.com/caplake/caplake/writers"
)

// openOwn, in the file that is generated, opens an own table by the type of its
// rows: only a type that stands in the source can be written. It is generated
// from schema.Own, so that a table is named there and nowhere else.
//
//go:generate go test -run TestOwnTypes -update .

// openRows opens the file of an own table, and returns what writes its rows.
func openRows[R any](dir *writers.Dir, name string, place int) (func(parts []*tabulate.Output) error, error) {
	w, err := writers.NewTable[R, R](dir, name, nil)
	return func(parts []*tabulate.Output) error {
		return mergeLists(w, parts, func(o *tabulate.Output) tabulate.List[R] {
			l, _ := tabulate.OwnRows[R](o, place)
			return l
		})
	}, err
}
