package ingest_test

import (
	"context"
	"fmt"
	"log"

	"github.com/caplake/caplake/ingest"
)

// Packets of captures, of whatever format and compression, one after the other.
func ExamplePackets() {
	n := map[uint8]int{}
	for p, err := range ingest.Packets("../testdata/captures/misc.pcap", "../testdata/captures/http-chunked.pcap.gz") {
		if err != nil {
			log.Fatal(err)
		}
		n[p.Proto]++
	}
	fmt.Println(n)
	// Output:
	// map[1:8 6:61]
}

// By several workers, each with the packets that are its own, and with the ledger of what became of every packet.
func ExamplePlan() {
	ctx := context.Background()
	plan, err := ingest.NewPlan(ctx, ingest.Config{}, []string{"../testdata/captures/misc.pcap"}, nil)
	if err != nil {
		log.Fatal(err)
	}
	const workers = 2
	var bytes [workers]int
	err = plan.Run(ctx, ingest.Config{}, workers, func(worker int, b *ingest.Batch) error {
		for i := range b.Packets {
			if p := &b.Packets[i]; p.Hash%workers == uint64(worker) {
				bytes[worker] += len(b.Bytes(p)[p.Payload:][:p.PayloadCaptured])
			}
		}
		return nil
	}, func(input uint32, c *ingest.Capture) {
		fmt.Println(input, c.Format, c.LinkTypes, c.Packets, "packets,", c.InFlow, "in flows,", c.NotIP, "not IP")
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(bytes[0]+bytes[1], "bytes of payload")
	// Output:
	// 1 pcap [ethernet] 16 packets, 8 in flows, 2 not IP
	// 6600 bytes of payload
}
