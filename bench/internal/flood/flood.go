package flood

import (
	"errors"
	"flag"
	"io"
	"math/rand/v2"
	"net"
	"time"

	"github.com/peregrine-rpc/peregrine/bench/internal/side"
)

// size is of a datagram.
const size = 64

// Send is the program: it sends to the address at its end until standard input ends.
func Send(args []string) error {
	flags := flag.NewFlagSet("flood", flag.ContinueOnError)
	rate := flags.Int("rate", 100_000, "datagrams a second")
	elsewhere := flags.Bool("elsewhere", false, "send to a port of this program's own instead, which it does not read")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 || *rate < 1000 {
		return errors.New("flood: want an address, and a --rate of at least 1000")
	}
	addr := flags.Arg(0)
	if *elsewhere {
		unread, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer unread.Close()
		addr = unread.LocalAddr().String()
	}
	conn, err := net.Dial("udp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	side.Announce(addr)
	ended := make(chan struct{})
	go func() {
		side.AwaitEOF()
		close(ended)
	}()
	send(conn, *rate, ended)
	return nil
}

// send sends so many datagrams a second until it is told that it is over.
func send(to io.Writer, rate int, ended <-chan struct{}) (sent int) {
	random := rand.NewChaCha8([32]byte{1})
	garbage := make([]byte, size)
	turns := time.NewTicker(time.Millisecond)
	defer turns.Stop()
	for began := time.Now(); ; {
		select {
		case <-ended:
			return sent
		case <-turns.C:
		}
		due := int(time.Since(began).Seconds() * float64(rate))
		for ; sent < due; sent++ {
			_, _ = random.Read(garbage)
			_, _ = to.Write(garbage) // who is not there, or has no room, gets none
		}
	}
}
