package ingest

import (
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/gopacket/gopacket/pcapgo"
	"golang.org/x/net/bpf"

	"github.com/caplake/caplake/flows"
)

// Live is a network interface of this machine that is listened to through a
// packet socket (AF_PACKET). That needs the right to (CAP_NET_RAW), and
// nothing but Go.
//
// Packets have the kernel's times, to the nanosecond; those of the network
// card are not asked for. VLAN tags that the card took off are put back.
// Of a loopback interface, which has every packet twice, each is taken once, as it arrives.
type Live struct {
	handle   *pcapgo.EthernetHandle
	cfg      Config
	link     uint16
	loopback bool

	mu     sync.Mutex
	stats  LiveStats
	closed bool
}

// ARPHRD_ types of interfaces (linux/if_arp.h).
const (
	arpEthernet = 1
	arpLoopback = 772
	arpNone     = 0xfffe // no link header, as of tun
)

// OpenLive opens an interface by its name. From then on its packets wait to be taken, as far
// as the kernel has room for them.
func OpenLive(name string, cfg LiveConfig) (*Live, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if name == "" || strings.HasPrefix(name, ".") || strings.Contains(name, "/") {
		return nil, fmt.Errorf("%q is no name of an interface", name)
	}
	text, err := os.ReadFile("/sys/class/net/" + name + "/type")
	if err != nil {
		return nil, fmt.Errorf("interface %s: %w", name, err)
	}
	l := &Live{cfg: cfg.Config, link: 1}
	switch kind, _ := strconv.Atoi(strings.TrimSpace(string(text))); kind {
	case arpEthernet:
	case arpLoopback:
		l.loopback = true
	case arpNone:
		l.link = 101 // LINKTYPE_RAW
	default:
		return nil, fmt.Errorf("interface %s has links of type %d, which are not supported", name, kind)
	}
	if l.handle, err = pcapgo.NewEthernetHandle(name); err != nil {
		return nil, err
	}
	if err := l.configure(cfg); err != nil {
		l.handle.Close()
		return nil, fmt.Errorf("interface %s: %w", name, err)
	}
	return l, nil
}

func (l *Live) configure(cfg LiveConfig) error {
	if cfg.Snaplen > 0 {
		if err := l.handle.SetCaptureLength(cfg.Snaplen); err != nil {
			return err
		}
	}
	if l.loopback {
		const outgoing = 4 // PACKET_OUTGOING
		program, err := bpf.Assemble([]bpf.Instruction{
			bpf.LoadExtension{Num: bpf.ExtType},
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: outgoing, SkipTrue: 1},
			bpf.RetConstant{Val: 1 << 18},
			bpf.RetConstant{Val: 0},
		})
		if err != nil {
			return err
		}
		if err := l.handle.SetBPF(program); err != nil {
			return err
		}
	}
	if cfg.Promiscuous {
		return l.handle.SetPromiscuous(true)
	}
	return nil
}

// Packets is a source of the interface's packets. It ends when ctx is done, without an
// error: loops over it end as at the end of a capture, with everything told.
// Ending closes l. An error of the interface, as when it goes down, ends it too.
//
// Time is what packets say, here as of a capture. While none come, no time
// goes by: flows that are over are ended, and ticks told, with the next packet.
func (l *Live) Packets(ctx context.Context) flows.Source {
	return Decode(l.cfg, l.frames(ctx))
}

func (l *Live) frames(ctx context.Context) iter.Seq2[Frame, error] {
	return func(yield func(Frame, error) bool) {
		defer l.Close()
		defer context.AfterFunc(ctx, func() { l.Close() })() // which wakes the reader
		var tagged []byte
		for ctx.Err() == nil {
			data, info, err := l.handle.ZeroCopyReadPacketData()
			if err != nil {
				if ctx.Err() == nil {
					yield(Frame{}, err)
				}
				return
			}
			f := Frame{Time: info.Timestamp.UnixNano(), Link: l.link, Data: data, OrigLen: info.Length}
			if len(info.AncillaryData) > 0 && len(data) >= 12 {
				if vlan, ok := info.AncillaryData[0].(int); ok {
					tagged = append(tagged[:0], data[:12]...)
					tagged = binary.BigEndian.AppendUint16(append(tagged, 0x81, 0), uint16(vlan))
					f.Data = append(tagged, data[12:]...)
					f.OrigLen += 4
					tagged = f.Data
				}
			}
			if !yield(f, nil) {
				return
			}
		}
	}
}

// Stats returns what was counted so far; after Close, up to then. Any goroutine may ask.
func (l *Live) Stats() LiveStats {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.count()
	}
	return l.stats
}

// count adds what the kernel counted since the last time.
func (l *Live) count() {
	if s, err := l.handle.Stats(); err == nil {
		l.stats.Received += uint64(s.Packets)
		l.stats.Dropped += uint64(s.Drops)
	}
}

// Close ends l and all sources of it. Any goroutine may call it, more than once.
func (l *Live) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	l.count()
	return l.handle.Close()
}
