package run

import (
	"fmt"

	"github.com/caplake/caplake/schema"
	"github.com/caplake/caplake/schema/tabulate"
	"github.com/caplake/caplake/writers"
)

// openOwn opens the file of an own table, and returns what writes its rows.
func openOwn(dir *writers.Dir, own schema.OwnTable, place int) (func(parts []*tabulate.Output) error, error) {
	name := own.Table().Name
	switch own.NewRows().(type) {
	case *schema.Rows[schema.SSH]:
		return openRows[schema.SSH](dir, name, place)
	}
	return nil, fmt.Errorf("table %s: the type of its rows has no case here", name)
}

func openRows[R any](dir *writers.Dir, name string, place int) (func(parts []*tabulate.Output) error, error) {
	w, err := writers.NewTable[R, R](dir, name, nil)
	return func(parts []*tabulate.Output) error {
		return mergeLists(w, parts, func(o *tabulate.Output) tabulate.List[R] {
			l, _ := tabulate.OwnRows[R](o, place)
			return l
		})
	}, err
}
