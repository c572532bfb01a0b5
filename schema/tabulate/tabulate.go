// Package tabulate turns packets into the rows of all tables, in memory. It is
// the place where flows, protocols and tables come together; it opens nothing
// and writes nothing.
package tabulate
