package flows_test

import (
	"fmt"
	"log"
	"time"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/ingest"
)

// A meter of services: a key of one's own, idle times by flow, and the clock of the packets.
func ExampleEvents() {
	cfg := flows.EventConfig{
		// A flow is all that two hosts exchange for one service, which is the lower port.
		Key: func(p *flows.Packet, _ []byte, _ []flows.Encap) {
			service := uint16(0)
			if p.Flags&flows.HasPorts != 0 { // of ICMP, type and code are in their place
				service = min(p.SrcPort, p.DstPort)
			}
			p.Rekey(p.Src, p.Dst, service, service, 0)
		},
		Config: flows.Config{Idle: func(f *flows.Flow) int64 {
			if f.DstPort != 53 {
				return -1 // until the end
			}
			return int64(3 * time.Second)
		}},
		Kinds: flows.EventPacket | flows.EventTick | flows.EventEnded,
		Every: int64(2 * time.Second),
	}
	var bytes uint64
	for ev, err := range flows.Events(ingest.Packets("../testdata/captures/http-keepalive.pcap", "../testdata/captures/dns-udp.pcap", "../testdata/captures/misc.pcap"), cfg) {
		if err != nil {
			log.Fatal(err)
		}
		switch ev.Kind {
		case flows.EventPacket:
			bytes += uint64(ev.Packet.WireLen)
		case flows.EventTick:
			fmt.Println(bytes, "bytes until", time.Unix(0, ev.At.Time).UTC().Format(time.TimeOnly))
		case flows.EventEnded:
			s := &ev.Flow.Sides
			fmt.Println("service", ev.Flow.DstPort, ev.Flow.End, s[0].Packets, s[1].Packets)
		}
	}
	// Output:
	// 7979 bytes until 01:51:11
	// 9971 bytes until 01:51:12
	// 15334 bytes until 01:51:14
	// 19841 bytes until 01:51:18
	// 23377 bytes until 01:51:18
	// service 80 end_of_input 21 17
	// service 53 end_of_input 42 43
	// service 0 end_of_input 5 4
	// service 81 end_of_input 1 1
}
