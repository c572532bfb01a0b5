// Package tabulate turns packets into the rows of all tables, in memory. It is
// the place where flows, protocols and tables come together; it opens nothing
// and writes nothing.
//
//	for batch, err := range tabulate.Batches(ingest.Packets("traffic.pcap"), tabulate.Config{}) {
//		for _, row := range batch.HTTP {
//			fmt.Println(row.TS, row.SrcIP)
//		}
//	}
//
// Any flows.Source will do: captures, packets in memory, a live interface. A
// protocol of your own can fill a table of its own next to the shipped ones:
// see schema.TableOf and Config.Own. What package writers makes of a Batch are Arrow
// record batches (writers.Records), without files.
//
// The program caplake makes its rows here too, with trackers of its own for many
// shards: Collector is for that.
package tabulate
