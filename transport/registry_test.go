package transport

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// toyConfig has a field of each kind that a URL can set.
type toyConfig struct {
	Address string         `yaml:"address" url:"host"`
	Offload bool           `yaml:"offload"`
	Depth   int            `yaml:"depth,omitempty"`
	Small   int8           `yaml:"small"`
	Buffer  uint32         `yaml:"receive_buffer"`
	Share   float64        `yaml:"share"`
	Linger  time.Duration  `yaml:"linger"`
	Names   []string       `yaml:"names"`
	Prefix  netip.Prefix   `yaml:"ip"`
	Table   map[string]int `yaml:"table"`
	Hidden  string         `yaml:"-"`
	Plain   string
}

func (c *toyConfig) Validate() error {
	if c.Depth > 100 {
		return &ConfigError{Driver: "toy", Key: "depth", Problem: "is over 100: lower it"}
	}
	if c.Share > 1 {
		return errors.New("share is over 1: lower it")
	}
	return nil
}

// toy is a backend that opens fakes, and remembers them.
type toy struct {
	name   string
	refuse int // the queue that does not open; -1 for none
	opened []*fake
	seen   []toyConfig
}

var errRefused = errors.New("refused")

func (d *toy) Name() string { return d.name }
func (d *toy) Config() any  { return &toyConfig{Depth: 8, Linger: time.Second} }

func (d *toy) Open(cfg any, queue, queues int) (Transport, error) {
	if queue == d.refuse {
		return nil, errRefused
	}
	c := *cfg.(*toyConfig)
	d.seen = append(d.seen, c)
	f := newFake()
	f.local = netip.MustParseAddrPort("127.0.0.1:4321")
	d.opened = append(d.opened, f)
	return f, nil
}

// register makes a toy available for one test, under a name of its own.
func register(t *testing.T, name string) *toy {
	d := &toy{name: name, refuse: -1}
	Register(d)
	t.Cleanup(func() {
		registry.Lock()
		defer registry.Unlock()
		delete(registry.drivers, name)
	})
	return d
}

func TestAURLSetsEveryKindOfKey(t *testing.T) {
	t.Parallel()
	register(t, "kinds")

	d, cfg, err := ParseURL("kinds://0000:00:06.0?offload=1&depth=0x10&small=-5&receive_buffer=4194304&share=0.5&linger=10ms&names=a,b&ip=10.0.1.7/24")
	require.NoError(t, err)
	require.Equal(t, "kinds", d.Name())
	require.Equal(t, &toyConfig{
		Address: "0000:00:06.0",
		Offload: true,
		Depth:   16,
		Small:   -5,
		Buffer:  4 << 20,
		Share:   0.5,
		Linger:  10 * time.Millisecond,
		Names:   []string{"a", "b"},
		Prefix:  netip.MustParsePrefix("10.0.1.7/24"),
	}, cfg)
}

func TestAURLKeepsDefaults(t *testing.T) {
	t.Parallel()
	register(t, "keeps")

	_, cfg, err := ParseURL("keeps://[::1]:80/")
	require.NoError(t, err)
	require.Equal(t, &toyConfig{Address: "[::1]:80", Depth: 8, Linger: time.Second}, cfg)
}

func TestAZoneIsWrittenAsInURLsOrPlain(t *testing.T) {
	t.Parallel()
	register(t, "zoned")
	for url, address := range map[string]string{
		"zoned://[fe80::1%25eth0]:80":  "[fe80::1%eth0]:80",
		"zoned://[fe80::1%eth0]:80":    "[fe80::1%eth0]:80",
		"zoned://[fe80::1%253]:80":     "[fe80::1%3]:80",
		"zoned://[fe80::1%3]:80":       "[fe80::1%3]:80",
		"zoned://[fe80::1%25]:80":      "[fe80::1%25]:80",
		"zoned://device,arg=%25x":      "device,arg=%25x",
		"zoned://]fe80::1%25eth0[:80/": "]fe80::1%25eth0[:80",
	} {
		_, cfg, err := ParseURL(url)
		require.NoError(t, err)
		require.Equal(t, address, cfg.(*toyConfig).Address)
	}
}

