package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/peregrine-rpc/peregrine"
	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/measure"
	"github.com/peregrine-rpc/peregrine/transport/pcapng"
)

type captureCommand struct {
	serveCommand
	path     string
	snap     byteSize
	every    int
	peers    []string
	methods  []uint
	fileSize byteSize
	files    int
	buffer   byteSize
}

func newCapture() *cobra.Command {
	var c captureCommand
	cmd := &cobra.Command{
		Use:   "capture [URL] -w FILE",
		Short: "Serve, and record all datagrams for Wireshark",
		Long: `Capture serves as the command serve does, by default at
` + defaultURL + `, and records what is received and sent, over any backend:
also over DPDK and AF_XDP, where tcpdump sees nothing, since a process has the
queue to itself. The file is pcapng; 'peregrine dissector --install' has Wireshark
and tshark read it. Programs record themselves by the package transport/pcapng.`,
		Example: `  peregrine capture -w calls.pcapng --file-size 64MiB --files 8
  peregrine capture 'xdp://eth1?port=31850' --plain -w f.pcapng --snap 128
  peregrine capture udp://0.0.0.0:31850 --plain -w f.pcapng --peer 10.0.1.7 --method 1
  tshark -r f.pcapng -Y peregrine`,
		Args: arguments(0, 1, "one URL, such as "+defaultURL),
		RunE: func(cmd *cobra.Command, args []string) error {
			c.in, c.url = cmd.InOrStdin(), defaultURL
			if len(args) == 1 {
				c.url = args[0]
			}
			options, err := c.recording()
			if err := errors.Join(c.check(cmd.Flags()), err); err != nil {
				return misuse(cmd, err)
			}
			return c.during(cmd, func() error { return c.record(cmd.Context(), options) })
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&c.path, "write", "w", "", "`file` to write, or after which the files are named that --file-size bounds")
	flags.Var(&c.snap, "snap", "bytes of each datagram to record (0: all)")
	flags.IntVar(&c.every, "every", 1, "record one in so many datagrams")
	flags.StringSliceVar(&c.peers, "peer", nil, "record this `address`, or address:port, only; may be repeated")
	flags.UintSliceVar(&c.methods, "method", nil, "record requests of this method only, and what belongs to them; may be repeated")
	flags.Var(&c.fileSize, "file-size", "begin another file after so many bytes (0: never)")
	flags.IntVar(&c.files, "files", 0, "keep so many of these files, the newest (0: all)")
	c.buffer = 4 << 20
	flags.Var(&c.buffer, "buffer", "memory of each loop for what waits to be written")
	c.register(flags)
	return cmd
}

// mostFiles are enough for a folder.
const mostFiles = 1 << 20

// recording is what the flags say of the recording.
func (c *captureCommand) recording() (pcapng.Options, error) {
	o := pcapng.Options{
		Snap: int(c.snap), Every: c.every, Buffer: int(c.buffer), FileSize: int64(c.fileSize), Files: c.files,
	}
	err := errors.Join(within("every", c.every, 1, 1<<30), within("files", c.files, 0, mostFiles),
		within("buffer", int(c.buffer), 1<<16, 1<<30), within("snap", int(c.snap), 0, 1<<16))
	if c.path == "" {
		err = errors.Join(err, errors.New("say by -w which file to write"))
	}
	if c.files > 0 && c.fileSize == 0 {
		err = errors.Join(err, errors.New("--files bounds how many files there are, and without --file-size there is one: give both"))
	}
	for _, text := range c.peers {
		peer, bad := netip.ParseAddrPort(text)
		if bad != nil {
			var addr netip.Addr
			if addr, bad = netip.ParseAddr(text); bad != nil {
				err = errors.Join(err, fmt.Errorf("--peer: %q is no address: write one as 10.0.1.7 or 10.0.1.7:40000", text))
			}
			peer = netip.AddrPortFrom(addr, 0)
		}
		o.Peers = append(o.Peers, netip.AddrPortFrom(peer.Addr().Unmap(), peer.Port()))
	}
	for _, m := range c.methods {
		if m > 1<<16-1 {
			err = errors.Join(err, fmt.Errorf("--method: %s is no method: write 0 to 65535", strconv.FormatUint(uint64(m), 10)))
		}
		o.Methods = append(o.Methods, uint16(m))
	}
	return o, err
}

func (c *captureCommand) record(ctx context.Context, o pcapng.Options) error {
	recorder, err := pcapng.Create(c.path, o)
	if err != nil {
		return err
	}
	c.extra = append(c.extra, peregrine.WithDecorator(recorder.Decorate))
	err = c.run(ctx)
	err = errors.Join(err, recorder.Close())
	count := recorder.Counts()
	fmt.Fprintf(c.out, "recorded %s", measure.Plural(int(count.Written), "datagram"))
	if count.Filtered > 0 {
		fmt.Fprintf(c.out, ", left out %d of other methods", count.Filtered)
	}
	if count.Missed > 0 {
		fmt.Fprintf(c.out, ", missed %d: they came faster than they could be written (--snap, --every, --buffer)", count.Missed)
	}
	fmt.Fprintln(c.out)
	return err
}
