package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"regexp"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/doctor"
	"github.com/peregrine-rpc/peregrine/cmd/peregrine/internal/measure"
	"github.com/peregrine-rpc/peregrine/transport"
	"github.com/peregrine-rpc/peregrine/transport/dpdk"
	"github.com/peregrine-rpc/peregrine/transport/iouring"
	"github.com/peregrine-rpc/peregrine/transport/udp"
	"github.com/peregrine-rpc/peregrine/transport/xdp"
)

type doctorCommand struct {
	cpus           []int
	measure, apply bool
	yes            bool
	duration       time.Duration
	in             io.Reader
	results
}

func newDoctor() *cobra.Command {
	var d doctorCommand
	cmd := &cobra.Command{
		Use:   "doctor [INTERFACE|URL]",
		Short: "Inspect this host and its network card, and say what to do",
		Long: `Doctor looks at the kernel, the processors, the memory and a network interface, by
default that of the default route, and says what keeps Peregrine from working or
makes it slow, the most useful first: what was found, why it matters, and the
command to run. A URL makes it look at one backend, as it would be opened.

It changes nothing unless --apply is given, which makes the changes that concern
nobody else's packets and end with a reboot, and shows and asks for each. It works
without root, and says what it could not see.

Each finding has a code; docs/doctor.md tells more about each. The exit status is
3 if there is a problem, which is what keeps what was asked about from working.`,
		Example: `  peregrine doctor
  peregrine doctor eth1 --cpu 2,4 --measure
  peregrine doctor 'xdp://eth1?port=31850' --json doctor.json
  peregrine doctor 0000:00:06.0
  sudo peregrine doctor --apply`,
		Args: arguments(0, 1, "one interface, such as eth1, or one URL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			d.in = cmd.InOrStdin()
			asked, err := d.ask(args)
			if err != nil {
				return misuse(cmd, err)
			}
			return d.during(cmd, func() error { return d.run(cmd.Context(), asked) })
		},
	}
	flags := cmd.Flags()
	flags.IntSliceVar(&d.cpus, "cpu", nil, "CPUs that loops are to have, as in 2,4")
	flags.BoolVar(&d.measure, "measure", false, "measure as well, for about ten seconds: cache line, timers, system calls, and each backend on the loopback")
	flags.DurationVar(&d.duration, "duration", 10*time.Second, "time for all measurements")
	_ = flags.MarkHidden("duration") // ten seconds is what is promised; tests take less
	flags.BoolVar(&d.apply, "apply", false, "make the changes that are safe, and ask before each")
	flags.BoolVar(&d.yes, "yes", false, "with --apply: do not ask")
	d.results.register(flags, "the findings and facts")
	return cmd
}

// pciAddress is how the PCI bus names a device.
var pciAddress = regexp.MustCompile(`^([0-9a-f]{4}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$`)

// ask makes of the arguments what doctor is asked.
func (d *doctorCommand) ask(args []string) (asked doctor.Asked, err error) {
	asked = doctor.Asked{CPUs: d.cpus, Built: backends()}
	switch {
	case d.yes && !d.apply:
		return asked, errors.New("--yes is for --apply: give both, or neither")
	case runtime.GOOS != "linux":
		return asked, fmt.Errorf("doctor knows Linux only: on %s there is udp://, without more to set", runtime.GOOS)
	}
	if err := within("duration", d.duration, 10*time.Millisecond, time.Hour); err != nil {
		return asked, err
	}
	for _, cpu := range d.cpus {
		if err := within("cpu", cpu, 0, 1<<13); err != nil {
			return asked, err
		}
	}
	if len(args) == 0 {
		return asked, nil
	}
	if strings.Contains(args[0], "://") {
		return asked, askURL(&asked, args[0])
	}
	askDevice(&asked, args[0])
	return asked, nil
}

// askDevice takes an interface or a PCI address.
func askDevice(asked *doctor.Asked, name string) {
	pci := strings.ToLower(name)
	switch {
	case !pciAddress.MatchString(pci):
		asked.Interface = name
	case strings.Count(pci, ":") == 1:
		asked.PCI = "0000:" + pci
	default:
		asked.PCI = pci
	}
}

func askURL(asked *doctor.Asked, url string) error {
	if rest, ok := strings.CutPrefix(url, "auto://"); ok {
		addr, _, _ := strings.Cut(rest, "?")
		asked.Interface = interfaceOf(addr)
		return transport.CheckURL(url)
	}
	driver, config, err := transport.ParseURL(url)
	if err != nil {
		return err
	}
	asked.Backend = driver.Name()
	switch c := config.(type) {
	case *udp.Config:
		asked.Interface, asked.RecvBuffer, asked.SendBuffer = interfaceOf(c.Address), c.RecvBuffer, c.SendBuffer
	case *iouring.Config:
		asked.Interface, asked.RecvBuffer, asked.SendBuffer = interfaceOf(c.Address), c.RecvBuffer, c.SendBuffer
	case *xdp.Config:
		asked.Interface = c.Interface
	case *dpdk.Config:
		if name, _, _ := strings.Cut(c.Device, ","); !strings.HasPrefix(name, "net_") { // else a device that is none
			askDevice(asked, name)
		}
	default:
		return fmt.Errorf("doctor knows udp, iouring, xdp and dpdk, not %s", driver.Name())
	}
	return nil
}

// interfaceOf is the one that has the address of a socket; empty if all have.
func interfaceOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	ip, err2 := netip.ParseAddr(host)
	if err != nil || err2 != nil || ip.IsUnspecified() {
		return ""
	}
	interfaces, _ := net.Interfaces()
	for _, each := range interfaces {
		addrs, _ := each.Addrs()
		for _, a := range addrs {
			if prefix, err := netip.ParsePrefix(a.String()); err == nil && (prefix.Addr() == ip.Unmap().WithZone("") || ip.IsLoopback() && prefix.Contains(ip)) {
				return each.Name
			}
		}
	}
	return ""
}

// ailing says that there are problems.
type ailing int

func (n ailing) Error() string {
	return measure.Plural(int(n), "problem") + " found: see above, and docs/doctor.md"
}

// exitAiling is the status of a doctor who found problems.
const exitAiling = 3

func (d *doctorCommand) run(ctx context.Context, asked doctor.Asked) error {
	facts, err := doctor.Collect(os.DirFS("/"), doctor.HostProbes(), asked)
	if err != nil {
		return err
	}
	if d.measure {
		if err := d.figures(ctx, facts); err != nil {
			return err
		}
	}
	diagnosis := doctor.Examine(facts)
	if err := diagnosis.Print(d.out); err != nil {
		return err
	}
	if err := d.json.Write(diagnosis); err != nil {
		return err
	}
	if d.apply {
		if err := d.change(diagnosis.Changes()); err != nil {
			return err
		}
	}
	if problems := diagnosis.Count(doctor.Problem); problems > 0 {
		return ailing(problems)
	}
	return nil
}