func TestAWrongURLNamesTheKeyAndTheRemedy(t *testing.T) {
	t.Parallel()
	register(t, "wrong")

	for _, c := range []struct{ url, key, says string }{
		{"wrong://h?ofload=1", "ofload", `did you mean "offload"`},
		{"wrong://h?zzz=1", "zzz", "known keys are address, depth, ip, linger"},
		{"wrong://h?Plain=1", "Plain", "unknown key"},
		{"wrong://h?-=1", "-", "unknown key"},
		{"wrong://h?offload=maybe", "offload", "write true or false"},
		{"wrong://h?offload", "offload", "write true or false"},
		{"wrong://h?depth=1&depth=2", "depth", "given 2 times (1, 2)"},
		{"wrong://h?address=g", "address", "given 2 times (g, h)"},
		{"wrong://h?depth=many", "depth", "not a whole number"},
		{"wrong://h?small=128", "small", "from -128 to 127"},
		{"wrong://h?receive_buffer=-1", "receive_buffer", "from 0 to 4294967295"},
		{"wrong://h?share=half", "share", "not a number"},
		{"wrong://h?linger=10", "linger", "such as 10ms"},
		{"wrong://h?ip=10.0.0.1", "ip", "malformed"},
		{"wrong://h?table=1", "table", "use a configuration file"},
		{"wrong://", "address", "missing: write wrong://ADDRESS"},
		{"wrong://h?depth=101", "depth", "over 100"},
	} {
		_, _, err := ParseURL(c.url)
		var wrong *ConfigError
		require.ErrorAs(t, err, &wrong, c.url)
		require.Equal(t, c.key, wrong.Key, c.url)
		require.ErrorContains(t, err, c.says, c.url)
	}

	_, _, err := ParseURL("wrong://h?share=2")
	require.EqualError(t, err, "transport: wrong: share is over 1: lower it")
	_, _, err = ParseURL("wrong://h?a=%zz")
	require.ErrorContains(t, err, "malformed")
	_, _, err = ParseURL("127.0.0.1:31850")
	require.ErrorContains(t, err, "write driver://address")
}

func TestAMissingBackendSaysHowToGetIt(t *testing.T) {
	t.Parallel()
	register(t, "present")

	for url, says := range map[string]string{
		"dpdk://0000:00:06.0": "-tags dpdk",
		"iouring://[::1]:0":   `import _ "github.com/peregrine-rpc/peregrine/transport/iouring"`,
		"iourin://[::1]:0":    `did you mean "iouring"?`,
		"presemt://h":         `did you mean "present"?`,
		"xdp://eth0":          `import _ "github.com/peregrine-rpc/peregrine/transport/xdp"`,
		"xdq://eth0":          `did you mean "xdp"?`,
		"UDP://h":             `did you mean "udp"?`,
		"quite-unknown://h":   "registered are ",
	} {
		_, err := Open(url)
		require.ErrorIs(t, err, ErrUnavailable, url)
		require.ErrorContains(t, err, says, url)
	}
}

func TestARemedyNamesAPackageThatExists(t *testing.T) {
	t.Parallel()
	for name, remedy := range remedies {
		require.Contains(t, remedy, "/transport/"+name+`"`)
		files, err := filepath.Glob(filepath.Join(name, "*.go"))
		require.NoError(t, err)
		registers := slices.ContainsFunc(files, func(file string) bool {
			source, err := os.ReadFile(file)
			require.NoError(t, err)
			return strings.Contains(string(source), "transport.Register(")
		})
		require.True(t, registers, "nothing in %s registers a driver", name)
	}
}

func TestRegisterRefusesATakenOrReservedName(t *testing.T) {
	t.Parallel()
	d := register(t, "taken")

	require.Contains(t, Drivers(), "taken")
	require.Panics(t, func() { Register(d) })
	require.Panics(t, func() { Register(&toy{name: ""}) })
	require.Panics(t, func() { Register(&toy{name: "auto"}) })
}

func TestQueuesOfOneAddressShareThePortThatTheFirstChose(t *testing.T) {
	t.Parallel()
	d := register(t, "queues")

	trs, err := OpenQueues("queues://127.0.0.1:0", 3)
	require.NoError(t, err)
	require.Len(t, trs, 3)
	require.Equal(t, "127.0.0.1:0", d.seen[0].Address)
	require.Equal(t, "127.0.0.1:4321", d.seen[1].Address)
	require.Equal(t, "127.0.0.1:4321", d.seen[2].Address)

	_, err = OpenQueues("queues://127.0.0.1:0", 0)
	require.ErrorContains(t, err, "at least 1")
}

func TestAQueueThatDoesNotOpenClosesTheOthers(t *testing.T) {
	t.Parallel()
	d := register(t, "half")
	d.refuse = 2

	_, err := OpenQueues("half://127.0.0.1:0", 4)
	require.ErrorIs(t, err, errRefused)
	require.ErrorContains(t, err, "half queue 2 of 4")
	require.Len(t, d.opened, 2)
	require.True(t, d.opened[0].closed)
	require.True(t, d.opened[1].closed)
}

func TestAStructOpensAsAURLDoes(t *testing.T) {
	t.Parallel()
	d := register(t, "struct")
	driver, ok := Lookup("struct")
	require.True(t, ok)

	cfg := driver.Config().(*toyConfig)
	cfg.Address = "127.0.0.1:0"
	_, err := OpenConfig("struct", cfg, 2)
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1:0", cfg.Address, "the caller's struct stays as it was")
	require.Equal(t, "127.0.0.1:4321", d.seen[1].Address)

	_, err = OpenConfig("struct", &toyConfig{}, 1)
	require.ErrorContains(t, err, `key "address": missing`)
	_, err = OpenConfig("struct", toyConfig{}, 1)
	require.EqualError(t, err, "transport: these settings are not those of struct: fill in what the Config method of its driver returns")
	_, err = OpenConfig("structure", cfg, 1)
	require.ErrorIs(t, err, ErrUnavailable)
}

