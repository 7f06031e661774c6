package quicecho

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"flag"
	"io"
	"net"
	"runtime"

	"github.com/quic-go/quic-go"

	"github.com/peregrine-rpc/peregrine/bench/internal/side"
	"github.com/peregrine-rpc/peregrine/internal/affinity"
)

// settings let neither flow control nor the number of streams be what is measured.
func settings() *quic.Config {
	return &quic.Config{
		InitialStreamReceiveWindow: maxMessage, MaxStreamReceiveWindow: maxMessage,
		InitialConnectionReceiveWindow: maxMessage, MaxConnectionReceiveWindow: maxMessage,
		MaxIncomingStreams: 1 << 10,
	}
}

// Serve is the server's program: it serves a free port of loopback until its standard
// input ends.
func Serve(args []string) error {
	flags := flag.NewFlagSet("quic-serve", flag.ContinueOnError)
	cpu := flags.Int("cpu", 0, "CPU that the whole process is pinned to")
	cert := flags.String("tls-cert", "", "PEM file of the certificate")
	key := flags.String("tls-key", "", "PEM file of its key")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if err := affinity.SetProcess(*cpu); err != nil {
		return err
	}
	runtime.GOMAXPROCS(1)
	pair, err := tls.LoadX509KeyPair(*cert, *key)
	if err != nil {
		return err
	}
	listener, err := listen(&tls.Config{Certificates: []tls.Certificate{pair}})
	if err != nil {
		return err
	}
	side.Announce(listener.Addr().(*net.UDPAddr).AddrPort().String())
	go func() {
		side.AwaitEOF()
		listener.Close()
	}()
	return serve(listener)
}

func listen(config *tls.Config) (*quic.Listener, error) {
	config.NextProtos = []string{alpn}
	return quic.ListenAddr("127.0.0.1:0", config, settings())
}

func serve(listener *quic.Listener) error {
	for {
		conn, err := listener.Accept(context.Background())
		if errors.Is(err, quic.ErrServerClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		go func() {
			for {
				stream, err := conn.AcceptStream(context.Background())
				if err != nil {
					return
				}
				go answer(stream)
			}
		}()
	}
}

// answer answers the calls of a stream until it ends.
func answer(stream *quic.Stream) {
	defer stream.Close()
	in := bufio.NewReaderSize(stream, 64<<10)
	kind, err := in.ReadByte()
	if err != nil {
		return
	}
	buf, out := make([]byte, 64<<10), make([]byte, 0, 64<<10)
	for {
		if kind == upload {
			err = answerUpload(in, stream, buf, out)
		} else {
			var request []byte
			if request, err = read(in, buf); err == nil {
				err = write(stream, out, request)
			}
		}
		if err != nil {
			return
		}
	}
}

// answerUpload replies with the length and the first 8 bytes.
func answerUpload(in io.Reader, w io.Writer, buf, out []byte) error {
	if _, err := io.ReadFull(in, buf[:lengthSize]); err != nil {
		return err
	}
	left := int(binary.LittleEndian.Uint32(buf))
	reply := binary.LittleEndian.AppendUint64(nil, uint64(left))
	for first := true; left > 0; first = false {
		n := min(left, len(buf))
		if _, err := io.ReadFull(in, buf[:n]); err != nil {
			return err
		}
		if first {
			reply = append(reply, buf[:8]...)
		}
		left -= n
	}
	return write(w, out, reply)
}
