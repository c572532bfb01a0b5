// Package ingest reads captures and turns what is in them into decoded
// packets, in one order that depends on the captures alone.
//
// A program begins with Packets, a flows.Source of captures by their names; Decode
// makes a source of frames that it has from elsewhere, OpenLive one of an interface.
// What follows is for programs that read at the pace of several cores, or want the ledger.
//
// A Plan finds the inputs and puts them in order; its Run reads them:
//
//	bytes ──► reader ──► decode ──────► in order ──────► every worker's
//	          walks      headers to     fragments put    handler, batch
//	          record     flows.Packet   together, the    by batch
//	          headers    (parallel)     ledger
//
// The unit is the Batch: one block of a capture as it was read, the records
// found in it, and the packets decoded from them. Nothing is copied per
// packet and nothing is allocated per packet: packets are pointer-free and
// refer to the block by offset. The block comes from a fixed pool, and only as
// many as Config.MaxBlocks are on their way at a time, because the bytes in
// flight are what decides whether they are still in the processor's cache
// when a handler looks at them.
//
// Where one batch ends and the next begins depends on the bytes of the
// inputs and on the Config, never on how much a read happened to return,
// on the number of workers or on the clock; so a handler may act at the end of
// a batch without giving up reproducible output.
//
// What cannot be read is data, not an error: a capture that is cut off or
// damaged gives the packets before the damage, and its Capture, the ledger's
// entry, says where and why. Each packet of each capture is counted there
// under exactly one Outcome. Errors that Run returns are the handler's own and
// those of the machine.
//
// The package knows nothing of flows' lives, of protocols above the transport
// or of output.
package ingest