// contest has races between backends end as a test likes.
func contest(t *testing.T, own, other time.Duration, err error) {
	t.Helper()
	before := race
	race = func(string, string) (time.Duration, time.Duration, error) { return own, other, err }
	t.Cleanup(func() { race = before })
}

// Not parallel: it registers the real names.
func TestAutoTakesTheFastestThatOpensAndSaysWhyNotTheOthers(t *testing.T) {
	iouring, udp := register(t, "iouring"), register(t, "udp")
	iouring.refuse = 1
	contest(t, 1, 2, nil)

	trs, err := OpenQueues("auto://127.0.0.1:0?depth=3", 2)
	require.NoError(t, err)
	require.Len(t, trs, 2)
	require.Len(t, udp.opened, 2)
	require.Equal(t, 3, udp.seen[0].Depth)
	require.True(t, iouring.opened[0].closed)
	notes := strings.Join(trs[1].Caps().Notes, "\n")
	require.NotContains(t, notes, "dpdk", "which is for those who ask for it")
	require.NotContains(t, notes, "xdp", "which is not in this program")
	require.Contains(t, notes, "auto did not take iouring: transport: iouring queue 1 of 2: refused")
	require.Contains(t, notes, "inner")

	udp.refuse = 0
	_, err = Open("auto://127.0.0.1:0?depth=3")
	require.NoError(t, err, "one queue iouring does not refuse")
	iouring.refuse = 0
	_, err = Open("auto://127.0.0.1:0?depth=3")
	require.ErrorIs(t, err, ErrUnavailable)
}

func TestAutoTakesABackendOnlyIfItProvesFaster(t *testing.T) {
	iouring, udp := register(t, "iouring"), register(t, "udp")
	open := func() string {
		tr, err := Open("auto://127.0.0.1:0")
		require.NoError(t, err)
		return strings.Join(tr.Caps().Notes, "\n")
	}
	contest(t, 90, 100, nil)
	require.NotContains(t, open(), "did not take iouring")
	require.Len(t, iouring.opened, 1)

	contest(t, 99, 100, nil)
	require.Contains(t, open(), "auto did not take iouring: it is no faster than udp here")
	require.True(t, iouring.opened[1].closed)
	require.Len(t, udp.opened, 1)

	contest(t, 0, 0, errors.New("no loopback"))
	require.Contains(t, open(), "could not be measured: no loopback")
}

func TestAutoGivesEachBackendTheKeysThatItKnows(t *testing.T) {
	register(t, "udp")
	Register(other{})
	t.Cleanup(func() {
		registry.Lock()
		defer registry.Unlock()
		delete(registry.drivers, "iouring")
	})
	tr, err := Open("auto://127.0.0.1:0?depth=3&polling=true")
	require.NoError(t, err)
	require.Contains(t, strings.Join(tr.Caps().Notes, "\n"), `auto took udp, which does not have the key "polling"`)

	for _, check := range []error{
		CheckURL("auto://127.0.0.1:0?pollin=true"),
		func() error { _, err := Open("auto://127.0.0.1:0?pollin=true"); return err }(),
	} {
		var wrong *ConfigError
		require.ErrorAs(t, check, &wrong)
		require.Equal(t, "pollin", wrong.Key)
		require.ErrorContains(t, check, `did you mean "polling"?`)
	}
}

// other is a driver with a key of its own, which opens nothing.
type other struct{}

func (other) Name() string { return "iouring" }

func (other) Config() any {
	return &struct {
		Address string `yaml:"address" url:"host"`
		Polling bool   `yaml:"polling"`
	}{}
}

func (other) Open(any, int, int) (Transport, error) { return nil, ErrUnavailable }

func FuzzParseURL(f *testing.F) {
	d := &toy{name: "fuzzed", refuse: -1}
	Register(d)
	f.Cleanup(func() {
		registry.Lock()
		defer registry.Unlock()
		delete(registry.drivers, d.name)
	})
	f.Add("fuzzed://127.0.0.1:0?depth=3&names=a,b")
	f.Add("fuzzed://?address=%41&linger=-1ns&share=NaN")
	f.Add("udp://x")
	f.Fuzz(func(t *testing.T, raw string) {
		driver, cfg, err := ParseURL(raw)
		if err != nil {
			require.NotEmpty(t, err.Error())
			return
		}
		require.Same(t, d, driver)
		require.NotEmpty(t, cfg.(*toyConfig).Address)
	})
}
