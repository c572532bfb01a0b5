// Package conformance compares the tables that a conversion wrote with what
// another program says of the same capture.
//
// The other program is tshark; its answers ("truth") are tab-separated files
// beside a corpus of captures. Both sides are brought to records with the same
// columns, paired within groups that a disagreement cannot change (the pair of
// endpoints and the kind of record), and counted: equal, different in a column
// that matters, missing, extra. Nothing is repaired on the way: where one
// program's rule is known to differ from the other's, the rule is named in the
// code that allows for it.
package conformance
